//! Runs blocking file work beside the async threads, a bounded number at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use weir_types::backend::{BackendError, BackendErrorKind};

/// How file work is run. A disk that hangs holds at most this backend's threads.
#[derive(Debug, Clone)]
pub(super) struct Jobs(Option<Arc<Bounds>>);

#[derive(Debug)]
struct Bounds {
    threads: Arc<Semaphore>,
    wait_max: Duration,
    job_max: Duration,
}

impl Jobs {
    /// On the caller's own thread: for layers that never wait.
    pub(super) fn inline() -> Self {
        Self(None)
    }

    /// At most `threads_max` at a time; a job waits at most `wait_max` for its turn and is
    /// given up after `job_max`.
    pub(super) fn threads(threads_max: usize, wait_max: Duration, job_max: Duration) -> Self {
        let threads = Arc::new(Semaphore::new(threads_max));
        Self(Some(Arc::new(Bounds {
            threads,
            wait_max,
            job_max,
        })))
    }

    /// Runs `job` to its end, even when the future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let Some(bounds) = &self.0 else { return job() };
        let turn = tokio::time::timeout(bounds.wait_max, bounds.threads.clone().acquire_owned());
        let permit = match turn.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(unavailable("the backend is closed")),
            Err(_) => {
                let message = "fs: all threads are busy";
                return Err(BackendError::new(BackendErrorKind::Throttled, message));
            }
        };
        let handle = tokio::task::spawn_blocking(move || {
            let result = job();
            drop(permit);
            result
        });
        match tokio::time::timeout(bounds.job_max, handle).await {
            Ok(Ok(result)) => result,
            Ok(Err(e)) => Err(unavailable(format!("fs: a file operation failed: {e}"))),
            Err(_) => Err(unavailable("fs: the disk did not answer in time")),
        }
    }
}

fn unavailable(message: impl Into<String>) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, message)
}
