//! What the operating system says about this process, and allows it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Resident memory in bytes, from `/proc`; `None` where there is no such thing.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Open file descriptors.
pub(crate) fn open_fds() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the directory being read.
    u64::try_from(entries.count().saturating_sub(1)).ok()
}

/// Raises the limit on open file descriptors as far as an unprivileged process may, and gives
/// what it is then; `None` when there is none. The soft limit is low by tradition (1,024), for
/// the sake of programs that use `select`.
pub(crate) fn raise_open_files_max() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit on open files stays");
            current
        }
    }
}

/// Connections that may be open at one time, so that each of them, and the backends and the
/// index besides, find a file descriptor when they need one.
pub(crate) fn connections_max(wanted: usize, open_files_max: Option<u64>) -> usize {
    let Some(files) = open_files_max else {
        return wanted;
    };
    let most = files.saturating_sub(FILES_OF_ITS_OWN) / 2;
    wanted
        .min(usize::try_from(most).unwrap_or(usize::MAX))
        .max(1)
}

/// Descriptors for the index, the admin listener and background work.
const FILES_OF_ITS_OWN: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_others() {
        for (wanted, files, want) in [
            (4096, None, 4096),
            (4096, Some(1 << 20), 4096),
            (4096, Some(1024), 448),
            (100, Some(1024), 100),
            (100, Some(16), 1),
        ] {
            assert_eq!(
                connections_max(wanted, files),
                want,
                "{wanted} of {files:?}"
            );
        }
    }
}
