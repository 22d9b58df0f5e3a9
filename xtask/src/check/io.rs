//! What parties agree on needs no input, no output, no clock and no threads: whoever uses it brings them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::packages;
use super::source::Source;
use xtask::workspace::root;

/// Beginnings of the paths that mean IO.
const IO: &[&str] = &[
    "dbg!",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
    "reqwest",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];

/// The files that may nevertheless: the path, what it mentions, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "shared/inference/src/parallel.rs",
        "std::thread",
        "a batch is computed on every core, where there are threads",
    ),
    (
        "shared/inference/src/text/folder.rs",
        "std::fs",
        "reads a model's folder for those that have one",
    ),
];

pub fn check() -> Result<()> {
    let shared = root().join("shared");
    let mut faults = Vec::new();
    for package in packages::all()? {
        for target in package
            .roots
            .iter()
            .filter(|target| target.starts_with(&shared))
        {
            let folder = target.parent().context("a crate's root has no folder")?;
            find(folder, &mut faults)?;
        }
    }
    if !faults.is_empty() {
        bail!(
            "shared/ has no IO, no clock and no threads of its own; move these to whoever calls, or take them by a trait:\n{}",
            faults.join("\n")
        );
    }
    Ok(())
}

/// Looks through `folder`, except for modules that only tests compile.
fn find(folder: &Path, faults: &mut Vec<String>) -> Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                find(&path, faults)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            let text = std::fs::read_to_string(&path)?;
            let shown = path
                .strip_prefix(root())
                .unwrap_or(&path)
                .display()
                .to_string();
            let found = mentions(&text).with_context(|| shown.clone())?;
            faults.extend(
                found
                    .iter()
                    .filter(|(_, mention)| !excepted(&shown, mention))
                    .map(|(line, mention)| format!("  {shown}:{line}: {mention}")),
            );
        }
    }
    Ok(())
}

fn excepted(file: &str, mention: &str) -> bool {
    EXCEPTIONS
        .iter()
        .any(|(allowed, io, _)| *allowed == file && begins_with(mention, io))
}

/// The lines that mention IO, and what they mention.
fn mentions(text: &str) -> Result<Vec<(usize, String)>> {
    let source = Source::read(text, &[])?;
    Ok(source
        .mentions
        .iter()
        .map(|mention| (mention.line, mention.path.join("::")))
        .filter(|(_, path)| IO.iter().any(|io| begins_with(path, io)))
        .collect())
}

fn begins_with(path: &str, beginning: &str) -> bool {
    path.strip_prefix(beginning)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_is_found_and_tests_may_have_it() {
        let text = "use std::time::{Duration, Instant};\nuse std::{fmt, fs::File};\n\
            fn f() { eprintln!(\"std::net\"); std::thread::yield_now(); }\n\
            #[cfg(test)] mod tests { use std::fs; }\n\
            use crate::tokio_like; async fn g() { tokio::spawn(async {}) }\n";
        let found = mentions(text).unwrap();
        let found: Vec<String> = found
            .iter()
            .map(|(line, path)| format!("{line} {path}"))
            .collect();
        assert_eq!(
            found,
            [
                "1 std::time::Instant",
                "2 std::fs::File",
                "3 eprintln!",
                "3 std::thread::yield_now",
                "5 tokio::spawn",
            ]
        );
    }

    #[test]
    fn exceptions_are_of_one_file_and_one_kind() {
        assert!(excepted(
            "shared/inference/src/parallel.rs",
            "std::thread::scope"
        ));
        assert!(!excepted(
            "shared/inference/src/parallel.rs",
            "std::fs::read"
        ));
        assert!(!excepted(
            "shared/inference/src/lib.rs",
            "std::thread::scope"
        ));
    }
}
