//! What the command line's commands do. Answers go to standard output, everything else to
//! standard error.

mod policy;
mod scrub;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::signal::unix::{SignalKind, signal};
use weir_types::clock::{Clock, SystemClock};
use weir_types::entropy::{Entropy, SystemEntropy};

use crate::adopt::Prospect;
use crate::cli::{
    BackendCommand, Cli, Command, ConfigCommand, Explain, FromBackends, IndexCommand, Remote, Where,
};
use crate::client::{Asked, Client};
use crate::config::Finding;
use crate::config::mistake::Weight;
use crate::error::Failure;
use crate::insurance;
use crate::policies::Policies;
use crate::serve::{Plan, Running, plan};
use crate::site::{open_backends, open_index};
use crate::{config, explain, logs, metrics, verify};

/// Runs a command; the exit code is 0 when it did what it should, 1 when it found something or
/// failed, 2 for a wrong command line (clap's own).
pub fn run(cli: Cli) -> ExitCode {
    let command = cli.command.unwrap_or(Command::Serve(Where::default()));
    let ended = match command {
        Command::Serve(at) => serve(at),
        Command::Check(at) => check(at),
        Command::Config(ConfigCommand::Reference { page: false }) => {
            print(&config::reference::toml())
        }
        Command::Config(ConfigCommand::Reference { page: true }) => {
            print(&config::reference::page())
        }
        Command::Config(ConfigCommand::Metrics) => print(&metrics::page()),
        Command::Status(remote) => online(&remote, Method::GET, "/v1/status", Bytes::new()),
        Command::Explain(command) => explain_key(&command),
        Command::Policy(command) => policy::run(command),
        Command::Plugin(command) => crate::plugin::run(command),
        Command::Index(command) => index(command),
        Command::Scrub(command) => scrub::run(command),
        Command::Backend(BackendCommand::Adopt { id, yes, at }) => adopt(&id, yes, at),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => {
            tell(&format!("weir: {failure}"));
            ExitCode::FAILURE
        }
    }
}

type Ended = Result<ExitCode, Failure>;

