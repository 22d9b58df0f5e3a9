//! Live progress as server-sent events. Each reader pulls: when it is ready for more it gets the
//! newest state, and what happened in between is skipped. So a slow reader costs the others
//! nothing.

use super::limit;
use crate::app::App;
use crate::failure::Failure;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use federation::engine::Federation;
use federation::engine::store::{Federations as _, Rounds as _};
use federation::round::messages::Progress;
use federation::round::refusal::Refusal;
use futures::stream;
use listener::Share;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time after which a comment is sent, so that proxies keep a silent connection.
const PING: Duration = Duration::from_secs(15);
/// Minimum time between events of a stream: a fast round changes often, but only one picture is
/// drawn.
const GAP: Duration = Duration::from_millis(100);

struct Reader {
    app: Data<App>,
    _share: Share,
    federation: Arc<Federation>,
    versions: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// The last state sent, to find out what is new.
    sent: Option<Progress>,
    /// The newest finished round that was sent, or that existed before the stream.
    seen: Option<u32>,
}

pub(super) async fn events(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    let federation = app.federation(&id).await?;
    let share = app.streams.take(Some(limit::sender(&request)));
    let reader = Reader {
        versions: app.news.subscribe(&id, 0),
        stopping: app.stopping.clone(),
        federation,
        _share: share.ok_or(Refusal::RateLimited)?,
        app,
        sent: None,
        seen: None,
    };
    let body = stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Some proxies hold an answer back until it is complete, unless they are told not to.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body))
}

impl Reader {
    /// The next piece of the stream; `None` when it ends.
    async fn next(&mut self) -> Option<Bytes> {
        if *self.stopping.borrow() {
            return None;
        }
        if self.sent.is_some() {
            let changed = tokio::select! {
                _ = self.stopping.wait_for(|stop| *stop) => return None,
                changed = self.versions.changed() => {
                    changed.ok()?;
                    true
                }
                () = tokio::time::sleep(PING) => false,
            };
            if changed {
                tokio::select! {
                    _ = self.stopping.wait_for(|stop| *stop) => return None,
                    () = tokio::time::sleep(GAP) => {}
                }
            }
        }
        self.versions.borrow_and_update();
        match self.progress().await {
            Ok(Some(progress)) => {
                let text = serde_json::to_string(&progress).ok()?;
                self.sent = Some(progress);
                Some(Bytes::from(format!("event: progress\ndata: {text}\n\n")))
            }
            Ok(None) => Some(Bytes::from_static(b": ping\n\n")),
            Err(failure) => {
                // The browser reconnects by itself.
                tracing::warn!(%failure, "an event stream ended");
                None
            }
        }
    }

    /// The present state, unless it is what was sent last.
    async fn progress(&mut self) -> Result<Option<Progress>, Failure> {
        let app = &self.app;
        let (id, now) = (&self.federation.id, app.clock.now_ms());
        let (at, last) = app
            .read(id, async |tx| {
                let at = tx.current(None, now).await?;
                Ok((at, tx.records(1).await?.pop()))
            })
            .await?;
        let current = at.view(&self.federation.task, now);
        if self.sent.as_ref().is_some_and(|sent| {
            sent.current.version == current.version && sent.current.live == current.live
        }) {
            return Ok(None);
        }
        let first = self.sent.is_none();
        let number = last.as_ref().map(|record| record.round);
        let new = !first && number > self.seen;
        self.seen = number.max(self.seen);
        Ok(Some(Progress {
            current,
            finished: last.filter(|_| new),
            participants: at.participants,
        }))
    }
}
