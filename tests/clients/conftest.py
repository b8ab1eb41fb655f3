"""Fixtures: one gateway for each pytest worker, a new bucket for each test."""

import shutil
import uuid

import boto3
import pytest
from botocore.config import Config

from harness import Gateway, Server


def pytest_addoption(parser):
    parser.addoption("--against", help="a real S3 server instead of a gateway: to test the tests")
    parser.addoption("--tree-files", type=int, default=500, help="files of the tree test")
    parser.addoption("--tree-mib", type=int, default=16, help="least size of the tree")


def pytest_configure(config):
    config.addinivalue_line("markers", "strict: what only the gateway promises; not run --against another server")


def pytest_collection_modifyitems(config, items):
    other = config.getoption("--against")
    if other:
        skip = pytest.mark.skip(reason=f"{other} does not promise this")
        for item in items:
            if "strict" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weir")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def gateway(scratch):
    """A gateway as a new user starts it: no arguments, no configuration."""
    gateway = Gateway(scratch / "first-run").start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="session")
def site(request, scratch):
    kind = request.config.getoption("--against")
    if kind:
        server = Server(kind, scratch / kind)
        yield server.site
        server.stop()
    else:
        yield request.getfixturevalue("gateway").site


def client_for(site, **options):
    config = {"retries": {"max_attempts": 1}, "s3": {"addressing_style": "path"}, **options}
    return boto3.client(
        "s3",
        endpoint_url=site.endpoint,
        aws_access_key_id=site.access_key,
        aws_secret_access_key=site.secret_key,
        region_name=site.region,
        config=Config(**config),
    )


@pytest.fixture(scope="session")
def s3(site):
    return client_for(site)


@pytest.fixture
def bucket(s3):
    """A new bucket, emptied and removed afterwards: that must work too."""
    name = f"t-{uuid.uuid4().hex[:20]}"
    s3.create_bucket(Bucket=name)
    yield name
    empty(s3, name)
    s3.delete_bucket(Bucket=name)


def empty(s3, bucket):
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if keys:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            assert not answer.get("Errors"), answer["Errors"]
