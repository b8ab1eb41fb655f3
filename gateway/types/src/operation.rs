//! What clients ask for, free of any protocol's spelling.
//!
//! A front (S3 now) turns requests into [`Operation`]s and [`Outcome`]s into responses; the
//! core knows only these.

mod outcome;
mod request;

pub use outcome::{
    BucketInfo, CompletedObject, CopiedObject, DeletedKey, ObjectInfo, ObjectRead, Outcome,
    PartsListing, PutResult, ReadSpan, UploadPartResult,
};
pub use request::{
    Action, CompleteMultipartUpload, CompletePart, CopyObject, CopySource, CreateMultipartUpload,
    DeleteObject, DeleteObjects, Directive, ListMultipartUploads, ListObjects, ListParts,
    Operation, PutObject, RangeSpec, ReadConditions, ReadObject, UploadPart, UploadPartCopy,
    UploadRef,
};
