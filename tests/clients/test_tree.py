"""A large tree of real files goes in and out, byte for byte."""

import filecmp
import os
import subprocess
from pathlib import Path

import pytest

from data import MIB, content
from harness import program

LIMIT_S = 3600


@pytest.fixture(scope="module")
def tree(request, scratch):
    """Hard links to the Rust documentation where it is installed, else files made here; then
    as many made files as are missing to the wanted number and size."""
    files, size = request.config.getoption("--tree-files"), request.config.getoption("--tree-mib") * MIB
    folder = scratch / "tree"
    have_files, have_bytes = link_documentation(folder, files, size)
    missing_files = max(files - have_files, 1 if have_bytes < size else 0)
    each = max((size - have_bytes) // missing_files + 1, 1) if missing_files else 0
    for number in range(missing_files):
        path = folder / "made" / f"{number % 97}" / f"file {number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(min(each, 64 * MIB), number))
    return folder


def link_documentation(folder, files_min, bytes_min):
    """Takes files until both are reached; answers how many files and bytes it took."""
    taken_files = taken_bytes = 0
    try:
        sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, timeout=30).stdout
    except OSError:
        return 0, 0
    source = Path(sysroot.strip()) / "share/doc/rust/html"
    for root, _, names in os.walk(source):
        for name in names:
            if taken_files >= files_min and taken_bytes >= bytes_min:
                return taken_files, taken_bytes
            path = Path(root) / name
            target = folder / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                target.write_bytes(path.read_bytes())
            taken_files += 1
            taken_bytes += path.stat().st_size
    return taken_files, taken_bytes


def relative_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_same(one, other):
    names = relative_files(one)
    assert names == relative_files(other)
    _, mismatch, errors = filecmp.cmpfiles(one, other, names, shallow=False)
    assert not mismatch and not errors


def run(site, name, *arguments, **environment):
    done = subprocess.run(
        [program(name), *map(str, arguments)], env=site.environment() | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def listed(s3, bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))


def test_rclone(site, s3, bucket, tree, tmp_path):
    environment = {
        "RCLONE_CONFIG": "/dev/null", "RCLONE_S3_PROVIDER": "Other", "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_ENDPOINT": site.endpoint, "RCLONE_TRANSFERS": "16", "RCLONE_CHECKERS": "16",
    }
    run(site, "rclone", "copy", tree, f":s3:{bucket}", **environment)
    assert listed(s3, bucket) == relative_files(tree)
    again = run(site, "rclone", "sync", "-v", tree, f":s3:{bucket}", **environment)
    assert "Copied" not in again and "Deleted" not in again and "Updated" not in again
    run(site, "rclone", "copy", f":s3:{bucket}", tmp_path / "out", **environment)
    assert_same(tree, tmp_path / "out")


@pytest.mark.strict
def test_aws_sync(site, s3, bucket, tree, tmp_path):
    run(site, "aws", "s3", "sync", "--only-show-errors", tree, f"s3://{bucket}")
    assert listed(s3, bucket) == relative_files(tree)
    assert run(site, "aws", "s3", "sync", "--no-progress", tree, f"s3://{bucket}").strip() == ""
    run(site, "aws", "s3", "sync", "--only-show-errors", f"s3://{bucket}", tmp_path / "out")
    assert_same(tree, tmp_path / "out")
