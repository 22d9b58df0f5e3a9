//! `cargo xtask demo`: builds everything and hands over to `fed-bbpt demo`.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::workspace::{Profile, web_dist};

#[derive(clap::Args)]
pub struct Arguments {
    /// How the native binary is built.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Run without a visitor, print a final table and exit with 0, or say why not.
    #[arg(long)]
    once: bool,
    /// Further arguments for `fed-bbpt demo`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub fn command(arguments: &Arguments) -> Result<()> {
    let binary = build::everything(arguments.profile)?;
    let mut demo = Command::new(binary);
    demo.arg("demo").arg("--web").arg(web_dist());
    if arguments.once {
        demo.arg("--once");
    }
    demo.args(&arguments.rest);
    hand_over(demo)
}

/// Becomes the program, so that signals and the exit code are its own.
#[cfg(unix)]
fn hand_over(mut program: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(program.exec().into())
}

#[cfg(not(unix))]
fn hand_over(mut program: Command) -> Result<()> {
    std::process::exit(program.status()?.code().unwrap_or(1))
}
