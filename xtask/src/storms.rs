//! The registry of storms: long hostile runs, each with a short form for CI.
//!
//! To add one, add a row.

use std::process::Command;
use std::time::Duration;

use xtask::tools::Python;
use xtask::{Result, paths};

/// Which form of a storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// A minute or two, for CI.
    Short,
    /// As long as the promise needs that it shows.
    Long,
}

/// What a storm runs.
pub(crate) enum Program {
    /// A subcommand of the binary `weir-e2e`.
    EndToEnd,
    /// A file of `tests/clients`.
    Pytest(&'static str),
}

/// One row.
pub(crate) struct Storm {
    /// Its name; for [`Program::EndToEnd`] the subcommand.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    program: Program,
    short: Form,
    long: Form,
}

/// Arguments and time limit of one form.
struct Form {
    limit_s: u64,
    args: &'static [&'static str],
}

/// Every storm.
pub(crate) const STORMS: &[Storm] = &[
    Storm {
        name: "kill9",
        about: "kill -9 at random instants under concurrent writes: nothing lost, torn or left",
        program: Program::EndToEnd,
        short: Form {
            limit_s: 300,
            args: &["--kills", "15"],
        },
        long: Form {
            limit_s: 7200,
            args: &["--kills", "300"],
        },
    },
    Storm {
        name: "failover",
        about: "one of three real S3 servers is killed under open reads: no client notices",
        program: Program::EndToEnd,
        short: Form {
            limit_s: 300,
            args: &["--readers", "100", "--large-mib", "32"],
        },
        long: Form {
            limit_s: 1800,
            args: &["--readers", "1000", "--large-mib", "32"],
        },
    },
    Storm {
        name: "restore",
        about: "the index is removed under a working gateway and brought back from the backends",
        program: Program::EndToEnd,
        short: Form {
            limit_s: 180,
            args: &["--objects", "800"],
        },
        long: Form {
            limit_s: 1800,
            args: &["--objects", "10000"],
        },
    },
    Storm {
        name: "streams",
        about: "huge objects, chunks and uploads pass through a small process",
        program: Program::EndToEnd,
        short: Form {
            limit_s: 300,
            args: &["--object-mib", "512", "--chunk-mib", "256", "--parts", "40"],
        },
        long: Form {
            limit_s: 3600,
            args: &[
                "--object-mib",
                "5120",
                "--chunk-mib",
                "1024",
                "--parts",
                "2000",
            ],
        },
    },
    Storm {
        name: "swap",
        about: "policies are swapped under load: no request fails, every copy is explained",
        program: Program::EndToEnd,
        short: Form {
            limit_s: 180,
            args: &["--swaps", "30", "--clients", "16"],
        },
        long: Form {
            limit_s: 1800,
            args: &["--swaps", "1000", "--clients", "64"],
        },
    },
    Storm {
        name: "tree",
        about: "a large tree goes in and out with rclone and the AWS CLI, byte for byte",
        program: Program::Pytest("tests/clients/test_tree.py"),
        short: Form {
            limit_s: 300,
            args: &["--tree-files", "500", "--tree-mib", "16"],
        },
        long: Form {
            limit_s: 7200,
            args: &["--tree-files", "20000", "--tree-mib", "1024"],
        },
    },
];

impl Storm {
    /// How long it may take.
    pub(crate) fn limit(&self, length: Length) -> Duration {
        Duration::from_secs(self.form(length).limit_s)
    }

    /// The command that runs it.
    pub(crate) fn command(&self, length: Length) -> Result<Command> {
        let args = self.form(length).args;
        match self.program {
            Program::EndToEnd => {
                let mut command = Command::new(paths::binary("weir-e2e"));
                command.arg(self.name).args(args);
                Ok(command)
            }
            Program::Pytest(file) => {
                let mut command = pytest(&[file])?;
                command.args(args);
                Ok(command)
            }
        }
    }

    fn form(&self, length: Length) -> &Form {
        match length {
            Length::Short => &self.short,
            Length::Long => &self.long,
        }
    }
}

/// pytest in the tools' environment, told where the workspace's binaries are.
pub(crate) fn pytest(args: &[&str]) -> Result<Command> {
    let python = Python::ensure()?;
    let mut command = Command::new(python.program("python"));
    command
        .args([
            "-m",
            "pytest",
            "--quiet",
            "--tb=short",
            "-p",
            "no:cacheprovider",
        ])
        .args(args)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("WEIRTEST_BINARY", paths::binary("weir"))
        // Not the file this process runs from: building the workspace replaces that.
        .env("WEIRTEST_XTASK", paths::binary("xtask"))
        .env("WEIRTEST_TOOLS", python.bin());
    Ok(command)
}
