//! `weir plugin inspect`: what a component says about itself, and what it is.

use std::process::ExitCode;

use weir_policy::examine::Report;
use weir_policy::{Limits, examine};

use super::subject::Subject;
use super::terminal::answer;
use crate::error::Failure;

/// Prints what the component is; exit code 1 when it is no policy.
pub(super) fn run(subject: &Subject, json: bool) -> Result<ExitCode, Failure> {
    let loaded = subject.load()?;
    let group = loaded.groups.last();
    let settings = group.map_or("{}", |group| &group.settings);
    let facts = group.map(|group| &group.facts);
    let report =
        examine(&loaded.component, settings, facts, &[], Limits::default()).map_err(Failure::of)?;
    let is_policy = report.description.is_some();
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(Failure::of)?;
        answer(&format!("{text}\n"))?;
    } else {
        let mut lines = vec![("component", loaded.label.clone())];
        if let Some(description) = &report.description {
            lines.push((
                "name",
                format!("{} {}", description.name, description.version),
            ));
            lines.push(("summary", description.summary.clone()));
        }
        lines.push(("sha256", report.digest.clone()));
        lines.push(("size", format!("{} bytes", report.bytes)));
        lines.extend(type_lines(&report));
        lines.push(("compiles in", format!("{} ms", report.compile_ms)));
        let signature = loaded.signature.as_deref().map(String::from_utf8_lossy);
        let signature = signature.map_or_else(|| "none".to_owned(), |s| s.trim().to_owned());
        lines.push(("signature", signature));
        match &report.refused {
            None => lines.push((
                "memory",
                format!("{} bytes, configured", report.memory_bytes),
            )),
            Some(refused) => lines.push(("refused", refused.clone())),
        }
        let mut text = table(&lines);
        if let Some(description) = &report.description
            && !description.settings_schema.is_empty()
        {
            text.push_str(&format!("settings\n{}\n", description.settings_schema));
        }
        answer(&text)?;
    }
    Ok(if is_policy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a component's type says.
pub(super) fn type_lines(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(version) = &report.api_version {
        lines.push(("api", format!("weir:policy {version}")));
        let decides: Vec<_> = weir_policy::DecisionKind::ALL
            .into_iter()
            .filter(|kind| report.decides.contains(*kind))
            .map(weir_policy::DecisionKind::name)
            .collect();
        lines.push(("decides", decides.join(", ")));
    }
    if let Some(description) = &report.description
        && description.needs_user_metadata
    {
        lines.push(("needs", "user metadata".to_owned()));
    }
    if !report.exports.is_empty() {
        let imports = report.imports.join(", ");
        let imports = if imports.is_empty() {
            "nothing".to_owned()
        } else {
            imports
        };
        lines.push(("imports", imports));
    }
    lines
}

/// Names and values, one below the other.
pub(super) fn table(lines: &[(&str, String)]) -> String {
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"));
    lines.collect()
}
