//! How each server is started.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{ACCESS_KEY, Kind, SECRET_KEY};
use crate::Result;
use crate::process::Supervised;
use crate::tools::Python;

const FORMAT_LIMIT: Duration = Duration::from_secs(60);

/// What must lie in `folder` before the server starts for the first time.
pub(super) fn prepare(kind: Kind, python: &Python, folder: &Path, log: &Path) -> Result<()> {
    match kind {
        Kind::SeaweedFs => write(&folder.join("s3.json"), &identities()),
        Kind::Rclone => make(&folder.join("buckets")),
        Kind::JuiceFs if !folder.join("meta.db").exists() => {
            let mut format = Command::new(python.program("juicefs"));
            format
                .args([
                    "format",
                    "--storage",
                    "file",
                    "--trash-days",
                    "0",
                    "--bucket",
                ])
                .arg(folder.join("blob/"))
                .arg(format!("sqlite3://{}/meta.db", folder.display()))
                .arg("weirtest");
            match Supervised::start(format, log)?.wait(FORMAT_LIMIT)? {
                Some(status) if status.success() => Ok(()),
                _ => Err(format!("juicefs format failed; see {}", log.display())),
            }
        }
        Kind::JuiceFs | Kind::Moto => Ok(()),
    }
}

/// The server itself, in the foreground.
pub(super) fn serve(kind: Kind, python: &Python, folder: &Path, ports: &[u16]) -> Command {
    match kind {
        Kind::SeaweedFs => seaweedfs(python, folder, ports),
        Kind::Rclone => {
            let mut command = Command::new(python.program("rclone"));
            command
                .args(["--config", "/dev/null", "--cache-dir"])
                .arg(folder.join("cache"))
                // By default it reads 16 MiB ahead for each open read.
                .args(["--buffer-size", "128Ki"])
                .args(["serve", "s3", "--addr"])
                .arg(format!("127.0.0.1:{}", ports[0]))
                .args(["--auth-key", &format!("{ACCESS_KEY},{SECRET_KEY}")])
                .arg(folder.join("buckets"));
            command
        }
        Kind::JuiceFs => {
            let mut command = Command::new(python.program("juicefs"));
            command
                .env("MINIO_ROOT_USER", ACCESS_KEY)
                .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
                .args([
                    "gateway",
                    "--no-usage-report",
                    "--no-banner",
                    "--multi-buckets",
                ])
                .args(["--keep-etag", "--object-tag", "--object-meta"])
                .args([
                    "--attr-cache",
                    "0",
                    "--entry-cache",
                    "0",
                    "--dir-entry-cache",
                    "0",
                ])
                .arg("--cache-dir")
                .arg(folder.join("cache"))
                .arg("--log")
                .arg(folder.join("gateway.log"))
                .arg("--metrics")
                .arg(format!("127.0.0.1:{}", ports[1]))
                .arg(format!("sqlite3://{}/meta.db", folder.display()))
                .arg(format!("127.0.0.1:{}", ports[0]));
            command
        }
        Kind::Moto => {
            let mut command = Command::new(python.program("moto_server"));
            command
                .env(
                    "MOTO_S3_CUSTOM_ENDPOINTS",
                    format!("http://127.0.0.1:{}", ports[0]),
                )
                .args(["-H", "127.0.0.1", "-p", &ports[0].to_string()]);
            command
        }
    }
}

/// Small chunks, because it holds one in memory for each open read; telemetry off, no limit on the number of volumes (the default of 8 is soon full), and its
/// Unix sockets, which would lie in the system's folder for temporary files, in its own.
fn seaweedfs(python: &Python, folder: &Path, ports: &[u16]) -> Command {
    let mut command = Command::new(python.program("weed"));
    command
        .current_dir(folder)
        .args(["-v", "0", "-logtostderr=true", "server", "-filer", "-s3"])
        .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        .arg("-filer.maxMB=1")
        .arg(format!("-dir={}", folder.display()))
        .arg(format!("-s3.config={}", folder.join("s3.json").display()))
        .arg(format!(
            "-filer.localSocket={}",
            folder.join("filer.sock").display()
        ))
        .arg(format!(
            "-s3.localSocket={}",
            folder.join("s3.sock").display()
        ))
        .args([
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
        ])
        .args([
            "-master.telemetry=false",
            "-master.peers=none",
            "-master.electionTimeout=1s",
        ])
        .args([
            "-master.volumeSizeLimitMB=128",
            "-volume.max=0",
            "-volume.preStopSeconds=1",
        ]);
    let names = ["s3", "master", "volume", "filer"];
    for (at, name) in names.iter().enumerate() {
        command
            .arg(format!("-{name}.port={}", ports[at]))
            .arg(format!("-{name}.port.grpc={}", ports[at + names.len()]));
    }
    command
}

fn identities() -> String {
    format!(
        r#"{{"identities":[{{"name":"test","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))
}
