//! `cargo xtask servers`: real S3 servers on free loopback ports.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use xtask::servers::{self, ACCESS_KEY, Kind, SECRET_KEY, Server};
use xtask::{Result, paths};

const USAGE: &str = "\
usage: cargo xtask servers start KIND          starts one in the background
       cargo xtask servers list
       cargo xtask servers stop [NAME]         ends one, or all, and removes the data
       cargo xtask servers run KIND [FOLDER]   runs one until standard input ends
KIND is seaweedfs, rclone, juicefs or moto. What is printed is JSON: endpoint, keys, pid.
";

/// A keeper looks after a server that outlives the command that started it, but not for ever.
const KEEP_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Runs the subcommand that `args` name.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["start", kind] => servers::start_detached(kind.parse()?).map(|line| print!("{line}")),
        ["list"] => servers::list().map(|lines| lines.iter().for_each(|line| println!("{line}"))),
        ["stop"] => servers::stop_detached(None),
        ["stop", name] => servers::stop_detached(Some(name)),
        ["run", kind] => hold_in_scratch(kind.parse()?),
        ["run", kind, folder] => hold(kind.parse()?, PathBuf::from(folder), until_input_ends),
        ["keep", kind, folder] => hold(kind.parse()?, PathBuf::from(folder), until_it_ends),
        _ => Err(USAGE.to_owned()),
    }
}

/// Runs a server whose data goes with it.
fn hold_in_scratch(kind: Kind) -> Result<()> {
    let folder = paths::fresh_folder(kind.name())?;
    hold(kind, folder.clone(), until_input_ends)?;
    std::fs::remove_dir_all(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))
}

/// Starts a server, says where it is, and ends it once `wait` is over.
fn hold(kind: Kind, folder: PathBuf, wait: fn(&mut Server) -> Result<()>) -> Result<()> {
    let mut server = Server::start(kind, &folder)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        r#"{{"kind":"{kind}","endpoint":"{}","access_key":"{ACCESS_KEY}","secret_key":"{SECRET_KEY}","pid":{}}}"#,
        server.endpoint(),
        server.id()
    )
    .and_then(|()| out.flush())
    .map_err(|e| format!("cannot print: {e}"))?;
    wait(&mut server)
}

fn until_input_ends(_: &mut Server) -> Result<()> {
    let mut rest = Vec::new();
    std::io::stdin()
        .read_to_end(&mut rest)
        .map(drop)
        .map_err(|e| format!("standard input: {e}"))
}

fn until_it_ends(server: &mut Server) -> Result<()> {
    server.process().wait(KEEP_LIMIT).map(drop)
}
