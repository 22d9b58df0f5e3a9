//! Python environments of the third-party programs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use xtask::run::{find_in_path, quietly, step};
use xtask::workspace::target;

/// Makes `target/NAME` a Python environment with these packages in these versions, unless it is one
/// already; returns the path of its Python.
pub fn environment(name: &str, packages: &[&str]) -> Result<PathBuf> {
    environment_with(name, packages, &[])
}

/// Makes a Python environment, with variables for packages that must be compiled.
pub fn environment_with(
    name: &str,
    packages: &[&str],
    variables: &[(&str, &str)],
) -> Result<PathBuf> {
    let folder = target().join(name);
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    let stamp = folder.join("installed-requirements.txt");
    let wanted = packages.join("\n");
    if python.is_file()
        && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
    {
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
                .args(packages)
                .envs(variables.iter().copied()),
        )
    })?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}
