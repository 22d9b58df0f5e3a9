//! Prepares a bare machine with rustup and Node, or says exactly what to install.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{ask, find_in_path, quietly, step};
use crate::workspace::{node_tool, root, tests, web};

/// The oldest major version of Node on which the page's tools run.
const NODE: u32 = 20;

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Installs what building needs: the wasm target and the page's npm packages.
pub fn for_building() -> Result<()> {
    wasm_target()?;
    if !web().join("package.json").is_file() {
        bail!("web/package.json is missing: the page cannot be built from this checkout");
    }
    node()?;
    npm_packages(&web())
}

/// Installs what Rust tests can use but do not need; returns Chromium's path if there is one.
pub fn for_rust_tests() -> Option<PathBuf> {
    optional_vulkan();
    std::env::var_os("CHROMIUM")
        .map(PathBuf::from)
        .or_else(chromium_in_path)
}

/// Installs what whole-system tests need beyond [`for_building`]; returns Chromium's path.
pub fn for_browser_tests() -> Result<PathBuf> {
    if !tests().join("package.json").is_file() {
        bail!("tests/package.json is missing: the browser tests cannot run from this checkout");
    }
    node()?;
    npm_packages(&tests())?;
    optional_vulkan();
    chromium()
}

/// Installs the target for which the modules are compiled.
pub fn wasm_target() -> Result<()> {
    let mut library = Command::new("rustc");
    library
        .current_dir(root())
        .args(["--print", "target-libdir", "--target", WASM_TARGET]);
    if ask(&mut library).is_some_and(|folder| Path::new(&folder).is_dir()) {
        return Ok(());
    }
    if find_in_path("rustup").is_none() {
        bail!(
            "the Rust target {WASM_TARGET} is missing and rustup is not installed: install rustup \
             (https://rustup.rs), or your distribution's package of that target"
        );
    }
    step(&format!("rustup target add {WASM_TARGET}"), || {
        quietly(
            Command::new("rustup")
                .current_dir(root())
                .args(["target", "add", WASM_TARGET]),
        )
    })?;
    Ok(())
}

/// Checks that Node and npm are installed and new enough.
pub fn node() -> Result<()> {
    let advice = format!(
        "install Node {NODE} or newer with npm (https://nodejs.org, or `apt-get install nodejs npm`)"
    );
    let Some(version) = ask(Command::new("node").arg("--version")) else {
        bail!("node is missing: {advice}");
    };
    if node_major(&version).is_none_or(|major| major < NODE) {
        bail!("node is {version}, too old: {advice}");
    }
    if ask(node_tool("npm", root()).arg("--version")).is_none() {
        bail!("npm is missing: {advice}");
    }
    Ok(())
}

fn node_major(version: &str) -> Option<u32> {
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// Runs `npm ci` in `folder`, if its packages are missing or older than its lock file.
pub fn npm_packages(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    if !lock.is_file() {
        bail!(
            "{} is missing: run `npm install` there once and commit it",
            lock.display()
        );
    }
    // npm writes this file last, so it stands for a complete installation.
    let installed = folder.join("node_modules").join(".package-lock.json");
    let fresh = match (modified(&installed), modified(&lock)) {
        (Some(installed), Some(lock)) => installed >= lock,
        _ => false,
    };
    if fresh {
        return Ok(());
    }
    let name = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    step(&format!("npm ci in {name}/"), || {
        // The system's Chromium is used, so Playwright must not fetch its own.
        quietly(
            node_tool("npm", folder)
                .args(["ci", "--no-audit", "--no-fund"])
                .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
        )
    })?;
    Ok(())
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Chromium's path: `$CHROMIUM`, otherwise the first of the usual names in `PATH`, otherwise a new
/// installation.
pub fn chromium() -> Result<PathBuf> {
    if let Some(stated) = std::env::var_os("CHROMIUM") {
        let stated = PathBuf::from(stated);
        if !stated.is_file() {
            bail!(
                "CHROMIUM is set to {}, which is not a file: correct or unset it",
                stated.display()
            );
        }
        return Ok(stated);
    }
    if let Some(found) = chromium_in_path() {
        return Ok(found);
    }
    if !is_root_on_debian() {
        bail!(
            "no Chromium in PATH (chromium, chromium-browser, google-chrome): install one, e.g. \
             `sudo apt-get install chromium`, or set CHROMIUM to its path"
        );
    }
    step("apt-get install chromium", || apt_install("chromium"))?;
    chromium_in_path().context("apt-get installed chromium, but it is not in PATH")
}

fn chromium_in_path() -> Option<PathBuf> {
    [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ]
    .into_iter()
    .find_map(find_in_path)
}

/// Installs Mesa's software Vulkan, on which the WebGPU kernels can run natively. Tests that use it
/// are skipped without it, so a failure to install it is only reported.
fn optional_vulkan() {
    let found = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("lvp"));
    if found || !is_root_on_debian() {
        return;
    }
    if step("apt-get install mesa-vulkan-drivers", || {
        apt_install("mesa-vulkan-drivers libvulkan1")
    })
    .is_err()
    {
        println!("  (optional: native WebGPU tests are skipped without mesa-vulkan-drivers)");
    }
}

fn is_root_on_debian() -> bool {
    Path::new("/etc/debian_version").is_file()
        && ask(Command::new("id").arg("-u")).as_deref() == Some("0")
}

fn apt_install(packages: &str) -> Result<()> {
    let apt = |arguments: &[&str]| {
        quietly(
            Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages.split_whitespace());
    apt(&arguments)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::node_major;

    #[test]
    fn reads_the_major_version_of_node() {
        assert_eq!(node_major("v20.19.2\n"), Some(20));
        assert_eq!(node_major("v8.0.0"), Some(8));
        assert_eq!(node_major("20.1.0"), None);
        assert_eq!(node_major("vnext"), None);
    }
}
