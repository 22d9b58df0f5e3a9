//! The record of a federation, for everybody.

use super::auth;
use crate::app::App;
use crate::failure::Failure;
use crate::store::{federations, lines};
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path, Query};
use futures::stream;
use serde::Deserialize;

/// Of one answer, and of one piece of a download.
const PIECE: usize = 1 << 20;
const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Deserialize)]
pub(super) struct From {
    from: Option<u32>,
}

pub(super) async fn record(
    app: Data<App>,
    id: Path<String>,
    query: Query<From>,
) -> Result<HttpResponse, Failure> {
    auth::federation(&app, &id).await?;
    if let Some(from) = query.from {
        let lines = lines::read(&app.store.readers, &id, from, u32::MAX, PIECE).await?;
        return Ok(HttpResponse::Ok().content_type(TEXT).body(lines.text));
    }
    // Lines are only ever added: those of now, whatever is added while they are sent.
    let until = federations::head(&app.store.readers, &id).await?.lines;
    let id = id.into_inner();
    let name = format!("attachment; filename=\"record-{id}.jsonl\"");
    let pieces = stream::try_unfold(0, move |from| {
        let (app, id) = (app.clone(), id.clone());
        async move {
            if from >= until {
                return Ok::<_, Failure>(None);
            }
            // No connection is held between two pieces, however slow the reader.
            let lines = lines::read(&app.store.readers, &id, from, until, PIECE).await?;
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
