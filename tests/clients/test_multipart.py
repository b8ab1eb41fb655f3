"""Multipart uploads."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from data import MIB, content, multipart_etag
from errors import refused

PART = 5 * MIB


def start(s3, bucket, key="k", **options):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **options)["UploadId"]


def upload(s3, bucket, upload_id, parts, key="k", **options):
    """Uploads {number: bytes}; answers what Complete takes."""
    done = []
    for number, data in parts.items():
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **options)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    return done


def complete(s3, bucket, upload_id, parts, key="k", **options):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **options
    )


def test_three_parts(s3, bucket):
    parts = {number: content(PART if number < 3 else 1234, number) for number in (1, 2, 3)}
    upload_id = start(s3, bucket, ContentType="text/plain", Metadata={"a": "b"}, Tagging="t=1")
    done = upload(s3, bucket, upload_id, parts)
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in listed] == [
        (part["PartNumber"], part["ETag"], len(parts[part["PartNumber"]])) for part in done
    ]
    with refused(404, "NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="k")
    answer = complete(s3, bucket, upload_id, done)
    assert answer["ETag"] == multipart_etag(parts.values())
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(parts.values())
    assert got["ETag"] == answer["ETag"]
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/plain", {"a": "b"}, 1)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_ranges_across_parts_and_part_reads(s3, bucket):
    parts = {1: content(PART, 1), 2: content(PART + 7, 2), 3: content(99, 3)}
    upload_id = start(s3, bucket)
    complete(s3, bucket, upload_id, upload(s3, bucket, upload_id, parts))
    whole = b"".join(parts.values())
    for first, last in [(PART - 10, PART + 10), (0, len(whole) - 1), (2 * PART, 2 * PART + 50)]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == whole[first : last + 1]
    offset = 0
    for number, data in parts.items():
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert got["Body"].read() == data
        assert got["PartsCount"] == 3
        assert got["ContentRange"] == f"bytes {offset}-{offset + len(data) - 1}/{len(whole)}"
        offset += len(data)
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=2)["ContentLength"] == PART + 7
    with refused(416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)


@pytest.mark.strict
def test_gaps_out_of_order_uploads_and_replaced_parts(s3, bucket):
    upload_id = start(s3, bucket)
    upload(s3, bucket, upload_id, {9: content(100, 9), 2: content(PART, 0)})
    upload(s3, bucket, upload_id, {7: content(PART, 7)})
    replaced = upload(s3, bucket, upload_id, {2: content(PART + 1, 2)})
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert [part["PartNumber"] for part in listed] == [2, 7, 9]
    # Part 7 was uploaded, but is not named.
    done = [*replaced, {"PartNumber": 9, "ETag": listed[2]["ETag"]}]
    complete(s3, bucket, upload_id, done)
    got = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert got == content(PART + 1, 2) + content(100, 9)


def test_parallel_parts(s3, bucket):
    parts = {number: content(PART, number) for number in range(1, 9)}
    upload_id = start(s3, bucket)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda item: upload(s3, bucket, upload_id, dict([item]))[0], parts.items()))
    complete(s3, bucket, upload_id, done)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(parts.values())


@pytest.mark.strict
def test_what_complete_refuses(s3, bucket):
    upload_id = start(s3, bucket)
    small = upload(s3, bucket, upload_id, {1: b"small", 2: b"last"})
    wrong = '"00000000000000000000000000000000"'
    with refused(400, "EntityTooSmall"):
        complete(s3, bucket, upload_id, small)
    with refused(400, "InvalidPart"):
        complete(s3, bucket, upload_id, [{"PartNumber": 1, "ETag": wrong}])
    with refused(400, "InvalidPart"):
        complete(s3, bucket, upload_id, [{"PartNumber": 3, "ETag": small[0]["ETag"]}])
    with refused(400, "InvalidPartOrder"):
        complete(s3, bucket, upload_id, small[::-1])
    with refused(400, "MalformedXML", "InvalidRequest"):
        complete(s3, bucket, upload_id, [])
    # The upload is still there and can be completed.
    complete(s3, bucket, upload_id, small[1:])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"last"


@pytest.mark.strict
def test_complete_can_be_repeated(s3, bucket):
    """A client that lost the answer asks again, and is told the same."""
    upload_id = start(s3, bucket)
    done = upload(s3, bucket, upload_id, {1: b"data"})
    first = complete(s3, bucket, upload_id, done)
    assert complete(s3, bucket, upload_id, done)["ETag"] == first["ETag"]


def test_abort(s3, bucket):
    upload_id = start(s3, bucket)
    done = upload(s3, bucket, upload_id, {1: b"data"})
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
    with refused(404, "NoSuchUpload"):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)
    with refused(404, "NoSuchUpload"):
        complete(s3, bucket, upload_id, done)
    with refused(404, "NoSuchUpload"):
        upload(s3, bucket, upload_id, {2: b"x"})
    with refused(404):
        s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.strict
def test_uploads_belong_to_their_key(s3, bucket):
    upload_id = start(s3, bucket)
    with refused(404, "NoSuchUpload"):
        upload(s3, bucket, upload_id, {1: b"x"}, key="other")
    with refused(404, "NoSuchUpload"):
        s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=upload_id)
    for number in (0, 10001):
        with refused(400, "InvalidArgument"):
            upload(s3, bucket, upload_id, {number: b"x"})
    with refused(404, "NoSuchUpload"):
        upload(s3, bucket, "nonsense", {1: b"x"})


def test_listing_uploads(s3, bucket):
    wanted = {(key, start(s3, bucket, key)) for key in ("a", "a", "b/1", "b/2", "c")}
    listed = s3.list_multipart_uploads(Bucket=bucket)
    assert {(entry["Key"], entry["UploadId"]) for entry in listed["Uploads"]} == wanted
    prefixed = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")
    assert [entry["Key"] for entry in prefixed["Uploads"]] == ["b/1", "b/2"]


@pytest.mark.strict
def test_listing_uploads_in_pages(s3, bucket):
    wanted = {(key, start(s3, bucket, key)) for key in "aabbcd"}
    wanted |= {("a", start(s3, bucket, "a"))}
    seen, marker = [], {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **marker)
        seen += [(entry["Key"], entry["UploadId"]) for entry in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert len(seen) == len(set(seen)) == 7 and wanted <= set(seen)
    folded = s3.list_multipart_uploads(Bucket=bucket, Delimiter="b")
    assert [entry["Prefix"] for entry in folded["CommonPrefixes"]] == ["b"]


@pytest.mark.strict
def test_listing_parts_in_pages(s3, bucket):
    upload_id = start(s3, bucket)
    upload(s3, bucket, upload_id, {number: b"x" for number in range(1, 8)})
    seen, marker = [], 0
    while True:
        page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id, MaxParts=3, PartNumberMarker=marker)
        seen += [part["PartNumber"] for part in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert seen == list(range(1, 8))


def test_upload_part_copy(s3, bucket):
    source = content(2 * PART + 500)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload_id = start(s3, bucket)
    done = []
    for number, span in [(1, (0, PART - 1)), (2, (PART, 2 * PART + 499))]:
        answer = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=f"bytes={span[0]}-{span[1]}",
        )
        done.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    answer = s3.upload_part_copy(
        Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=3, CopySource={"Bucket": bucket, "Key": "source"}
    )
    done.append({"PartNumber": 3, "ETag": answer["CopyPartResult"]["ETag"]})
    complete(s3, bucket, upload_id, done)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == source + source


@pytest.mark.strict
@pytest.mark.parametrize("span", ["bytes=0-", "bytes=5-100", "0-1", "bytes=9-5"])
def test_bad_copy_ranges(s3, bucket, span):
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload_id = start(s3, bucket)
    with refused(400, "InvalidArgument", "InvalidRange"):
        s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1,
            CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=span,
        )


@pytest.mark.strict
def test_conditions_on_complete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    old = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    upload_id = start(s3, bucket)
    done = upload(s3, bucket, upload_id, {1: b"new"})
    with refused(412, "PreconditionFailed"):
        complete(s3, bucket, upload_id, done, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    complete(s3, bucket, upload_id, done, IfMatch=old)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"
