use weir_backend::memory::MemoryBackend;

use super::*;
use crate::observe::Silent;

fn handle() -> Arc<BackendHandle> {
    let observer: Arc<dyn Observer> = Arc::new(Silent);
    let facts = BackendFacts::new(BackendId::parse("b0").expect("a valid id"));
    let configured = vec![(facts, Arc::new(MemoryBackend::new()) as Arc<dyn Backend>)];
    let backends = Backends::new(configured, &observer, &Settings::default());
    Arc::clone(backends.iter().next().expect("one backend"))
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_answers_is_found_out_though_callers_give_up() {
    use OperationClass::{Read, Write};
    // Class of the call, how long its caller waits, whether the breaker stays closed.
    let cases = [(Read, 6, false), (Read, 1, true), (Write, 6, true)];
    for (class, patience_secs, healthy) in cases {
        let handle = handle();
        for _ in 0..Settings::default().breaker_failures_max {
            let never = std::future::pending::<Result<(), BackendError>>();
            let call = handle.call("get", class, never);
            let gave_up = timeout(Duration::from_secs(patience_secs), call).await;
            assert!(gave_up.is_err());
        }
        assert_eq!(
            handle.is_healthy(class),
            healthy,
            "{class:?} for {patience_secs} s"
        );
    }
}
