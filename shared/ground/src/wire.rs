//! Binary bodies: one version byte, then postcard. Decoding is total and refuses trailing bytes.

use serde::{Serialize, de::DeserializeOwned};

/// Content type of binary bodies.
pub const CONTENT_TYPE: &str = "application/vnd.fed-bbpt.v1+postcard";

/// Version 2 added the unprompted model's right answers to a round's metrics; version 3 the phase in
/// which a secure sum's survivors confirm each other.
const VERSION: u8 = 3;

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the message is empty")]
    Empty,
    /// The body was written by another version; its version byte.
    #[error(
        "the message is of version {0}; this side speaks version 3: reload the page or update the program"
    )]
    Version(u8),
    /// The body does not parse as this message.
    #[error("the message does not parse")]
    Malformed,
    /// Bytes follow the message; their number.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Encodes a message.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Cannot fail: messages hold nothing that postcard cannot write (no maps of unknown length, no
    // untagged data). If one did, the other side would refuse the empty body.
    bytes.extend(postcard::to_stdvec(message).unwrap_or_default());
    bytes
}

/// Decodes a message.
///
/// # Errors
/// [`DecodeError`], saying why the bytes are not such a message.
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
