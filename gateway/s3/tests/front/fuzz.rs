//! Nothing that a client can send makes the front panic.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use weir_core::front::Front as _;
use weir_types::operation::Operation;

use crate::support::{Dice, Draft, encode, front, full, read};

const ROUNDS: u64 = 3000;

/// Unsigned nonsense: every byte that `http` lets through, anywhere.
#[test]
fn nonsense_does_not_panic_the_gate() {
    let front = front();
    let names = [
        "host",
        "authorization",
        "x-amz-date",
        "date",
        "x-amz-content-sha256",
        "content-length",
        "x-amz-meta-a",
        "transfer-encoding",
        "x-amz-security-token",
        "content-type",
    ];
    let starts = [
        "",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/s3/\
         aws4_request,SignedHeaders=host;x-amz-date,Signature=",
        "AWS ",
        "20261121T120000Z",
    ];
    for seed in 0..ROUNDS {
        let dice = Dice::new(seed);
        let target = format!("/{}?{}", printable(&dice, 40), printable(&dice, 120));
        let Ok(uri) = target.parse::<Uri>() else {
            continue;
        };
        let mut request = Request::new(full(Bytes::new()));
        *request.uri_mut() = uri;
        *request.method_mut() =
            dice.pick(&[Method::GET, Method::POST, Method::PUT, Method::OPTIONS]);
        for _ in 0..dice.below(6) {
            let mut value = dice.pick(&starts).as_bytes().to_vec();
            value.extend(printable(&dice, 60).into_bytes());
            if dice.below(4) == 0 {
                let more = dice.below(20);
                value.extend(dice.bytes(more));
            }
            let name = HeaderName::from_static(dice.pick(&names));
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        assert!(
            front.authenticate(request).is_err(),
            "seed {seed}: nobody signed this"
        );
    }
}

fn printable(dice: &Dice, longest: usize) -> String {
    const PIECES: [&str; 24] = [
        "%",
        "%2",
        "%zz",
        "%ff",
        "%00",
        "&",
        "=",
        "&&",
        "==",
        "+",
        "/",
        ";",
        ":",
        "-",
        "a",
        "0",
        "X-Amz-Signature=",
        "X-Amz-Credential=",
        "X-Amz-Date=",
        "X-Amz-Expires=",
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-SignedHeaders=host",
        "%C3%A4",
        "_",
    ];
    (0..dice.below(longest / 4 + 1))
        .map(|_| dice.pick(&PIECES))
        .collect()
}

/// Well signed nonsense: it gets as far as the decoders.
#[tokio::test]
async fn signed_nonsense_does_not_panic_the_decoders() {
    let front = front();
    let params = [
        "uploadId",
        "partNumber",
        "uploads",
        "delete",
        "location",
        "list-type",
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "continuation-token",
        "start-after",
        "fetch-owner",
        "encoding-type",
        "versionId",
        "key-marker",
        "upload-id-marker",
        "max-uploads",
        "max-parts",
        "part-number-marker",
        "response-content-type",
        "x-id",
        "max-buckets",
    ];
    let headers = [
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "content-md5",
        "content-encoding",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-copy-source-if-match",
        "x-amz-tagging",
        "x-amz-tagging-directive",
        "x-amz-metadata-directive",
        "x-amz-meta-a",
        "x-amz-storage-class",
        "x-amz-checksum-crc32",
        "x-amz-checksum-algorithm",
        "x-amz-checksum-type",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-amz-mp-object-size",
        "x-amz-website-redirect-location",
        "x-amz-checksum-mode",
    ];
    let payloads = [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ];
    for seed in 0..ROUNDS {
        let dice = Dice::new(seed);
        let path = dice.pick(&["/", "/bucket", "/bucket/key", "/bucket/k%00", "/b"]);
        let mut target = path.to_owned();
        for nth in 0..dice.below(4) {
            target.push(if nth == 0 { '?' } else { '&' });
            target.push_str(dice.pick(&params));
            if dice.below(2) == 0 {
                target.push('=');
                let value = match dice.below(3) {
                    0 => "0".repeat(32),
                    1 => dice
                        .pick(&["1", "2", "url", "true", "null", "-1", "1000"])
                        .to_string(),
                    _ => dice.text(6),
                };
                target.push_str(&encode(&value, false));
            }
        }
        let mut draft = Draft::new(
            dice.pick(&["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
            target,
        );
        for _ in 0..dice.below(4) {
            let value: String = dice.text(6).chars().filter(|c| !c.is_control()).collect();
            let value = match dice.below(3) {
                0 => "5".to_owned(),
                1 => dice
                    .pick(&[
                        "bytes=0-1",
                        "other/key",
                        "x-amz-checksum-crc32",
                        "AAAAAA==",
                        "CRC32",
                        "REPLACE",
                        "*",
                        "Sat, 21 Nov 2026 12:00:00 GMT",
                    ])
                    .to_string(),
                _ => value.trim().to_owned(),
            };
            draft = draft.header(dice.pick(&headers), value);
        }
        if dice.below(2) == 0 {
            draft = draft.payload(dice.pick(&payloads));
        }
        let request = draft.body(body(&dice)).signed();
        let Ok(verified) = front.authenticate(request) else {
            continue;
        };
        let Ok(call) = front.decode(verified).await else {
            continue;
        };
        match call.operation {
            Operation::PutObject(put) => drop(read(put.body.frames).await),
            Operation::UploadPart(part) => drop(read(part.body.frames).await),
            _ => {}
        }
    }
}

/// XML-like, chunk-like or arbitrary bytes.
fn body(dice: &Dice) -> Vec<u8> {
    const PIECES: [&str; 26] = [
        "<Delete>",
        "</Delete>",
        "<Object>",
        "</Object>",
        "<Key>",
        "</Key>",
        "<Quiet/>",
        "<",
        ">",
        "&amp;",
        "&#1;",
        "&x;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?xml version='1.0'?>",
        "<CompleteMultipartUpload>",
        "<Part>",
        "<PartNumber>1",
        "<CreateBucketConfiguration>",
        "5\r\nhello\r\n",
        "0\r\n",
        "\r\n",
        "5;chunk-signature=",
        "<!DOCTYPE a>",
    ];
    if dice.below(4) == 0 {
        let length = dice.below(200);
        return dice.bytes(length);
    }
    (0..dice.below(20))
        .flat_map(|_| dice.pick(&PIECES).bytes())
        .collect()
}
