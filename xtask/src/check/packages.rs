//! The packages of the workspace, as cargo lists them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use xtask::run::quietly;
use xtask::workspace::cargo;

pub struct Package {
    pub name: String,
    pub manifest: PathBuf,
    /// The root files of its library and its programs: neither tests nor examples nor benchmarks.
    pub roots: Vec<PathBuf>,
    /// The workspace's packages on which it depends, and whether only its tests do.
    pub dependencies: Vec<(String, bool)>,
}

/// Lists all packages of the workspace.
pub fn all() -> Result<Vec<Package>> {
    let metadata = quietly(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array();
    let packages = packages.context("`cargo metadata` lists no packages")?;
    packages
        .iter()
        .map(|package| {
            read(package).context("`cargo metadata` lists a package without its name or place")
        })
        .collect()
}

fn read(package: &Value) -> Option<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let only_for_tests = ["test", "example", "bench", "custom-build"];
    let roots = package["targets"]
        .as_array()?
        .iter()
        .filter(|target| !only_for_tests.iter().any(|kind| target["kind"][0] == *kind));
    let own = package["dependencies"]
        .as_array()?
        .iter()
        .filter(|dependency| !dependency["path"].is_null());
    Some(Package {
        name: text(&package["name"])?,
        manifest: text(&package["manifest_path"])?.into(),
        roots: roots
            .filter_map(|target| Some(text(&target["src_path"])?.into()))
            .collect(),
        dependencies: own
            .filter_map(|dependency| {
                Some((text(&dependency["name"])?, dependency["kind"] == "dev"))
            })
            .collect(),
    })
}
