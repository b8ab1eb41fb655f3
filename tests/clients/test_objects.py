"""Single objects: what goes in comes out."""

from datetime import datetime, timedelta, timezone

import pytest

from data import BLOCK, HOSTILE_KEYS, MIB, SIZES, content, md5
from errors import refused


@pytest.mark.parametrize("size", SIZES)
def test_put_get_head_delete(s3, bucket, size):
    data = content(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert put["ETag"] == f'"{md5(data)}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    head = s3.head_object(Bucket=bucket, Key="k")
    for answer in (got, head):
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentLength"] == size
        assert abs(answer["LastModified"] - datetime.now(timezone.utc)) < timedelta(minutes=2)
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="k")
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.strict
def test_headers_and_metadata_are_kept(s3, bucket):
    given = {
        "ContentType": "text/x-weir; charset=utf-8",
        "CacheControl": "max-age=60, private",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-CH",
        "Metadata": {"colour": "blue", "with-dash": "a, b; c", "empty": ""},
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **given)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in given} == given


@pytest.mark.strict
def test_the_default_content_type(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_response_headers_can_be_overridden(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    got = s3.get_object(
        Bucket=bucket,
        Key="k",
        ResponseContentType="application/json",
        ResponseContentDisposition="inline",
        ResponseCacheControl="no-cache",
    )
    assert got["ContentType"] == "application/json"
    assert got["ContentDisposition"] == "inline"
    assert got["CacheControl"] == "no-cache"


@pytest.mark.strict
def test_hostile_keys_are_bytes(s3, bucket):
    for number, key in enumerate(HOSTILE_KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=f"{number}".encode())
    for number, key in enumerate(HOSTILE_KEYS):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == f"{number}".encode(), repr(key)
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(HOSTILE_KEYS, key=lambda key: key.encode())
    for key in HOSTILE_KEYS:
        s3.delete_object(Bucket=bucket, Key=key)
        with refused(404):
            s3.head_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.strict
def test_hostile_keys_stay_in_their_folder(s3, bucket, gateway):
    """Nothing of a key reaches the file system: no path of the data folder names it."""
    for key in ("../../../weir-escape", "a/../../weir-escape", "%2e%2e%2fweir-escape", "..\\weir-escape"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert not [path for path in gateway.folder.parent.rglob("*weir-escape*")]


@pytest.mark.strict
@pytest.mark.parametrize("key", ["x" * 1025, "é" * 513])
def test_a_key_too_long(s3, bucket, key):
    with refused(400, "KeyTooLongError"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


SIZE = 2 * BLOCK + 100
RANGES = [
    ("bytes=0-0", slice(0, 1)),
    ("bytes=0-", slice(0, None)),
    ("bytes=5-9", slice(5, 10)),
    (f"bytes={BLOCK - 1}-{BLOCK}", slice(BLOCK - 1, BLOCK + 1)),
    (f"bytes={BLOCK}-{2 * BLOCK - 1}", slice(BLOCK, 2 * BLOCK)),
    (f"bytes={2 * BLOCK}-", slice(2 * BLOCK, None)),
    (f"bytes=10-{SIZE + 50}", slice(10, None)),
    ("bytes=-1", slice(-1, None)),
    (f"bytes=-{BLOCK + 3}", slice(-(BLOCK + 3), None)),
    (f"bytes=-{SIZE + 1}", slice(0, None)),
]


def test_ranges(s3, bucket):
    data = content(SIZE)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    for text, expected in RANGES:
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        body = got["Body"].read()
        assert body == data[expected], text
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206, text
        start = range(SIZE)[expected][0]
        assert got["ContentRange"] == f"bytes {start}-{start + len(body) - 1}/{SIZE}", text


@pytest.mark.parametrize("text", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0"])
def test_ranges_that_cannot_be_served(s3, bucket, text):
    s3.put_object(Bucket=bucket, Key="k", Body=content(SIZE))
    with refused(416, "InvalidRange"):
        s3.get_object(Bucket=bucket, Key="k", Range=text)


@pytest.mark.strict
@pytest.mark.parametrize("text", ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4"])
def test_ranges_that_are_ignored(s3, bucket, text):
    """RFC 9110, 14.2: what is not understood is ignored; like AWS, so are several ranges."""
    data = content(1000)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k", Range=text)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert got["Body"].read() == data


def test_read_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"data")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(seconds=1)
    other = '"00000000000000000000000000000000"'
    cases = [
        ({"IfMatch": etag}, 200),
        ({"IfMatch": other}, 412),
        ({"IfMatch": "*"}, 200),
        ({"IfNoneMatch": etag}, 304),
        ({"IfNoneMatch": other}, 200),
        ({"IfModifiedSince": before}, 200),
        ({"IfModifiedSince": after}, 304),
        ({"IfUnmodifiedSince": before}, 412),
        ({"IfUnmodifiedSince": after}, 200),
        # RFC 9110, 13.2.2: entity tags win over dates.
        ({"IfMatch": etag, "IfUnmodifiedSince": before}, 200),
        ({"IfNoneMatch": other, "IfModifiedSince": after}, 200),
    ]
    for condition, status in cases:
        for call in (s3.get_object, s3.head_object):
            if status == 200:
                call(Bucket=bucket, Key="k", **condition)
            else:
                with refused(status):
                    call(Bucket=bucket, Key="k", **condition)


def test_overwriting(s3, bucket):
    for round in range(5):
        data = content(MIB // 2 + round, round)
        s3.put_object(Bucket=bucket, Key="k", Body=data, Metadata={"round": str(round)})
        got = s3.get_object(Bucket=bucket, Key="k")
        assert got["Body"].read() == data
        assert got["Metadata"] == {"round": str(round)}


def test_deleting_what_is_not_there(s3, bucket):
    assert s3.delete_object(Bucket=bucket, Key="nothing")["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_objects(s3, bucket):
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
    wanted = [{"Key": f"k{number}"} for number in range(10)] + [{"Key": "nothing"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert {entry["Key"] for entry in answer["Deleted"]} == {entry["Key"] for entry in wanted}
    assert "Errors" not in answer
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k10"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    left = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == sorted(f"k{number}" for number in range(11, 20))


@pytest.mark.strict
def test_delete_objects_takes_a_thousand(s3, bucket):
    with refused(400, "MalformedXML"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{n}"} for n in range(1001)]})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{n}"} for n in range(1000)]})


def test_tags_are_kept(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1&b=two%20words")
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2


@pytest.mark.strict
def test_bad_tags(s3, bucket):
    eleven = "&".join(f"t{number}=v" for number in range(11))
    for tagging, codes in [(eleven, ("BadRequest", "InvalidTag")), ("a=1&a=2", ("InvalidTag",)), ("k" * 129 + "=v", ("InvalidTag",))]:
        with refused(400, *codes):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging=tagging)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.strict
def test_metadata_too_large(s3, bucket):
    with refused(400, "MetadataTooLarge"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "v" * 2100})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
