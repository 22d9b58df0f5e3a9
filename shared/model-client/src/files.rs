//! Files that a task names and each participant fetches: where they are, and their hashes.

use serde::{Deserialize, Serialize};

use ground::fault::Reader;

/// One file of a model, fetched by each participant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// The file's path in the model's folder, with `/`.
    pub path: String,
    /// The file's path below the address of the model's files, with `/`.
    pub address: String,
    /// SHA-256 of the content, in lower-case hexadecimal. Any other content is refused.
    pub sha256: String,
}

/// Reads the required hash at `key`.
pub(super) fn hash<'a>(r: &mut Reader<'a>, key: &'a str) -> String {
    let text = r.text(key, None);
    if r.has(key) && !is_hash(&text) {
        r.fault(key, NO_HASH);
    }
    text
}

pub(super) const NO_HASH: &str =
    "must be the file's SHA-256: 64 lower-case hexadecimal digits, as sha256sum prints them";

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path stays within its folder and needs no escapes in an address.
pub(super) fn is_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    path.len() <= 200
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
}
