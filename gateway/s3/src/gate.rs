//! The gate: who sent a request, and is every part of it that matters covered by the
//! signature? Fails closed, and knows nothing of operations.
//!
//! SigV4 in the `Authorization` header or in the query (AWS, "Authenticating Requests (AWS
//! Signature Version 4)"). Anonymous requests, SigV2 and SigV4A are refused.

mod authorization;
mod canonical;
mod credential;
mod date;
mod framing;
pub(crate) mod payload;
pub(crate) mod presigned;
mod query;
mod scope;
mod signing;

use std::sync::Arc;

use http::header::AsHeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, header};
use weir_types::clock::Clock;
use weir_types::id::Principal;
use weir_types::{Error, ErrorCode};

pub use credential::{Credential, CredentialStore, Secret};
pub(crate) use query::Query;

use crate::config::S3Config;
use canonical::Signed;
use date::AmzDate;
use payload::{ChunkSigner, Payload};
use scope::{BadScope, Scope};
use signing::SigningKeys;

/// How far a request's time may be from ours, either way (AWS allows 15 minutes).
const SKEW_SECS_MAX: i64 = 15 * 60;

/// A request whose sender is known. Only the gate makes one.
pub struct Verified<B> {
    principal: Principal,
    pub(crate) parts: Parts,
    /// The host it was sent to, lowercase, without port.
    pub(crate) host: String,
    /// Signed in the query: `x-amz-…` parameters stand among the headers then.
    pub(crate) presigned: bool,
    pub(crate) body: SealedBody<B>,
}

impl<B> Verified<B> {
    /// Who sent it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// A body that can only be read as its signature says.
pub(crate) struct SealedBody<B> {
    pub(crate) body: B,
    pub(crate) payload: Payload,
    /// There for signed chunks.
    pub(crate) signer: Option<ChunkSigner>,
}

/// What a request claims about its signature, from the header or from the query.
struct Claim<'a> {
    scope: Scope<'a>,
    date: AmzDate,
    signed_headers: &'a str,
    signature: &'a str,
    /// The payload's hash as it was signed.
    payload: &'a str,
    form: Form,
}

/// Where a signature stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Header,
    Query,
}

/// Verifies signatures.
pub(crate) struct Gate {
    store: Arc<dyn CredentialStore>,
    clock: Arc<dyn Clock>,
    keys: SigningKeys,
    /// Stands in for a credential that does not exist, so that an unknown access key costs
    /// what a wrong secret costs.
    nobody: Arc<Credential>,
    region: String,
    region_aliases: Vec<String>,
    header_count_max: usize,
    header_bytes_max: usize,
}

impl Gate {
    pub(crate) fn new(
        config: &S3Config,
        store: Arc<dyn CredentialStore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let nobody = Credential {
            principal: Principal::parse("nobody").expect("a valid principal"),
            secret: Secret::new("0123456789012345678901234567890123456789".to_owned()),
        };
        Self {
            store,
            clock,
            keys: SigningKeys::new(config.limits.signing_keys_max),
            nobody: Arc::new(nobody),
            region: config.region.clone(),
            region_aliases: config.region_aliases.clone(),
            header_count_max: config.limits.header_count_max,
            header_bytes_max: config.limits.header_bytes_max,
        }
    }

    /// Verifies a request; its body stays untouched.
    pub(crate) fn authenticate<B>(&self, request: Request<B>) -> Result<Verified<B>, Error> {
        let (mut parts, body) = request.into_parts();
        framing::check_size(&parts, self.header_count_max, self.header_bytes_max)?;
        framing::check_length(&parts.headers)?;
        let (principal, sealed, form, hoisted) = {
            let query = Query::parse(parts.uri.query())?;
            let host = framing::host(&parts)?;
            let claim = self.claim(&parts, &query)?;
            let (principal, signer, payload) = self.verify(&parts, host, &query, &claim)?;
            let hoisted = match claim.form {
                Form::Query => presigned::hoist(&query, &parts.headers)?,
                Form::Header => Vec::new(),
            };
            (
                principal,
                SealedBody {
                    body,
                    payload,
                    signer,
                },
                claim.form,
                hoisted,
            )
        };
        let host = framing::host_name(framing::host(&parts)?)?;
        parts.headers.extend(hoisted);
        Ok(Verified {
            principal,
            parts,
            host,
            presigned: form == Form::Query,
            body: sealed,
        })
    }

