//! The conformance suite against real servers.
//!
//! `WEIR_TEST_S3_ENDPOINTS`: `http://host:port/bucket`, several with commas between, each
//! with its known differences after it (`#parts-fixed`, `#unknown-upload-any-error`);
//! `WEIR_TEST_S3_ACCESS_KEY_ID` and `WEIR_TEST_S3_SECRET_ACCESS_KEY`: for all of them.

use std::io::Write as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use weir_types::clock::{Clock as _, SystemClock};

use super::client::{Payload, Request};
use super::{Client, Endpoint, S3Backend};
use crate::conformance::{Lenience, check_leniently};
use crate::{PayloadSigning, S3Config};

/// Says something that the test harness does not swallow.
fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("standard error is there");
}

fn config(endpoint: &str) -> S3Config {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set, though endpoints are"))
    };
    let (endpoint, bucket) = endpoint
        .rsplit_once('/')
        .unwrap_or_else(|| panic!("{endpoint}: no bucket in it"));
    let key_id = variable("WEIR_TEST_S3_ACCESS_KEY_ID");
    let secret = variable("WEIR_TEST_S3_SECRET_ACCESS_KEY").into();
    S3Config::at(endpoint, bucket, key_id, secret)
}

/// Makes the bucket where the server does not have it yet.
async fn make_bucket(config: &S3Config) {
    let endpoint = Endpoint::parse(config).expect("a valid endpoint");
    let client = Client::new(config, endpoint.clone(), Arc::new(SystemClock)).expect("a client");
    let request = Request {
        operation: "create bucket",
        method: Method::PUT,
        path: endpoint.bucket_path(),
        query: &[],
        headers: Vec::new(),
        range: None,
    };
    let answer = client
        .send(request, Payload::None)
        .await
        .expect("the server answers");
    let is_there = answer.status.is_success() || answer.status == StatusCode::CONFLICT;
    assert!(
        is_there,
        "no bucket at {}: {}",
        endpoint.host, answer.status
    );
    answer.discard();
}

#[tokio::test]
async fn real_servers_conform() {
    let endpoints = std::env::var("WEIR_TEST_S3_ENDPOINTS").unwrap_or_default();
    if endpoints.is_empty() {
        say("WEIR_TEST_S3_ENDPOINTS is not set: the s3 backend was NOT tested on real servers");
        return;
    }
    for endpoint in endpoints.split(',').map(str::trim) {
        let mut words = endpoint.split('#');
        let endpoint = words.next().unwrap_or_default();
        let mut lenience = Lenience::default();
        for word in words {
            match word {
                "parts-fixed" => lenience.parts_fixed = true,
                "unknown-upload-any-error" => lenience.unknown_upload_any_error = true,
                other => panic!("{other}: no such lenience"),
            }
        }
        for (signing, key_prefix) in [
            (PayloadSigning::Unsigned, ""),
            (PayloadSigning::Streaming, "shared/with others/"),
        ] {
            say(&format!(
                "conformance of s3 on {endpoint} ({signing:?}, prefix {key_prefix:?})"
            ));
            let config = S3Config {
                http_payload_signing: signing,
                key_prefix: key_prefix.to_owned(),
                ..config(endpoint)
            };
            make_bucket(&config).await;
            let backend = S3Backend::new(&config, Arc::new(SystemClock)).expect("a backend");
            let seed = SystemClock.now().as_millis();
            check_leniently(&backend, seed, lenience).await;
            say(&format!(
                "what its tags were found to be: {:?}",
                backend.tags
            ));
        }
    }
}
