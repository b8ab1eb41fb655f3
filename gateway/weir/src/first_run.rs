//! What is generated at the first start: an access key and the admin token.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use weir_types::entropy::Entropy;

use crate::grants::RootCredential;

/// File in the data folder; readable by its owner alone.
pub const FILE_NAME: &str = "credentials";

const ACCESS_KEY: &str = "access_key_id";
const SECRET: &str = "secret_access_key";
const TOKEN: &str = "admin_token";

/// What was generated.
#[derive(Clone)]
pub struct Generated {
    /// An access key that may do everything.
    pub root: RootCredential,
    /// The admin token.
    pub admin_token: String,
}

/// Makes the data folder when it is missing, for its owner alone.
pub fn make_data_dir(data_dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
}

/// What stands in the data folder, or `None` before the first start.
pub fn read(data_dir: &Path) -> io::Result<Option<Generated>> {
    let path = data_dir.join(FILE_NAME);
    let mut file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(&path, &error)),
    };
    // Asked of the open file: the name may mean another one by now.
    let meta = file.metadata().map_err(|error| named(&path, &error))?;
    let bad = match (meta.mode() & 0o077, is_ours(meta.uid())) {
        (0, true) => None,
        (0, false) => Some("another user owns it, and may know what stands in it"),
        _ => Some("others than its owner can read it; chmod 600"),
    };
    if let Some(reason) = bad {
        return Err(named(&path, &io::Error::other(reason)));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| named(&path, &error))?;
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let (Some(access_key_id), Some(secret), Some(admin_token)) =
        (value(ACCESS_KEY), value(SECRET), value(TOKEN))
    else {
        let reason = "it is damaged; remove it to have new credentials generated";
        return Err(named(&path, &io::Error::other(reason)));
    };
    Ok(Some(Generated {
        root: RootCredential {
            access_key_id,
            secret,
        },
        admin_token,
    }))
}

/// Whether a file's owner may be trusted with what this process takes for its own.
fn is_ours(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw() || uid == 0
}

/// What stands in the data folder; generated and stored durably when nothing does.
pub fn read_or_generate(data_dir: &Path, entropy: &dyn Entropy) -> io::Result<Generated> {
    if let Some(generated) = read(data_dir)? {
        return Ok(generated);
    }
    let generated = Generated {
        root: RootCredential {
            access_key_id: format!("WEIR{}", text(entropy, UPPER, 16)),
            secret: text(entropy, LOWER, 40),
        },
        admin_token: text(entropy, LOWER, 40),
    };
    store(data_dir, &generated)?;
    Ok(generated)
}

fn store(data_dir: &Path, generated: &Generated) -> io::Result<()> {
    let Generated { root, admin_token } = generated;
    let text = format!(
        "{ACCESS_KEY}={}\n{SECRET}={}\n{TOKEN}={admin_token}\n",
        root.access_key_id, root.secret
    );
    write_private(&data_dir.join(FILE_NAME), text.as_bytes())
}

/// Replaces a file, readable by its owner alone, so that there is the old or the new content
/// whatever happens.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // A leftover keeps its mode when it is opened again, so it goes first.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(named(&temporary, &error));
        }
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(|e| named(&temporary, &e))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path).map_err(|e| named(path, &e))?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

const UPPER: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Needs no quoting anywhere: shells, URLs, TOML, connection strings.
const LOWER: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Characters drawn evenly: 32 divides 256.
fn text(entropy: &dyn Entropy, alphabet: &[u8; 32], chars: usize) -> String {
    let mut bytes = vec![0; chars];
    entropy.fill(&mut bytes);
    bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
        .collect()
}

/// The lines printed at the start: ready to be pasted.
pub fn greeting(endpoint: &str, region: &str, admin: &str, generated: &Generated) -> String {
    let RootCredential {
        access_key_id: id,
        secret,
    } = &generated.root;
    let token = &generated.admin_token;
    format!(
        "\
# S3 endpoint: {endpoint}
# Admin: {admin} (status page: {admin}/status)

export AWS_ACCESS_KEY_ID={id}
export AWS_SECRET_ACCESS_KEY={secret}
export AWS_ENDPOINT_URL={endpoint}
export AWS_DEFAULT_REGION={region}
export WEIR_ADMIN_URL={admin}
export WEIR_ADMIN_TOKEN={token}

# AWS CLI, with the lines above:
#   aws s3 mb s3://first && aws s3 cp README.md s3://first/ && aws s3 ls s3://first
# boto3, with the lines above:
#   import boto3; s3 = boto3.client(\"s3\"); s3.create_bucket(Bucket=\"first\")
# boto3, on its own:
#   boto3.client(\"s3\", endpoint_url=\"{endpoint}\", region_name=\"{region}\", aws_access_key_id=\"{id}\", aws_secret_access_key=\"{secret}\")
# rclone:
#   rclone config create weir s3 provider=Other access_key_id={id} secret_access_key={secret} endpoint={endpoint} region={region}
#   rclone lsd weir:
"
    )
}

#[cfg(test)]
mod tests;
