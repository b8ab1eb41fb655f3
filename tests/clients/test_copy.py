"""CopyObject."""

import time
import uuid

import pytest

from data import MIB, content
from errors import refused
from rawhttp import request


@pytest.fixture
def source(s3, bucket):
    data = content(MIB + 5)
    s3.put_object(
        Bucket=bucket, Key="source key+ü", Body=data, ContentType="text/plain", CacheControl="no-store",
        Metadata={"a": "1"}, Tagging="t=old",
    )
    return {"Bucket": bucket, "Key": "source key+ü"}, data


@pytest.mark.strict
def test_a_copy_keeps_everything(s3, bucket, source):
    origin, data = source
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=origin)
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["Body"].read() == data
    assert got["ETag"] == answer["CopyObjectResult"]["ETag"]
    assert (got["ContentType"], got["CacheControl"], got["Metadata"], got["TagCount"]) == (
        "text/plain", "no-store", {"a": "1"}, 1,
    )
    # The copy stands on its own.
    s3.delete_object(**origin)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == data


def test_directives(s3, bucket, source):
    origin, data = source
    s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=origin, MetadataDirective="REPLACE", ContentType="text/html",
        Metadata={"b": "2"},
    )
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["Body"].read() == data
    assert (got["ContentType"], got["Metadata"]) == ("text/html", {"b": "2"})
    assert "CacheControl" not in got


@pytest.mark.strict
def test_tagging_directive(s3, bucket, source):
    origin, _ = source
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=origin, TaggingDirective="REPLACE", Tagging="x=1&y=2&z=3")
    assert s3.get_object(Bucket=bucket, Key="copy")["TagCount"] == 3


def test_across_buckets(s3, bucket, source):
    origin, data = source
    other = f"c-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=other)
    s3.copy_object(Bucket=other, Key="copy", CopySource=origin)
    assert s3.get_object(Bucket=other, Key="copy")["Body"].read() == data
    s3.delete_object(Bucket=other, Key="copy")
    s3.delete_bucket(Bucket=other)


@pytest.mark.strict
def test_onto_itself(s3, bucket, source):
    origin, data = source
    with refused(400, "InvalidRequest"):
        s3.copy_object(**origin, CopySource=origin)
    s3.copy_object(**origin, CopySource=origin, MetadataDirective="REPLACE", Metadata={"new": "1"})
    got = s3.get_object(**origin)
    assert got["Body"].read() == data and got["Metadata"] == {"new": "1"}


@pytest.mark.strict
def test_a_self_copy_moves_no_bytes(s3, bucket, source, gateway):
    origin, data = source
    def files():
        return {path for path in gateway.folder.rglob("*") if path.is_file() and path.stat().st_size >= len(data)}
    wait_for_copies(gateway)
    before = files()
    s3.copy_object(**origin, CopySource=origin, MetadataDirective="REPLACE", Metadata={"new": "1"})
    wait_for_copies(gateway)
    assert files() - before == set()


def wait_for_copies(gateway):
    """Until no copy is owed."""
    for _ in range(600):
        owed = gateway.metrics()["weir_outbox_entries", '{kind="replicate"}']
        if owed == 0:
            return
        time.sleep(0.05)
    raise AssertionError("the outbox does not drain")


def test_source_conditions(s3, bucket, source):
    origin, _ = source
    etag = s3.head_object(**origin)["ETag"]
    other = '"00000000000000000000000000000000"'
    for condition in ({"CopySourceIfMatch": other}, {"CopySourceIfNoneMatch": etag}):
        with refused(412, "PreconditionFailed"):
            s3.copy_object(Bucket=bucket, Key="copy", CopySource=origin, **condition)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=origin, CopySourceIfMatch=etag)


@pytest.mark.strict
@pytest.mark.parametrize(
    "value,status",
    [("", 400), ("/", 400), ("nokey", 400), ("{bucket}/%zz", 400), ("http://example.com/a/b", (400, 404)),
     ("{bucket}/nothing", 404), ("no-such-bucket-here/k", 404), ("{bucket}/k?versionId=nonsense", (400, 404, 501))],
)
def test_bad_sources(site, s3, bucket, value, status):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = {"x-amz-copy-source": value.format(bucket=bucket)}
    answer = request(site, "PUT", f"/{bucket}/copy", headers)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), (answer.status, answer.body)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
