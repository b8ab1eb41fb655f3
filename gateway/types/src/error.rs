//! The one error table: what went wrong → S3 code → HTTP status → whether a retry may help →
//! whose fault it was.
//!
//! Codes and statuses are AWS's ("Error responses", Amazon S3 API Reference).

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

/// Whose fault an error is: decides log level, metrics and what a breaker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request was wrong or not allowed.
    Client,
    /// Weir itself failed or is out of some resource.
    Gateway,
    /// No backend could do what was needed.
    Backend,
}

/// Whether the same request may succeed later without being changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may succeed after a pause.
    Later,
}

macro_rules! error_table {
    ($($(#[$doc:meta])* $name:ident $code:literal $status:literal $retry:ident $fault:ident $message:literal;)*) => {
        /// Every error that a client can be answered.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The whole table, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The S3 error code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> StatusCode {
                let number: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(number).expect("the table holds valid statuses")
            }

            /// Whether a retry may help.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)* }
            }

            /// What a client is told when there is nothing more precise to say.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

error_table! {
    /// Not allowed, or not signed as it must be.
    AccessDenied "AccessDenied" 403 Never Client "Access denied.";
    /// The Authorization header or its scope is wrong.
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" 400 Never Client "The authorization header is malformed.";
    /// The presigned query is wrong.
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" 400 Never Client "The authorization query parameters are wrong.";
    /// Content-MD5 or a checksum does not match the body.
    BadDigest "BadDigest" 400 Never Client "The digest given does not match the body received.";
    /// Bucket exists and belongs to somebody else.
    BucketAlreadyExists "BucketAlreadyExists" 409 Never Client "The bucket name is taken.";
    /// Bucket exists and is the caller's.
    BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" 409 Never Client "The bucket exists already and is yours.";
    /// Bucket has objects.
    BucketNotEmpty "BucketNotEmpty" 409 Never Client "The bucket is not empty.";
    /// A concurrent write on the same key won.
    ConditionalRequestConflict "ConditionalRequestConflict" 409 Later Client "A concurrent operation conflicts with this conditional request.";
    /// Larger than S3 or the configuration allows.
    EntityTooLarge "EntityTooLarge" 400 Never Client "The upload exceeds the maximum allowed object size.";
    /// A part other than the last is below 5 MiB.
    EntityTooSmall "EntityTooSmall" 400 Never Client "A part other than the last is smaller than the minimum part size.";
    /// Presigned request or token expired.
    ExpiredToken "ExpiredToken" 400 Never Client "The token has expired.";
    /// CreateBucket for another region.
    IllegalLocationConstraintException "IllegalLocationConstraintException" 400 Never Client "The location constraint is not valid here.";
    /// Body shorter or longer than announced.
    IncompleteBody "IncompleteBody" 400 Never Client "The body's length is not the length that was announced.";
    /// Weir failed.
    InternalError "InternalError" 500 Later Gateway "The gateway met an internal error.";
    /// Unknown access key id.
    InvalidAccessKeyId "InvalidAccessKeyId" 403 Never Client "The access key id is not known.";
    /// An argument is wrong.
    InvalidArgument "InvalidArgument" 400 Never Client "An argument is invalid.";
    /// Bad bucket name.
    InvalidBucketName "InvalidBucketName" 400 Never Client "The bucket name is not valid.";
    /// Content-MD5 is not an MD5.
    InvalidDigest "InvalidDigest" 400 Never Client "The Content-MD5 given is not valid.";
    /// A part named in Complete is unknown or has another ETag.
    InvalidPart "InvalidPart" 400 Never Client "One or more of the named parts could not be found or has another ETag.";
    /// partNumber of a read beyond the object's parts.
    InvalidPartNumber "InvalidPartNumber" 416 Never Client "The requested part number is not satisfiable.";
    /// Parts named out of order.
    InvalidPartOrder "InvalidPartOrder" 400 Never Client "The parts were not named in ascending order.";
    /// Range not satisfiable.
    InvalidRange "InvalidRange" 416 Never Client "The requested range is not satisfiable.";
    /// The request as a whole makes no sense.
    InvalidRequest "InvalidRequest" 400 Never Client "The request is invalid.";
    /// Unknown storage class.
    InvalidStorageClass "InvalidStorageClass" 400 Never Client "The storage class is not valid.";
    /// x-amz-tagging is wrong.
    InvalidTag "InvalidTag" 400 Never Client "The tags are not valid.";
    /// A session token, where there are none.
    InvalidToken "InvalidToken" 400 Never Client "Session tokens are not known here.";
    /// The path is not a valid URI.
    InvalidURI "InvalidURI" 400 Never Client "The URI could not be parsed.";
    /// Key above 1,024 bytes.
    KeyTooLongError "KeyTooLongError" 400 Never Client "The key is longer than 1024 bytes.";
    /// Trailer wrong or missing.
    MalformedTrailerError "MalformedTrailerError" 400 Never Client "The trailer is missing or malformed.";
    /// XML wrong.
    MalformedXML "MalformedXML" 400 Never Client "The XML is not well formed or not what this operation takes.";
    /// Body of a non-streaming operation over its cap.
    MaxMessageLengthExceeded "MaxMessageLengthExceeded" 400 Never Client "The request is too large.";
    /// User metadata over 2 KB.
    MetadataTooLarge "MetadataTooLarge" 400 Never Client "The user metadata exceeds 2 KB.";
    /// Wrong method.
    MethodNotAllowed "MethodNotAllowed" 405 Never Client "The method is not allowed against this resource.";
    /// No length.
    MissingContentLength "MissingContentLength" 411 Never Client "A Content-Length is required.";
    /// A needed header is missing.
    MissingSecurityHeader "MissingSecurityHeader" 400 Never Client "A required header is missing.";
    /// No such bucket.
    NoSuchBucket "NoSuchBucket" 404 Never Client "The bucket does not exist.";
    /// No such key.
    NoSuchKey "NoSuchKey" 404 Never Client "The key does not exist.";
    /// No such upload.
    NoSuchUpload "NoSuchUpload" 404 Never Client "The multipart upload does not exist; it may have been completed or aborted.";
    /// No such version.
    NoSuchVersion "NoSuchVersion" 404 Never Client "The version does not exist.";
    /// Not built.
    NotImplemented "NotImplemented" 501 Never Client "This gateway does not implement what the request asks for.";
    /// Conditional read: unchanged.
    NotModified "NotModified" 304 Never Client "Not modified.";
    /// A multipart operation conflicts with one in progress.
    OperationAborted "OperationAborted" 409 Later Client "A conflicting operation on this resource is in progress.";
    /// Condition false.
    PreconditionFailed "PreconditionFailed" 412 Never Client "A precondition does not hold.";
    /// Quota full.
    QuotaExceeded "QuotaExceeded" 403 Later Gateway "The quota is used up.";
    /// Header section too large.
    RequestHeaderSectionTooLarge "RequestHeaderSectionTooLarge" 431 Never Client "The header section is too large.";
    /// The client was too slow.
    RequestTimeout "RequestTimeout" 400 Later Client "No bytes arrived within the timeout.";
    /// Clock skew.
    RequestTimeTooSkewed "RequestTimeTooSkewed" 403 Never Client "The request's time differs too much from the gateway's.";
    /// Nothing that could do it is reachable, or the gateway is read-only.
    ServiceUnavailable "ServiceUnavailable" 503 Later Backend "No backend can serve this now; retry later.";
    /// The index's disk is nearly full: reads and deletes work.
    ReadOnly "ServiceUnavailable" 503 Later Gateway "The gateway is read-only because its disk is nearly full; reads and deletes work.";
    /// Wrong signature.
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403 Never Client "The signature calculated does not match the signature given.";
    /// Slow down.
    SlowDown "SlowDown" 503 Later Gateway "Too many requests at once; slow down.";
    /// More than 10 tags.
    BadRequestTags "BadRequest" 400 Never Client "Object tags cannot be greater than 10.";
    /// Unsupported content encoding of the payload.
    XAmzContentSHA256Mismatch "XAmzContentSHA256Mismatch" 400 Never Client "The x-amz-content-sha256 given does not match the body received.";
}

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Row of the table.
    pub code: ErrorCode,
    /// What exactly is wrong, for a person. Never holds a secret.
    pub message: Cow<'static, str>,
    /// Further elements of the XML answer (`Region`, `Key`, …), or headers of a 304.
    pub details: Vec<(&'static str, String)>,
}

/// Result with the client-facing error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// Adds an element to the answer.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.message()),
            details: Vec::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.code(), self.message)
    }
}

impl std::error::Error for Error {}
