//! `cargo xtask interop`: third-party clients from PyPI drive our model API unmodified, and our client drives
//! third-party servers from there.

pub mod python;
mod script;
pub mod server;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use xtask::build;
use xtask::run::aloud;
use xtask::workspace::{Profile, root, target};

use script::Script;
use server::Server;

/// Drives our model API with third-party clients, and third-party servers with our client.
#[derive(clap::Parser)]
#[command(
    name = "cargo xtask interop",
    bin_name = "cargo xtask interop",
    about = "Drives our model API with third-party clients, and third-party servers with our client: from PyPI (needs python3, the network, and for llama-cpp-python a C++ compiler)"
)]
pub struct Arguments {
    /// Only this script of tests/interop, without `.py`.
    name: Option<String>,
}

/// Runs the chosen scripts and prints how many checks passed and failed.
///
/// # Errors
/// A script that does not exist, a build that fails, or a failed check.
pub fn command(arguments: &Arguments) -> Result<()> {
    let scripts = Script::all(arguments.name.as_deref())?;
    let binary = build::binary(Profile::Dev)?;
    let (mut passed, mut failed) = (0, 0);
    let mut summary = Vec::new();
    for script in scripts {
        println!("== {}", script.name());
        // What cannot be installed or started is one failure, with its reason; the others still run.
        let (script_passed, script_failed, reason) = match run(&script, &binary) {
            Ok((passed, failed)) => (passed, failed, String::new()),
            Err(error) => (0, 1, format!(": {error:#}")),
        };
        if !reason.is_empty() {
            println!("FAILED  {}{reason}", script.name());
        }
        summary.push(format!(
            "{:<20} {script_passed} passed, {script_failed} failed{reason}",
            script.name()
        ));
        passed += script_passed;
        failed += script_failed;
    }
    println!("\n{}", summary.join("\n"));
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        bail!("{failed} failed");
    }
    Ok(())
}

/// Runs a script; returns how many of its checks passed and failed.
fn run(script: &Script, binary: &Path) -> Result<(u64, u64)> {
    let python = script.python()?;
    let servers = script
        .model_apis
        .iter()
        .map(|flags| Server::model_api(binary, flags))
        .collect::<Result<Vec<_>>>()?;
    let mut command = Command::new(python);
    command.current_dir(root()).arg(&script.path);
    for server in &servers {
        command.args(["--url", &server.url()]);
    }
    if script.drives_ours {
        let scratch = target().join("interop/scratch").join(script.name());
        std::fs::create_dir_all(&scratch)?;
        command.arg("--fed-bbpt").arg(binary);
        command.arg("--scratch").arg(scratch);
    }
    let finished = aloud(&mut command)?;
    let (passed, failed) = closing_line(&finished.stdout).unwrap_or((0, 0));
    // A script that breaks, or that reports nothing, is one failure.
    let broke = !finished.success || passed + failed == 0;
    Ok((passed, if failed == 0 && broke { 1 } else { failed }))
}

/// Reads a script's last `N passed, M failed`.
fn closing_line(output: &str) -> Option<(u64, u64)> {
    output.lines().rev().find_map(|line| {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        let failed = failed.split_once(" failed")?.0;
        Some((passed.parse().ok()?, failed.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::closing_line;

    #[test]
    fn reads_a_scripts_closing_line() {
        assert_eq!(
            closing_line("ok a\nok b\n2 passed, 1 failed\n"),
            Some((2, 1))
        );
        assert_eq!(
            closing_line("2 passed, 0 failed, 1 skipped\n"),
            Some((2, 0))
        );
        assert_eq!(closing_line("Traceback\n"), None);
    }
}
