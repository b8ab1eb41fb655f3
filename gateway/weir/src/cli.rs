//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::plugin::PluginCommand;

/// Weir, an S3 gateway for the edge.
///
/// Without a command it serves a complete site on loopback, with its data in ./weir-data.
#[derive(Debug, Parser)]
#[command(name = "weir", version = crate::VERSION)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM.
    Serve(Where),
    /// Check a configuration and report every mistake at once.
    Check(Where),
    /// About the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The status of a running gateway.
    Status(Remote),
    /// Explain one object: versions, copies, who placed it and why, work that waits.
    Explain(Explain),
    /// Policies of a running gateway: load, try, activate, go back.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Write, build, test and sign policies of your own.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// The index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// The backends.
    #[command(subcommand)]
    Backend(BackendCommand),
    /// The verification of every copy, which a running gateway does by itself.
    #[command(subcommand)]
    Scrub(ScrubCommand),
}

/// Which configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct Where {
    /// The configuration file; without one, the built-in site on loopback.
    #[arg(long, env = "WEIR_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data folder, where the configuration does not name one.
    #[arg(long, env = "WEIR_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which running gateway.
#[derive(Debug, Clone, Default, Args)]
pub struct Remote {
    /// Which configuration: names the data folder, where address and token stand.
    #[command(flatten)]
    pub at: Where,
    /// Address of the admin listener, such as http://127.0.0.1:9001.
    #[arg(long, env = "WEIR_ADMIN_URL")]
    pub admin_url: Option<String>,
    /// The admin token. Best given in the environment.
    #[arg(long, env = "WEIR_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Certificate authorities of the admin listener in PEM, when it speaks TLS.
    #[arg(long)]
    pub ca_file: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// About the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every field with its default and meaning, as TOML.
    Reference {
        /// As the page of the documentation.
        #[arg(long)]
        page: bool,
    },
    /// Print the metrics' page of the documentation.
    Metrics,
}

/// Explain one object.
#[derive(Debug, Args)]
pub struct Explain {
    /// BUCKET/KEY, or s3://BUCKET/KEY.
    pub target: String,
    /// Of which gateway; when none runs, its index is opened.
    #[command(flatten)]
    pub remote: Remote,
}

