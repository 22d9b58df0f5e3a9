//! Python environments for what figures are compared with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run::{find_in_path, quietly, step};
use crate::workspace::target;

/// Makes `target/NAME` a Python environment with these packages, unless `module` can be imported there already;
/// gives its python.
pub fn environment(name: &str, packages: &[&str], module: &str) -> Result<PathBuf> {
    let folder = target().join(name);
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    if imports(&python, module) {
        return Ok(python);
    }
    let Some(system_python) = find_in_path("python3") else {
        bail!(
            "python3 is missing: install Python 3.11 or newer with its venv module (`apt-get install python3-venv`)"
        );
    };
    step("python3 -m venv", || {
        quietly(
            Command::new(system_python)
                .args(["-m", "venv"])
                .arg(&folder),
        )
    })?;
    step(&format!("pip install {}", packages.join(" ")), || {
        quietly(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet"])
                .arg("--disable-pip-version-check")
                .args(packages),
        )
    })?;
    Ok(python)
}

fn imports(python: &Path, module: &str) -> bool {
    python.is_file()
        && Command::new(python)
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}
