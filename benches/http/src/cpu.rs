//! CPU time of a group of processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use xtask::Result;

/// Clock ticks of `/proc/PID/stat` per second: `USER_HZ`, the same on every Linux that
/// Rust's tier-1 targets run on.
const TICKS_PER_SECOND: u64 = 100;

/// What a process group had used up when this was taken.
#[derive(Debug)]
pub(crate) struct CpuReading {
    /// Per thread, exact, but gone with the thread.
    threads: BTreeMap<u32, Duration>,
    /// User and system time of all threads there ever were, in whole ticks.
    total: Duration,
}

impl CpuReading {
    /// Reads the processes of group `group`.
    pub(crate) fn of_group(group: u32) -> Result<Self> {
        let mut reading = Self {
            threads: BTreeMap::new(),
            total: Duration::ZERO,
        };
        let mut members = 0;
        for process in numbered(Path::new("/proc"))? {
            let folder = format!("/proc/{process}");
            // A process that ends while it is read was not the contender's.
            let Ok(stat) = fs::read_to_string(format!("{folder}/stat")) else {
                continue;
            };
            let Some(stat) = Stat::parse(&stat) else {
                continue;
            };
            if stat.group != group {
                continue;
            }
            members += 1;
            reading.total += stat.cpu;
            for thread in numbered(Path::new(&format!("{folder}/task")))? {
                let text = fs::read_to_string(format!("{folder}/task/{thread}/schedstat"));
                let nanos = text.ok().and_then(|t| t.split(' ').next()?.parse().ok());
                if let Some(nanos) = nanos {
                    reading.threads.insert(thread, Duration::from_nanos(nanos));
                }
            }
        }
        if members == 0 {
            Err(format!("process group {group} is gone"))
        } else {
            Ok(reading)
        }
    }

    /// What was used between `earlier` and this: to the nanosecond when no thread ended in
    /// between, else to the tick.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        if earlier
            .threads
            .keys()
            .all(|thread| self.threads.contains_key(thread))
        {
            let sum = |reading: &Self| reading.threads.values().sum::<Duration>();
            sum(self).saturating_sub(sum(earlier))
        } else {
            self.total.saturating_sub(earlier.total)
        }
    }
}

/// How long core `core` has been busy with anything since the machine started, in whole ticks.
pub(crate) fn core_busy(core: usize) -> Result<Duration> {
    let text =
        fs::read_to_string("/proc/stat").map_err(|e| format!("cannot read /proc/stat: {e}"))?;
    busy_in(&text, core).ok_or_else(|| format!("/proc/stat says nothing of core {core}"))
}

/// User, nice and system time, interrupts, and what a hypervisor took (proc(5)).
fn busy_in(stat: &str, core: usize) -> Option<Duration> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let fields: Vec<u64> = line
        .split(' ')
        .filter_map(|field| field.parse().ok())
        .collect();
    let idle = 3..5;
    let busy = fields
        .iter()
        .take(8)
        .enumerate()
        .filter(|(n, _)| !idle.contains(n));
    let ticks: u64 = busy.map(|(_, ticks)| ticks).sum();
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The fields of `/proc/PID/stat` that count here (proc(5)).
#[derive(Debug, PartialEq)]
struct Stat {
    group: u32,
    cpu: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is a name in parentheses that may hold anything.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Self {
            group: fields.get(2)?.parse().ok()?,
            cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
        })
    }
}

fn numbered(folder: &Path) -> Result<Vec<u32>> {
    let entries =
        fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let numbers = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process_with_a_strange_name() {
        let text = "4242 (a) b (c) S 1 4200 4200 0 -1 4194304 100 0 0 0 250 17 0 0 20 0 4 0 9 1 2";
        let want = Stat {
            group: 4200,
            cpu: Duration::from_millis(2670),
        };
        assert_eq!(Stat::parse(text), Some(want));
    }

    #[test]
    fn a_core_is_busy_with_all_but_idling_and_waiting() {
        let stat =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 1000 500 4 5 6 70 0\ncpu1 8 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(busy_in(stat, 0), Some(Duration::from_millis(210)));
        assert_eq!(busy_in(stat, 1), Some(Duration::from_millis(80)));
        assert_eq!(busy_in(stat, 2), None);
    }

    fn reading(total_ms: u64, threads: &[(u32, u64)]) -> CpuReading {
        let threads = threads
            .iter()
            .map(|&(id, us)| (id, Duration::from_micros(us)))
            .collect();
        CpuReading {
            threads,
            total: Duration::from_millis(total_ms),
        }
    }

    #[test]
    fn a_thread_that_ended_is_not_lost() {
        let start = reading(100, &[(1, 60_003), (2, 40_001)]);
        let grown = reading(120, &[(1, 70_003), (2, 40_001), (3, 9_000)]);
        assert_eq!(grown.since(&start), Duration::from_millis(19));
        let ended = reading(120, &[(1, 70_003)]);
        assert_eq!(ended.since(&start), Duration::from_millis(20));
    }
}
