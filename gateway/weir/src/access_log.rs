//! One line per request, with target `weir::access`.

use weir_core::observe::AccessRecord;

/// Writes the line. Whatever a client chose stands in it with control characters escaped, and
/// without signatures or tokens.
pub fn write(record: &AccessRecord) {
    let resource = record.trace.resource.as_deref().unwrap_or("-");
    // A bucket's name has no slash; a key may have any.
    let (bucket, key) = resource.split_once('/').unwrap_or((resource, ""));
    let principal = record
        .principal
        .as_ref()
        .map_or("-", |principal| principal.as_str());
    let backend = record
        .trace
        .backend
        .as_ref()
        .map_or("-", |backend| backend.as_str());
    tracing::info!(
        target: "weir::access",
        request_id = %record.request_id,
        operation = if record.operation.is_empty() { "-" } else { record.operation },
        method = %record.method,
        uri = %record.target,
        bucket,
        key,
        principal,
        status = record.status,
        error = record.error.unwrap_or("-"),
        bytes_in = record.bytes_in,
        bytes_out = record.bytes_out,
        complete = record.complete,
        head_us = micros(record.head_after),
        took_us = micros(record.took),
        backend,
        policy = record.trace.policy.as_deref().unwrap_or("-"),
        attempts = record.trace.attempts,
        "request"
    );
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
