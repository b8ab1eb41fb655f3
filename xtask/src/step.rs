//! One step of a longer run: a command with a time limit, a log and a line of progress.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use xtask::process::Supervised;
use xtask::{Result, paths};

/// How much of a failing step's log is printed.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// Something to run.
pub(crate) struct Step {
    /// What it is called in progress lines and on the command line.
    pub(crate) name: &'static str,
    /// It is killed, with everything it started, after this time.
    pub(crate) limit: Duration,
    /// What to run.
    pub(crate) command: Command,
}

/// Runs `step`, prints how it went, and, if it failed, its log.
pub(crate) fn run(step: Step) -> Result<()> {
    let Step {
        name,
        limit,
        mut command,
    } = step;
    let log = paths::scratch("log")?.join(format!("{name}.log"));
    let _ = fs::remove_file(&log);
    eprintln!("{name} …");
    command.current_dir(paths::root());
    let start = Instant::now();
    let ended = Supervised::start(command, &log)?.wait(limit)?;
    let seconds = start.elapsed().as_secs_f64();
    print_test_results(&log);
    let problem = match ended {
        Some(status) if status.success() => {
            eprintln!("{name} ok in {seconds:.1} s");
            return Ok(());
        }
        Some(status) => format!("{name} FAILED in {seconds:.1} s: {status}"),
        None => format!("{name} FAILED: not done within {} s", limit.as_secs()),
    };
    eprintln!("{problem}\n--- {}", log.display());
    eprintln!("{}\n---", tail(&log));
    Err(problem)
}

/// Prints the lines with which test runners close, so that one sees what ran.
fn print_test_results(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    for line in String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| is_test_result(line))
    {
        println!("{line}");
    }
}

/// libtest's and pytest's closing lines; targets without tests are left out.
fn is_test_result(line: &str) -> bool {
    let libtest = line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed");
    let pytest = line.starts_with('=') && line.contains(" in ") && line.ends_with('=');
    let storm = line.starts_with("storm result: ");
    libtest || pytest || storm
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(SHOWN_BYTES_MAX);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::is_test_result;

    #[test]
    fn closing_lines_are_recognised() {
        let cases = [
            (
                "test result: ok. 12 passed; 0 failed; 0 ignored; finished in 0.1s",
                true,
            ),
            (
                "test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.0s",
                false,
            ),
            ("test result: FAILED. 0 passed; 1 failed; 0 ignored", true),
            (
                "=================== 120 passed in 33.21s ===================",
                true,
            ),
            (
                "========================== FAILURES ==========================",
                false,
            ),
            ("storm result: kill9 ok", true),
            ("running 3 tests", false),
        ];
        for (line, expected) in cases {
            assert_eq!(is_test_result(line), expected, "{line}");
        }
    }
}
