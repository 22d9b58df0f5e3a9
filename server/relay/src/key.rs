//! The upstream's key: where it comes from, and the header that carries it.

use aggregator::Secret;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Name of the application in the system's keyring; the name that the person chooses is the entry's
/// user.
pub const SERVICE: &str = "fed-bbpt";

/// Headers that cannot carry a key, because they decide how the message is read or are set
/// elsewhere.
const NOT_FOR_KEYS: [&str; 13] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "inference-header-content-length",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why there is no key for the upstream.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The environment variable is not set.
    #[error(
        "{0} is not set: put the key into it, name another variable with --key-env, take it from the keyring with \
         --keyring NAME, or say --no-key"
    )]
    NotSet(String),
    /// The keyring has no such entry, or cannot be read.
    #[error(
        "the keyring gives no key for `{name}` of `{SERVICE}`: {cause}; store it there first (see docs/relay.md), or \
         use --key-env"
    )]
    Keyring {
        /// The name of the entry.
        name: String,
        /// The reason.
        cause: String,
    },
    /// The key that was found has characters that no header can carry.
    #[error(
        "the key is empty or holds characters that no key has (spaces, line breaks, letters beyond ASCII)"
    )]
    Malformed,
    /// `--key-header` names a header that cannot carry a key.
    #[error("`{0}` is not a header that can carry a key")]
    Header(String),
}

/// Reads the key from the environment variable `name`.
///
/// # Errors
/// The variable is not set, or it is no key.
fn from_environment(name: &str) -> Result<Secret, KeyError> {
    let text = std::env::var(name).map_err(|_| KeyError::NotSet(name.to_owned()))?;
    checked(&text)
}

/// Reads the key that the system's keyring holds for `name`.
///
/// # Errors
/// There is no keyring, it is locked, it has no such entry, or the entry is no key.
fn from_keyring(name: &str) -> Result<Secret, KeyError> {
    let found = look_up(name).map_err(|cause| KeyError::Keyring {
        name: name.to_owned(),
        cause,
    })?;
    checked(&found)
}

/// Asks the system's own command, with which the key was stored (docs/relay.md). Speaking D-Bus
/// ourselves would take longer to build than the rest of the relay.
#[cfg(not(windows))]
fn look_up(name: &str) -> Result<String, String> {
    let (program, arguments) = if cfg!(target_os = "macos") {
        let arguments = ["find-generic-password", "-s", SERVICE, "-a", name, "-w"];
        ("security", arguments.to_vec())
    } else {
        let arguments = ["lookup", "service", SERVICE, "username", name];
        ("secret-tool", arguments.to_vec())
    };
    output_of(std::process::Command::new(program).args(arguments))
}

/// The output of a program, or why there is none.
#[cfg(not(windows))]
fn output_of(command: &mut std::process::Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(match said.trim() {
            "" => format!("`{program}` finds no such entry"),
            said => format!("`{program}` says: {said}"),
        });
    }
    // An output that is not UTF-8 is refused later, because it is no key.
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(windows)]
fn look_up(name: &str) -> Result<String, String> {
    // The status says why there is no store; the entry alone would only say that there is none.
    keyring::Entry::store_status().map_err(|cause| cause.to_string())?;
    keyring::Entry::new(SERVICE, name)
        .and_then(|entry| entry.get_password())
        .map_err(|cause| cause.to_string())
}

/// Reads the key from the system's keyring if `keyring` names an entry, otherwise from the
/// environment variable `variable`.
///
/// # Errors
/// [`KeyError`] of the place that was read.
pub fn from_either(keyring: Option<&str>, variable: &str) -> Result<Secret, KeyError> {
    match keyring {
        Some(name) => from_keyring(name),
        None => from_environment(variable),
    }
}

/// Checks a key that was found. Line breaks at the end, which files and prompts leave behind, are
/// removed; nothing else is forgiven.
///
/// # Errors
/// It is empty, or has characters that no key has.
pub fn checked(text: &str) -> Result<Secret, KeyError> {
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Malformed);
    }
    Ok(Secret::new(key))
}

/// The header with the key, `Authorization: Bearer KEY` or `NAME: KEY`, marked as sensitive so that
/// nothing prints it.
///
/// # Errors
/// The name is not that of a header, or of a header that cannot carry a key.
pub fn header(key: &Secret, name: Option<&str>) -> Result<(HeaderName, HeaderValue), KeyError> {
    let (name, value) = match name {
        None => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
        Some(text) => {
            let name = HeaderName::from_bytes(text.as_bytes())
                .ok()
                .filter(|name| !NOT_FOR_KEYS.contains(&name.as_str()))
                .ok_or_else(|| KeyError::Header(text.to_owned()))?;
            (name, key.reveal().to_owned())
        }
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| KeyError::Malformed)?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests;
