use std::collections::BTreeSet;

use weir_core::observe::TraceNotes;
use weir_core::replicate::ScrubState;
use weir_policy::MetricsSnapshot;
use weir_types::clock::Timestamp;
use weir_types::id::{BackendId, BlobId};
use weir_types::record::{FullPass, ScrubCounts, ScrubPass};

use super::*;

fn scrape() -> Scrape {
    Scrape {
        meters: vec![(
            id("disk-a"),
            MeterSnapshot {
                bytes_in: 7,
                ..MeterSnapshot::default()
            },
        )],
        ledger: vec![BackendUse {
            backend: id("disk-a"),
            copies: 2,
            copy_bytes: 20,
            reserved_bytes: 3,
            bytes_max: Some(100),
            closed: (true, false),
        }],
        outbox: ([1, 0, 0, 0, 0, 4], Some(Duration::from_secs(9)), None),
        scrub: vec![ScrubStatus {
            backend: id("disk-a"),
            state: ScrubState::Running,
            pass: Some(ScrubPass {
                again: vec![(BlobId(1), 1)],
                counts: ScrubCounts {
                    copies: 1,
                    bytes: 5,
                    ..ScrubCounts::default()
                },
                ..ScrubPass::default()
            }),
            last_full: Some(FullPass {
                began_at: Timestamp::from_millis(77_000),
                ended_at: Timestamp::from_millis(99_000),
                counts: ScrubCounts::default(),
            }),
            next_at: None,
        }],
        policies: MetricsSnapshot::default(),
        stages: Default::default(),
        recorded: vec![(
            "spread".into(),
            Recorded {
                written: 3,
                dropped: 1,
            },
        )],
        index_read_only: true,
        problems: 2,
    }
}

fn id(text: &str) -> BackendId {
    BackendId::parse(text).expect("a valid id")
}

fn record(status: u16, complete: bool) -> AccessRecord {
    AccessRecord {
        request_id: "R".into(),
        method: "GET".into(),
        target: "/b/k".into(),
        operation: "GetObject",
        principal: None,
        status,
        error: (status == 404).then_some("NoSuchKey"),
        bytes_in: 1,
        bytes_out: 10,
        complete,
        head_after: Duration::from_millis(1),
        took: Duration::from_millis(2),
        trace: TraceNotes::default(),
    }
}

fn rendered(metrics: &Metrics) -> String {
    let counts = Counts::default();
    counts.refused.store(5, Ordering::Relaxed);
    let text = metrics
        .render(&scrape(), &[("s3", &counts)])
        .expect("rendered");
    String::from_utf8(text).expect("text")
}

#[test]
fn what_happened_is_counted() {
    let metrics = Metrics::new().expect("names differ");
    metrics.request(&record(200, true));
    metrics.request(&record(404, true));
    metrics.request(&record(0, false));
    metrics.backend_call(&BackendCall {
        backend: &id("disk-a"),
        operation: "get",
        error: Some(BackendErrorKind::Throttled),
        took: Duration::from_millis(3),
    });
    metrics.work("replicate", WorkOutcome::Deferred, Duration::from_millis(1));
    metrics.breaker(&id("disk-a"), OperationClass::Write, true);
    for (outcome, bytes) in [
        (Scrubbed::Right, 5),
        (Scrubbed::Suspect, 3),
        (Scrubbed::Right, 1),
    ] {
        metrics.scrubbed(&id("disk-a"), outcome, bytes);
    }
    // Twice: what is read anew must not add up.
    rendered(&metrics);
    let text = rendered(&metrics);
    for line in [
        r#"weir_requests_total{operation="GetObject",status="200"} 1"#,
        r#"weir_requests_total{operation="GetObject",status="499"} 1"#,
        r#"weir_request_errors_total{code="NoSuchKey",operation="GetObject"} 1"#,
        r#"weir_requests_cut_total{operation="GetObject"} 1"#,
        r#"weir_request_bytes_total{direction="out"} 30"#,
        r#"weir_request_seconds_count{operation="GetObject"} 3"#,
        r#"weir_backend_calls_total{backend="disk-a",operation="get",outcome="throttled"} 1"#,
        r#"weir_backend_bytes_total{backend="disk-a",direction="in"} 7"#,
        r#"weir_backend_breaker_changes_total{backend="disk-a",class="write",to="open"} 1"#,
        r#"weir_backend_breaker_open{backend="disk-a",class="write"} 1"#,
        r#"weir_backend_breaker_open{backend="disk-a",class="read"} 0"#,
        r#"weir_backend_copy_bytes{backend="disk-a"} 20"#,
        r#"weir_backend_limit_bytes{backend="disk-a"} 100"#,
        r#"weir_scrub_copies_total{backend="disk-a",outcome="right"} 2"#,
        r#"weir_scrub_copies_total{backend="disk-a",outcome="suspect"} 1"#,
        r#"weir_scrub_bytes_total{backend="disk-a"} 9"#,
        r#"weir_scrub_coverage_permille{backend="disk-a"} 250"#,
        r#"weir_scrub_unreached_copies{backend="disk-a"} 1"#,
        r#"weir_scrub_last_full_pass_timestamp_seconds{backend="disk-a"} 77"#,
        r#"weir_work_total{kind="replicate",outcome="deferred"} 1"#,
        r#"weir_outbox_entries{kind="repair"} 4"#,
        r#"weir_outbox_oldest_seconds{kind="any"} 9"#,
        r#"weir_connections_refused_total{listener="s3"} 5"#,
        "weir_index_read_only 1",
        "weir_problems 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn every_metric_that_is_rendered_is_in_the_table() {
    let metrics = Metrics::new().expect("names differ");
    metrics.request(&record(200, true));
    let text = rendered(&metrics);
    let shown: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .collect();
    let table: BTreeSet<_> = TABLE.iter().map(|(name, ..)| *name).collect();
    assert!(
        shown.len() > 10 && shown.is_subset(&table),
        "{:?}",
        shown.difference(&table)
    );
}

#[test]
fn the_page_of_the_documentation_is_the_table() {
    let page = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/metrics.md"
    ));
    assert!(
        page.expect("the page exists") == super::page(),
        "run: weir config metrics > docs/metrics.md"
    );
}
