"""Test data: bytes that say where they belong, and keys that break careless servers."""

import hashlib
import random

KIB = 1024
MIB = 1024 * KIB
BLOCK = 256 * KIB

# Lengths around the edges of blocks, chunks and buffers.
SIZES = [0, 1, 4095, 4096, 64 * KIB, BLOCK - 1, BLOCK, BLOCK + 1, MIB, 3 * MIB + 17]

HOSTILE_KEYS = [
    "plain",
    "with space",
    "plus+sign",
    "a+b c%20d",
    "percent%",
    "%2e%2e/%2e%2e/etc/passwd",
    "../../etc/passwd",
    "a/../b",
    "a/./b",
    ".",
    "..",
    "/leading",
    "//two/leading",
    "double//slash",
    "trailing/",
    "trailing//",
    "back\\slash",
    "quote\"'`",
    "tab\there",
    "new\nline",
    "control\x01\x1f\x7f",
    "<xml>&amp;</xml>",
    "question?mark=1&x",
    "hash#tag",
    "semi;colon:comma,",
    "ünïcödé",
    "日本語/キー",
    "emoji-😀",
    "e\u0301 decomposed",
    "\u00e9 composed",
    "CASE",
    "case",
    "*?[]{}|^~",
    "key=value&versionId=1",
    "con",
    "x" * 1024,
    "é" * 512,
    "d/" * 512,
]


def content(size, seed=0):
    """`size` bytes that no other seed gives."""
    return random.Random(f"{seed}/{size}").randbytes(size)


def md5(data):
    return hashlib.md5(data).hexdigest()


def multipart_etag(parts):
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'
