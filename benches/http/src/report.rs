//! The figures, as Markdown tables.

use crate::Options;
use crate::contender::Kind;
use crate::objects::Scenario;
use crate::stats::{Median, median};

/// Beyond this share of the core, others spoil caches and batching, and even the ratios.
const QUIET_PERCENT: f64 = 5.0;

/// What one run measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// CPU time of the contender per request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Share of the time in which others used the contender's core.
    pub(crate) others: f64,
}

/// All runs, in the order of their rounds.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(Scenario, Kind, Sample)>);

impl Samples {
    pub(crate) fn add(&mut self, scenario: Scenario, kind: Kind, sample: Sample) {
        self.0.push((scenario, kind, sample));
    }

    fn of(&self, scenario: Scenario, kind: Kind) -> Vec<Sample> {
        let wanted = self
            .0
            .iter()
            .filter(|(s, k, _)| (*s, *k) == (scenario, kind));
        wanted.map(|(_, _, sample)| *sample).collect()
    }
}

/// Prints a table for each scenario. Ratios are taken within each round, so that what slows
/// the whole machine for a while cancels out.
pub(crate) fn print(samples: &Samples, kinds: &[Kind], options: &Options) {
    println!(
        "{} rounds, {} connections; medians with 95 % intervals (order statistics)",
        options.rounds, options.connections
    );
    for scenario in Scenario::ALL {
        let envoy = samples.of(scenario, Kind::Envoy);
        let rows: Vec<String> = kinds
            .iter()
            .filter_map(|&kind| row(kind, &samples.of(scenario, kind), &envoy))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let requests = scenario.requests(options.requests);
        println!("\n**{}**, {requests} requests a run\n", scenario.title());
        println!("| | CPU µs / request | ratio to Envoy | requests/s | core busy |");
        println!("|---|---|---|---|---|");
        for row in rows {
            println!("{row}");
        }
    }
    if let Some(others) = median(samples.0.iter().map(|(_, _, sample)| sample.others * 100.0)) {
        println!(
            "\nOthers used the contender's core for {:.0} % of the time.",
            others.value
        );
        if others.value > QUIET_PERCENT {
            println!("**That is too much: measure again on a quiet machine.**");
        }
    }
}

fn row(kind: Kind, own: &[Sample], envoy: &[Sample]) -> Option<String> {
    let cpu = median(own.iter().map(|s| s.cpu_us))?;
    let per_second = median(own.iter().map(|s| s.per_second))?;
    let busy = median(own.iter().map(|s| s.cpu_us * s.per_second / 1e4))?;
    let ratios = own
        .iter()
        .zip(envoy)
        .map(|(own, envoy)| own.cpu_us / envoy.cpu_us);
    let ratio = median(ratios).map_or_else(|| "–".to_owned(), |ratio| shown(ratio, 2));
    Some(format!(
        "| {} | {} | {ratio} | {:.0} | {:.0} % |",
        kind.title(),
        shown(cpu, 1),
        per_second.value,
        busy.value
    ))
}

fn shown(Median { value, low, high }: Median, digits: usize) -> String {
    format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
}
