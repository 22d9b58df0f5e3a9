//! House rules that no other tool knows.

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::packages::{self, Package};
use super::source;
use xtask::run::quietly;
use xtask::workspace::root;

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks that the version of each dependency stands once, in the workspace's Cargo.toml.
pub fn versions_stand_in_the_workspace() -> Result<()> {
    let mut faults = Vec::new();
    for Package { name, manifest, .. } in packages::all()? {
        let manifest: Table = std::fs::read_to_string(manifest)?.parse()?;
        let own = own_versions(&manifest).into_iter();
        faults.extend(own.map(|dependency| format!("{name}: {dependency}")));
    }
    if !faults.is_empty() {
        bail!(
            "these dependencies must say `workspace = true` and have their version in the root Cargo.toml: {}",
            faults.join(", ")
        );
    }
    Ok(())
}

/// The dependencies of `manifest` that are not inherited from the workspace.
fn own_versions(manifest: &Table) -> Vec<String> {
    let per_target = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flat_map(Table::values);
    std::iter::once(manifest)
        .chain(per_target.filter_map(Value::as_table))
        .flat_map(|table| {
            DEPENDENCY_TABLES
                .iter()
                .filter_map(|name| table.get(*name)?.as_table())
        })
        .flatten()
        .filter(|(_, dependency)| {
            dependency.get("workspace").and_then(Value::as_bool) != Some(true)
                && !turns_off_features_of_our_own(dependency)
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// Whether a dependency is a crate of this workspace without its default features: what is
/// inherited cannot turn them off, and there is no version.
fn turns_off_features_of_our_own(dependency: &Value) -> bool {
    dependency.get("path").is_some()
        && dependency.get("version").is_none()
        && dependency.get("default-features").and_then(Value::as_bool) == Some(false)
}

/// Checks that no tracked text names a folder of the machine on which it was written.
pub fn no_machine_paths() -> Result<()> {
    // Put together, so that this file passes its own check.
    let needle = ["", "work", ""].join("/");
    let faults = lines_with(&tracked(&[])?, &needle)?;
    if !faults.is_empty() {
        bail!(
            "these lines name a folder of one machine: {}",
            faults.join(", ")
        );
    }
    Ok(())
}

/// Checks that npm's lock files leave the registry's address out, so that `npm ci` uses the
/// configured one.
pub fn lock_files_name_no_host() -> Result<()> {
    let faults = lines_with(
        &tracked(&["package-lock.json", "**/package-lock.json"])?,
        "\"resolved\": \"http",
    )?;
    if !faults.is_empty() {
        bail!(
            "{} lines name a registry's host, first {}: set omit-lockfile-registry-resolved=true in .npmrc \
             and write the lock file again",
            faults.len(),
            faults[0]
        );
    }
    Ok(())
}

/// Maximum number of times that `cfg` may ask for a cargo feature in the whole repository: every
/// switch doubles what has to be tested, so only what a platform lacks is worth one.
const FEATURE_SWITCHES: usize = 15;

/// Checks that there are few `cfg(feature = …)` and `cfg_attr(feature = …, …)`.
pub fn few_feature_switches() -> Result<()> {
    let mut switches = Vec::new();
    for file in tracked(&["*.rs"])? {
        let path = root().join(&file);
        if !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(path)?;
        let count = source::feature_switches(&text).context(file.clone())?;
        switches.extend(std::iter::repeat_n(file, count));
    }
    println!("  {} of {FEATURE_SWITCHES}", switches.len());
    refuse_many(&switches)
}

/// Fails if there are too many `switches`, which are the files that contain them.
fn refuse_many(switches: &[String]) -> Result<()> {
    if switches.len() > FEATURE_SWITCHES {
        bail!("too many of cfg(feature = …): {}", switches.join(", "));
    }
    Ok(())
}

/// The tracked files, and new ones that git does not ignore.
fn tracked(patterns: &[&str]) -> Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
    ]);
    let listed = quietly(git.args(patterns))?;
    Ok(listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The places, as `file:line`, of every line of these files that contains `needle`; binary files
/// are passed over.
fn lines_with(files: &[String], needle: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in files {
        let path = root().join(file);
        // A deleted file is still listed until the deletion is committed; a submodule is a folder.
        if !path.is_file() {
            continue;
        }
        let content = std::fs::read(&path).with_context(|| format!("cannot read {file}"))?;
        let Ok(text) = String::from_utf8(content) else {
            continue;
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(needle));
        found.extend(lines.map(|(index, _)| format!("{file}:{}", index + 1)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{FEATURE_SWITCHES, own_versions, refuse_many};

    #[test]
    fn refuses_one_feature_switch_too_many() {
        let switches = |count| vec!["a.rs".to_owned(); count];
        assert!(refuse_many(&switches(FEATURE_SWITCHES)).is_ok());
        assert!(refuse_many(&switches(FEATURE_SWITCHES + 1)).is_err());
    }

    #[test]
    fn finds_dependencies_with_versions_of_their_own() {
        let manifest = r#"
            [dependencies]
            a = { workspace = true, optional = true }
            b = "1"
            c = { version = "2", features = ["x"] }
            d.workspace = true
            [dev-dependencies]
            e = { path = "../e" }
            g = { path = "../g", default-features = false }
            h = { path = "../h", version = "1", default-features = false }
            [target.'cfg(unix)'.dependencies]
            f = "3"
        "#;
        let mut found = own_versions(&manifest.parse().unwrap());
        found.sort();
        assert_eq!(found, ["b", "c", "e", "f", "h"]);
    }
}
