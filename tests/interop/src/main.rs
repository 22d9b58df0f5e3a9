//! `cargo xtask interop`.

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    xtask::exit_code(interop::command(&interop::Arguments::parse()))
}
