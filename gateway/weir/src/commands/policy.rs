//! `weir policy`: the steps of a policy, asked of a running gateway.

use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{Ended, absolute, ask, online, print, tell};
use crate::cli::{ComponentChoice, PolicyCommand, Remote};
use crate::client::{Asked, read_file};
use crate::error::Failure;
use crate::policies::{oci, signature_file};

/// Largest component that is read out of an OCI layout here; the gateway has its own limit.
const COMPONENT_BYTES_MAX: u64 = 256 << 20;

pub(super) fn run(command: PolicyCommand) -> Ended {
    match command {
        PolicyCommand::List(remote) => online(&remote, Method::GET, "/v1/policies", Bytes::new()),
        PolicyCommand::Show { name, remote } => {
            online(&remote, Method::GET, &path(&name, ""), Bytes::new())
        }
        PolicyCommand::Load {
            name,
            component,
            signature,
            settings,
            no_activate,
            remote,
        } => {
            let (component, found) = read_component(&component)?;
            let signature = signature.as_deref().map(read_file).transpose()?.or(found);
            let mut target = format!("{}?activate={}", path(&name, ""), !no_activate);
            for (field, value) in [
                ("signature", signature),
                ("settings", settings.as_deref().map(read_file).transpose()?),
            ] {
                if let Some(value) = value {
                    let text = String::from_utf8_lossy(&value);
                    target.push_str(&format!("&{field}={}", encoded(text.trim())));
                }
            }
            tell(&format!("compiling {} bytes for {name}", component.len()));
            online(&remote, Method::POST, &target, component)
        }
        PolicyCommand::Check {
            name,
            revision,
            remote,
        } => check(&name, &revision, &remote),
        PolicyCommand::Shadow {
            name,
            revision,
            share_permille,
            off,
            remote,
        } => stage("shadow", &name, (revision, share_permille), off, &remote),
        PolicyCommand::Canary {
            name,
            revision,
            share_permille,
            off,
            remote,
        } => stage("canary", &name, (revision, share_permille), off, &remote),
        PolicyCommand::Activate {
            name,
            component,
            remote,
        } => post(&remote, &path(&name, "/activate"), &choice(&component)?),
        PolicyCommand::Rollback { name, remote } => {
            post(&remote, &path(&name, "/rollback"), &json!({}))
        }
        PolicyCommand::Differences { name, remote } => online(
            &remote,
            Method::GET,
            &path(&name, "/differences"),
            Bytes::new(),
        ),
        PolicyCommand::Audit { name, last, remote } => {
            let mut target = format!("/v1/audit/policies?last={last}");
            if let Some(name) = name {
                target.push_str(&format!("&policy={}", encoded(&name)));
            }
            online(&remote, Method::GET, &target, Bytes::new())
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn path(name: &str, step: &str) -> String {
    format!("/v1/policies/{}{step}", encoded(name))
}

fn post(remote: &Remote, target: &str, body: &serde_json::Value) -> Ended {
    let body = serde_json::to_vec(body).map_err(Failure::of)?;
    online(remote, Method::POST, target, body.into())
}

fn stage(
    stage: &str,
    name: &str,
    (revision, share_permille): (String, u16),
    off: bool,
    remote: &Remote,
) -> Ended {
    let body = if off {
        json!({ "off": true })
    } else {
        json!({ "revision": revision, "share_permille": share_permille })
    };
    post(remote, &path(name, &format!("/{stage}")), &body)
}

/// The verdict stands in the last line, or in the JSON.
fn check(name: &str, revision: &str, remote: &Remote) -> Ended {
    let target = format!("{}?revision={}", path(name, "/check"), encoded(revision));
    match ask(remote, Method::POST, &target, Bytes::new())? {
        Some(Asked::Answer(true, text)) => print(&text),
        Some(Asked::Answer(false, text)) => {
            print(&text)?;
            Ok(ExitCode::FAILURE)
        }
        Some(Asked::NotRunning(why)) => Err(Failure::new(format!("no gateway runs there: {why}"))),
        None => Err(Failure::new(
            "no gateway runs on this data folder; or give --admin-url",
        )),
    }
}

/// A component with the signature that lies beside it, out of a file or an OCI layout.
fn read_component(component: &Path) -> Result<(Bytes, Option<Bytes>), Failure> {
    if component.is_dir() {
        let artifact = oci::read(component, COMPONENT_BYTES_MAX).map_err(Failure::of)?;
        let signature = artifact.signature.map(Bytes::from);
        return Ok((artifact.component.into(), signature));
    }
    let signature = signature_file(component);
    let found = signature.exists().then(|| read_file(&signature));
    Ok((read_file(component)?, found.transpose()?))
}

fn choice(component: &ComponentChoice) -> Result<serde_json::Value, Failure> {
    Ok(match component {
        ComponentChoice {
            revision: Some(revision),
            ..
        } => json!({ "revision": revision }),
        ComponentChoice {
            builtin: Some(name),
            ..
        } => json!({ "builtin": name }),
        ComponentChoice {
            file: Some(file), ..
        } => json!({ "file": absolute(file)? }),
        ComponentChoice {
            oci: Some(layout), ..
        } => json!({ "oci": absolute(layout)? }),
        ComponentChoice { .. } => json!({ "configured": true }),
    })
}
