//! `weir plugin check`: everything that can be known about a component before a gateway loads it.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use weir_policy::examine::{CallReport, Outcome, Report};
use weir_policy::{DecisionKind, Limits, OwnedInput, examine};

use super::samples::samples;
use super::subject::{Loaded, Subject};
use super::terminal::{answer, note};
use super::vectors::{self, Group};
use crate::error::Failure;

/// Questions beside the test vectors, for each decision.
const SAMPLES: u64 = 32;

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    about: &'static str,
    what: String,
    /// What would be right.
    right: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, what, right } = self;
        write!(f, "{about}: {what}; right: {right}")
    }
}

/// What a check found, for programs.
#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    findings: &'a [Finding],
    reports: &'a [Report],
}

/// Checks a component; exit code 1 when anything is wrong.
pub(super) fn run(subject: &Subject, json: bool) -> Result<ExitCode, Failure> {
    let loaded = subject.load()?;
    let (findings, reports) = examined(&loaded)?;
    if json {
        let checked = Checked {
            ok: findings.is_empty(),
            findings: &findings,
            reports: &reports,
        };
        let text = serde_json::to_string_pretty(&checked).map_err(Failure::of)?;
        answer(&format!("{text}\n"))?;
    } else {
        answer(&in_words(&loaded, &reports))?;
        for finding in &findings {
            note(&format!("error: {finding}"));
        }
        if findings.is_empty() {
            answer("check: ok\n")?;
        }
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is wrong with a component.
#[cfg(test)]
pub(super) fn findings(loaded: &Loaded) -> Result<Vec<Finding>, Failure> {
    examined(loaded).map(|(findings, _)| findings)
}

/// Findings and a report for each group, up to the first that is refused.
fn examined(loaded: &Loaded) -> Result<(Vec<Finding>, Vec<Report>), Failure> {
    let mut findings = Vec::new();
    let mut reports = Vec::new();
    for group in &loaded.groups {
        let report = ask(loaded, group, SAMPLES)?;
        judge(group, &report, &mut findings);
        let is_refused = report.refused.is_some();
        reports.push(report);
        if is_refused {
            break;
        }
    }
    Ok((findings, reports))
}

fn in_words(loaded: &Loaded, reports: &[Report]) -> String {
    let limits = Limits::default();
    let mut lines = vec![("component", loaded.label.clone())];
    if let Some(report) = reports.first() {
        let bytes_max = limits.component_bytes_max;
        lines.push((
            "size",
            format!("{} bytes of at most {bytes_max}", report.bytes),
        ));
        lines.extend(super::inspect::type_lines(report));
    }
    if reports.iter().all(|report| report.refused.is_none()) {
        let calls = reports.iter().flat_map(|report| &report.calls);
        let asked = calls.clone().filter(|call| call.skipped.is_none()).count();
        let fuel = calls.map(|call| call.fuel).max().unwrap_or(0);
        let shares = loaded
            .groups
            .iter()
            .zip(reports)
            .flat_map(|(group, report)| {
                let limit = limits.call_fuel(group.facts.backends.len()).max(1);
                report.calls.iter().map(move |call| 100 * call.fuel / limit)
            });
        let share = shares.max().unwrap_or(0);
        let cases: usize = loaded.groups.iter().map(|group| group.cases.len()).sum();
        lines.push(("settings", "taken".to_owned()));
        lines.push((
            "asked",
            format!("{asked} questions, each of a fresh and a reused instance"),
        ));
        lines.push(("vectors", format!("{cases} of them")));
        lines.push((
            "fuel",
            format!("at most {fuel} in a call, {share} % of the limit"),
        ));
    }
    super::inspect::table(&lines)
}

/// What is wrong with the answers to the test vectors.
pub(super) fn vectors(loaded: &Loaded) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for group in loaded.groups.iter().filter(|group| !group.cases.is_empty()) {
        let report = ask(loaded, group, 0)?;
        judge(group, &report, &mut findings);
    }
    Ok(findings)
}

/// Asks the cases of a group, then samples of every kind.
fn ask(loaded: &Loaded, group: &Group, samples_each: u64) -> Result<Report, Failure> {
    let mut inputs: Vec<OwnedInput> = group.cases.iter().map(|(_, c)| c.input.clone()).collect();
    for kind in DecisionKind::ALL {
        inputs.extend(samples(kind, group.facts.backends.len(), samples_each));
    }
    let facts = Some(&group.facts);
    examine(
        &loaded.component,
        &group.settings,
        facts,
        &inputs,
        Limits::default(),
    )
    .map_err(Failure::of)
}

fn judge(group: &Group, report: &Report, findings: &mut Vec<Finding>) {
    if let Some(refused) = &report.refused {
        for error in &report.config_errors {
            findings.push(Finding {
                about: "settings",
                what: format!("{} {}", error.path, error.message)
                    .trim_start()
                    .to_owned(),
                right: "see the schema that `weir plugin inspect` shows".to_owned(),
            });
        }
        if report.config_errors.is_empty() {
            findings.push(Finding {
                about: "component",
                what: refused.clone(),
                right: "a component of a world of weir:policy that imports nothing else".to_owned(),
            });
        }
        return;
    }
    let (cases, samples) = report
        .calls
        .split_at(group.cases.len().min(report.calls.len()));
    for ((file, case), call) in group.cases.iter().zip(cases) {
        let about = format!("{} `{}`", short(file), case.name);
        judge_case(&about, case, call, findings);
        judge_call(&about, call, findings);
    }
    for call in samples {
        let mut found = Vec::new();
        judge_call(&format!("a sample for {}", call.decision), call, &mut found);
        // What is wrong with one is often wrong with all of them.
        found.retain(|finding| !findings.contains(finding));
        findings.extend(found);
    }
}

fn judge_case(about: &str, case: &vectors::Case, call: &CallReport, findings: &mut Vec<Finding>) {
    if let Some(why) = &call.skipped {
        findings.push(Finding {
            about: "vectors",
            what: format!("{about} was not asked: {why}"),
            right: "a question that the component decides, about all backends of the facts"
                .to_owned(),
        });
    }
    let Some(Outcome::Answer(given)) = &call.outcome else {
        return;
    };
    let found = vectors::plain(given);
    if !vectors::matches(&case.expect, &found) {
        findings.push(Finding {
            about: "vectors",
            what: format!("{about} answers {found}"),
            right: case.expect.to_string(),
        });
    }
}

fn judge_call(about: &str, call: &CallReport, findings: &mut Vec<Finding>) {
    if let Some(Outcome::Fault(fault)) = &call.outcome {
        findings.push(Finding {
            about: "call",
            what: format!("{about} ends in a fault: {fault}"),
            right: "an answer of the right shape, within the limits".to_owned(),
        });
    }
    if let Some(other) = &call.disagreement {
        let shown = |outcome: &Outcome| match outcome {
            Outcome::Answer(answer) => vectors::plain(answer).to_string(),
            Outcome::Fault(fault) => fault.to_string(),
        };
        let fresh = call.outcome.as_ref().map_or_else(String::new, shown);
        findings.push(Finding {
            about: "determinism",
            what: format!("{about}: a reused instance answers {}", shown(other)),
            right: format!("what a fresh one answers, {fresh}: no state between calls"),
        });
    }
}

fn short(file: &Path) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    name.to_string_lossy().into_owned()
}
