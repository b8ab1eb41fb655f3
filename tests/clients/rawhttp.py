"""Requests made by hand: signed here, written to a socket byte by byte.

What real clients never send, this can: forged signatures, cut bodies, two lengths.
"""

import hashlib
import hmac
import re
import socket
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote, unquote_plus

EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
READ_LIMIT_S = 20


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes
    closed: bool = field(default=False, compare=False)

    @property
    def code(self):
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found and found.group(1).decode()


def now(offset_s=0):
    return (datetime.now(timezone.utc) + timedelta(seconds=offset_s)).strftime("%Y%m%dT%H%M%SZ")


class Signer:
    """SigV4 of one request ("Authenticating Requests (AWS Signature Version 4)", S3 API)."""

    def __init__(self, site, date=None, region=None, service="s3", secret=None):
        self.site = site
        self.date = date or now()
        self.scope = f"{self.date[:8]}/{region or site.region}/{service}/aws4_request"
        key = f"AWS4{secret or site.secret_key}".encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self.key = key
        self.signature = None

    def hex(self, text):
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def canonical(self, method, path, query, headers, signed, payload):
        pairs = sorted(
            (quote(unquote_plus(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
            for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
        )
        lines = [method, path, "&".join(f"{name}={value}" for name, value in pairs)]
        lines += [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed]
        lines += ["", ";".join(signed), payload]
        text = "\n".join(lines)
        return f"AWS4-HMAC-SHA256\n{self.date}\n{self.scope}\n{hashlib.sha256(text.encode()).hexdigest()}"

    def authorize(self, method, target, headers, payload, signed=None):
        """Adds the three headers of a signed request; `headers` has lowercase names."""
        path, _, query = target.partition("?")
        headers.setdefault("host", self.site.host)
        headers.setdefault("x-amz-date", self.date)
        headers.setdefault("x-amz-content-sha256", payload)
        if signed is None:
            signed = sorted(name for name in headers if name == "host" or name.startswith("x-amz-") or name == "content-md5")
        self.signature = self.hex(self.canonical(method, path, query, headers, signed, payload))
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.site.access_key}/{self.scope},"
            f"SignedHeaders={';'.join(signed)},Signature={self.signature}"
        )
        return headers

    def presign(self, method, path, expires=300, query="", headers=None, signed=("host",)):
        """The target of a presigned request."""
        credential = quote(f"{self.site.access_key}/{self.scope}", safe="")
        parts = [query] if query else []
        parts += [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            f"X-Amz-Credential={credential}",
            f"X-Amz-Date={self.date}",
            f"X-Amz-Expires={expires}",
            f"X-Amz-SignedHeaders={quote(';'.join(signed), safe='')}",
        ]
        query = "&".join(parts)
        headers = {"host": self.site.host, **(headers or {})}
        signature = self.hex(self.canonical(method, path, query, headers, list(signed), UNSIGNED))
        return f"{path}?{query}&X-Amz-Signature={signature}"

    def chunks(self, pieces, trailer=None, sign=True):
        """An aws-chunked body of these pieces; `trailer` is a (name, value) pair."""
        out = []
        previous = self.signature
        for piece in [*pieces, b""]:
            head = f"{len(piece):x}"
            if sign:
                text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.date}\n{self.scope}\n{previous}\n{EMPTY}\n{hashlib.sha256(piece).hexdigest()}"
                previous = self.hex(text)
                head += f";chunk-signature={previous}"
            out.append(head.encode() + b"\r\n" + piece + (b"\r\n" if piece else b""))
        if trailer:
            line = f"{trailer[0]}:{trailer[1]}\n"
            out.append(line.replace("\n", "\r\n").encode())
            if sign:
                digest = hashlib.sha256(line.encode()).hexdigest()
                text = f"AWS4-HMAC-SHA256-TRAILER\n{self.date}\n{self.scope}\n{previous}\n{digest}"
                out.append(f"x-amz-trailer-signature:{self.hex(text)}\r\n".encode())
        out.append(b"\r\n")
        return out


def head_of(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection:
    """One connection, written and read by hand."""

    def __init__(self, site):
        self.socket = socket.create_connection(site.address, timeout=READ_LIMIT_S)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        """Sends what the other side still takes; a refusal may come before the end."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def finish(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read(self, head_only=False):
        """The next answer, or None when the connection ended first."""
        try:
            line = self.stream.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self.stream.readline().strip()):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        try:
            if head_only or status in (100, 204, 304):
                pass
            elif "content-length" in headers:
                body = self.stream.read(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = self._chunked()
            else:
                body = self.stream.read()
        except ConnectionResetError:
            pass
        return Answer(status, headers, body)

    def _chunked(self):
        body = b""
        while (size := int(self.stream.readline().split(b";")[0] or b"0", 16)):
            body += self.stream.read(size)
            self.stream.readline()
        self.stream.readline()
        return body

    def ended(self):
        """Whether the other side closes now."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True


def send(site, method, target, headers, body=b""):
    """One request with exactly these headers, and its answer; `body` may come in pieces."""
    with Connection(site) as connection:
        connection.send(head_of(method, target, headers))
        for piece in [body] if isinstance(body, bytes) else body:
            if piece and not connection.send(piece):
                break
        answer = connection.read(head_only=method == "HEAD")
        while answer is not None and answer.status == 100:
            answer = connection.read(head_only=method == "HEAD")
        return answer


def request(site, method, target, headers=None, body=b"", payload=None, signer=None, signed=None):
    """A signed request with a body of known length."""
    signer = signer or Signer(site)
    headers = dict(headers or {})
    payload = payload or hashlib.sha256(body).hexdigest()
    signer.authorize(method, target, headers, payload, signed)
    if body or method in ("PUT", "POST"):
        headers.setdefault("content-length", str(len(body)))
    return send(site, method, target, headers, body)
