"""Who may ask: every forged, stale or half-signed request is refused and leaves nothing."""

import hashlib

import pytest

from data import content
from rawhttp import (
    EMPTY,
    SIGNED_CHUNKS,
    UNSIGNED,
    UNSIGNED_TRAILER,
    Connection,
    Signer,
    head_of,
    now,
    request,
    send,
)

pytestmark = pytest.mark.strict


@pytest.fixture
def untouched(s3, bucket):
    """A bucket with one object that must be all there is afterwards."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"untouched")
    yield bucket
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"untouched"


def signed(site, method, target, change=lambda headers: None, payload=UNSIGNED, **signer):
    headers = Signer(site, **signer).authorize(method, target, {}, payload)
    change(headers)
    return headers


METHODS = [("GET", ""), ("PUT", "4"), ("DELETE", ""), ("HEAD", "")]


@pytest.mark.parametrize("method,length", METHODS)
def test_no_credentials(site, untouched, method, length):
    headers = {"host": site.host} | ({"content-length": length} if length else {})
    answer = send(site, method, f"/{untouched}/k", headers, b"body" if length else b"")
    assert answer.status == 403 and answer.code in ("AccessDenied", None)



@pytest.mark.parametrize(
    "value,status,codes",
    [
        ("junk", 400, ("InvalidArgument", "AuthorizationHeaderMalformed", "InvalidRequest")),
        ("AWS AKID:c2lnbmF0dXJl", 400, ("InvalidRequest", "InvalidArgument")),
        ("Bearer token", 400, ("InvalidArgument", "InvalidRequest")),
        ("AWS4-HMAC-SHA256 SignedHeaders=host,Signature=00", 400, ("AuthorizationHeaderMalformed",)),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request,Signature=00", 400, ("AuthorizationHeaderMalformed",)),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request,SignedHeaders=host", 400, ("AuthorizationHeaderMalformed",)),
        ("AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=00", 400, ("AuthorizationHeaderMalformed",)),
    ],
)
def test_malformed_authorization(site, untouched, value, status, codes):
    headers = {"host": site.host, "x-amz-date": now(), "x-amz-content-sha256": EMPTY, "authorization": value}
    answer = send(site, "GET", f"/{untouched}/k", headers)
    assert answer.status == status and answer.code in codes, answer.body


@pytest.mark.parametrize("scope", [{"region": "mars-1"}, {"service": "ec2"}])
def test_wrong_scope(site, untouched, scope):
    answer = send(site, "GET", f"/{untouched}/k", signed(site, "GET", f"/{untouched}/k", **scope))
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")


def test_the_scope_date_is_the_request_date(site, untouched):
    def other_day(headers):
        headers["x-amz-date"] = now(-86400)

    answer = send(site, "GET", f"/{untouched}/k", signed(site, "GET", f"/{untouched}/k", other_day))
    assert answer.status in (400, 403)


def test_unknown_key_and_wrong_secret(site, untouched):
    def stranger(headers):
        headers["authorization"] = headers["authorization"].replace(site.access_key, "AKIAUNKNOWN")

    path = f"/{untouched}/k"
    answer = send(site, "GET", path, signed(site, "GET", path, stranger))
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    answer = send(site, "GET", path, signed(site, "GET", path, secret="wrong"))
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert site.secret_key.encode() not in answer.body


@pytest.mark.parametrize("offset_s,status", [(-16 * 60, 403), (16 * 60, 403), (-14 * 60, 200), (14 * 60, 200)])
def test_skew(site, untouched, offset_s, status):
    path = f"/{untouched}/k"
    answer = send(site, "GET", path, signed(site, "GET", path, date=now(offset_s)))
    assert answer.status == status
    assert status == 200 or answer.code == "RequestTimeTooSkewed"


def test_no_date(site, untouched):
    path = f"/{untouched}/k"
    answer = send(site, "GET", path, signed(site, "GET", path, lambda headers: headers.pop("x-amz-date")))
    assert answer.status == 403


@pytest.mark.parametrize("name,value", [("x-amz-copy-source", "/b/k"), ("x-amz-tagging", "a=1"), ("x-amz-acl", "public-read"), ("x-amz-meta-a", "b")])
def test_unsigned_amz_headers(site, untouched, name, value):
    path = f"/{untouched}/new"

    def add(headers):
        headers[name] = value
        headers["content-length"] = "0"

    answer = send(site, "PUT", path, signed(site, "PUT", path, add))
    assert (answer.status, answer.code) == (403, "AccessDenied")
    target = Signer(site).presign("PUT", path)
    answer = send(site, "PUT", target, {"host": site.host, name: value, "content-length": "0"})
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_unsigned_other_headers(site, s3, bucket):
    """restic and minio-go sign neither content-type nor what proxies add."""
    def add(headers):
        headers["content-type"] = "text/plain"
        headers["x-forwarded-for"] = "10.0.0.1"
        headers["content-length"] = "4"

    answer = send(site, "PUT", f"/{bucket}/k", signed(site, "PUT", f"/{bucket}/k", add), b"data")
    assert answer.status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/plain"


def test_signed_headers_must_be_there_and_name_the_host(site, untouched):
    path = f"/{untouched}/k"
    answer = request(site, "GET", path, payload=UNSIGNED, signed=["host", "x-amz-content-sha256", "x-amz-date", "x-missing"])
    assert answer.status == 403
    answer = request(site, "GET", path, payload=UNSIGNED, signed=["x-amz-content-sha256", "x-amz-date"])
    assert answer.status == 403


def test_two_ways_at_once(site, untouched):
    path = f"/{untouched}/k"
    target = Signer(site).presign("GET", path)
    answer = send(site, "GET", target, signed(site, "GET", target))
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_the_payload_hash(site, untouched):
    path = f"/{untouched}/new"
    answer = request(site, "PUT", path, body=b"data", payload="garbage")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    answer = request(site, "PUT", path, body=b"data", payload=hashlib.sha256(b"other").hexdigest())
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    large = content(3_000_000)
    answer = request(site, "PUT", path, body=large, payload=hashlib.sha256(b"other").hexdigest())
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize("target", ["new", "new?partNumber=1&uploadId=x"])
@pytest.mark.parametrize("mode", [UNSIGNED_TRAILER, SIGNED_CHUNKS])
def test_streaming_with_a_forged_signature(site, untouched, target, mode):
    path = f"/{untouched}/{target}"
    signer = Signer(site, secret="wrong")
    headers = signer.authorize("PUT", path, {"x-amz-decoded-content-length": "4", "content-encoding": "aws-chunked"}, mode)
    body = b"".join(signer.chunks([b"data"], sign=mode == SIGNED_CHUNKS))
    headers["content-length"] = str(len(body))
    answer = send(site, "PUT", path, headers, body)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_streaming_without_a_signature(site, untouched):
    """Naming a key, in the query too, is no authentication."""
    body = b"4\r\ndata\r\n0\r\n\r\n"
    headers = {
        "host": site.host, "x-amz-content-sha256": UNSIGNED_TRAILER, "x-amz-decoded-content-length": "4",
        "content-length": str(len(body)),
    }
    query = f"X-Amz-Credential={site.access_key}%2F{now()[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
    for target in (f"/{untouched}/new", f"/{untouched}/new?{query}", f"/{untouched}/new?{query}&X-Amz-Algorithm=AWS4-HMAC-SHA256"):
        assert send(site, "PUT", target, headers, body).status in (400, 403)


# Presigned requests.


def test_presigned_requests(site, s3, bucket):
    answer = send(site, "PUT", Signer(site).presign("PUT", f"/{bucket}/k"), {"host": site.host, "content-length": "4"}, b"data")
    assert answer.status == 200
    answer = send(site, "GET", Signer(site).presign("GET", f"/{bucket}/k"), {"host": site.host})
    assert answer.body == b"data"
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k", "ResponseContentType": "text/x"})
    answer = send(site, "GET", url.removeprefix(site.endpoint), {"host": site.host})
    assert (answer.body, answer.headers["content-type"]) == (b"data", "text/x")
    answer = send(site, "DELETE", Signer(site).presign("DELETE", f"/{bucket}/k"), {"host": site.host})
    assert answer.status == 204


@pytest.mark.parametrize("expires", ["-1", "abc", "604801", "", "0x10"])
def test_presigned_expiry_out_of_range(site, untouched, expires):
    target = Signer(site).presign("GET", f"/{untouched}/k", expires=expires)
    answer = send(site, "GET", target, {"host": site.host})
    assert answer.status in (400, 403) and answer.code in ("AuthorizationQueryParametersError", "AccessDenied")


@pytest.mark.parametrize("offset_s,expires", [(-120, 60), (20 * 60, 60)])
def test_presigned_expired_or_not_yet_valid(site, untouched, offset_s, expires):
    target = Signer(site, date=now(offset_s)).presign("GET", f"/{untouched}/k", expires=expires)
    answer = send(site, "GET", target, {"host": site.host})
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_presigned_expiry_given_twice(site, untouched):
    target = Signer(site).presign("GET", f"/{untouched}/k") + "&X-Amz-Expires=604800"
    assert send(site, "GET", target, {"host": site.host}).status in (400, 403)


def test_presigned_requests_are_good_for_one_thing(site, untouched):
    good = Signer(site).presign("GET", f"/{untouched}/k")
    host = {"host": site.host}
    uses = [
        ("PUT", good, {**host, "content-length": "4"}, b"data"),
        ("DELETE", good, host, b""),
        ("GET", good.replace("/k?", "/other?"), host, b""),
        ("GET", good + "&response-content-type=text/html", host, b""),
        ("GET", good + "&uploads", host, b""),
    ]
    for method, target, headers, body in uses:
        answer = send(site, method, target, headers, body)
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch"), (method, target)


def test_expect_continue_with_bad_authentication(site, untouched):
    """The refusal comes at once and the body is never asked for. The connection ends with it:
    a client does not send a body that was refused, so what it sends next on a connection that
    stayed open would be taken for the body."""
    path = f"/{untouched}/new"
    headers = signed(site, "PUT", path, secret="wrong")
    for length in (1, 10**9):
        with Connection(site) as connection:
            connection.send(head_of("PUT", path, headers | {"expect": "100-continue", "content-length": str(length)}))
            answer = connection.read()
            assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
            assert answer.headers.get("connection") == "close" and connection.ended()


def test_expect_continue(site, s3, bucket):
    path = f"/{bucket}/k"
    headers = signed(site, "PUT", path) | {"expect": "100-continue", "content-length": "4"}
    with Connection(site) as connection:
        connection.send(head_of("PUT", path, headers))
        assert connection.read().status == 100
        connection.send(b"data")
        assert connection.read().status == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"
