//! `cargo xtask demo`: builds what the demonstration needs and hands over to `fed-bbpt demo`.

use std::process::Command;

use anyhow::Result;

use xtask::build;
use xtask::run::hand_over;
use xtask::workspace::{Profile, web_dist};

#[derive(clap::Args)]
pub struct Arguments {
    /// Cargo profile of the native binary.
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
    let binary = build::with_binary(arguments.profile, build::demonstration_pages)?;
    let mut demo = Command::new(binary);
    demo.arg("demo").arg("--web").arg(web_dist());
    if arguments.once {
        demo.arg("--once");
    }
    demo.args(&arguments.rest);
    hand_over(&mut demo)
}
