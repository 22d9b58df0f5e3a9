//! Files that one process alone may use.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Result};

/// A file that belongs to this process alone while this exists.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] File); // Held, never read.

impl Lock {
    /// Locks `file`; `None` if another process has it.
    pub fn take(file: File) -> Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks: nothing can be said against it.
            Err(TryLockError::Error(cause)) if cause.kind() == ErrorKind::Unsupported => {
                Ok(Some(Self(file)))
            }
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }
}
