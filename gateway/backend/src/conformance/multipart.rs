//! Multipart uploads.

use md5::{Digest as _, Md5};
use weir_types::backend::{BackendError, BackendErrorKind, BackendPart, BackendUpload};
use weir_types::id::{BackendKey, PartNumber};

use super::Run;
use super::bodies::{failing_body, pattern, read, whole_body};

/// The smallest part that S3 servers accept before the last one.
const PART_BYTES: usize = 5 << 20;

fn number(n: u16) -> PartNumber {
    PartNumber::new(n).expect("the number is within range")
}

impl Run<'_> {
    async fn part(&self, key: &BackendKey, upload: &str, n: u16, bytes: &[u8]) -> BackendPart {
        let body = whole_body(bytes, 300_000);
        let size = bytes.len() as u64;
        let stored = self
            .backend
            .put_part(key, upload, number(n), size, body)
            .await
            .expect("put part");
        let told = stored.require(size, Some(&Md5::digest(bytes).into()));
        assert_eq!(told, Ok(()), "what put_part answers");
        BackendPart {
            number: number(n),
            size,
            etag: stored.etag,
        }
    }

    async fn uploads_of(&self, key: &BackendKey) -> Vec<BackendUpload> {
        self.backend
            .list_uploads(key.as_str(), 100)
            .await
            .expect("list uploads")
    }

    /// After all detours the object is exactly the named parts.
    pub(super) async fn multipart(&self) {
        let key = self.key();
        let upload = self
            .backend
            .create_upload(&key)
            .await
            .expect("create upload");
        let listed = BackendUpload {
            key: key.to_string(),
            upload: upload.clone(),
        };
        assert_eq!(
            self.uploads_of(&key).await,
            [listed],
            "an open upload is listed"
        );
        self.expect_absent(&key, "while it is being uploaded").await;

        let (first, second, third) = (
            pattern(PART_BYTES, 10),
            pattern(PART_BYTES + 99, 11),
            pattern(1000, 12),
        );
        let parts = if self.lenience.parts_fixed {
            self.fixed_parts_are_refused().await;
            self.parts_without_detours(&key, &upload, [&first, &second, &third])
                .await
        } else {
            self.parts_with_detours(&key, &upload, [&first, &second, &third])
                .await
        };
        let stored = self
            .backend
            .complete_upload(&key, &upload, &parts)
            .await
            .expect("complete upload");
        let whole = [first, second, third].concat();
        let size = whole.len() as u64;
        assert_eq!(stored.size, size, "size that complete answers");
        let head = self
            .backend
            .head(&key)
            .await
            .expect("head")
            .expect("an object");
        assert_eq!(head.size, size, "size of the completed object");
        let page = self
            .backend
            .list(key.as_str(), None, 10)
            .await
            .expect("list");
        let listed: Vec<_> = page
            .entries
            .iter()
            .map(|e| (e.key.as_str(), e.size))
            .collect();
        assert_eq!(
            listed,
            [(key.as_str(), size)],
            "listing of the completed object"
        );

        let fetched = self.backend.get(&key, None).await.expect("get");
        assert!(
            read(fetched).await == whole,
            "bytes of the completed object"
        );
        let edge = PART_BYTES as u64;
        let last = size - 1000;
        for range in [
            0..10,
            edge - 5..edge + 5,
            edge..edge + 1,
            last - 1..last + 1,
            1..size,
        ] {
            let fetched = self
                .backend
                .get(&key, Some(range.clone()))
                .await
                .expect("get range");
            let wanted = &whole[range.start as usize..range.end as usize];
            assert!(
                read(fetched).await == wanted,
                "bytes of range {range:?} across parts"
            );
        }

        assert_eq!(
            self.uploads_of(&key).await,
            [],
            "a completed upload is not listed"
        );
        self.complete_again(&key, &upload, &parts).await;
        // Refused or taken for another upload: either way the object must not change.
        let late = whole_body(b"bad", 3);
        let _refused_or_not = self
            .backend
            .put_part(&key, &upload, number(1), 3, late)
            .await
            .map_err(|e| e.kind);
        let fetched = self.backend.get(&key, Some(0..10)).await.expect("get");
        assert!(
            read(fetched).await == whole[..10],
            "a late part must not change the object"
        );
        // Some servers take the late part as the start of the same upload: end it.
        self.backend
            .abort_upload(&key, &upload)
            .await
            .expect("abort after complete");
        let fetched = self.backend.get(&key, Some(0..10)).await.expect("get");
        assert!(
            read(fetched).await == whole[..10],
            "a late abort must not harm the object"
        );
        self.delete(&key).await;
        self.expect_absent(&key, "after delete of a multipart object")
            .await;
    }

    /// Parts out of order, one that is replaced, one that fails, one that is not named later.
    async fn parts_with_detours(
        &self,
        key: &BackendKey,
        upload: &str,
        [first, second, third]: [&[u8]; 3],
    ) -> [BackendPart; 3] {
        let third_part = self.part(key, upload, 9, third).await;
        self.part(key, upload, 2, &pattern(PART_BYTES, 13)).await;
        let replaced = self.part(key, upload, 1, &pattern(PART_BYTES, 14)).await;
        let first_part = self.part(key, upload, 1, first).await;
        assert_ne!(replaced.etag, first_part.etag, "tags of different parts");
        let second_part = self.part(key, upload, 4, second).await;
        let body = failing_body(&second[..1000]);
        let failed = self
            .backend
            .put_part(key, upload, number(4), 5000, body)
            .await;
        let error = failed.expect_err("a part whose body fails");
        assert_eq!(
            error.kind,
            BackendErrorKind::Source,
            "a part whose body fails: {error}"
        );
        [first_part, second_part, third_part]
    }

    /// Parts out of order and without gaps, of which none can be replaced.
    async fn parts_without_detours(
        &self,
        key: &BackendKey,
        upload: &str,
        [first, second, third]: [&[u8]; 3],
    ) -> [BackendPart; 3] {
        let third_part = self.part(key, upload, 3, third).await;
        let first_part = self.part(key, upload, 1, first).await;
        let other = pattern(PART_BYTES, 14);
        let body = whole_body(&other, 300_000);
        let size = other.len() as u64;
        let replaced = self.backend.put_part(key, upload, number(1), size, body);
        let error = replaced.await.expect_err("a part that cannot be replaced");
        assert_eq!(error.kind, BackendErrorKind::Rejected, "{error}");
        let second_part = self.part(key, upload, 2, second).await;
        [first_part, second_part, third_part]
    }

    /// Completes that leave a part out, or a number, and make nothing.
    async fn fixed_parts_are_refused(&self) {
        for (sent, named) in [([1, 2], 1), ([1, 5], 2)] {
            let key = self.key();
            let upload = self.backend.create_upload(&key).await;
            let upload = upload.expect("create upload");
            let mut parts = Vec::new();
            for n in sent {
                let bytes = pattern(PART_BYTES, n.into());
                parts.push(self.part(&key, &upload, n, &bytes).await);
            }
            parts.truncate(named);
            let completed = self.backend.complete_upload(&key, &upload, &parts).await;
            let error = completed.expect_err("parts with gaps, or left out");
            assert_eq!(error.kind, BackendErrorKind::Rejected, "{error}");
            let aborted = self.backend.abort_upload(&key, &upload).await;
            aborted.expect("abort");
            self.expect_absent(&key, "after a complete that was refused")
                .await;
        }
    }

    fn expect_unknown(&self, error: &BackendError) {
        let is_not_found = error.kind == BackendErrorKind::NotFound;
        let as_known = is_not_found != self.lenience.unknown_upload_any_error;
        assert!(as_known, "unknown upload: {error}");
    }

    /// A repeated Complete either succeeds again or does not know the upload; the object
    /// stays.
    async fn complete_again(&self, key: &BackendKey, upload: &str, parts: &[BackendPart]) {
        match self.backend.complete_upload(key, upload, parts).await {
            Ok(stored) => {
                let size = parts.iter().map(|part| part.size).sum::<u64>();
                assert_eq!(stored.size, size, "size that a repeated complete answers");
            }
            Err(error) => self.expect_unknown(&error),
        }
        let head = self.backend.head(key).await.expect("head");
        assert!(head.is_some(), "the object after a repeated complete");
    }

    pub(super) async fn abort(&self) {
        let key = self.key();
        let upload = self
            .backend
            .create_upload(&key)
            .await
            .expect("create upload");
        self.part(&key, &upload, 1, &pattern(1000, 20)).await;
        for _ in 0..2 {
            self.backend
                .abort_upload(&key, &upload)
                .await
                .expect("abort");
        }
        assert_eq!(
            self.uploads_of(&key).await,
            [],
            "an aborted upload is not listed"
        );
        self.expect_absent(&key, "after abort").await;
    }

    pub(super) async fn unknown_uploads(&self) {
        let key = self.key();
        let upload = self
            .backend
            .create_upload(&key)
            .await
            .expect("create upload");
        let part = self.part(&key, &upload, 1, b"some bytes").await;
        self.backend
            .abort_upload(&key, &upload)
            .await
            .expect("abort");

        let completed = self.backend.complete_upload(&key, &upload, &[part]).await;
        self.expect_unknown(&completed.expect_err("complete of an unknown upload"));
        let body = whole_body(b"some bytes", 4);
        let put = self
            .backend
            .put_part(&key, &upload, number(1), 10, body)
            .await;
        self.expect_unknown(&put.expect_err("a part of an unknown upload"));
        self.expect_absent(&key, "after all that failed").await;
    }
}
