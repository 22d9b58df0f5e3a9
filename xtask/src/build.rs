//! `cargo xtask build`: the WebAssembly client, the page, the binary.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::run::{quietly, step};
use crate::workspace::{Profile, cargo, node_tool, web, web_dist};
use crate::{setup, wasm};

#[derive(clap::Args)]
pub struct Arguments {
    /// How the native binary is built; the WebAssembly client has its own profile.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
}

pub fn command(arguments: &Arguments) -> Result<()> {
    let binary = everything(arguments.profile)?;
    println!("built {} and {}", binary.display(), web_dist().display());
    Ok(())
}

/// Builds all and gives the binary's path.
pub fn everything(profile: Profile) -> Result<PathBuf> {
    page()?;
    binary(profile)
}

/// Sets up, builds the WebAssembly client and the page.
pub fn page() -> Result<()> {
    setup::for_building()?;
    wasm::build()?;
    step("npm run build in web/", || {
        quietly(node_tool("npm", &web()).args(["run", "build"]))
    })?;
    if !web_dist().join("index.html").is_file() {
        bail!("`npm run build` in web/ wrote no web/dist/index.html");
    }
    Ok(())
}

/// Builds `fed-bbpt` and gives its path.
pub fn binary(profile: Profile) -> Result<PathBuf> {
    step(
        &format!("cargo build fed-bbpt ({})", profile.name()),
        || {
            quietly(cargo().args([
                "build",
                "--package",
                "fed-bbpt",
                "--bin",
                "fed-bbpt",
                "--profile",
                profile.name(),
            ]))
        },
    )?;
    Ok(profile.binary())
}
