//! `weir plugin bench`: what a call costs.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use weir_policy::examine::{CallCost, measure};
use weir_policy::{DecisionKind, Limits, OwnedInput};

use super::samples::samples;
use super::subject::{Subject, with_backends};
use super::terminal::{answer, note};
use crate::error::Failure;

/// Questions of each kind.
const SAMPLES: u64 = 16;

/// Measure time, fuel and memory of calls.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured.
    #[command(flatten)]
    pub subject: Subject,
    /// How many backends there are, for each measurement; the facts are cut or filled up to it.
    #[arg(long, value_delimiter = ',', default_value = "4")]
    pub backends: Vec<usize>,
    /// How often each question is asked.
    #[arg(long, default_value_t = 200)]
    pub rounds: usize,
    /// Most fuel that a call may burn.
    #[arg(long)]
    pub max_fuel: Option<u64>,
    /// Longest median time of a call to a reused instance, in microseconds.
    #[arg(long)]
    pub max_us: Option<f64>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// All questions of a kind about so many backends.
#[derive(Debug, Serialize)]
struct Row {
    decision: DecisionKind,
    backends: usize,
    reused_us_median: f64,
    reused_us_p99: f64,
    fresh_us_median: f64,
    fuel_max: u64,
    memory_bytes_max: usize,
}

/// Measures; exit code 1 when a limit is passed.
pub(super) fn run(bench: &Bench) -> Result<ExitCode, Failure> {
    let loaded = bench.subject.load()?;
    let mut rows = Vec::new();
    // The settings of the first group that has all its backends in the facts.
    let group = loaded.groups.first();
    let group = group.ok_or_else(|| Failure::new("there is nothing to ask"))?;
    for backends in &bench.backends {
        let named = group.facts.backends.len();
        if *backends == 0 || *backends > 1024 {
            return Err(Failure::new(format!(
                "{backends} backends; right: 1 to 1024"
            )));
        }
        // Settings may name backends of the facts, so none of them is left out.
        let count = (*backends).max(if group.cases.is_empty() { 1 } else { named });
        let facts = with_backends(&group.facts, count);
        let inputs: Vec<OwnedInput> = DecisionKind::ALL
            .into_iter()
            .flat_map(|kind| samples(kind, count, SAMPLES))
            .collect();
        let costs = measure(
            &loaded.component,
            &group.settings,
            Some(&facts),
            &inputs,
            Limits::default(),
            bench.rounds.max(1),
        )
        .map_err(Failure::of)?;
        for kind in DecisionKind::ALL {
            rows.extend(Row::of(kind, count, &costs));
        }
    }
    if rows.is_empty() {
        return Err(Failure::new(
            "the component decides nothing that could be asked",
        ));
    }
    let passed = passed(bench, &rows);
    if bench.json {
        let text = serde_json::to_string_pretty(&rows).map_err(Failure::of)?;
        answer(&format!("{text}\n"))?;
    } else {
        answer(&shown(&rows))?;
    }
    for line in &passed {
        note(&format!("error: {line}"));
    }
    Ok(if passed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Row {
    fn of(decision: DecisionKind, backends: usize, costs: &[CallCost]) -> Option<Self> {
        let costs = costs.iter().filter(|cost| cost.decision == decision);
        let costs: Vec<_> = costs.collect();
        let all = |nanos: fn(&CallCost) -> &Vec<u64>| {
            let mut all: Vec<_> = costs.iter().flat_map(|cost| nanos(cost)).copied().collect();
            all.sort_unstable();
            all
        };
        let reused = all(|cost| &cost.reused_nanos);
        let fresh = all(|cost| &cost.fresh_nanos);
        Some(Self {
            decision,
            backends,
            reused_us_median: us(&reused, 500)?,
            reused_us_p99: us(&reused, 990)?,
            fresh_us_median: us(&fresh, 500)?,
            fuel_max: costs.iter().map(|cost| cost.fuel).max()?,
            memory_bytes_max: costs.iter().map(|cost| cost.memory_bytes).max()?,
        })
    }
}

/// The value that so many thousandths of a sorted list do not pass, in microseconds.
fn us(sorted_nanos: &[u64], permille: usize) -> Option<f64> {
    let at = sorted_nanos.len().saturating_sub(1) * permille / 1000;
    sorted_nanos.get(at).map(|nanos| *nanos as f64 / 1e3)
}

fn passed(bench: &Bench, rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let Row {
            decision, backends, ..
        } = row;
        if let Some(max) = bench.max_fuel.filter(|max| row.fuel_max > *max) {
            let fuel = row.fuel_max;
            lines.push(format!(
                "{decision} with {backends} backends burns {fuel} fuel; right: at most {max}"
            ));
        }
        if let Some(max) = bench.max_us.filter(|max| row.reused_us_median > *max) {
            let us = row.reused_us_median;
            lines.push(format!(
                "{decision} with {backends} backends takes {us:.1} µs; right: at most {max}"
            ));
        }
    }
    lines
}

fn shown(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<13} {:>8} {:>12} {:>10} {:>16} {:>9} {:>10}\n",
        "decision", "backends", "reused, µs", "p99, µs", "fresh inst., µs", "fuel", "memory, KB"
    );
    for row in rows {
        text.push_str(&format!(
            "{:<13} {:>8} {:>12.1} {:>10.1} {:>16.1} {:>9} {:>10}\n",
            row.decision.name(),
            row.backends,
            row.reused_us_median,
            row.reused_us_p99,
            row.fresh_us_median,
            row.fuel_max,
            row.memory_bytes_max / 1000
        ));
    }
    text
}
