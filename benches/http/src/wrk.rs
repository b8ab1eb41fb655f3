//! The same GETs by wrk: were the load generator of this bench at fault, the CPU per request
//! would differ.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::Result;

use crate::Options;
use crate::contender::Contender;
use crate::cpu::CpuReading;
use crate::load::Prepared;

const SECONDS: &str = "3s";

/// Runs wrk on each contender with its signed requests and prints what comes out.
pub(crate) fn run(
    plans: &[(&Contender, Vec<Prepared>)],
    options: &Options,
    folder: &Path,
) -> Result<()> {
    println!("\n**GET 1 KiB by wrk**, {SECONDS} each\n");
    println!("| | CPU µs / request | requests/s |\n|---|---|---|");
    for (contender, plan) in plans {
        let script = folder.join("wrk.lua");
        fs::write(&script, lua(plan))
            .map_err(|e| format!("cannot write {}: {e}", script.display()))?;
        let group = contender.running.group();
        let before = CpuReading::of_group(group)?;
        let output = Command::new("wrk")
            .args(["--threads", "1", "--duration", SECONDS])
            .args([
                "--connections",
                &options.connections.to_string(),
                "--script",
            ])
            .arg(&script)
            .arg(format!("http://{}", contender.running.address))
            .output()
            .map_err(|e| format!("cannot run wrk (Debian's package wrk has it): {e}"))?;
        let cpu = CpuReading::of_group(group)?.since(&before);
        let said = String::from_utf8_lossy(&output.stdout);
        let (requests, per_second, failed) =
            outcome(&said).ok_or_else(|| format!("wrk says:\n{said}"))?;
        if failed > 0 || requests == 0 {
            return Err(format!("{}: wrk says:\n{said}", contender.kind.title()));
        }
        println!(
            "| {} | {:.1} | {per_second:.0} |",
            contender.kind.title(),
            cpu.as_secs_f64() * 1e6 / requests as f64,
        );
    }
    Ok(())
}

/// A script that sends the heads of `plan` in turn and ends with a line for [`outcome`].
fn lua(plan: &[Prepared]) -> String {
    let heads: Vec<String> = plan
        .iter()
        .map(|request| format!("[[\n{}]]", request.head()))
        .collect();
    format!(
        "local heads = {{ {} }}\nlocal i = 0\n\
         for n, head in ipairs(heads) do heads[n] = head:gsub('\\r', ''):gsub('\\n', '\\r\\n') end\n\
         request = function() i = i % #heads + 1; return heads[i] end\n\
         done = function(sum) local e = sum.errors\n\
         io.write(string.format('outcome %d %f %d\\n', sum.requests, sum.requests * 1e6 / sum.duration,\n\
         e.status + e.connect + e.read + e.write + e.timeout)) end\n",
        heads.join(", ")
    )
}

/// Requests, requests per second, failures.
fn outcome(said: &str) -> Option<(u64, f64, u64)> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("outcome "))?;
    let mut words = line.split(' ');
    Some((
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_found_among_what_wrk_prints() {
        let said = "Running 3s test\n  1 threads\noutcome 1234 411.3 0\n";
        assert_eq!(outcome(said), Some((1234, 411.3, 0)));
        assert_eq!(outcome("unable to connect"), None);
    }
}
