"""The same promises with real S3 servers behind: SeaweedFS, rclone, moto."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import client_for
from data import HOSTILE_KEYS, MIB, SIZES, content, md5, multipart_etag
from errors import refused
from harness import Gateway, Server, Site

pytestmark = pytest.mark.strict

KINDS = ["seaweedfs", "rclone", "moto"]
BACKEND_BUCKET = "weir-test"
KEYS = Site("", "APPKEY", "a-secret-of-no-importance")

CONFIG = """
[s3]
listen = ["127.0.0.1:{s3}"]
[admin]
listen = "127.0.0.1:{admin}"
[placement]
factor = 2
[credentials.app]
access_key_id = "APPKEY"
secret_file = "secret"
grants = [{{ buckets = ["*"], actions = ["all"] }}]
[limits]
clean_grace_ms = 100
reaper_interval_ms = 500
late_write_ms_max = 2000
"""

BACKEND = """
[backends.{kind}]
kind = "s3"
endpoint = "{endpoint}"
bucket = "{bucket}"
region = "us-east-1"
access_key_id = "{access_key}"
secret_file = "backend-secret"
"""


@pytest.fixture(scope="module")
def behind(scratch):
    """The servers' own clients, by kind, each with an empty bucket."""
    servers = {kind: Server(kind, scratch / "behind" / kind) for kind in KINDS}
    clients = {}
    for kind, server in servers.items():
        # boto3's retries bridge the moment in which a server cannot store anything yet.
        clients[kind] = client_for(server.site, retries={"max_attempts": 10, "mode": "standard"})
        clients[kind].create_bucket(Bucket=BACKEND_BUCKET)
    yield servers, clients
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="module")
def over(scratch, behind):
    """A gateway with three backends at three servers."""
    servers, _ = behind
    gateway = Gateway(scratch / "over")
    text = CONFIG.format(s3=gateway.s3_port, admin=gateway.admin_port)
    for kind, server in servers.items():
        site = server.site
        text += BACKEND.format(kind=kind, endpoint=site.endpoint, bucket=BACKEND_BUCKET, access_key=site.access_key)
    for name, secret in (("secret", KEYS.secret_key), ("backend-secret", servers["rclone"].site.secret_key)):
        (gateway.folder / name).write_text(secret)
        (gateway.folder / name).chmod(0o600)
    gateway.configure(text)
    gateway.start(KEYS)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def s3(over):
    return client_for(over.site)


def test_objects_of_all_sizes(s3, bucket):
    for size in SIZES:
        put = s3.put_object(Bucket=bucket, Key=f"{size}", Body=content(size), Metadata={"a": "b"})
        assert put["ETag"] == f'"{md5(content(size))}"'
    for size in SIZES:
        for _ in range(3):
            got = s3.get_object(Bucket=bucket, Key=f"{size}")
            assert (got["Body"].read(), got["Metadata"]) == (content(size), {"a": "b"})
        if size > 10:
            got = s3.get_object(Bucket=bucket, Key=f"{size}", Range="bytes=3-9")
            assert got["Body"].read() == content(size)[3:10]


def test_hostile_keys(s3, bucket):
    for number, key in enumerate(HOSTILE_KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=f"{number}".encode())
    for number, key in enumerate(HOSTILE_KEYS):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == f"{number}".encode()


def test_multipart(s3, bucket):
    for round in range(3):
        parts = [content(5 * MIB, f"{round}/{number}") for number in range(3)] + [b"end"]
        upload = s3.create_multipart_upload(Bucket=bucket, Key=f"k{round}")["UploadId"]

        def one(item):
            number, data = item
            answer = s3.upload_part(Bucket=bucket, Key=f"k{round}", UploadId=upload, PartNumber=number, Body=data)
            return {"PartNumber": number, "ETag": answer["ETag"]}

        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(one, enumerate(parts, 1)))
        answer = s3.complete_multipart_upload(
            Bucket=bucket, Key=f"k{round}", UploadId=upload, MultipartUpload={"Parts": done}
        )
        assert answer["ETag"] == multipart_etag(parts)
        assert s3.get_object(Bucket=bucket, Key=f"k{round}")["Body"].read() == b"".join(parts)
        s3.copy_object(Bucket=bucket, Key=f"copy{round}", CopySource={"Bucket": bucket, "Key": f"k{round}"})
        assert s3.get_object(Bucket=bucket, Key=f"copy{round}")["Body"].read() == b"".join(parts)


def test_an_aborted_upload_leaves_nothing(s3, bucket, behind):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=content(5 * MIB))
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)

    def open_uploads():
        return [
            entry for client in behind[1].values()
            for entry in client.list_multipart_uploads(Bucket=BACKEND_BUCKET).get("Uploads", [])
        ]

    wait_until(lambda: not open_uploads())


def test_two_copies_and_then_none(s3, bucket, behind, over):
    """Counted at the servers: two copies each, and nothing once everything is deleted."""

    def blobs():
        keys = [
            entry["Key"] for client in behind[1].values()
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=BACKEND_BUCKET, Prefix="w1/")
            for entry in page.get("Contents", [])
        ]
        return sorted(key.rsplit("/", 1)[1].split(".")[0] for key in keys)

    wait_until(lambda: not blobs())
    for number in range(10):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=content(1000, number))
    wait_until(lambda: len(blobs()) == 20)
    assert all(blobs().count(blob) == 2 for blob in blobs())
    for number in range(10):
        s3.delete_object(Bucket=bucket, Key=f"{number}")
    wait_until(lambda: not blobs())


def wait_until(true, limit_s=60):
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