/// Policies of a running gateway. A REVISION is `latest` (the one that was loaded last),
/// `canary`, `shadow`, `previous`, `active`, or the first digits of an id.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// All policies with the revisions that decide, are tried and wait.
    List(Remote),
    /// One policy: its revisions with their components and settings.
    Show {
        /// The policy's name in the configuration.
        name: String,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Upload a component; it decides from then on, also after a restart.
    Load {
        /// The policy's name in the configuration.
        name: String,
        /// The component: a file, or a folder with an OCI image layout.
        component: PathBuf,
        /// Its signature; else COMPONENT.sig when there is one, or the layout's.
        #[arg(long)]
        signature: Option<PathBuf>,
        /// File with settings in JSON, instead of those of the configuration.
        #[arg(long)]
        settings: Option<PathBuf>,
        /// It decides nothing yet and waits for `check`, `shadow`, `canary` or `activate`.
        #[arg(long)]
        no_activate: bool,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Examine a revision: imports, determinism, what calls cost, on decisions that were
    /// recorded. Exit code 1 when something is wrong.
    Check {
        /// The policy's name in the configuration.
        name: String,
        /// Which revision.
        #[arg(default_value = "latest")]
        revision: String,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Try a revision beside the active one, without effect, and count where it differs.
    Shadow {
        /// The policy's name in the configuration.
        name: String,
        /// Which revision.
        #[arg(default_value = "latest")]
        revision: String,
        /// On how many of a thousand decisions.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(0..=1000))]
        share_permille: u16,
        /// End it.
        #[arg(long, conflicts_with_all = ["revision", "share_permille"])]
        off: bool,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Let a revision decide for a share of the keys; the same keys each time.
    Canary {
        /// The policy's name in the configuration.
        name: String,
        /// Which revision.
        #[arg(default_value = "latest")]
        revision: String,
        /// For how many of a thousand keys.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=1000))]
        share_permille: u16,
        /// End it.
        #[arg(long, conflicts_with_all = ["revision", "share_permille"])]
        off: bool,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Let another revision or component decide.
    Activate {
        /// The policy's name in the configuration.
        name: String,
        /// Which.
        #[command(flatten)]
        component: ComponentChoice,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Let the revision before decide again.
    Rollback {
        /// The policy's name in the configuration.
        name: String,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Where the shadow would have decided otherwise.
    Differences {
        /// The policy's name in the configuration.
        name: String,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Who changed which policy, when, from what to what.
    Audit {
        /// Only of this policy.
        name: Option<String>,
        /// The last so many steps.
        #[arg(long, default_value_t = 50)]
        last: usize,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
}

/// Which revision or component.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ComponentChoice {
    /// A revision that was loaded.
    pub revision: Option<String>,
    /// One that comes with Weir, such as spread.
    #[arg(long)]
    pub builtin: Option<String>,
    /// A file on the gateway's machine.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// A folder with an OCI image layout on the gateway's machine.
    #[arg(long)]
    pub oci: Option<PathBuf>,
    /// What the configuration says.
    #[arg(long)]
    pub configured: bool,
}

/// The index.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Compare index and backends both ways. Changes nothing; exit code 1 when something is
    /// found.
    Verify(Remote),
    /// Write a backup to a new file. Works while the gateway serves.
    Backup {
        /// The file; it must not exist.
        file: PathBuf,
        /// Of which gateway; when none runs, its index is opened.
        #[command(flatten)]
        remote: Remote,
    },
    /// Make an index from a backup, or from what index insurance has shipped to the backends. No
    /// gateway may run on the data folder.
    Restore {
        /// The backup.
        #[arg(required_unless_present = "from_backends")]
        file: Option<PathBuf>,
        /// Give the index a new epoch: backends that the old one wrote to are then not taken
        /// for its own.
        #[arg(long, conflicts_with = "from_backends")]
        new_epoch: bool,
        /// From the backends.
        #[command(flatten)]
        wanted: FromBackends,
        /// Where to.
        #[command(flatten)]
        at: Where,
    },
}

/// An index from what lies on the backends.
#[derive(Debug, Clone, Args)]
pub struct FromBackends {
    /// Make the index of what index insurance has shipped to the backends, up to the last
    /// change that is whole there. The backends are then this index's; a gateway that is still
    /// at work with the old one stops writing to them within seconds.
    #[arg(long, conflicts_with = "file")]
    pub from_backends: bool,
    /// Say what would be restored, and change nothing.
    #[arg(long, requires = "from_backends")]
    pub dry_run: bool,
    /// Where part of the log is missing, restore what comes before it.
    #[arg(long, requires = "from_backends")]
    pub up_to_gap: bool,
    /// This stream, as a report names it, instead of the newest of the index that the backends'
    /// owner markers name.
    #[arg(long, requires = "from_backends")]
    pub stream: Option<String>,
    /// Go on although this backend does not answer: what only it has is then not restored. May
    /// be given more than once.
    #[arg(long, requires = "from_backends", value_name = "BACKEND")]
    pub without: Vec<String>,
    /// Do not wait for a gateway that might still be at work with the old index.
    #[arg(long, requires = "from_backends")]
    pub no_wait: bool,
}

/// The backends.
#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// Take over a backend whose marker names another index. Without `--yes` it only says what
    /// would happen. No gateway may run on the data folder.
    Adopt {
        /// The backend's id in the configuration.
        id: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
        /// On behalf of which index.
        #[command(flatten)]
        at: Where,
    },
}

/// The verification of every copy of a running gateway.
#[derive(Debug, Subcommand)]
pub enum ScrubCommand {
    /// How far it has come on each backend, what it found, and when everything was verified
    /// last.
    Status(Remote),
    /// Begin a pass now, or go on with one that was stopped.
    Start {
        /// Only on this backend.
        backend: Option<String>,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Verify nothing more until a start; a restart changes nothing about that.
    Stop {
        /// Only on this backend.
        backend: Option<String>,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
}