    /// Reads the claim from the one place where it stands.
    fn claim<'a>(&self, parts: &'a Parts, query: &'a Query<'_>) -> Result<Claim<'a>, Error> {
        let in_query = presigned::is_signed(query);
        let has_header = parts.headers.contains_key(header::AUTHORIZATION);
        match (has_header, in_query) {
            (true, presigned::Kind::Unsigned) => authorization::claim(&parts.headers),
            (true, _) => Err(Error::new(
                ErrorCode::InvalidArgument,
                "Only one authentication mechanism is allowed: the Authorization header or \
                 the query.",
            )),
            (false, presigned::Kind::V4) => presigned::claim(parts, query, self.clock.now()),
            (false, presigned::Kind::V2) => Err(signature_v2()),
            (false, presigned::Kind::Unsigned) if is_form(&parts.method, &parts.headers) => Err(
                Error::new(ErrorCode::NotImplemented, "POST forms are not implemented."),
            ),
            (false, presigned::Kind::Unsigned) => Err(Error::new(
                ErrorCode::AccessDenied,
                "Anonymous requests are not allowed.",
            )),
        }
    }

    fn verify(
        &self,
        parts: &Parts,
        host: &str,
        query: &Query<'_>,
        claim: &Claim<'_>,
    ) -> Result<(Principal, Option<ChunkSigner>, Payload), Error> {
        claim
            .scope
            .check(|region| self.is_ours(region), claim.date.day())
            .map_err(|bad| self.bad_scope(&bad, claim.form))?;
        if claim.form == Form::Header {
            self.check_skew(claim.date)?;
        }
        refuse_tokens(&parts.headers, query)?;
        let payload = Payload::parse(claim.payload)?;
        check_coverage(&parts.headers, claim)?;

        let signed = Signed {
            headers: claim.signed_headers,
            payload: claim.payload,
            query_but: (claim.form == Form::Query).then_some("X-Amz-Signature"),
        };
        let request = canonical::request_sha256(parts, host.as_bytes(), query, &signed)?;
        let mut text = Vec::with_capacity(160);
        for line in ["AWS4-HMAC-SHA256", claim.date.text(), claim.scope.text] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(&request);

        let known = self.store.lookup(claim.scope.access_key_id);
        // Strangers share one slot, so that invented ids cannot flush the cache.
        let slot = if known.is_some() {
            claim.scope.credential
        } else {
            claim.scope.text
        };
        let credential = known.as_ref().unwrap_or(&self.nobody);
        let key = self.keys.get(slot, credential, &claim.scope);
        let calculated = key.sign(&text);
        let matches = signing::matches(&calculated, claim.signature.as_bytes());
        let Some(known) = known else {
            return Err(Error::from(ErrorCode::InvalidAccessKeyId)
                .with("AWSAccessKeyId", claim.scope.access_key_id));
        };
        if !matches {
            return Err(Error::from(ErrorCode::SignatureDoesNotMatch)
                .with("AWSAccessKeyId", claim.scope.access_key_id));
        }
        let signer = match (payload, claim.form) {
            (Payload::Chunked { .. }, Form::Query) => {
                return Err(Error::new(
                    ErrorCode::InvalidRequest,
                    "A presigned request cannot have an aws-chunked body.",
                ));
            }
            (Payload::Chunked { signed: true, .. }, Form::Header) => Some(ChunkSigner::new(
                key,
                claim.date.text(),
                claim.scope.text,
                calculated,
            )),
            _ => None,
        };
        Ok((known.principal.clone(), signer, payload))
    }

    fn is_ours(&self, region: &str) -> bool {
        self.region == region || self.region_aliases.iter().any(|alias| alias == region)
    }

    fn bad_scope(&self, bad: &BadScope, form: Form) -> Error {
        let error = malformed(form, bad.message(&self.region));
        match bad {
            BadScope::Region(_) => error.with("Region", self.region.clone()),
            _ => error,
        }
    }

    fn check_skew(&self, date: AmzDate) -> Result<(), Error> {
        let now = self.clock.now();
        if date.ahead_of(now).abs() > SKEW_SECS_MAX {
            return Err(Error::from(ErrorCode::RequestTimeTooSkewed)
                .with("RequestTime", date.text())
                .with("ServerTime", now.to_string())
                .with(
                    "MaxAllowedSkewMilliseconds",
                    (SKEW_SECS_MAX * 1000).to_string(),
                ));
        }
        Ok(())
    }
}

/// Every header that could change what the request means must be signed: `host` and all
/// `x-amz-*`. `x-amz-content-sha256` is covered in any case: its value is the last line of
/// the canonical request.
fn check_coverage(headers: &HeaderMap, claim: &Claim<'_>) -> Result<(), Error> {
    let is_signed = |name: &str| claim.signed_headers.split(';').any(|s| s == name);
    if !is_signed("host") {
        return Err(Error::new(
            ErrorCode::AccessDenied,
            "The host header must be signed.",
        ));
    }
    let unsigned = headers.keys().map(http::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !is_signed(name)
    });
    match unsigned {
        None => Ok(()),
        Some(name) => Err(Error::new(
            ErrorCode::AccessDenied,
            "There were headers present in the request which were not signed.",
        )
        .with("HeadersNotSigned", name)),
    }
}

/// There are no temporary credentials here; a token must not be taken for checked.
fn refuse_tokens(headers: &HeaderMap, query: &Query<'_>) -> Result<(), Error> {
    static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
    let given = headers.contains_key(&TOKEN)
        || query
            .iter()
            .any(|p| p.name.eq_ignore_ascii_case(TOKEN.as_str()));
    if given {
        Err(ErrorCode::InvalidToken.into())
    } else {
        Ok(())
    }
}

fn is_form(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::POST
        && headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.as_bytes().get(..19))
            .is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/form-data"))
}

fn signature_v2() -> Error {
    Error::new(
        ErrorCode::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256.",
    )
}

fn sigv4a() -> Error {
    Error::new(
        ErrorCode::NotImplemented,
        "SigV4A signatures are not implemented.",
    )
}

/// The same mistake has another code in the header than in the query.
fn malformed(form: Form, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    let code = match form {
        Form::Header => ErrorCode::AuthorizationHeaderMalformed,
        Form::Query => ErrorCode::AuthorizationQueryParametersError,
    };
    Error::new(code, message)
}

/// The value of a header that may stand only once, as text. By a `&HeaderName` it is found
/// faster than by its text.
pub(crate) fn single<N>(headers: &HeaderMap, name: N) -> Result<Option<&str>, Error>
where
    N: AsHeaderName + AsRef<str> + Copy,
{
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).ok();
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text)),
        _ => Err(Error::new(
            ErrorCode::InvalidArgument,
            "A header stands more than once, or is not text.",
        )
        .with("ArgumentName", name.as_ref())),
    }
}
