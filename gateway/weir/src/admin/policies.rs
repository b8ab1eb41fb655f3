//! The pages about policies.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Admin, BODY_BYTES_MAX, Body, Query, Reply, failed, json, shown, text};
use crate::policies::{Choice, PolicyError, Stage, Upload};
use crate::site::Site;

/// Largest component that is read into memory; `policy_host.component_bytes_max` may be less.
const COMPONENT_BYTES_MAX: usize = 256 << 20;
/// Lines of the audit trail that are shown unless more are asked for.
const AUDIT_LINES: usize = 50;
/// Lines of the audit trail that are shown at most.
const AUDIT_LINES_MAX: usize = 10_000;

const RIGHT_CHOICE: &str = r#"give {"builtin": NAME}, {"file": PATH}, {"oci": PATH}, {"configured": true} or {"revision": REVISION}"#;
const RIGHT_STAGE: &str =
    r#"give {"revision": REVISION, "share_permille": 0 to 1000} or {"off": true}"#;

/// What a stage is asked for with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Staging {
    #[serde(default)]
    off: bool,
    revision: Option<String>,
    share_permille: Option<u16>,
}

impl Admin {
    /// Answers what lies beneath `/v1/policies`; `None` when there is no such page with this
    /// method.
    pub(super) async fn policy_page(
        &self,
        method: &Method,
        way: &[&str],
        query: &Query,
        body: Body,
        as_text: bool,
    ) -> Option<Reply> {
        let reply = match (method, way) {
            (&Method::GET, []) => self.policies(as_text),
            (&Method::GET, [name]) => {
                self.about(name, as_text, |site, name| site.policies.detail(name))
                    .await
            }
            (&Method::POST, [name]) => self.upload(name, query, body, as_text).await,
            (&Method::POST, [name, "load"]) => {
                let choice = match self.parsed::<Choice>(body, RIGHT_CHOICE).await {
                    Ok(choice) => choice,
                    Err(reply) => return Some(reply),
                };
                let load = move |site: &Site, name: &str| site.policies.load(name, &choice);
                self.about(name, as_text, load).await
            }
            (&Method::POST, [name, "activate"]) => {
                let choice = match self.parsed::<Choice>(body, RIGHT_CHOICE).await {
                    Ok(choice) => choice,
                    Err(reply) => return Some(reply),
                };
                let choose = move |site: &Site, name: &str| site.policies.choose(name, &choice);
                self.about(name, as_text, choose).await
            }
            (&Method::POST, [name, "shadow"]) => {
                self.stage(name, Stage::Shadow, body, as_text).await
            }
            (&Method::POST, [name, "canary"]) => {
                self.stage(name, Stage::Canary, body, as_text).await
            }
            (&Method::POST, [name, "rollback"]) => {
                self.about(name, as_text, |site, name| site.policies.rollback(name))
                    .await
            }
            (&Method::POST, [name, "check"]) => self.check(name, query, as_text).await,
            (&Method::GET, [name, "differences"]) => {
                self.about(name, as_text, |site, name| site.policies.differences(name))
                    .await
            }
            _ => return None,
        };
        Some(reply)
    }

    fn policies(&self, as_text: bool) -> Reply {
        let policies = self.site.policies.status();
        if as_text {
            let lines: String = policies
                .iter()
                .map(|policy| format!("{policy}\n"))
                .collect();
            return text(StatusCode::OK, &lines);
        }
        json(StatusCode::OK, &policies)
    }

