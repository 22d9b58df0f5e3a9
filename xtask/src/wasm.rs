//! The browser's client: compiled, bound to JavaScript, and made smaller where wasm-opt is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::run::{quietly, step};
use crate::workspace::{cargo, scratch, target, web};

/// Features that the compiled module uses; wasm-opt refuses modules whose features it is not told.
const WASM_OPT: &[&str] = &[
    // Every visitor loads it; the loops whose speed matters are SIMD by hand.
    "-Oz",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-nontrapping-float-to-int",
    "--enable-simd",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// The folder that the page imports `client_wasm.js` from. Built, never committed.
pub fn folder() -> PathBuf {
    web().join("wasm")
}

/// The bound module.
pub fn module() -> PathBuf {
    folder().join("client_wasm_bg.wasm")
}

/// Builds `web/wasm/`: `client_wasm.js`, `client_wasm.d.ts` and `client_wasm_bg.wasm`.
pub fn build() -> Result<()> {
    step("cargo build client-wasm (wasm32)", || {
        quietly(cargo().args([
            "build",
            "--package",
            "client-wasm",
            "--target",
            "wasm32-unknown-unknown",
            "--profile",
            "wasm",
        ]))
    })?;
    let compiled = target().join("wasm32-unknown-unknown/wasm/client_wasm.wasm");
    if !compiled.is_file() {
        bail!(
            "client-wasm built no module: its Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`"
        );
    }
    let wasm_opt = web().join("node_modules/.bin/wasm-opt");
    let stamp = stamp(&compiled, wasm_opt.is_file())?;
    let stamp_file = scratch()?.join("wasm-stamp");
    let fresh =
        module().is_file() && fs::read_to_string(&stamp_file).is_ok_and(|kept| kept == stamp);
    if fresh {
        return Ok(());
    }
    step("wasm-bindgen", || bind(&compiled))?;
    if wasm_opt.is_file() {
        step("wasm-opt", || optimise(&wasm_opt))?;
    }
    fs::write(&stamp_file, stamp)?;
    Ok(())
}

/// Names one compiled module and what is done with it, so that unchanged ones are not bound again.
fn stamp(compiled: &Path, optimised: bool) -> Result<String> {
    let metadata = compiled.metadata()?;
    let time = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    // One target folder may serve several checkouts, hence the destination.
    Ok(format!(
        "{time} {} optimised={optimised} {WASM_OPT:?} {}",
        metadata.len(),
        folder().display()
    ))
}

fn bind(compiled: &Path) -> Result<()> {
    let folder = folder();
    if folder.is_dir() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Bindgen::new()
        .input_path(compiled)
        .web(true)?
        .typescript(true)
        // `init()` without arguments finds the module beside the script, also after bundling.
        .omit_default_module_path(false)
        .remove_producers_section(true)
        .remove_name_section(true)
        .generate(&folder)
        .context("wasm-bindgen cannot bind client-wasm (is wasm-bindgen's version in Cargo.lock that of wasm-bindgen-cli-support?)")
}

fn optimise(wasm_opt: &Path) -> Result<()> {
    let module = module();
    let smaller = module.with_extension("opt");
    quietly(
        Command::new(wasm_opt)
            .args(WASM_OPT)
            .arg(&module)
            .arg("-o")
            .arg(&smaller),
    )?;
    fs::rename(&smaller, &module)?;
    Ok(())
}
