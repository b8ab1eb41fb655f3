"""What is not built, not allowed, or not HTTP: refused, with nothing touched."""

import base64
import hashlib
import time

import pytest

from data import content
from rawhttp import UNSIGNED, Connection, Signer, head_of, request, send

pytestmark = pytest.mark.strict


@pytest.fixture
def untouched(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched", Tagging="a=1")
    before = s3.head_object(Bucket=bucket, Key="k")
    yield bucket
    after = s3.head_object(Bucket=bucket, Key="k")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])


SUBRESOURCES = [
    "acl", "tagging", "retention", "legal-hold", "torrent", "restore", "select&select-type=2", "attributes",
    "renameObject", "encryption", "anything", "anything=1", "x-id=Nonsense&policy",
]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("subresource", SUBRESOURCES)
def test_unknown_subresources_of_objects(site, untouched, method, subresource):
    answer = request(site, method, f"/{untouched}/k?{subresource}", body=b"<a/>" if method in ("PUT", "POST") else b"")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body


BUCKET_SUBRESOURCES = [
    "accelerate", "acl", "analytics", "cors", "encryption", "inventory", "lifecycle", "logging", "metrics",
    "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication",
    "requestPayment", "tagging", "versions", "website", "anything",
]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("subresource", BUCKET_SUBRESOURCES)
def test_unknown_subresources_of_buckets(site, untouched, method, subresource):
    answer = request(site, method, f"/{untouched}?{subresource}", body=b"<a/>" if method == "PUT" else b"")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body


