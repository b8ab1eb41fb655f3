//! What an answer's spelling depends on beyond its outcome.

use weir_types::id::BucketName;

/// Remembered from the request until it is answered.
#[derive(Debug)]
pub struct Rendering {
    /// HEAD: the answer has no body.
    pub(crate) head_only: bool,
    /// `/bucket/key` as errors show it.
    pub(crate) resource: String,
    pub(crate) spelling: Spelling,
}

/// What the groups of operations need in addition.
#[derive(Debug)]
pub(crate) enum Spelling {
    /// Nothing.
    Plain,
    /// ListBuckets.
    Buckets {
        prefix: Option<String>,
        region: Option<String>,
        after: Option<String>,
        limit: Option<usize>,
    },
    /// GetBucketLocation, as opposed to HeadBucket.
    Location,
    /// ListObjects.
    ListV1 { page: Page, marker: String },
    /// ListObjectsV2.
    ListV2 {
        page: Page,
        token: Option<String>,
        start_after: Option<String>,
        fetch_owner: bool,
    },
    /// ListMultipartUploads.
    Uploads {
        page: Page,
        key_marker: String,
        upload_marker: String,
    },
    /// ListParts.
    Parts { after: u16, limit: usize },
    /// GetObject and HeadObject.
    Read(Box<ReadSpelling>),
    /// DeleteObjects.
    DeletedKeys { quiet: bool },
    /// CompleteMultipartUpload.
    Completed { location: String },
}

/// The echo of a listing's parameters.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) bucket: BucketName,
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) limit: usize,
    /// `encoding-type=url`.
    pub(crate) url_encoded: bool,
}

/// See [`Spelling::Read`].
#[derive(Debug, Default)]
pub(crate) struct ReadSpelling {
    /// `x-amz-checksum-mode: ENABLED`.
    pub(crate) checksum: bool,
    /// `partNumber` was given.
    pub(crate) part: bool,
    /// `response-…`, with the header each sets.
    pub(crate) overrides: Vec<(http::HeaderName, http::HeaderValue)>,
}
