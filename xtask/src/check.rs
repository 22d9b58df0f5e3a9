//! `cargo xtask check`: what must hold besides the tests. Every check runs, and all faults are
//! shown.

mod budgets;
mod circles;
mod house;
mod io;
mod layers;
mod licences;
mod packages;
mod source;

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::generate;
use xtask::run::{quietly, seconds};
use xtask::setup;
use xtask::workspace::{cargo, node_tool, root, tests, web};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only these checks, by the names that a run prints; may be repeated or separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

struct Check {
    name: &'static str,
    run: fn() -> Result<()>,
}

const CHECKS: &[Check] = &[
    Check {
        name: "fmt",
        run: || quietly(cargo().args(["fmt", "--all", "--check"])).map(drop),
    },
    Check {
        name: "versions",
        run: house::versions_stand_in_the_workspace,
    },
    Check {
        name: "paths",
        run: house::no_machine_paths,
    },
    Check {
        name: "lock-files",
        run: house::lock_files_name_no_host,
    },
    Check {
        name: "layers",
        run: layers::check,
    },
    Check {
        name: "no-io",
        run: io::check,
    },
    Check {
        name: "circles",
        run: circles::check,
    },
    Check {
        name: "features",
        run: house::few_feature_switches,
    },
    Check {
        name: "licences",
        run: licences::check,
    },
    Check {
        name: "clippy",
        run: clippy,
    },
    Check {
        name: "clippy-wasm",
        run: clippy_wasm,
    },
    Check {
        name: "generated",
        run: generate::check_drift,
    },
    Check {
        name: "types",
        run: types,
    },
    Check {
        name: "sizes",
        run: sizes,
    },
];

pub fn command(arguments: &Arguments) -> Result<()> {
    if let Some(unknown) = arguments
        .only
        .iter()
        .find(|name| CHECKS.iter().all(|check| check.name != **name))
    {
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        bail!(
            "there is no check named {unknown}; there are: {}",
            names.join(", ")
        );
    }
    let mut failed = Vec::new();
    for check in CHECKS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == check.name) {
            continue;
        }
        let started = Instant::now();
        let outcome = (check.run)();
        let took = seconds(started.elapsed());
        match outcome {
            Ok(()) => println!("{:<12} ok     {took}", check.name),
            Err(error) => {
                println!("{:<12} FAILED {took}\n{error:#}\n", check.name);
                failed.push(check.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The path of the file from the repository's root.
fn shown(file: &Path) -> String {
    let file = file.strip_prefix(root()).unwrap_or(file);
    file.display().to_string()
}

fn clippy() -> Result<()> {
    quietly(cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
    .map(drop)
}

/// Checks the modules' code that only their own target compiles. Their tests and the other example
/// are native.
fn clippy_wasm() -> Result<()> {
    setup::wasm_target()?;
    quietly(cargo().args([
        "clippy",
        "--quiet",
        "--package",
        "client-wasm",
        "--package",
        "client-module",
        "--package",
        "on-device",
        "--lib",
        "--example",
        "vectors",
        "--example",
        "secure_sum",
        "--target",
        "wasm32-unknown-unknown",
        "--",
        "-D",
        "warnings",
    ]))
    .map(drop)
}

fn types() -> Result<()> {
    setup::for_building()?;
    // The page and its tests import the modules' types.
    xtask::wasm::build_for_tests()?;
    quietly(node_tool("npx", &web()).args(["--no-install", "tsc", "--noEmit"]))?;
    setup::npm_packages(&tests())?;
    quietly(node_tool("npx", &tests()).args(["--no-install", "tsc", "--noEmit"]))?;
    Ok(())
}

fn sizes() -> Result<()> {
    setup::for_building()?;
    xtask::wasm::build_for_tests()?;
    budgets::check()
}
