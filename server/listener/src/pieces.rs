//! Answers in pieces: the HTTP library copies what a body gives it into the connection's buffer, so a body that gives all of a
//! large file at once costs the file's size for every reader.

use actix_web::Error;
use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Maximum bytes that are given at once.
const PIECE: usize = 32 << 10;

/// A body whose bytes are shared with others, given piece by piece.
pub struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.0.len().min(PIECE);
        Poll::Ready((piece > 0).then(|| Ok(self.0.split_to(piece))))
    }
}

/// Middleware that sends large answers piece by piece.
///
/// # Errors
/// Those of the service it wraps.
pub async fn in_pieces<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, Pieces>>, Error> {
    let large = |size| matches!(size, BodySize::Sized(bytes) if bytes > PIECE as u64);
    Ok(next.call(request).await?.map_body(|_, body| {
        if !large(body.size()) {
            return EitherBody::left(body);
        }
        match body.try_into_bytes() {
            Ok(bytes) => EitherBody::right(Pieces(bytes)),
            Err(body) => EitherBody::left(body),
        }
    }))
}
