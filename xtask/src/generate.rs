//! `cargo xtask generate`: the page's TypeScript types, from the Rust types that they mirror.
//!
//! ts-rs writes them from tests, so that the library itself carries no code for it. The page's
//! copy is committed: the page can be edited and type-checked without Rust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use xtask::run::{quietly, step};
use xtask::workspace::{TESTED, cargo, scratch, web};

/// The folder of the page's copy.
pub fn destination() -> PathBuf {
    web().join("src").join("generated")
}

pub fn command() -> Result<()> {
    let generated = export()?;
    let destination = destination();
    if destination.is_dir() {
        std::fs::remove_dir_all(&destination)?;
    }
    for (name, content) in &generated {
        let path = destination.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, content)?;
    }
    println!(
        "wrote {} files to {}",
        generated.len(),
        destination.display()
    );
    Ok(())
}

/// Fails if the committed files differ from what the Rust sources give.
pub fn check_drift() -> Result<()> {
    let differences = differences(&export()?, &read(&destination())?);
    if differences.is_empty() {
        return Ok(());
    }
    bail!(
        "web/src/generated is not what the Rust types give: {}; run `cargo xtask generate` and commit the result",
        differences.join(", ")
    )
}

type Files = BTreeMap<PathBuf, String>;

/// Lets ts-rs write its files into a temporary folder and reads them.
fn export() -> Result<Files> {
    let folder = scratch()?.join("generated");
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder)?;
    }
    step("export TypeScript types", || {
        let mut test = cargo();
        // Only what the tests compile.
        test.arg("test")
            .args(TESTED)
            .args(["--lib", "export_bindings"]);
        quietly(test.env("TS_RS_EXPORT_DIR", &folder))
    })?;
    let files = read(&folder)?;
    if files.is_empty() {
        bail!("no crate exports TypeScript types: none has `#[ts(export)]`");
    }
    Ok(files)
}

fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(current) = waiting.pop() {
        if !current.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let content = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                files.insert(path.strip_prefix(folder)?.to_path_buf(), content);
            }
        }
    }
    Ok(files)
}

fn differences(wanted: &Files, present: &Files) -> Vec<String> {
    let mut names: Vec<&PathBuf> = wanted.keys().chain(present.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| match (wanted.get(name), present.get(name)) {
            (Some(wanted), Some(present)) if wanted == present => None,
            (Some(_), Some(_)) => Some(format!("{} differs", name.display())),
            (Some(_), None) => Some(format!("{} is missing", name.display())),
            (None, _) => Some(format!("{} is left over", name.display())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter()
            .map(|(name, content)| (PathBuf::from(name), (*content).to_owned()))
            .collect()
    }

    #[test]
    fn names_every_difference() {
        let wanted = files(&[("a.ts", "1"), ("b.ts", "2"), ("c.ts", "3")]);
        let present = files(&[("a.ts", "1"), ("b.ts", "old"), ("d.ts", "4")]);
        assert_eq!(
            differences(&wanted, &present),
            ["b.ts differs", "c.ts is missing", "d.ts is left over"]
        );
        assert!(differences(&wanted, &wanted).is_empty());
    }
}
