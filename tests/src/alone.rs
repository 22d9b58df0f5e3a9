//! A federation of one participant, with its own aggregator.

#![allow(clippy::expect_used)] // Like a test, this may panic: that is how it fails.

use crate::process::{Ended, Process, run_with, serve};
use std::path::PathBuf;
use tempfile::TempDir;

/// The aggregator and its federation; dropping this ends the aggregator.
pub struct Alone {
    /// The folder of its database and of everything else in the test.
    pub home: TempDir,
    /// The aggregator's process.
    pub process: Process,
    /// The aggregator's address.
    pub server: String,
    /// The federation's id.
    pub id: String,
    /// Its invite link.
    pub link: String,
}

impl Alone {
    /// Starts an aggregator. `create` makes the federation at an address, and returns its id and
    /// its link.
    ///
    /// # Panics
    /// If the aggregator does not start.
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

    /// The path of a file in the test's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Joins with the state in the file `state` and with `key` for the model API. `more` are
    /// further arguments, such as the data.
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
