"""If-None-Match and If-Match on writes, raced."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from data import content
from errors import refused


def attempt(call, **arguments):
    """The status of a call."""
    try:
        return call(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_if_none_match(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfNoneMatch="*")


def test_if_match(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)["ETag"]
    with refused(412, "PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="k", Body=b"4", IfMatch=second)


@pytest.mark.strict
def test_if_match_on_nothing(s3, bucket):
    with refused(404, "NoSuchKey"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfMatch='"00000000000000000000000000000000"')


@pytest.mark.strict
def test_racing_creators(s3, bucket):
    """Exactly one wins, and what it wrote is there."""
    with ThreadPoolExecutor(16) as pool:
        for round in range(10):
            bodies = [content(50_000, f"{round}/{number}") for number in range(16)]
            put = lambda body: attempt(s3.put_object, Bucket=bucket, Key=f"k{round}", Body=body, IfNoneMatch="*")
            statuses = list(pool.map(put, bodies))
            winners = [body for body, status in zip(bodies, statuses) if status == 200]
            assert len(winners) == 1 and set(statuses) <= {200, 409, 412}, statuses
            assert s3.get_object(Bucket=bucket, Key=f"k{round}")["Body"].read() == winners[0]


@pytest.mark.strict
def test_racing_updaters_lose_no_update(s3, bucket):
    """A counter raised by read, compare and swap counts every success."""
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def add(_):
        while True:
            got = s3.get_object(Bucket=bucket, Key="n")
            value = int(got["Body"].read()) + 1
            status = attempt(s3.put_object, Bucket=bucket, Key="n", Body=str(value).encode(), IfMatch=got["ETag"])
            if status == 200:
                return
            assert status in (409, 412)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == b"40"
