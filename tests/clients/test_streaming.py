"""aws-chunked bodies, whole and broken."""

import base64
import zlib

import pytest

from data import MIB, content
from rawhttp import (
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_TRAILER,
    Connection,
    Signer,
    head_of,
    request,
    send,
)

TRAILER = "x-amz-checksum-crc32"


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def put(site, path, mode, pieces, trailer=None, change=lambda frames: frames, decoded=None, declared=None, **more):
    """An aws-chunked PUT; `change` may break its frames, `declared` names another trailer."""
    length = sum(map(len, pieces)) if decoded is None else decoded
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(length), **more}
    if declared or trailer:
        headers["x-amz-trailer"] = declared or trailer[0]
    signer = Signer(site)
    signer.authorize("PUT", path, headers, mode)
    frames = change(signer.chunks(pieces, trailer, sign=mode != UNSIGNED_TRAILER))
    body = b"".join(frames)
    headers["content-length"] = str(len(body))
    return send(site, "PUT", path, headers, body)


PIECES = [[], [b"x"], [b"hello ", b"world"], [content(64 * 1024, n) for n in range(20)], [content(3 * MIB)]]


@pytest.mark.parametrize("pieces", PIECES, ids=len)
def test_signed_chunks(site, s3, bucket, pieces):
    assert put(site, f"/{bucket}/k", SIGNED_CHUNKS, pieces).status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(pieces)


