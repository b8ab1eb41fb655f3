"""Listing, compared with a model of what AWS documents for ListObjects and ListObjectsV2."""

import itertools
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_plus

import pytest

from conftest import empty
from data import HOSTILE_KEYS
from errors import refused
from rawhttp import request

KEYS = [
    "a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a/c", "ab", "b/1", "b/2/3", "b0", "c//d", "c//e",
    "photos/2006/January/sample.jpg", "photos/2006/February/sample2.jpg", "z", "z/z/z/z",
]


@pytest.fixture(scope="module")
def full(s3):
    name = f"l-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    yield name
    empty(s3, name)
    s3.delete_bucket(Bucket=name)


def model(keys, prefix="", delimiter="", after=""):
    """(name, is a common prefix) in order."""
    entries = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = (key[: cut + len(delimiter)], True) if cut >= 0 else (key, False)
        if entry not in entries and entry[0].encode() > after.encode() and key.encode() > after.encode():
            entries.append(entry)
    return entries


def walk_v2(s3, bucket, max_keys, **options):
    """All pages; checks what each page says about itself."""
    seen, token = [], {}
    for _ in range(1000):
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=max_keys, **options, **token)
        entries = [(entry["Key"], False) for entry in page.get("Contents", [])]
        entries += [(entry["Prefix"], True) for entry in page.get("CommonPrefixes", [])]
        assert page["KeyCount"] == len(entries) <= max_keys
        seen += sorted(entries, key=lambda entry: entry[0].encode())
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            return seen
        token = {"ContinuationToken": page["NextContinuationToken"]}
    raise AssertionError("the listing never ends")


def walk_v1(s3, bucket, max_keys, **options):
    seen, marker = [], options.pop("Marker", "")
    for _ in range(1000):
        page = s3.list_objects(Bucket=bucket, MaxKeys=max_keys, Marker=marker, **options)
        entries = [(entry["Key"], False) for entry in page.get("Contents", [])]
        entries += [(entry["Prefix"], True) for entry in page.get("CommonPrefixes", [])]
        entries.sort(key=lambda entry: entry[0].encode())
        seen += entries
        if not page["IsTruncated"]:
            return seen
        # Only a listing with a delimiter names the next marker.
        marker = page["NextMarker"] if options.get("Delimiter") else entries[-1][0]
    raise AssertionError("the listing never ends")


PREFIXES = ["", "a", "a/", "a/b", "b", "c/", "c//", "photos/", "photos/2006/", "none", "z/"]
CASES = list(itertools.product(PREFIXES, ["", "/", "2", "//", "photos"], [1, 2, 1000]))


def test_v2_against_the_model(s3, full):
    for prefix, delimiter, max_keys in CASES:
        options = {"Prefix": prefix} | ({"Delimiter": delimiter} if delimiter else {})
        assert walk_v2(s3, full, max_keys, **options) == model(KEYS, prefix, delimiter), (prefix, delimiter, max_keys)


def test_v1_against_the_model(s3, full):
    for prefix, delimiter, max_keys in CASES:
        options = {"Prefix": prefix} | ({"Delimiter": delimiter} if delimiter else {})
        assert walk_v1(s3, full, max_keys, **options) == model(KEYS, prefix, delimiter), (prefix, delimiter, max_keys)


@pytest.mark.parametrize("after", ["", "a", "a/1", "a/b/", "aa", "photos/", "zz", "0"])
def test_start_after(s3, full, after):
    for max_keys in (1, 1000):
        assert walk_v2(s3, full, max_keys, StartAfter=after) == model(KEYS, after=after)


def test_v1_marker(s3, full):
    for after in ("a", "a/b/", "c//d", "zz"):
        assert walk_v1(s3, full, 1000, Marker=after) == model(KEYS, after=after)


def test_entries_say_what_head_says(s3, full):
    for entry in s3.list_objects_v2(Bucket=full)["Contents"]:
        head = s3.head_object(Bucket=full, Key=entry["Key"])
        assert entry["ETag"] == head["ETag"]
        assert entry["Size"] == head["ContentLength"]
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert entry["StorageClass"] == "STANDARD"


@pytest.mark.strict
def test_no_keys_wanted(s3, full):
    page = s3.list_objects_v2(Bucket=full, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


@pytest.mark.strict
@pytest.mark.parametrize("bad", [{"MaxKeys": -1}, {"ContinuationToken": "not ours"}])
def test_bad_arguments(s3, full, bad):
    with refused(400, "InvalidArgument"):
        s3.list_objects_v2(Bucket=full, **bad)


@pytest.mark.strict
def test_encoding_type_url(site, s3, bucket):
    """Every hostile key survives XML when it is encoded, and decodes to the same bytes."""

    for key in HOSTILE_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = request(site, "GET", f"/{bucket}?encoding-type=url&list-type=2")
    assert answer.status == 200
    keys = [unquote_plus(text) for text in re.findall(r"<Key>([^<]*)</Key>", answer.body.decode("ascii"))]
    assert keys == sorted(HOSTILE_KEYS, key=str.encode)


@pytest.mark.strict
def test_many_keys(s3, bucket):
    """Several pages of the largest size, with the same keys whatever the page size."""
    keys = [f"{number % 7}/{number:05}" for number in range(1200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), keys))
    for max_keys in (37, 999, 1000, 5000):
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=max_keys)
        assert page["KeyCount"] == min(max_keys, 1000)
    assert walk_v2(s3, bucket, 1000) == model(keys)
    assert walk_v2(s3, bucket, 3, Delimiter="/") == [(f"{number}/", True) for number in range(7)]