    /// The audit trail of policies.
    pub(super) async fn policy_audit(&self, query: &Query, as_text: bool) -> Reply {
        let last = match query.get("last").map(|last| last.parse::<usize>()) {
            None => AUDIT_LINES,
            Some(Ok(last)) => last.min(AUDIT_LINES_MAX),
            Some(Err(error)) => {
                return text(StatusCode::BAD_REQUEST, &format!("last: {error}\n"));
            }
        };
        let (site, policy) = (Arc::clone(&self.site), query.get("policy"));
        let read = move || site.policies.audit(policy.as_deref(), last);
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(trail)) => shown(&trail, as_text),
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    }

    async fn upload(&self, name: &str, query: &Query, body: Body, as_text: bool) -> Reply {
        let activate = match query.get("activate").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return text(StatusCode::BAD_REQUEST, "activate is true or false\n"),
        };
        let _alone = self.uploads.lock().await;
        let bytes_max = self.site.config.policy_host.component_bytes_max;
        let component = match self.read(body, bytes_max.min(COMPONENT_BYTES_MAX)).await {
            Ok(component) => component,
            Err(reply) => return reply,
        };
        let upload = Upload {
            component,
            signature: query.get("signature").map(String::into_bytes),
            settings: query.get("settings"),
            activate,
        };
        self.about(name, as_text, move |site, name| {
            site.policies.upload(name, &upload)
        })
        .await
    }

    async fn stage(&self, name: &str, stage: Stage, body: Body, as_text: bool) -> Reply {
        let staging = match self.parsed::<Staging>(body, RIGHT_STAGE).await {
            Ok(staging) => staging,
            Err(reply) => return reply,
        };
        let wanted = match staging {
            Staging {
                off: true,
                revision: None,
                share_permille: None,
            } => None,
            Staging {
                off: false,
                revision: Some(revision),
                share_permille: Some(share),
            } => Some((revision, share)),
            _ => return text(StatusCode::BAD_REQUEST, &format!("{RIGHT_STAGE}\n")),
        };
        self.about(name, as_text, move |site, name| {
            let wanted = wanted.as_ref();
            let wanted = wanted.map(|(revision, share)| (revision.as_str(), *share));
            site.policies.stage(name, stage, wanted)
        })
        .await
    }

    /// A report that finds something wrong is answered 422, and still whole.
    async fn check(&self, name: &str, query: &Query, as_text: bool) -> Reply {
        let revision = query.get("revision");
        let (site, owned) = (Arc::clone(&self.site), name.to_owned());
        let examine = move || site.policies.check(&owned, revision.as_deref());
        match tokio::task::spawn_blocking(examine).await {
            Ok(Ok(report)) => {
                let mut reply = shown(&report, as_text);
                if !report.good {
                    *reply.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                }
                reply
            }
            Ok(Err(error)) => refused(&error),
            Err(error) => failed(&error),
        }
    }

    async fn parsed<T: DeserializeOwned>(&self, body: Body, right: &str) -> Result<T, Reply> {
        let body = self.read(body, BODY_BYTES_MAX).await?;
        let body = if body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            body
        };
        serde_json::from_slice(&body)
            .map_err(|error| text(StatusCode::BAD_REQUEST, &format!("{error}; {right}\n")))
    }

    /// Does something with a policy where compiling and disks delay nobody.
    async fn about<T: Serialize + std::fmt::Display + Send + 'static>(
        &self,
        name: &str,
        as_text: bool,
        what: impl FnOnce(&Site, &str) -> Result<T, PolicyError> + Send + 'static,
    ) -> Reply {
        let (site, name) = (Arc::clone(&self.site), name.to_owned());
        match tokio::task::spawn_blocking(move || what(&site, &name)).await {
            Ok(Ok(answer)) => shown(&answer, as_text),
            Ok(Err(error)) => refused(&error),
            Err(error) => failed(&error),
        }
    }
}

fn refused(error: &PolicyError) -> Reply {
    let status = match error {
        PolicyError::Unknown(..) => StatusCode::NOT_FOUND,
        PolicyError::Asked(_) => StatusCode::BAD_REQUEST,
        PolicyError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
        PolicyError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(
        status,
        &format!("{error}\nwhat decided before decides on\n"),
    )
}

/// The method that a page beneath `/v1/policies` takes; `None` when there is no such page.
pub(super) fn allowed(way: &[&str]) -> Option<&'static str> {
    match way {
        [] | [_, "differences"] => Some("GET"),
        [_] => Some("GET, POST"),
        [
            _,
            "load" | "check" | "shadow" | "canary" | "activate" | "rollback",
        ] => Some("POST"),
        _ => None,
    }
}
