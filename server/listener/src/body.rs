//! Bodies of requests, within bounds of size and time.

use actix_web::web::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use std::fmt::Display;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time that a body has in any case.
pub const GRACE: Duration = Duration::from_secs(20);
/// Bytes that must come in each second beyond [`GRACE`], on average from the beginning.
pub const FLOOR: usize = 8 << 10;
/// Maximum memory that is taken on the word of a request's head.
const FORETOLD: usize = 64 << 10;

/// Why there is no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It came more slowly than [`FLOOR`].
    #[error("the body came too slowly: send {FLOOR} bytes a second or more")]
    TooSlow,
    /// The connection ended, or the body breaks the rules of its encoding.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Reads all of `payload`, whose head foretells `length` bytes. Beyond `limit` bytes it is thrown away, and `drained` bytes later no
/// longer read: a peer that sends without looking sees the answer instead of a broken connection.
///
/// # Errors
/// See [`BodyError`].
pub async fn read<E: Display>(
    payload: impl Stream<Item = Result<Bytes, E>> + Unpin,
    length: Option<usize>,
    limit: usize,
    drained: usize,
) -> Result<Bytes, BodyError> {
    let size = length.unwrap_or(0).min(limit).min(FORETOLD);
    collect(payload, size, limit, drained, (GRACE, FLOOR)).await
}

async fn collect<E: Display>(
    mut payload: impl Stream<Item = Result<Bytes, E>> + Unpin,
    size: usize,
    limit: usize,
    drained: usize,
    (grace, floor): (Duration, usize),
) -> Result<Bytes, BodyError> {
    let begun = Instant::now();
    let mut body = BytesMut::with_capacity(size);
    let mut received = 0_usize;
    loop {
        let earned = Duration::from_secs_f64(received as f64 / floor as f64);
        let next = timeout_at(begun + grace + earned, payload.next()).await;
        let Some(piece) = next.map_err(|_| BodyError::TooSlow)? else {
            break;
        };
        let piece = piece.map_err(|error| BodyError::Broken(error.to_string()))?;
        received = received.saturating_add(piece.len());
        if received <= limit {
            body.extend_from_slice(&piece);
        } else if received - limit > drained {
            break;
        }
    }
    if received > limit {
        return Err(BodyError::TooLarge);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::convert::Infallible;

    const SHORT: Duration = Duration::from_millis(60);

    /// A byte every few milliseconds, until the reader stops.
    fn trickle() -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
        Box::pin(stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            Some((Ok(vec![0].into()), ()))
        }))
    }

    #[tokio::test]
    async fn a_slow_sender_is_cut_off_and_a_steady_one_is_not() {
        let begun = Instant::now();
        let slow = collect(trickle(), 0, 1 << 20, 0, (SHORT, 1 << 20)).await;
        assert_eq!(slow, Err(BodyError::TooSlow));
        assert!(begun.elapsed() >= SHORT);
        let silent = stream::pending::<Result<Bytes, Infallible>>();
        let silent = collect(silent, 0, 9, 0, (SHORT, 1)).await;
        assert_eq!(silent, Err(BodyError::TooSlow));
        // Who keeps to the pace may take as long as the body needs.
        let begun = Instant::now();
        let steady = collect(trickle().take(60), 0, 1 << 20, 0, (SHORT, 1)).await;
        assert_eq!(steady.unwrap().len(), 60);
        assert!(begun.elapsed() > 2 * SHORT);
    }

    #[tokio::test]
    async fn what_is_too_large_is_drained_and_not_kept() {
        let pieces =
            |count| stream::iter((0..count).map(|_| Ok::<_, Infallible>(vec![1; 10].into())));
        let whole = read(pieces(3), Some(30), 30, 0).await;
        assert_eq!(whole.unwrap(), vec![1; 30]);
        let mut large = pieces(10);
        let refused = read(&mut large, None, 30, 40).await;
        assert_eq!(refused, Err(BodyError::TooLarge));
        // Eight pieces were read: three to keep, four drained, and the one that was too much.
        assert_eq!(large.count().await, 2);
        let broken = stream::iter([Err("reset")]);
        let broken = read(broken, None, 30, 0).await;
        assert_eq!(broken, Err(BodyError::Broken("reset".into())));
    }
}
