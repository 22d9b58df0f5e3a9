//! Passes bodies on piece by piece, within limits, and never a part that looks like the whole.

use super::account::Account;
use super::mask::Mask;
use super::refusal::Refusal;
use actix_web::web::{Bytes, Payload};
use futures::{Stream, StreamExt as _};
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Maximum number of pieces of a body that wait between the two connections.
const PIECES: usize = 8;

/// A piece of a request's body, or its orderly end.
enum Piece {
    Data(Bytes),
    End,
}

/// The end of a passage into which a request's body goes.
pub struct Intake(Sender<Piece>);

/// Makes a passage for a request's body from the page's connection, which stays on its thread, to
/// the upstream's.
pub fn passage() -> (Intake, reqwest::Body) {
    let (sender, receiver) = channel(PIECES);
    (Intake(sender), reqwest::Body::wrap_stream(pieces(receiver)))
}

/// The pieces of a body. Without an orderly end they end in an error, so that the upstream does not
/// take half a body for a whole one.
fn pieces(receiver: Receiver<Piece>) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    futures::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::Data(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::End) => None,
            None => Some((Err(ErrorKind::UnexpectedEof.into()), None)),
        }
    })
}

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of bytes.
    pub bytes: u64,
    /// Maximum time to wait for the next piece.
    pub patience: Duration,
}

impl Intake {
    /// Passes a request's body on. An upstream that has already answered and takes no more is no
    /// error.
    ///
    /// # Errors
    /// The body is too large, too slow, or breaks off.
    pub async fn fill(
        self,
        mut payload: Payload,
        limits: Limits,
        account: &Account,
    ) -> Result<(), Refusal> {
        loop {
            let next = tokio::time::timeout(limits.patience, payload.next()).await;
            let piece = match next.map_err(|_| Refusal::Slow(limits.patience))? {
                None => Piece::End,
                Some(Err(_)) => return Err(Refusal::Broken),
                Some(Ok(bytes)) if account.sent(bytes.len()) > limits.bytes => {
                    return Err(Refusal::TooLarge(limits.bytes));
                }
                Some(Ok(bytes)) => Piece::Data(bytes),
            };
            let end = matches!(piece, Piece::End);
            // The upstream takes nothing more, and does not answer either.
            let taken = tokio::time::timeout(limits.patience, self.0.send(piece)).await;
            if taken.map_err(|_| Refusal::Late(limits.patience))?.is_err() || end {
                return Ok(());
            }
        }
    }
}

/// Passes an answer's body to the page, with `key` hidden. If it exceeds the limits it is cut off
/// with an error, so that it is not taken for the whole.
pub fn answer(
    response: reqwest::Response,
    key: &str,
    limits: Limits,
    account: Arc<Account>,
) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
    let state = Some((Box::pin(response.bytes_stream()), Mask::new(key), account));
    futures::stream::unfold(state, move |state| async move {
        let (mut stream, mut mask, account) = state?;
        let fail = |kind: ErrorKind| Some((Err(Error::from(kind)), None));
        loop {
            return match tokio::time::timeout(limits.patience, stream.next()).await {
                Err(_) => fail(ErrorKind::TimedOut),
                Ok(Some(Err(_))) => fail(ErrorKind::UnexpectedEof),
                Ok(Some(Ok(bytes))) if account.received(bytes.len()) > limits.bytes => {
                    fail(ErrorKind::FileTooLarge)
                }
                Ok(Some(Ok(bytes))) => {
                    let bytes = mask.push(&bytes);
                    if bytes.is_empty() {
                        continue;
                    }
                    Some((Ok(bytes.into()), Some((stream, mask, account))))
                }
                Ok(None) => {
                    let rest = mask.finish();
                    (!rest.is_empty()).then(|| (Ok(rest.into()), None))
                }
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_without_its_end_is_an_error() {
        let (sender, receiver) = channel(PIECES);
        sender.send(Piece::Data("half".into())).await.unwrap();
        drop(sender);
        let all: Vec<_> = pieces(receiver).collect().await;
        assert_eq!(all.len(), 2);
        assert!(all[0].is_ok() && all[1].is_err());

        let (sender, receiver) = channel(PIECES);
        sender.send(Piece::Data("whole".into())).await.unwrap();
        sender.send(Piece::End).await.unwrap();
        drop(sender);
        let all: Vec<_> = pieces(receiver).collect().await;
        assert!(all.len() == 1 && all[0].is_ok());
    }
}
