//! The one place where the project's commands live: `cargo xtask <command>`.
//!
//! Continuous integration runs these same commands, so that what passes here passes there.

mod bench;
mod build;
mod check;
mod demo;
mod figures;
mod generate;
mod gzip;
mod interop;
mod python;
mod run;
mod setup;
mod test;
mod wasm;
mod workspace;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Builds, shows, tests and measures Fed-BBPT"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets the machine up and builds the WebAssembly client, the page and the `fed-bbpt` binary.
    Build(build::Arguments),
    /// Builds everything and shows a living federation; a browser tab can join as one more owner.
    Demo(demo::Arguments),
    /// Runs every test and ends with `N passed, M failed, K skipped`.
    Test(test::Arguments),
    /// Formatting, lints, types, generated files, licences, size budgets and house rules.
    Check(check::Arguments),
    /// Writes the files that are made from Rust sources (the page's TypeScript types).
    Generate,
    /// Runs the criterion benchmarks.
    Bench(bench::Arguments),
    /// Recomputes a figure that README or docs show; lists the figures when none is named.
    Figures(figures::Arguments),
    /// Drives our model API with third-party clients, and third-party servers with our client: from PyPI (needs
    /// python3, the network, and for llama-cpp-python a C++ compiler).
    Interop(interop::Arguments),
}

fn main() -> std::process::ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Build(arguments) => build::command(&arguments),
        Command::Demo(arguments) => demo::command(&arguments),
        Command::Test(arguments) => test::command(&arguments),
        Command::Check(arguments) => check::command(&arguments),
        Command::Generate => generate::command(),
        Command::Bench(arguments) => bench::command(&arguments),
        Command::Figures(arguments) => figures::command(&arguments),
        Command::Interop(arguments) => interop::command(&arguments),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
