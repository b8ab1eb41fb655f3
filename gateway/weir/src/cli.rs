//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Placement policies of a running gateway.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// The backends.
    #[command(subcommand)]
    Backend(BackendCommand),
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

/// Placement policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// All policies with the revisions that decide.
    List(Remote),
    /// Upload a component; it decides from then on, also after a restart.
    Load {
        /// The policy's name in the configuration.
        name: String,
        /// The component.
        component: PathBuf,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
    /// Let another component decide.
    Activate {
        /// The policy's name in the configuration.
        name: String,
        /// Which component.
        #[command(flatten)]
        component: ComponentChoice,
        /// Of which gateway.
        #[command(flatten)]
        remote: Remote,
    },
}

/// Which component.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ComponentChoice {
    /// One that comes with Weir: spread, pack.
    #[arg(long)]
    pub builtin: Option<String>,
    /// A file on the gateway's machine.
    #[arg(long)]
    pub file: Option<PathBuf>,
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
    /// Make an index from a backup. No gateway may run on the data folder.
    Restore {
        /// The backup.
        file: PathBuf,
        /// Give the index a new epoch: backends that the old one wrote to are then not taken
        /// for its own.
        #[arg(long)]
        new_epoch: bool,
        /// Where to.
        #[command(flatten)]
        at: Where,
    },
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