@pytest.mark.parametrize(
    "name,value",
    [("x-amz-acl", "public-read"), ("x-amz-grant-read", "id=1"), ("x-amz-object-lock-mode", "GOVERNANCE"),
     ("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
     ("x-amz-write-offset-bytes", "9")],
)
def test_headers_that_promise_what_is_not_kept(site, untouched, name, value):
    answer = request(site, "PUT", f"/{untouched}/k", {name: value}, b"other")
    assert (answer.status, answer.code) == (501, "NotImplemented"), answer.body


def test_post_forms_are_not_read(site, untouched):
    """501 before the body: it is not even sent here."""
    headers = {"host": site.host, "content-type": "multipart/form-data; boundary=x", "content-length": str(10**9)}
    with Connection(site) as connection:
        connection.send(head_of("POST", f"/{untouched}", headers))
        assert connection.read().status in (403, 501)


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PROPFIND", "FOO"])
def test_other_methods(site, untouched, method):
    assert request(site, method, f"/{untouched}/k").status in (400, 403, 405, 501)


DELETE = '<Delete><Object><Key>k</Key></Object></Delete>'
XML = {
    "a document type": f'<!DOCTYPE Delete [<!ENTITY a "k">]>{DELETE}',
    "an entity": '<Delete><Object><Key>&a;</Key></Object></Delete>',
    "billion laughs": '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    "many attributes": "<Delete " + " ".join(f'a{n}="1"' for n in range(100_000)) + "/>",
    "deep nesting": "<Delete>" * 100_000,
    "a wrong root": "<Remove><Object><Key>k</Key></Object></Remove>",
    "no end": "<Delete><Object><Key>k</Key>",
    "nothing": "",
    "no XML": "hello",
    "not UTF-8": b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>",
    "no object": "<Delete></Delete>",
    "over the cap": "<Delete>" + " " * (3 << 20) + "</Delete>",
}


@pytest.mark.parametrize("name", XML)
def test_bad_xml(site, untouched, name):
    text = XML[name]
    body = text if isinstance(text, bytes) else text.encode()
    start = time.monotonic()
    headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    answer = request(site, "POST", f"/{untouched}?delete", headers, body)
    assert answer.status == 400 and answer.code in ("MalformedXML", "MaxMessageLengthExceeded", "MissingRequestBodyError"), answer.body
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("key,code", [("%00", "InvalidURI"), ("%ff%fe", "InvalidURI"), ("%zz", "InvalidURI"), ("a%", "InvalidURI")])
def test_keys_that_are_none(site, untouched, key, code):
    headers = Signer(site).authorize("PUT", f"/{untouched}/{key}", {}, UNSIGNED) | {"content-length": "1"}
    answer = send(site, "PUT", f"/{untouched}/{key}", headers, b"x")
    assert answer.status in (400, 403) and answer.code in (code, "SignatureDoesNotMatch"), answer.body


def test_too_many_headers(site, untouched):
    headers = {f"x-custom-{number}": "v" for number in range(200)}
    answer = request(site, "GET", f"/{untouched}/k", headers)
    assert answer is None or answer.status in (400, 431)
    answer = request(site, "GET", f"/{untouched}/k", {"x-custom": "v" * 200_000})
    assert answer is None or answer.status in (400, 431)


def test_absurd_ranges(site, untouched):
    spans = ",".join(f"{n}-{n}" for n in range(1000))
    answer = request(site, "GET", f"/{untouched}/k", {"range": f"bytes={spans}"})
    assert answer.status in (200, 400, 416) and len(answer.body) < 10_000


# Request smuggling: never two readings of one request.


def smuggled(site, target, extra):
    """A request for `target` that one reading of an ambiguous message would see."""
    headers = Signer(site).authorize("PUT", target, {}, UNSIGNED)
    return head_of("PUT", target, headers | {"content-length": "5"} | extra) + b"EVIL!"


def ambiguous(site, bucket):
    inner = smuggled(site, f"/{bucket}/smuggled", {})
    def head(extra):
        return Signer(site).authorize("PUT", f"/{bucket}/k2", {}, UNSIGNED) | extra

    path = f"/{bucket}/k2"
    chunked = b"0\r\n\r\n"
    yield "length and encoding", head_of("PUT", path, head({"content-length": str(len(chunked + inner)), "transfer-encoding": "chunked"})) + chunked + inner
    yield "short length and encoding", head_of("PUT", path, head({"content-length": "0", "transfer-encoding": "chunked"})) + inner
    twice = head_of("PUT", path, head({"content-length": "0"}))[:-2] + f"content-length: {len(inner)}\r\n\r\n".encode()
    yield "two lengths", twice + inner
    yield "a list of lengths", head_of("PUT", path, head({"content-length": f"0, {len(inner)}"})) + inner
    yield "a signed length", head_of("PUT", path, head({"content-length": "+0"})) + inner
    yield "obfuscated encoding", head_of("PUT", path, head({"transfer-encoding": "xchunked", "content-length": "0"})) + inner
    yield "space before the colon", head_of("PUT", path, head({"content-length": "0"})).replace(b"content-length:", b"content-length :") + inner
    yield "folded header", head_of("PUT", path, head({"x-a": "b\r\n c", "content-length": "0"})) + inner


NAMES = [
    "length and encoding", "short length and encoding", "two lengths", "a list of lengths", "a signed length",
    "obfuscated encoding", "space before the colon", "folded header",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_second_reading(site, s3, bucket, name):
    """Either the message is refused and the connection closed, or it has one reading: what
    follows its body is then a request of its own only where every reading agrees."""
    message = dict(ambiguous(site, bucket))[name]
    with Connection(site) as connection:
        connection.send(message)
        connection.finish()
        first = connection.read()
        second = connection.read()
    assert first is None or first.status >= 400 or second is None, (first, second)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert "smuggled" not in keys


def test_bare_line_feeds(site, s3, bucket):
    message = smuggled(site, f"/{bucket}/k", {})
    head, body = message.split(b"\r\n\r\n")
    with Connection(site) as connection:
        connection.send(head.replace(b"\r\n", b"\n") + b"\n\n" + body)
        connection.finish()
        answer = connection.read()
        assert answer is None or answer.status in (200, 400)


# Slow clients.


def test_headers_that_never_end(site, gateway):
    """Idle connections do not keep others out, and are closed in the end."""
    idle = [Connection(site) for _ in range(200)]
    try:
        for connection in idle:
            connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
        assert request(site, "GET", "/").status == 200
    finally:
        for connection in idle:
            connection.__exit__()


def test_spoofed_headers_change_nothing(site, s3, bucket):
    headers = {"x-forwarded-for": "127.0.0.1", "x-weir-backend": "b1", "x-weir-principal": "root", "forwarded": "for=127.0.0.1"}
    data = content(100)
    assert request(site, "PUT", f"/{bucket}/k", headers, data).status == 200
    answer = send(site, "GET", f"/{bucket}/k", {"host": site.host, **headers})
    assert answer.status == 403
