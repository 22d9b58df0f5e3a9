//! Binary bodies: one version byte, then postcard. Decoding is total and refuses trailing bytes.

use serde::{Serialize, de::DeserializeOwned};

/// Content type of such bodies.
pub const CONTENT_TYPE: &str = "application/vnd.fed-bbpt.v1+postcard";

/// 2: with what the unprompted model gets right ([`super::messages::Metrics::unprompted`]).
const VERSION: u8 = 2;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("the message is empty")]
    Empty,
    /// Written by another version.
    #[error(
        "the message is of version {0}; this side speaks version 2: reload the page or update the program"
    )]
    Version(u8),
    /// Not what it should be.
    #[error("the message does not parse")]
    Malformed,
    /// Something follows it.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// A message as bytes.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Our messages hold nothing that postcard cannot write (no maps of unknown length, no untagged data), so
    // this cannot fail; were it to, the empty body is refused by the other side.
    bytes.extend(postcard::to_stdvec(message).unwrap_or_default());
    bytes
}

/// A message from bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes {
        [] => Err(DecodeError::Empty),
        [VERSION, body @ ..] => match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            Ok((_, rest)) => Err(DecodeError::Trailing(rest.len())),
            Err(_) => Err(DecodeError::Malformed),
        },
        [version, ..] => Err(DecodeError::Version(*version)),
    }
}
