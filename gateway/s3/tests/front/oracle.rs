//! Whatever AWS's signer signs is accepted, and nothing that was changed afterwards.

use http::{HeaderValue, Uri};
use weir_types::ErrorCode;

use crate::support::{Dice, Draft, authenticate, encode};

const ROUNDS: u64 = 600;

/// A random request: odd keys, queries with empty and repeated parameters, odd header values.
fn draft(dice: &Dice) -> Draft {
    let methods = ["GET", "PUT", "POST", "DELETE", "HEAD"];
    let mut target = format!("/bucket/{}", encode(&dice.text(8), true));
    for nth in 0..dice.below(5) {
        target.push(if nth == 0 { '?' } else { '&' });
        let name = match dice.below(3) {
            0 => "prefix".to_owned(),
            _ => encode(&format!("p{}", dice.text(3)), false),
        };
        target.push_str(&name);
        if dice.below(4) > 0 {
            target.push('=');
            target.push_str(&encode(&dice.text(4), false));
        }
    }
    let mut draft = Draft::new(methods[dice.below(5)], target);
    for nth in 0..dice.below(4) {
        let value = dice.pick(&["x", "a  b   c", "", "a, b", "q=\"1  2\"", "ü", "a\tb"]);
        draft = draft.header(&format!("x-amz-meta-{nth}"), value);
    }
    if dice.below(2) == 0 {
        draft = draft.header("content-type", "text/plain; charset=utf-8");
    }
    draft
        .unsigned("user-agent", "test")
        .unsigned("x-other", "not signed")
}

#[test]
fn accepts_what_aws_signs() {
    for seed in 0..ROUNDS {
        let dice = Dice::new(seed);
        let draft = draft(&dice);
        let shown = format!(
            "seed {seed}: {} {} {:?}",
            draft.method, draft.target, draft.headers
        );
        let signed = authenticate(draft.clone().signed());
        assert_eq!(signed.err(), None, "header, {shown}");
        let presigned = authenticate(draft.presigned());
        assert_eq!(presigned.err(), None, "query, {shown}");
    }
}

#[test]
fn repeated_headers_are_signed_as_one_list() {
    let draft = Draft::new("PUT", "/bucket/key")
        .header("x-amz-meta-a", "1")
        .header("x-amz-meta-a", "2  3");
    assert_eq!(authenticate(draft.signed()).err(), None);
}

#[test]
fn refuses_what_was_changed_after_signing() {
    for seed in 0..ROUNDS {
        let dice = Dice::new(seed);
        let draft = draft(&dice);
        let shown = format!("seed {seed}: {} {}", draft.method, draft.target);
        let presigned = dice.below(2) == 0;
        let mut request = if presigned {
            draft.presigned()
        } else {
            draft.signed()
        };
        let target = request.uri().to_string();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match dice.below(5) {
            0 => *request.method_mut() = "PATCH".parse().expect("a method"),
            1 => *request.uri_mut() = uri(&format!("{path}x?{query}")),
            2 => *request.uri_mut() = uri(&format!("{path}?{query}&versionId=1")),
            3 => {
                request
                    .headers_mut()
                    .insert("host", HeaderValue::from_static("other.example.com"));
            }
            _ => {
                request
                    .headers_mut()
                    .insert("x-amz-meta-new", HeaderValue::from_static("1"));
            }
        }
        let code = authenticate(request).err().map(|e| e.code);
        let expected = [ErrorCode::SignatureDoesNotMatch, ErrorCode::AccessDenied];
        assert!(
            code.is_some_and(|c| expected.contains(&c)),
            "{code:?}, {shown}"
        );
    }
}

fn uri(text: &str) -> Uri {
    text.parse().expect("a valid target")
}

/// Clients differ in what they encode on the wire; they sign the strict form all the same.
#[test]
fn the_wire_may_encode_less_or_more_than_the_signature() {
    for (signed, wire) in [
        ("/bucket/a%3Ab%28c%29", "/bucket/a:b(c)"),
        ("/bucket/a%2Bb", "/bucket/a+b"),
        ("/bucket/%C3%A4", "/bucket/%c3%a4"),
        ("/bucket/a~b", "/bucket/%61%7eb"),
        ("/bucket/a/b", "/bucket/a%2Fb"),
        ("/bucket?prefix=a%20b", "/bucket?prefix=a+b"),
        (
            "/bucket?prefix=a%2Fb&uploads=",
            "/bucket?uploads&prefix=a/b",
        ),
    ] {
        let mut request = Draft::new("GET", signed).signed();
        *request.uri_mut() = uri(wire);
        assert_eq!(authenticate(request).err(), None, "{wire}");
    }
}

#[test]
fn http2_authority_stands_for_the_host() {
    let mut request = Draft::new("GET", "/bucket/key").signed();
    request.headers_mut().remove("host");
    *request.uri_mut() = uri("http://s3.example.com/bucket/key");
    assert_eq!(authenticate(request).err(), None);

    let mut request = Draft::new("GET", "/bucket/key").signed();
    *request.uri_mut() = uri("http://other.example.com/bucket/key");
    assert_eq!(
        authenticate(request).err().map(|e| e.code),
        Some(ErrorCode::InvalidRequest)
    );
}
