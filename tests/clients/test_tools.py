"""The tools people use, with nothing but the lines that a first start prints."""

import os
import subprocess
import uuid

import minio
import pytest

from data import HOSTILE_KEYS, MIB, content, md5
from harness import program

LIMIT_S = 120


@pytest.fixture
def tool(site, tmp_path):
    """Runs a program in a folder of its own; answers what it printed."""

    def run(name, *arguments, ok=True, **environment):
        done = subprocess.run(
            [program(name), *map(str, arguments)],
            env=site.environment() | {"HOME": str(tmp_path)} | environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
        )
        text = done.stdout.decode(errors="replace")
        if ok:
            assert done.returncode == 0, f"{name} {arguments}: {done.stderr.decode(errors='replace')}{text}"
            return text
        assert done.returncode != 0, f"{name} {arguments} succeeded: {text}"
        return done.stderr.decode(errors="replace")

    return run


@pytest.fixture
def files(tmp_path):
    """A folder with files of several sizes, one of them large enough for multipart."""
    folder = tmp_path / "in"
    for name, size in [("empty", 0), ("small.txt", 11), ("a b/ü.bin", 300_000), ("deep/er/large", 20 * MIB + 1)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(size, name))
    return folder


def same(one, other):
    def tree(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert tree(one) == tree(other)


@pytest.mark.strict
def test_aws_cli(tool, bucket, files, tmp_path, s3):
    tool("aws", "s3", "cp", "--recursive", files, f"s3://{bucket}/tree/")
    listed = tool("aws", "s3", "ls", "--recursive", f"s3://{bucket}/tree/")
    assert len(listed.splitlines()) == 4
    tool("aws", "s3", "cp", "--recursive", f"s3://{bucket}/tree/", tmp_path / "out")
    same(files, tmp_path / "out")
    tool("aws", "s3", "cp", f"s3://{bucket}/tree/deep/er/large", f"s3://{bucket}/copied")
    tool("aws", "s3", "mv", f"s3://{bucket}/tree/small.txt", f"s3://{bucket}/moved")
    url = tool("aws", "s3", "presign", f"s3://{bucket}/moved").strip()
    assert tool("aws", "s3", "cp", f"s3://{bucket}/moved", "-") == (files / "small.txt").read_bytes().decode(errors="replace")
    assert "X-Amz-Signature=" in url
    tool("aws", "s3", "rm", "--recursive", f"s3://{bucket}/tree/")
    left = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["copied", "moved"]


@pytest.mark.strict
def test_aws_cli_low_level(tool, tmp_path):
    bucket = f"a-{uuid.uuid4().hex[:16]}"
    tool("aws", "s3", "mb", f"s3://{bucket}")
    (tmp_path / "f").write_bytes(b"data")
    tool("aws", "s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", "f", "--metadata", "a=b")
    assert '"a": "b"' in tool("aws", "s3api", "head-object", "--bucket", bucket, "--key", "k")
    tool("aws", "s3", "rb", f"s3://{bucket}", ok=False)
    tool("aws", "s3", "rb", "--force", f"s3://{bucket}")


def rclone_environment(site):
    return {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_ENDPOINT": site.endpoint,
        "RCLONE_S3_UPLOAD_CUTOFF": "8M",
    }


def test_rclone(tool, site, bucket, files, tmp_path):
    environment = rclone_environment(site)
    tool("rclone", "copy", files, f":s3:{bucket}/tree", **environment)
    tool("rclone", "check", "--download", files, f":s3:{bucket}/tree", **environment)
    tool("rclone", "copy", f":s3:{bucket}/tree", tmp_path / "out", **environment)
    same(files, tmp_path / "out")
    tool("rclone", "copyto", f":s3:{bucket}/tree/deep/er/large", f":s3:{bucket}/copied", **environment)
    tool("rclone", "moveto", f":s3:{bucket}/tree/small.txt", f":s3:{bucket}/moved", **environment)
    assert sorted(tool("rclone", "lsf", "-R", "--files-only", f":s3:{bucket}", **environment).splitlines()) == [
        "copied", "moved", "tree/a b/ü.bin", "tree/deep/er/large", "tree/empty",
    ]
    tool("rclone", "purge", f":s3:{bucket}/tree", **environment)
    assert sorted(tool("rclone", "lsf", "-R", f":s3:{bucket}", **environment).split()) == ["copied", "moved"]


def test_s3cmd(tool, site, bucket, files, tmp_path):
    (tmp_path / "s3cfg").write_text(
        f"[default]\naccess_key = {site.access_key}\nsecret_key = {site.secret_key}\nhost_base = {site.host}\n"
        f"host_bucket = {site.host}\nuse_https = False\nbucket_location = {site.region}\nmultipart_chunk_size_mb = 5\n"
    )
    s3cmd = lambda *arguments: tool("s3cmd", "--config", tmp_path / "s3cfg", "--no-progress", *arguments)
    s3cmd("put", "--recursive", f"{files}/", f"s3://{bucket}/tree/")
    assert len(s3cmd("ls", "--recursive", f"s3://{bucket}").splitlines()) == 4
    (tmp_path / "out").mkdir()
    s3cmd("get", "--recursive", f"s3://{bucket}/tree/", f"{tmp_path}/out/")
    same(files, tmp_path / "out")
    s3cmd("cp", f"s3://{bucket}/tree/small.txt", f"s3://{bucket}/copied")
    s3cmd("info", f"s3://{bucket}/copied")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/tree")
    assert "copied" in s3cmd("ls", f"s3://{bucket}")


def test_s5cmd(site, bucket, files, tmp_path, tool):
    s5cmd = lambda *arguments: tool("s5cmd", "--endpoint-url", site.endpoint, *arguments, S3_ENDPOINT_URL=site.endpoint)
    s5cmd("cp", f"{files}/", f"s3://{bucket}/tree/")
    assert len(s5cmd("ls", f"s3://{bucket}/tree/*").splitlines()) == 4
    s5cmd("cp", f"s3://{bucket}/tree/*", f"{tmp_path}/out/")
    same(files, tmp_path / "out")
    s5cmd("cp", f"s3://{bucket}/tree/deep/er/large", f"s3://{bucket}/copied")
    s5cmd("rm", f"s3://{bucket}/tree/*")
    assert "copied" in s5cmd("ls", f"s3://{bucket}/*")


def test_minio_client(site, bucket):
    client = minio.Minio(site.host, site.access_key, site.secret_key, secure=False, region=site.region)
    import io

    data = content(12 * MIB)
    done = client.put_object(bucket, "large", io.BytesIO(data), len(data), part_size=5 * MIB, metadata={"a": "b"})
    assert done.etag.endswith("-3")
    got = client.get_object(bucket, "large")
    assert md5(got.read()) == md5(data)
    got.close()
    assert client.stat_object(bucket, "large").metadata["x-amz-meta-a"] == "b"
    client.put_object(bucket, "stream", io.BytesIO(data), -1, part_size=5 * MIB)
    client.copy_object(bucket, "copied", minio.commonconfig.CopySource(bucket, "large"))
    names = [entry.object_name for entry in client.list_objects(bucket, recursive=True)]
    assert names == ["copied", "large", "stream"]
    url = client.presigned_get_object(bucket, "copied")
    assert "X-Amz-Signature=" in url
    errors = client.remove_objects(bucket, [minio.deleteobjects.DeleteObject(name) for name in names])
    assert not list(errors)


@pytest.mark.strict
def test_rclone_with_hostile_names(tool, site, bucket, tmp_path, s3):
    """Names that a file system can hold go there and back with rclone's own encoding."""
    folder = tmp_path / "in"
    for key in HOSTILE_KEYS:
        if len(key.encode()) < 200 and "/" not in key and key not in (".", "..") and "\x01" not in key:
            folder.mkdir(exist_ok=True)
            (folder / key).write_bytes(key.encode())
    environment = rclone_environment(site)
    tool("rclone", "copy", folder, f":s3:{bucket}", **environment)
    tool("rclone", "copy", f":s3:{bucket}", tmp_path / "out", **environment)
    same(folder, tmp_path / "out")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == len(os.listdir(folder))
