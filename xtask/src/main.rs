//! The one place where the project's commands live: `cargo xtask <command>`.
//!
//! Continuous integration runs these same commands, so that what passes here passes there.

mod bench;
mod check;
mod demo;
mod generate;
mod test;

use clap::{Parser, Subcommand};
use xtask::build;
use xtask::workspace::hand_over_to;

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
    #[command(disable_help_flag = true)]
    Figures(Rest),
    /// Drives our model API with third-party clients, and third-party servers with our client: from PyPI (needs
    /// python3, the network, and for llama-cpp-python a C++ compiler).
    #[command(disable_help_flag = true)]
    Interop(Rest),
}

/// Arguments for another package's program, which knows them itself, `--help` included.
#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<std::ffi::OsString>,
}

fn main() -> std::process::ExitCode {
    xtask::exit_code(match Arguments::parse().command {
        Command::Build(arguments) => build::command(&arguments),
        Command::Demo(arguments) => demo::command(&arguments),
        Command::Test(arguments) => test::command(&arguments),
        Command::Check(arguments) => check::command(&arguments),
        Command::Generate => generate::command(),
        Command::Bench(arguments) => bench::command(&arguments),
        Command::Figures(arguments) => hand_over_to("figures", &arguments.arguments),
        Command::Interop(arguments) => hand_over_to("interop", &arguments.arguments),
    })
}
