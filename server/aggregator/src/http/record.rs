//! The record of a federation, which anyone may read.

use super::encoding;
use crate::app::App;
use crate::failure::Failure;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use federation::engine::store::{Federations as _, Lines as _};
use futures::stream;
use serde::Deserialize;

/// Bytes of one answer.
const PIECE: usize = 1 << 20;
/// Bytes of one piece of a download, or one line if that is longer: a reader who does not go on holds that much.
const DOWNLOADED: usize = 64 << 10;
const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Deserialize)]
pub(super) struct From {
    from: Option<u32>,
}

pub(super) async fn record(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    query: Query<From>,
) -> Result<HttpResponse, Failure> {
    app.federation(&id).await?;
    if let Some(from) = query.from {
        let lines = app
            .read(&id, async |tx| tx.lines(from, u32::MAX, PIECE).await)
            .await?;
        return encoding::answer(&request, TEXT, lines.text.into_bytes());
    }
    // Lines are only ever added: this sends those that exist now, whatever is added meanwhile.
    let now = app.clock.now_ms();
    let until = app
        .read(&id, async |tx| Ok(tx.current(None, now).await?.lines))
        .await?;
    let id = id.into_inner();
    let name = format!("attachment; filename=\"record-{id}.jsonl\"");
    let pieces = stream::try_unfold(0, move |from| {
        let (app, id) = (app.clone(), id.clone());
        async move {
            if from >= until {
                return Ok::<_, Failure>(None);
            }
            // No connection is held between two pieces, however slow the reader.
            let lines = app
                .read(&id, async |tx| tx.lines(from, until, DOWNLOADED).await)
                .await?;
            if lines.next == from {
                let what = format!("line {from} of the record of {id} is missing");
                return Err(Failure::Internal(what));
            }
            Ok(Some((Bytes::from(lines.text), lines.next)))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(TEXT)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .streaming(pieces))
}
