//! Checks that the code on which parties agree has no input, output, clock or threads: its callers
//! bring them.

use anyhow::{Result, bail};

use super::source::{self, Source};
use super::{packages, shown};
use xtask::workspace::root;

/// Beginnings of paths that mean IO.
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

/// The files that may use IO nevertheless: the path, what it mentions, and why.
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
    for target in packages::all()?.iter().flat_map(|package| &package.roots) {
        if target.starts_with(&shared) {
            for (file, source) in source::read_all(target)?.values() {
                faults.extend(faults_in(&shown(file), source));
            }
        }
    }
    if !faults.is_empty() {
        bail!(
            "shared/ has no IO, no clock and no threads of its own; move these to the callers, or take them by a trait:\n{}",
            faults.join("\n")
        );
    }
    Ok(())
}

/// The places, as `file:line: what`, of each mention of IO that is no exception.
fn faults_in(file: &str, source: &Source) -> Vec<String> {
    let excepted = |path: &str| {
        let mut exceptions = EXCEPTIONS.iter();
        exceptions.any(|(allowed, io, _)| *allowed == file && begins_with(path, io))
    };
    let mentions = source.mentions.iter();
    mentions
        .map(|mention| (mention.line, mention.path.join("::")))
        .filter(|(_, path)| IO.iter().any(|io| begins_with(path, io)) && !excepted(path))
        .map(|(line, path)| format!("{file}:{line}: {path}"))
        .collect()
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
        let source = Source::read(text, &[]).unwrap();
        assert_eq!(
            faults_in("a.rs", &source),
            [
                "a.rs:1: std::time::Instant",
                "a.rs:2: std::fs::File",
                "a.rs:3: eprintln!",
                "a.rs:3: std::thread::yield_now",
                "a.rs:5: tokio::spawn",
            ]
        );
    }

    #[test]
    fn exceptions_are_of_one_file_and_one_kind() {
        let source = Source::read("fn f() { std::thread::scope(std::fs::read) }", &[]).unwrap();
        let faults = |file| faults_in(file, &source).len();
        assert_eq!(faults("shared/inference/src/parallel.rs"), 1);
        assert_eq!(faults("shared/inference/src/lib.rs"), 2);
    }
}
