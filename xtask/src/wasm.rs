//! The browser's client, compiled and bound to JavaScript.
//!
//! wasm-opt is not used: it makes the module shorter, but larger in the compressed form that is
//! sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::build::compressor;
use crate::run::{quietly, step};
use crate::workspace::{cargo, root, scratch, target, web};

const TARGET: &str = "wasm32-unknown-unknown";

/// One module: what cargo compiles, and the folder in `web/` for its bindings. Built, never
/// committed.
struct Module {
    package: &'static str,
    /// An example of the package to compile in place of its library.
    example: Option<&'static str>,
    /// The beginning of the names of the bound files.
    name: &'static str,
    folder: &'static str,
}

/// The module for visitors: `client_wasm.js`, `client_wasm.d.ts`, `client_wasm_bg.wasm`.
const CLIENT: Module = Module {
    package: "client-module",
    example: None,
    name: "client_wasm",
    folder: "wasm",
};

/// The module that runs a federation's model on the device, loaded in addition, in its own Workers.
const ON_DEVICE: Module = Module {
    package: "on-device",
    example: None,
    name: "on_device",
    folder: "wasm-on-device",
};

/// The module for tests of the vectors (`vectors.js` and so on).
const VECTORS: Module = Module {
    package: "client-wasm",
    example: Some("vectors"),
    name: "vectors",
    folder: "wasm-test",
};

/// The module that the figure `secure-sum-cost` times.
const SECURE_SUM: Module = Module {
    package: "client-wasm",
    example: Some("secure_sum"),
    name: "secure_sum",
    folder: "wasm-bench",
};

/// Builds `web/wasm/`, the client.
pub fn build_client() -> Result<()> {
    build(&[CLIENT])
}

/// Builds everything that the pages load: `web/wasm/` and `web/wasm-on-device/`.
pub fn build_for_pages() -> Result<()> {
    build(&[CLIENT, ON_DEVICE])
}

/// Builds everything that tests load: the pages' modules and `web/wasm-test/`.
pub fn build_for_tests() -> Result<()> {
    build(&[CLIENT, ON_DEVICE, VECTORS])
}

/// Builds `web/wasm-bench/`.
pub fn build_secure_sum() -> Result<()> {
    build(&[SECURE_SUM])
}

/// Builds everything that tests load if any of it was never built, for its types.
pub fn build_missing() -> Result<()> {
    let there = [CLIENT, ON_DEVICE, VECTORS].map(|module| module.bound().is_file());
    if there == [true; 3] {
        return Ok(());
    }
    build_for_tests()
}

/// Compiles and binds `modules`. One command compiles them all, because cargo unites the features
/// of what one command names: built one after another, most crates that they share would be
/// compiled for each.
fn build(modules: &[Module]) -> Result<()> {
    let names: Vec<&str> = modules.iter().map(|module| module.name).collect();
    step(&format!("cargo build {}", names.join(", ")), || {
        let mut build = cargo();
        build.args(["build", "--target", TARGET, "--profile", "wasm"]);
        build.args(["--config", &without_machine_paths()]);
        // Stated once, because cargo takes no flag twice.
        if modules.iter().any(|module| module.example.is_none()) {
            build.arg("--lib");
        }
        for module in modules {
            build.args(["--package", module.package]);
            if let Some(name) = module.example {
                build.args(["--example", name]);
            }
        }
        quietly(&mut build)
    })?;
    modules.iter().try_for_each(Module::bind_anew)
}

/// The sizes of the built modules in bytes, in brotli as the aggregator sends them.
pub struct Sizes {
    /// The module that every participant loads.
    pub client: u64,
    /// The module that is loaded in addition if a federation's model runs on the device.
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

    /// Binds what was compiled, unless that was done before.
    fn bind_anew(&self) -> Result<()> {
        let folder = target().join(TARGET).join("wasm");
        let compiled = match self.example {
            Some(example) => folder.join("examples").join(format!("{example}.wasm")),
            None => folder.join(format!("{}.wasm", self.package.replace('-', "_"))),
        };
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
        step(&format!("wasm-bindgen {}", self.name), || {
            self.bind(&compiled)
        })?;
        fs::write(&stamp_file, stamp)?;
        Ok(())
    }

    /// Identifies a compiled module and what is done with it, so that unchanged ones are not bound
    /// again.
    fn stamp(&self, compiled: &Path) -> Result<String> {
        let metadata = compiled.metadata()?;
        let time = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
        // Several checkouts may share a target folder, hence the destination.
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

/// Cargo's `--config` that keeps this machine's folders out of the module, in which panics name
/// their place. Cargo adds it to the flags of `.cargo/config.toml`.
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
    // A list of strings is written the same way in TOML and JSON.
    format!("target.{TARGET}.rustflags={}", serde_json::json!(flags))
}
