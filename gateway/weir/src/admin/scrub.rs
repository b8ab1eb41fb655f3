//! The verification of copies, for operators.

use http::{Method, StatusCode};
use weir_core::replicate::{ScrubOrder, ScrubRefused};
use weir_types::id::BackendId;

use super::{Admin, Query, Reply, failed, shown, text};

/// The method that a page takes; `None` when there is no such page.
pub(super) fn allowed(way: &[&str]) -> Option<&'static str> {
    match way {
        [] => Some("GET"),
        ["start" | "stop"] => Some("POST"),
        _ => None,
    }
}

impl Admin {
    /// `GET /v1/scrub`, `POST /v1/scrub/start` and `…/stop`, the latter two with `?backend=ID`
    /// for one alone; `None` when it is none of these.
    pub(super) async fn scrub_page(
        &self,
        method: &Method,
        way: &[&str],
        query: &Query,
        as_text: bool,
    ) -> Option<Reply> {
        let order = match (method, way) {
            (&Method::GET, []) => return Some(self.scrub_report(as_text).await),
            (&Method::POST, ["start"]) => ScrubOrder::Start,
            (&Method::POST, ["stop"]) => ScrubOrder::Stop,
            _ => return None,
        };
        Some(self.order_scrub(order, query, as_text).await)
    }

    async fn order_scrub(&self, order: ScrubOrder, query: &Query, as_text: bool) -> Reply {
        let backend = match query.get("backend").as_deref().map(BackendId::parse) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(error)) => {
                return text(StatusCode::BAD_REQUEST, &format!("backend: {error}\n"));
            }
        };
        match self.site.gateway.scrub(order, backend.as_ref()).await {
            Ok(()) => self.scrub_report(as_text).await,
            Err(ScrubRefused::Index(error)) => failed(&error),
            Err(refused) => {
                let status = match &refused {
                    ScrubRefused::NoBackend(_) => StatusCode::NOT_FOUND,
                    ScrubRefused::NotRunning => StatusCode::SERVICE_UNAVAILABLE,
                    ScrubRefused::Off | ScrubRefused::Index(_) => StatusCode::CONFLICT,
                };
                text(status, &format!("{refused}\n"))
            }
        }
    }

    async fn scrub_report(&self, as_text: bool) -> Reply {
        match self.site.scrub().await {
            Ok(report) => shown(&report, as_text),
            Err(error) => failed(&error),
        }
    }
}
