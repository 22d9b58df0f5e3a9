//! The hashes by which tasks and θ are named.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 as 64 lower-case hexadecimal digits.
pub type Hash = String;

/// Returns the SHA-256 of `bytes`.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> Hash {
    crate::hex::hex(&Sha256::digest(bytes))
}

/// Returns the SHA-256 of θ as little-endian f32.
#[must_use]
pub fn theta_hash(theta: &[f32]) -> Hash {
    sha256_hex(&theta_bytes(theta))
}

/// Writes θ as little-endian f32, the form in which it travels and is hashed.
#[must_use]
pub fn theta_bytes(theta: &[f32]) -> Vec<u8> {
    theta.iter().flat_map(|t| t.to_le_bytes()).collect()
}

/// Reads θ from little-endian f32.
///
/// # Errors
/// A sentence for people, if the length is not 4·`dim` bytes or a number is not finite.
pub fn theta_from_bytes(bytes: &[u8], dim: usize) -> Result<Vec<f32>, String> {
    if bytes.len() != 4 * dim {
        return Err(format!(
            "θ has {dim} parameters ({} bytes), but {} bytes came",
            4 * dim,
            bytes.len()
        ));
    }
    let theta: Vec<f32> = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    if theta.iter().all(|t| t.is_finite()) {
        Ok(theta)
    } else {
        Err("θ holds a number that is not finite".to_owned())
    }
}

/// Appends `value` to `out` as JSON with sorted keys and no white space, whatever map type
/// serde_json is built with.
pub fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
            keys.sort_unstable();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key).to_string());
                out.push(':');
                canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