@pytest.mark.parametrize("mode", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize("pieces", PIECES, ids=len)
def test_trailers(site, s3, bucket, mode, pieces):
    data = b"".join(pieces)
    answer = put(site, f"/{bucket}/k", mode, pieces, (TRAILER, crc32(data)))
    assert answer.status == 200, answer.body
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == data and got["ChecksumCRC32"] == crc32(data)


@pytest.fixture
def nothing(s3, bucket):
    """A bucket in which nothing may appear."""
    yield bucket
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def flip(frames):
    return [frames[0].replace(b"hello", b"jello"), *frames[1:]]


def resign(frames):
    return [frames[0][:-40].replace(b"chunk-signature=", b"chunk-signature=0", 1) + frames[0][-40:], *frames[1:]]


BROKEN = {
    "a changed byte": (flip, 403, "SignatureDoesNotMatch"),
    "swapped chunks": (lambda f: [f[1], f[0], *f[2:]], 403, "SignatureDoesNotMatch"),
    "a chunk left out": (lambda f: [f[0], *f[2:]], 403, "SignatureDoesNotMatch"),
    "a chunk replayed": (lambda f: [f[0], f[0], *f[1:]], 403, "SignatureDoesNotMatch"),
    "no last chunk": (lambda f: f[:2], 400, "IncompleteBody"),
    "cut inside a chunk": (lambda f: [f[0][:-4]], 400, "IncompleteBody"),
    "an overflowing size": (lambda f: [b"ffffffffffffffffff;chunk-signature=" + b"0" * 64 + b"\r\n"], 400, None),
    "a size that is none": (lambda f: [b"xyz;chunk-signature=" + b"0" * 64 + b"\r\n"], 400, None),
    "a size without end": (lambda f: [b"0" * 100_000], 400, None),
    "a huge chunk header": (lambda f: [b"5;a=" + b"b" * 100_000 + b"\r\n"], 400, None),
    "more behind the end": (lambda f: [*f, b"more"], 400, None),
}


@pytest.mark.strict
@pytest.mark.parametrize("name", BROKEN)
def test_broken_signed_chunks(site, nothing, name):
    change, status, code = BROKEN[name]
    answer = put(site, f"/{nothing}/k", SIGNED_CHUNKS, [b"hello " * 2000, b"world" * 2000], change=change)
    # Where a frame is missing the stream is both wrong and too short.
    expected = {status, 400} if status == 403 else {status}
    assert answer.status in expected, answer.body
    assert code is None or answer.code in (code, "IncompleteBody"), answer.body


@pytest.mark.strict
@pytest.mark.parametrize("decoded", [9, 12, 0])
def test_the_decoded_length_must_be_right(site, nothing, decoded):
    for mode in (SIGNED_CHUNKS, UNSIGNED_TRAILER):
        trailer = (TRAILER, crc32(b"hello world")) if mode == UNSIGNED_TRAILER else None
        answer = put(site, f"/{nothing}/k", mode, [b"hello ", b"world"], trailer, decoded=decoded)
        assert (answer.status, answer.code) == (400, "IncompleteBody")


@pytest.mark.strict
@pytest.mark.parametrize(
    "trailer,declared,codes",
    [
        ((TRAILER, crc32(b"other")), None, ("BadDigest",)),
        ((TRAILER, "junk"), None, ("MalformedTrailerError", "InvalidRequest", "BadDigest")),
        ((TRAILER, ""), None, ("MalformedTrailerError", "InvalidRequest", "BadDigest")),
        (None, TRAILER, ("MalformedTrailerError",)),
        (("x-amz-checksum-sha1", "AAAA"), TRAILER, ("MalformedTrailerError",)),
        (("x-amz-meta-evil", "1"), TRAILER, ("MalformedTrailerError",)),
    ],
)
@pytest.mark.parametrize("mode", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_broken_trailers(site, nothing, mode, trailer, declared, codes):
    answer = put(site, f"/{nothing}/k", mode, [b"hello world"], trailer, declared=declared)
    assert answer.status == 400 and answer.code in codes, answer.body


@pytest.mark.strict
def test_a_forged_trailer_signature(site, nothing):
    def forge(frames):
        return [frame.replace(b"x-amz-trailer-signature:", b"x-amz-trailer-signature:00")[:90] + b"\r\n" if b"trailer-sig" in frame else frame for frame in frames]

    data = b"hello world"
    answer = put(site, f"/{nothing}/k", SIGNED_CHUNKS_TRAILER, [data], (TRAILER, crc32(data)), change=forge)
    assert answer.status in (400, 403), answer.body


@pytest.mark.strict
def test_no_length(site, nothing):
    headers = Signer(site).authorize("PUT", f"/{nothing}/k", {}, "UNSIGNED-PAYLOAD")
    headers["transfer-encoding"] = "chunked"
    answer = send(site, "PUT", f"/{nothing}/k", headers, b"4\r\ndata\r\n0\r\n\r\n")
    assert (answer.status, answer.code) == (411, "MissingContentLength")


@pytest.mark.strict
@pytest.mark.parametrize("sent", [0, 1, 70_000, 999_999])
def test_a_connection_that_ends_in_the_body(site, nothing, sent):
    """Nothing appears: neither of a plain body nor of an aws-chunked one."""
    data = content(1_000_000)
    path = f"/{nothing}/k"
    plain = Signer(site).authorize("PUT", path, {}, "UNSIGNED-PAYLOAD") | {"content-length": "1000000"}
    signer = Signer(site)
    chunked = signer.authorize("PUT", path, {"x-amz-decoded-content-length": "1000000"}, SIGNED_CHUNKS)
    frames = b"".join(signer.chunks([data[at : at + 65536] for at in range(0, 1_000_000, 65536)]))
    chunked |= {"content-length": str(len(frames)), "content-encoding": "aws-chunked"}
    for headers, body in ((plain, data), (chunked, frames)):
        with Connection(site) as connection:
            connection.send(head_of("PUT", path, headers) + body[:sent])
            connection.finish()
            answer = connection.read()
            assert answer is None or answer.status >= 400


@pytest.mark.strict
def test_a_part_that_is_cut_is_no_part(site, s3, nothing):
    upload = s3.create_multipart_upload(Bucket=nothing, Key="k")["UploadId"]
    path = f"/{nothing}/k?partNumber=1&uploadId={upload}"
    answer = put(site, path, SIGNED_CHUNKS, [b"hello " * 2000, b"world"], change=lambda frames: frames[:1])
    assert answer.status == 400
    assert "Parts" not in s3.list_parts(Bucket=nothing, Key="k", UploadId=upload)
    s3.abort_multipart_upload(Bucket=nothing, Key="k", UploadId=upload)


@pytest.mark.strict
def test_one_large_chunk_takes_little_memory(site, s3, bucket, gateway):
    """A chunk is streamed, not gathered."""
    piece = content(64 * MIB)
    before = gateway.resident_bytes()
    assert put(site, f"/{bucket}/k", SIGNED_CHUNKS, [piece]).status == 200
    assert gateway.resident_bytes() - before < 48 * MIB
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == len(piece)


def test_an_ordinary_signed_body(site, s3, bucket):
    assert request(site, "PUT", f"/{bucket}/k", body=b"data").status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"
