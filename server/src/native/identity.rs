//! A participant's long-term key on disk, and the randomness that a secure sum takes.

use super::lock::Lock;
use federation::round::client::Secrets;
use ground::hex::{hex, unhex};
use secure_sum::Bytes32;
use secure_sum::identity::Identity;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk said no.
    #[error("cannot use the identity file {path}: {cause}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not ours.
    #[error(
        "{path} is not an identity file of this program: it must hold 64 hexadecimal digits; choose another with --identity"
    )]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// Another process takes part with it.
    #[error(
        "{path} is in use by another `fed-bbpt join`: one identity is one participant; give this one its own with --identity, or wait until the other has ended"
    )]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// The state was written with another key.
    #[error(
        "{path} is not the identity that this participant joined with; give the one it had, or another --state to join afresh"
    )]
    Another {
        /// Where.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// The key in a file, which no other process may take until the lock is dropped; a new one is made, readable by its owner
/// alone, where there is none.
///
/// Two participants with one key are one to the aggregator, which takes the token of whoever came first away: each would
/// throw the other out. The file itself is locked, and not one beside it: it is never replaced, it may lie in a folder
/// that nobody may write to, and whatever name or link leads to it, it is the same key.
///
/// # Errors
/// [`IdentityError::InUse`] where another process has it.
pub fn load_or_create(path: &Path) -> Result<(Identity, Lock), IdentityError> {
    let identity = match load(path)? {
        Some(identity) => identity,
        None => create(path)?,
    };
    let io = |cause| IdentityError::Io {
        path: path.to_owned(),
        cause,
    };
    // Some network file systems lock only what is open for writing; but a key may be there to be read only.
    let writable = File::options().read(true).write(true).open(path);
    let file = writable.or_else(|_| File::open(path)).map_err(io)?;
    let lock = Lock::take(file).map_err(io)?;
    let lock = lock.ok_or_else(|| IdentityError::InUse {
        path: path.to_owned(),
    })?;
    Ok((identity, lock))
}

fn load(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let io = |cause| IdentityError::Io {
        path: path.to_owned(),
        cause,
    };
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok();
            let seed = text.and_then(|text| unhex(text.trim()));
            let malformed = || IdentityError::Malformed {
                path: path.to_owned(),
            };
            seed.map(Identity::from_seed)
                .map(Some)
                .ok_or_else(malformed)
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(io(cause)),
    }
}

fn create(path: &Path) -> Result<Identity, IdentityError> {
    let io = |cause| IdentityError::Io {
        path: path.to_owned(),
        cause,
    };
    let identity = fresh()?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    // A temporary file is its owner's alone (0600), and takes its name in one step: a crash leaves no half a key,
    // and of two processes that come here at once one makes the key and the other reads it.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
    writeln!(file, "{}", hex(&identity.seed())).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(identity),
        Err(other) if other.error.kind() == std::io::ErrorKind::AlreadyExists => {
            load(path)?.ok_or_else(|| io(other.error))
        }
        Err(other) => Err(io(other.error)),
    }
}

/// A key that nobody keeps.
pub fn fresh() -> Result<Identity, IdentityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(IdentityError::Randomness)?;
    Ok(Identity::from_seed(seed))
}

/// What a secure sum needs: the key, and randomness from the operating system.
pub fn secrets(identity: Identity) -> Secrets {
    Secrets {
        identity,
        entropy: Box::new(entropy),
    }
}

fn entropy() -> Bytes32 {
    let mut bytes = [0; 32];
    if let Err(cause) = getrandom::fill(&mut bytes) {
        // It answered when the key was made or read. Masks from known bytes would hide nothing, so there is
        // nothing to go on with.
        eprintln!("fed-bbpt: {}", IdentityError::Randomness(cause));
        std::process::exit(1);
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let (made, lock) = load_or_create(&path).unwrap();
        drop(lock);
        assert_eq!(load_or_create(&path).unwrap().0.seed(), made.seed());
        let (other, _lock) = load_or_create(&home.path().join("other")).unwrap();
        assert_ne!(other.seed(), made.seed());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn one_process_at_a_time_has_a_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        let (_, lock) = load_or_create(&path).unwrap();
        let in_use = |path: &Path| matches!(load_or_create(path), Err(IdentityError::InUse { .. }));
        assert!(in_use(&path));
        #[cfg(unix)]
        {
            let link = home.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(in_use(&link));
        }
        drop(lock);
        assert!(!in_use(&path));
    }

    #[test]
    fn what_is_no_key_is_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key");
        for content in ["", "abc", &"g".repeat(64), &"0".repeat(63), "\u{fffd}"] {
            std::fs::write(&path, content).unwrap();
            let error = load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::Io { .. }), "{error}");
        let nowhere = home.path().join("no/such/folder");
        let error = load_or_create(&nowhere).unwrap_err();
        assert!(matches!(error, IdentityError::Io { .. }), "{error}");
    }

    #[test]
    fn every_secret_is_another() {
        let secrets = secrets(fresh().unwrap());
        assert_ne!((secrets.entropy)(), (secrets.entropy)());
    }
}
