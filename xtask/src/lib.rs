//! What the project's commands share: paths, running programs as named steps, and building the
//! page, its WebAssembly modules and the `fed-bbpt` binary. `cargo xtask` itself, the figures and
//! the interoperability runs use it.

pub mod build;
pub mod run;
pub mod setup;
pub mod wasm;
pub mod workspace;

use std::process::ExitCode;

/// A command's exit code; prints its error first.
pub fn exit_code(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
