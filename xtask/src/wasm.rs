//! The browser's client, compiled and bound to JavaScript.
//!
//! wasm-opt is not used: it makes the module shorter, but larger once compressed, as it is sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::build::compressor;
use crate::run::{quietly, step};
use crate::workspace::{cargo, root, scratch, target, web};

const TARGET: &str = "wasm32-unknown-unknown";

/// One module: what cargo compiles, and the folder in `web/` that it is bound in. Built, never committed.
struct Module {
    package: &'static str,
    /// What follows `cargo build --package PACKAGE`.
    selection: &'static [&'static str],
    /// Below the profile's folder, without `.wasm`.
    compiled: &'static str,
    /// What the bound files begin with.
    name: &'static str,
    folder: &'static str,
}

/// What visitors load: `client_wasm.js`, `client_wasm.d.ts`, `client_wasm_bg.wasm`.
const CLIENT: Module = Module {
    package: "client-wasm",
    selection: &["--lib"],
    compiled: "client_wasm",
    name: "client_wasm",
    folder: "wasm",
};

/// What runs a model where a federation's model is on the device: loaded besides, in Workers of its own.
const ON_DEVICE: Module = Module {
    package: "on-device",
    selection: &["--lib"],
    compiled: "on_device",
    name: "on_device",
    folder: "wasm-on-device",
};

/// What tests load: the vectors (`vectors.js` and so on).
const VECTORS: Module = Module {
    package: "client-wasm",
    selection: &["--example", "vectors"],
    compiled: "examples/vectors",
    name: "vectors",
    folder: "wasm-test",
};

/// What the figure `secure-sum-cost` times.
const SECURE_SUM: Module = Module {
    package: "client-wasm",
    selection: &["--example", "secure_sum"],
    compiled: "examples/secure_sum",
    name: "secure_sum",
    folder: "wasm-bench",
};

/// Builds `web/wasm/`, the client.
pub fn build_client() -> Result<()> {
    CLIENT.build()
}

/// Builds `web/wasm-on-device/`.
pub fn build_on_device() -> Result<()> {
    ON_DEVICE.build()
}

/// Builds all that tests load: the pages' modules and `web/wasm-test/`.
pub fn build_for_tests() -> Result<()> {
    [CLIENT, ON_DEVICE, VECTORS]
        .iter()
        .try_for_each(Module::build)
}

/// Builds `web/wasm-bench/`.
pub fn build_secure_sum() -> Result<()> {
    SECURE_SUM.build()
}

/// Builds those that were never built, for their types.
pub fn build_missing() -> Result<()> {
    [CLIENT, ON_DEVICE, VECTORS]
        .iter()
        .filter(|module| !module.bound().is_file())
        .try_for_each(Module::build)
}

/// The built modules' lengths in bytes, in brotli as the aggregator sends them.
pub struct Sizes {
    /// What every participant loads.
    pub client: u64,
    /// What is loaded besides where a federation's model runs on the device.
    pub on_device: u64,
}

/// Measures the built modules.
pub fn sizes() -> Result<Sizes> {
    let mut node = compressor("size");
    let printed = quietly(node.args([CLIENT.bound(), ON_DEVICE.bound()]))?;
    let [client, on_device] = printed.lines().collect::<Vec<_>>()[..] else {
        bail!("two lengths were wanted, not {printed:?}");
    };
    Ok(Sizes {
        client: client.parse()?,
        on_device: on_device.parse()?,
    })
}

impl Module {
    fn destination(&self) -> PathBuf {
        web().join(self.folder)
    }

    fn bound(&self) -> PathBuf {
        self.destination().join(format!("{}_bg.wasm", self.name))
    }

    fn build(&self) -> Result<()> {
        step(&format!("cargo build {} ({TARGET})", self.name), || {
            quietly(
                cargo()
                    .args(["build", "--package", self.package])
                    .args(self.selection)
                    .args(["--target", TARGET, "--profile", "wasm"])
                    .args(["--config", &without_machine_paths()]),
            )
        })?;
        let compiled = target()
            .join(TARGET)
            .join("wasm")
            .join(format!("{}.wasm", self.compiled));
        if !compiled.is_file() {
            bail!(
                "{} built no {}: its Cargo.toml needs `crate-type` with \"cdylib\" for it",
                self.package,
                compiled.display()
            );
        }
        let stamp = self.stamp(&compiled)?;
        let stamp_file = scratch()?.join(format!("{}-stamp", self.folder));
        if self.bound().is_file() && fs::read_to_string(&stamp_file).is_ok_and(|kept| kept == stamp)
        {
            return Ok(());
        }
        step("wasm-bindgen", || self.bind(&compiled))?;
        fs::write(&stamp_file, stamp)?;
        Ok(())
    }

    /// Names one compiled module and what is done with it, so that unchanged ones are not bound again.
    fn stamp(&self, compiled: &Path) -> Result<String> {
        let metadata = compiled.metadata()?;
        let time = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
        // One target folder may serve several checkouts, hence the destination.
        Ok(format!(
            "{time} {} as compiled, {}",
            metadata.len(),
            self.destination().display()
        ))
    }

    fn bind(&self, compiled: &Path) -> Result<()> {
        let folder = self.destination();
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Bindgen::new()
            .input_path(compiled)
            .out_name(self.name)
            .web(true)?
            .typescript(true)
            // `init()` without arguments finds the module beside the script, also after bundling.
            .omit_default_module_path(false)
            .remove_producers_section(true)
            .remove_name_section(true)
            .generate(&folder)
            .with_context(|| format!("wasm-bindgen cannot bind {} (is wasm-bindgen's version in Cargo.lock that of wasm-bindgen-cli-support?)", self.package))
    }
}

/// Cargo's `--config` that keeps this machine's folders out of the module, where panics name their place.
/// Cargo adds it to the flags of `.cargo/config.toml`.
fn without_machine_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let flags: Vec<String> = [
        home.as_deref().map(|home| (home, "cargo")),
        Some((root(), "")),
    ]
    .into_iter()
    .flatten()
    .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
    .collect();
    // A list of strings is written alike in TOML and JSON.
    format!("target.{TARGET}.rustflags={}", serde_json::json!(flags))
}
