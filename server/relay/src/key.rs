//! The upstream's key: where it comes from, and the header that carries it.

use aggregator::Secret;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// What the entry's application is called in the system's keyring; the name that the person gives is its user.
pub const SERVICE: &str = "fed-bbpt";

/// Headers that are no place for a key: they decide how the message is read, or are set by others.
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

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The environment has no such variable.
    #[error(
        "{0} is not set: put the key into it, name another variable with --key-env, take it from the keyring with \
         --keyring NAME, or say --no-key"
    )]
    NotSet(String),
    /// The keyring says no.
    #[error(
        "the keyring gives no key for `{name}` of `{SERVICE}`: {cause}; store it there first (see docs/relay.md), or \
         use --key-env"
    )]
    Keyring {
        /// The entry.
        name: String,
        /// Why.
        cause: String,
    },
    /// What was found cannot travel in a header.
    #[error(
        "the key is empty or holds characters that no key has (spaces, line breaks, letters beyond ASCII)"
    )]
    Malformed,
    /// `--key-header`.
    #[error("`{0}` is not a header that can carry a key")]
    Header(String),
}

/// The key from the environment variable `name`.
///
/// # Errors
/// It is not set, or is no key.
fn from_environment(name: &str) -> Result<Secret, KeyError> {
    let text = std::env::var(name).map_err(|_| KeyError::NotSet(name.to_owned()))?;
    checked(&text)
}

/// The key that the system's keyring holds for `name`.
///
/// # Errors
/// There is no keyring, it is locked, or it has no such entry; or what it has is no key.
fn from_keyring(name: &str) -> Result<Secret, KeyError> {
    let found = look_up(name).map_err(|cause| KeyError::Keyring {
        name: name.to_owned(),
        cause,
    })?;
    checked(&found)
}

/// By the system's own command, the one that stores the key, too (docs/relay.md). Speaking D-Bus ourselves would take
/// longer to build than the rest of the relay.
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

/// What a program prints, or why it prints nothing.
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
    // What is not UTF-8 is no key: it is refused for that.
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

/// The key that the system's keyring holds for `keyring`, or, where that is nothing, of the environment variable
/// `variable`.
///
/// # Errors
/// As of the two.
pub fn from_either(keyring: Option<&str>, variable: &str) -> Result<Secret, KeyError> {
    match keyring {
        Some(name) => from_keyring(name),
        None => from_environment(variable),
    }
}

/// What was found, as a key. Files and prompts leave line breaks behind; nothing else is forgiven.
///
/// # Errors
/// It is empty, or holds characters that no key has.
pub fn checked(text: &str) -> Result<Secret, KeyError> {
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Malformed);
    }
    Ok(Secret::new(key))
}

/// The header with the key: `Authorization: Bearer KEY`, or `NAME: KEY`. Marked as sensitive: nothing prints it.
///
/// # Errors
/// The name is none, or belongs to something else.
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
