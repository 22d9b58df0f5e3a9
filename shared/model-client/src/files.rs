//! Files that a task names and each participant fetches for itself: where they stand, and which
//! they are.

use serde::{Deserialize, Serialize};

use ground::fault::Reader;

/// One file of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Where it belongs in the model's folder, with `/`.
    pub path: String,
    /// Where it stands below the address of the model's files, with `/`.
    pub address: String,
    /// Of its content, in lower-case hexadecimal: what else comes is refused.
    pub sha256: String,
}

/// Reads the hash at `key`, which must be there.
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

/// Only what stays in a folder, and needs no escape in an address.
pub(super) fn is_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    path.len() <= 200
        && path
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain))
}
