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

/// A failed read of stored bytes. Where the disk itself cannot give them back (EIO), they are as
/// good as wrong: another copy takes their place.
pub(crate) fn read_error(what: &str, error: &Error) -> BackendError {
    const EIO: i32 = 5;
    let mut failed = io_error(what, error);
    if error.raw_os_error() == Some(EIO) {
        failed.kind = BackendErrorKind::Corrupt;
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_has_lost_bytes_is_not_one_that_is_away() {
        for (errno, wanted) in [
            (5, BackendErrorKind::Corrupt),
            (13, BackendErrorKind::Denied),
            (110, BackendErrorKind::Unavailable),
        ] {
            let error = Error::from_raw_os_error(errno);
            assert_eq!(read_error("read", &error).kind, wanted);
        }
    }
}
