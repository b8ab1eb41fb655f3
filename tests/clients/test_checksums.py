"""The five additional checksums, on objects and on parts, and Content-MD5."""

import base64
import hashlib

import pytest
from awscrt import checksums as crt

from conftest import client_for
from data import MIB, content
from errors import refused
from rawhttp import request


def encode(number, length):
    return base64.b64encode(number.to_bytes(length, "big")).decode()


ALGORITHMS = {
    "CRC32": lambda data: encode(crt.crc32(data), 4),
    "CRC32C": lambda data: encode(crt.crc32c(data), 4),
    "CRC64NVME": lambda data: encode(crt.crc64nvme(data), 8),
    "SHA1": lambda data: base64.b64encode(hashlib.sha1(data).digest()).decode(),
    "SHA256": lambda data: base64.b64encode(hashlib.sha256(data).digest()).decode(),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_given_by_the_client(s3, bucket, algorithm):
    data = content(300_000)
    field, value = f"Checksum{algorithm}", ALGORITHMS[algorithm](data)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **{field: value})
    assert put[field] == value
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[field] == value
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[field] == value and got["Body"].read() == data
    assert field not in s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sent_as_a_trailer(s3, bucket, algorithm):
    """boto3 streams the body as aws-chunked and sends the checksum behind it."""
    data = content(2 * MIB + 3)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == ALGORITHMS[algorithm](data)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    # What carries the body is not part of the object.
    assert "aws-chunked" not in got.get("ContentEncoding", "")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_wrong(s3, bucket, algorithm):
    wrong = ALGORITHMS[algorithm](b"something else")
    with refused(400, "BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"data", **{f"Checksum{algorithm}": wrong})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.strict
def test_content_md5(site, s3, bucket):
    data = content(1000)
    right = base64.b64encode(hashlib.md5(data).digest()).decode()
    wrong = base64.b64encode(hashlib.md5(b"").digest()).decode()
    for value, status, code in [(right, 200, None), (wrong, 400, "BadDigest"), ("junk", 400, "InvalidDigest"), ("", 400, "InvalidDigest")]:
        answer = request(site, "PUT", f"/{bucket}/{status}", {"content-md5": value}, data)
        assert (answer.status, answer.code) == (status, code), value
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["200"]


def multipart(s3, bucket, algorithm, kind, parts, claims=None, **complete):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    done = []
    for number, data in enumerate(parts, 1):
        answer = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload["UploadId"], PartNumber=number, Body=data, ChecksumAlgorithm=algorithm
        )
        field = f"Checksum{algorithm}"
        assert answer[field] == ALGORITHMS[algorithm](data)
        done.append({"PartNumber": number, "ETag": answer["ETag"], field: (claims or {}).get(number, answer[field])})
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload["UploadId"], MultipartUpload={"Parts": done}, **complete
    )


PARTS = [content(5 * MIB, 1), content(5 * MIB + 1, 2), content(7, 3)]


@pytest.mark.strict
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite(s3, bucket, algorithm):
    """The checksum of the parts' checksums, with their number."""
    answer = multipart(s3, bucket, algorithm, "COMPOSITE", PARTS)
    joined = b"".join(base64.b64decode(ALGORITHMS[algorithm](part)) for part in PARTS)
    expected = f"{ALGORITHMS[algorithm](joined)}-{len(PARTS)}"
    assert answer[f"Checksum{algorithm}"] == expected
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (expected, "COMPOSITE")


@pytest.mark.strict
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object(s3, bucket, algorithm):
    """Combined from the parts' checksums, and equal to that of the whole."""
    whole = b"".join(PARTS)
    expected = ALGORITHMS[algorithm](whole)
    field = f"Checksum{algorithm}"
    answer = multipart(s3, bucket, algorithm, "FULL_OBJECT", PARTS, **{field: expected, "ChecksumType": "FULL_OBJECT"})
    assert answer[field] == expected
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got[field], got["ChecksumType"]) == (expected, "FULL_OBJECT")
    assert got["Body"].read() == whole


@pytest.mark.strict
def test_what_complete_refuses(s3, bucket):
    wrong = ALGORITHMS["CRC32"](b"something else")
    with refused(400, "InvalidPart", "BadDigest"):
        multipart(s3, bucket, "CRC32", "COMPOSITE", PARTS, claims={2: wrong})
    with refused(400, "BadDigest"):
        multipart(s3, bucket, "CRC32", "FULL_OBJECT", PARTS, ChecksumCRC32=wrong, ChecksumType="FULL_OBJECT")
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.strict
@pytest.mark.parametrize("algorithm,kind", [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")])
def test_combinations_that_do_not_exist(s3, bucket, algorithm, kind):
    with refused(400, "InvalidRequest"):
        s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)


@pytest.mark.strict
def test_two_checksums(site, bucket):
    headers = {"x-amz-checksum-crc32": ALGORITHMS["CRC32"](b"x"), "x-amz-checksum-sha1": ALGORITHMS["SHA1"](b"x")}
    answer = request(site, "PUT", f"/{bucket}/k", headers, b"x")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.strict
def test_copies_keep_theirs(s3, bucket):
    data = content(1000)
    s3.put_object(Bucket=bucket, Key="a", Body=data, ChecksumSHA256=ALGORITHMS["SHA256"](data))
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    head = s3.head_object(Bucket=bucket, Key="b", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == ALGORITHMS["SHA256"](data)


def test_clients_that_send_none(site, bucket):
    old = client_for(site, request_checksum_calculation="when_required", response_checksum_validation="when_required")
    data = content(MIB)
    old.put_object(Bucket=bucket, Key="k", Body=data)
    assert old.get_object(Bucket=bucket, Key="k")["Body"].read() == data
