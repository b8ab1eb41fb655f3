"""Buckets."""

import uuid
from urllib.parse import quote

import pytest

from errors import refused
from rawhttp import request


@pytest.mark.strict
def test_a_bucket_lives_and_dies(s3):
    name = f"b-{uuid.uuid4().hex[:16]}"
    with refused(404):
        s3.head_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    with refused(409, "BucketNotEmpty"):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    with refused(404):
        s3.head_bucket(Bucket=name)
    with refused(404, "NoSuchBucket"):
        s3.put_object(Bucket=name, Key="k", Body=b"x")
    with refused(404, "NoSuchBucket"):
        s3.list_objects_v2(Bucket=name)
    assert name not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


def test_a_new_bucket_of_an_old_name_is_empty(s3, bucket):
    name = f"b-{uuid.uuid4().hex[:16]}"
    for _ in range(3):
        s3.create_bucket(Bucket=name)
        assert s3.list_objects_v2(Bucket=name)["KeyCount"] == 0
        s3.put_object(Bucket=name, Key="k", Body=b"x")
        s3.delete_object(Bucket=name, Key="k")
        s3.delete_bucket(Bucket=name)


@pytest.mark.strict
def test_an_open_upload_does_not_survive_its_bucket(s3):
    name = f"b-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    try:
        s3.delete_bucket(Bucket=name)
    except s3.exceptions.ClientError as error:
        # AWS refuses as long as an upload is open.
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 409
        s3.abort_multipart_upload(Bucket=name, Key="k", UploadId=upload)
        s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    with refused(404, "NoSuchUpload"):
        s3.upload_part(Bucket=name, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.delete_bucket(Bucket=name)


@pytest.mark.strict
def test_making_it_twice(s3, bucket):
    with refused(409, "BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket=bucket)


@pytest.mark.strict
def test_location(site, s3, bucket):
    # us-east-1 is spelled as an empty constraint.
    expected = None if site.region == "us-east-1" else site.region
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == expected


@pytest.mark.strict
@pytest.mark.parametrize("name", ["A_b", "127.0.0.1", "a" * 64, "ab", "-ab", "ab-", "a..b", "x y"])
def test_bad_names(site, name):
    """Sent by hand: boto3 would refuse some of them itself."""
    answer = request(site, "PUT", "/" + quote(name))
    assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer.body