/// A line for a person.
fn tell(line: &str) {
    // A closed standard error leaves nobody to tell.
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// The answer of a command.
fn print(text: &str) -> Ended {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(format!("standard output: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(Failure::of)
}

fn planned(at: Where) -> Result<Plan, Failure> {
    let told = |findings: &[Finding]| {
        findings
            .iter()
            .for_each(|finding| tell(&finding.to_string()))
    };
    match plan(at.config, at.data_dir) {
        Ok((plan, warnings)) => {
            told(&warnings);
            Ok(plan)
        }
        Err(findings) => {
            told(&findings);
            Err(Failure::new(counted(&findings)))
        }
    }
}

fn counted(findings: &[Finding]) -> String {
    let errors = findings
        .iter()
        .filter(|f| f.mistake.weight == Weight::Error)
        .count();
    match errors {
        1 => "the configuration has 1 error".to_owned(),
        n => format!("the configuration has {n} errors"),
    }
}

fn serve(at: Where) -> Ended {
    let plan = planned(at)?;
    logs::start(&plan.config.log);
    runtime()?.block_on(async {
        let failed = |e: std::io::Error| Failure::new(format!("signals: {e}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let running = Box::pin(Running::start(plan)).await?;
        tracing::info!(version = crate::VERSION, s3 = %running.s3_url, admin = %running.admin_url, "serving");
        if let Err(failure) = print(&running.greeting()) {
            // Nobody reads it; the lines also stand in the data folder.
            tracing::warn!(%failure, "the start was not announced");
        }
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => running.reload().await,
            }
        }
        tracing::info!("draining");
        running.stop().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

fn check(at: Where) -> Ended {
    let plan = planned(at)?;
    // Components compile as they would at the start.
    let mistakes = Policies::check_configuration(&plan.config).map_err(Failure::of)?;
    if mistakes.is_empty() {
        if !plan.config.insurance.enabled {
            tell(
                "note: index insurance is off: the index in the data folder is the only record of what lies on the backends ([insurance] enabled = true)",
            );
        }
        return print("the configuration is right\n");
    }
    let findings = config::locate(&plan.sources, mistakes);
    for finding in &findings {
        tell(&finding.to_string());
    }
    Err(Failure::new(counted(&findings)))
}

/// Asks a running gateway and prints its answer.
fn online(remote: &Remote, method: Method, target: &str, body: Bytes) -> Ended {
    match ask(remote, method, target, body)? {
        Some(Asked::Answer(true, text)) => print(&text),
        Some(Asked::Answer(false, text)) => Err(Failure::new(text.trim_end())),
        Some(Asked::NotRunning(why)) => Err(Failure::new(format!("no gateway runs there: {why}"))),
        None => Err(Failure::new(
            "no gateway runs on this data folder; or give --admin-url",
        )),
    }
}

fn ask(
    remote: &Remote,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<Option<Asked>, Failure> {
    let Some(client) = Client::find(remote)? else {
        return Ok(None);
    };
    runtime()?
        .block_on(client.ask(method, target, body))
        .map(Some)
}

fn explain_key(command: &Explain) -> Ended {
    let (bucket, key) = explain::parse_target(&command.target).map_err(Failure::new)?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let target = format!(
        "/v1/explain?bucket={}&key={}",
        encoded(bucket.as_str()),
        encoded(key.as_str())
    );
    match ask(&command.remote, Method::GET, &target, Bytes::new())? {
        Some(Asked::Answer(true, text)) => return print(&text),
        Some(Asked::Answer(false, text)) => return Err(Failure::new(text.trim_end())),
        Some(Asked::NotRunning(_)) | None => {}
    }
    let plan = planned(command.remote.at.clone())?;
    let index = open_existing(&plan)?;
    let explained = runtime()?
        .block_on(explain::explain(&index, &bucket, &key))
        .map_err(Failure::of)?;
    let explanation = explained.ok_or_else(|| Failure::new("there is no such bucket"))?;
    show(&explanation, command.remote.json)
}

fn show<T: serde::Serialize + std::fmt::Display>(value: &T, json: bool) -> Ended {
    if !json {
        return print(&value.to_string());
    }
    let text = serde_json::to_string_pretty(value).map_err(Failure::of)?;
    print(&format!("{text}\n"))
}

/// The index of a gateway that does not run. Commands that look must not make one.
fn open_existing(plan: &Plan) -> Result<weir_index::EmbeddedIndex, Failure> {
    let path = plan.config.data_dir.join(crate::site::INDEX_FILE);
    if !path.exists() {
        return Err(Failure::new(format!(
            "there is no index {}",
            path.display()
        )));
    }
    let options = weir_index::IndexOptions {
        log: insurance::log_options(&plan.config, &plan.sources)?,
        ..plan.index.clone()
    };
    open_index(&plan.config, options)
}

fn absolute(file: &Path) -> Result<std::path::PathBuf, Failure> {
    std::path::absolute(file).map_err(|e| Failure::new(format!("{}: {e}", file.display())))
}

fn index(command: IndexCommand) -> Ended {
    match command {
        IndexCommand::Verify(remote) => verify_index(&remote),
        IndexCommand::Backup { file, remote } => backup(&file, &remote),
        IndexCommand::Restore {
            file: Some(file),
            new_epoch,
            at,
            ..
        } => restore(&file, at, new_epoch),
        IndexCommand::Restore {
            file: None,
            at,
            wanted,
            ..
        } => restore_from_backends(at, &wanted),
    }
}

fn verify_index(remote: &Remote) -> Ended {
    // The verdict stands in the JSON, whichever form is wanted in the end.
    tell("verifying; a running gateway logs its progress");
    match ask(remote, Method::POST, "/v1/index/verify", Bytes::new())? {
        Some(Asked::Answer(true, text)) => {
            print(&text)?;
            return Ok(verdict(is_clean(&text, remote.json)));
        }
        Some(Asked::Answer(false, text)) => return Err(Failure::new(text.trim_end())),
        Some(Asked::NotRunning(_)) | None => {}
    }
    let plan = planned(remote.at.clone())?;
    let index = Arc::new(open_existing(&plan)?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    let report = runtime()?.block_on(async {
        let backends = open_backends(&plan.config, &plan.sources, &index, &clock, &entropy)?;
        let targets: Vec<verify::Target> = backends
            .into_iter()
            .map(|b| (b.id, b.meter as Arc<dyn weir_types::backend::Backend>))
            .collect();
        let progress = |line: String| tell(&line);
        verify::verify(&index, &targets, &progress)
            .await
            .map_err(Failure::of)
    })?;
    show(&report, remote.json)?;
    Ok(verdict(report.is_clean()))
}

fn verdict(is_clean: bool) -> ExitCode {
    if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether a running gateway's report says that all is well.
fn is_clean(report: &str, json: bool) -> bool {
    if !json {
        return report.lines().last() == Some("clean");
    }
    serde_json::from_str::<verify::Report>(report).is_ok_and(|report| report.is_clean())
}

fn backup(file: &Path, remote: &Remote) -> Ended {
    let file = absolute(file)?;
    let body = serde_json::to_vec(&serde_json::json!({ "file": file })).map_err(Failure::of)?;
    tell("writing; a running gateway logs its progress");
    match ask(remote, Method::POST, "/v1/index/backup", Bytes::from(body))? {
        Some(Asked::Answer(true, text)) => return print(&text),
        Some(Asked::Answer(false, text)) => return Err(Failure::new(text.trim_end())),
        Some(Asked::NotRunning(_)) | None => {}
    }
    let plan = planned(remote.at.clone())?;
    let index = open_existing(&plan)?;
    let summary = crate::backup::write(&index, &file, &|line| tell(&line))?;
    print(&format!("{summary}\n"))
}

fn restore(file: &Path, at: Where, new_epoch: bool) -> Ended {
    let plan = planned(at)?;
    crate::first_run::make_data_dir(&plan.config.data_dir).map_err(Failure::of)?;
    let target = plan.config.data_dir.join(crate::site::INDEX_FILE);
    let summary = crate::backup::restore(file, &target, new_epoch, &|line| tell(&line))?;
    print(&format!("{summary}\n"))
}

fn restore_from_backends(at: Where, wanted: &FromBackends) -> Ended {
    let plan = planned(at)?;
    logs::start(&plan.config.log);
    crate::first_run::make_data_dir(&plan.config.data_dir).map_err(Failure::of)?;
    let wanted = insurance::restore::Wanted {
        dry_run: wanted.dry_run,
        up_to_gap: wanted.up_to_gap,
        stream: wanted.stream.clone(),
        without: wanted.without.clone(),
        no_wait: wanted.no_wait,
    };
    let tell = |line: String| tell(&line);
    let restoring = insurance::restore::restore(&plan.config, &plan.sources, &wanted, &tell);
    let report = runtime()?.block_on(Box::pin(restoring))?;
    print(&report.to_string())?;
    Ok(verdict(report.has_every_copy()))
}

fn adopt(id: &str, yes: bool, at: Where) -> Ended {
    let mut plan = planned(at)?;
    let known: Vec<_> = plan.config.backends.keys().cloned().collect();
    plan.config.backends.retain(|name, _| name == id);
    if plan.config.backends.is_empty() {
        let known = known.join(", ");
        return Err(Failure::new(format!(
            "there is no backend {id:?} in the configuration; there are: {known}"
        )));
    }
    // Held to the end: a gateway that runs on the data folder holds it as well.
    let index = open_existing(&plan)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    logs::start(&plan.config.log);
    runtime()?.block_on(async {
        let backends = open_backends(&plan.config, &plan.sources, &index, &clock, &entropy)?;
        for backend in &backends {
            let prospect = Prospect::look(&index, backend).await?;
            print(&prospect.to_string())?;
            if !prospect.is_anothers() {
                continue;
            }
            if !yes {
                return Err(Failure::new("nothing was changed; to adopt it add --yes"));
            }
            prospect.adopt(&backend.owner).await?;
            print(&format!("backend {id} is this index's now\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
