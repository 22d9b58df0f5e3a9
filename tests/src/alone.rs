//! A federation of one: an aggregator, and whoever takes part alone.

#![allow(clippy::expect_used)] // Like a test, this may panic: that is how it fails.

use crate::process::{Ended, Process, run_with, serve};
use std::path::PathBuf;
use tempfile::TempDir;

/// As long as it lives, the aggregator runs.
pub struct Alone {
    /// Where its database is, and everything else of the test.
    pub home: TempDir,
    /// The aggregator.
    pub process: Process,
    /// Its address.
    pub server: String,
    /// The federation.
    pub id: String,
    /// Its invite link.
    pub link: String,
}

impl Alone {
    /// `create` makes the federation at an address, which gives its number and its link.
    ///
    /// # Panics
    /// If the aggregator does not come up.
    pub fn new(home: TempDir, create: impl FnOnce(&str) -> (String, String)) -> Self {
        let (process, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
        let (id, link) = create(&server);
        Self {
            home,
            process,
            server,
            id,
            link,
        }
    }

    /// A file of the test.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Joins with the state in the file `state` and `key` for the model API; `more`: above all, with which data.
    ///
    /// # Panics
    /// If `fed-bbpt` cannot be started.
    #[must_use]
    pub fn join(&self, state: &str, more: &[&str], key: Option<&str>) -> Ended {
        let state = self.path(state);
        let state = state.to_str().expect("a path in UTF-8");
        let key: Vec<_> = key
            .map(|key| ("FED_BBPT_MODEL_API_KEY", key))
            .into_iter()
            .collect();
        run_with(
            &[&["join", &self.link, "--state", state], more].concat(),
            &key,
        )
    }
}
