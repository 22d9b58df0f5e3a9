//! `cargo xtask build`: the WebAssembly modules, the pages, the binary.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{alongside, quietly, step};
use crate::workspace::{Profile, cargo, node_tool, web, web_dist};
use crate::{setup, wasm};

/// Builds the WebAssembly modules, the pages and the `fed-bbpt` binary.
#[derive(clap::Args)]
pub struct Arguments {
    /// Cargo profile of the native binary; the WebAssembly modules have their own.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
}

/// Builds the modules, the pages and the binary, and prints where they are.
///
/// # Errors
/// A step that fails.
pub fn command(arguments: &Arguments) -> Result<()> {
    let binary = with_binary(arguments.profile, pages)?;
    println!("built {} and {}", binary.display(), web_dist().display());
    Ok(())
}

/// Runs `pages` while `fed-bbpt` is built, and returns the binary's path. Both end in steps that
/// keep one core busy, and they share no artefact.
pub fn with_binary(profile: Profile, pages: impl FnOnce() -> Result<()>) -> Result<PathBuf> {
    let name = format!("cargo build fed-bbpt ({}), meanwhile", profile.name());
    alongside(&name, || compile(profile), pages)?;
    Ok(profile.binary())
}

/// Sets up, builds the WebAssembly modules and the pages, and compresses what is sent.
pub fn pages() -> Result<()> {
    setup::for_building()?;
    wasm::build_for_pages()?;
    bundle(true)?;
    step("brotli and gzip", || {
        let mut node = compressor("write");
        quietly(node.arg(web_dist())).map(drop)
    })
}

/// Builds the pages without models on the device and uncompressed, for a demonstration on the
/// machine that built them.
pub fn demonstration_pages() -> Result<()> {
    setup::for_building()?;
    wasm::build_client()?;
    bundle(false)
}

/// The program that compresses, with the first of its arguments.
pub(crate) fn compressor(command: &str) -> Command {
    let mut node = Command::new("node");
    node.current_dir(web())
        .args(["src/build/compress.mjs", command]);
    node
}

fn bundle(on_device: bool) -> Result<()> {
    step("npm run build in web/", || {
        let mut npm = node_tool("npm", &web());
        npm.args(["run", "build"]);
        if !on_device {
            npm.env("WITHOUT_ON_DEVICE", "1");
        }
        quietly(&mut npm)
    })?;
    if !web_dist().join("index.html").is_file() {
        bail!("`npm run build` in web/ wrote no web/dist/index.html");
    }
    Ok(())
}

/// Builds `fed-bbpt` and returns its path.
pub fn binary(profile: Profile) -> Result<PathBuf> {
    let name = format!("cargo build fed-bbpt ({})", profile.name());
    step(&name, || compile(profile))?;
    Ok(profile.binary())
}

fn compile(profile: Profile) -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--package", "fed-bbpt", "--bin", "fed-bbpt"]);
    quietly(build.args(["--profile", profile.name()])).map(drop)
}
