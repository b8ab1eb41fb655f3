//! What an error of the operating system means at a backend.

use std::io::{Error, ErrorKind};

use weir_types::backend::{BackendError, BackendErrorKind};

/// A failed file operation. A missing file is [`BackendErrorKind::Unavailable`] here: callers
/// for whom it is an answer look for it first.
pub(crate) fn io_error(what: &str, error: &Error) -> BackendError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            BackendErrorKind::Full
        }
        ErrorKind::PermissionDenied => BackendErrorKind::Denied,
        _ => BackendErrorKind::Unavailable,
    };
    BackendError::new(kind, format!("fs: {what}: {error}"))
}
