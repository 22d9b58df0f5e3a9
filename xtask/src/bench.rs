//! `cargo xtask bench`: the criterion benchmarks of the workspace.

use anyhow::Result;

use xtask::run::aloud_or_fail;
use xtask::workspace::cargo;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only the benchmarks whose name contains this.
    filter: Option<String>,
    /// Only this package's benchmarks.
    #[arg(long, short)]
    package: Option<String>,
}

pub fn command(arguments: &Arguments) -> Result<()> {
    let mut command = cargo();
    command.arg("bench");
    match &arguments.package {
        Some(package) => command.args(["--package", package]),
        None => command.arg("--workspace"),
    };
    // Without `--benches` cargo would also run the unit tests' harness, which refuses criterion's arguments.
    command.args(["--bench", "*"]);
    if let Some(filter) = &arguments.filter {
        command.args(["--", filter]);
    }
    aloud_or_fail(&mut command)?;
    Ok(())
}
