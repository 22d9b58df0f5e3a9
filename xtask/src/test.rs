//! `cargo xtask test`: every test, in groups. Later groups run even if an earlier one failed.

mod count;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use count::Count;
use xtask::run::{aloud, aloud_or_fail, seconds};
use xtask::workspace::{Profile, TESTED, TOOLS, cargo, node_tool, scratch, tests, web};
use xtask::{build, setup};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only these groups; may be repeated or separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Unit, property, documentation and integration tests of all crates.
    Rust,
    /// The built WebAssembly module in Node: the same vectors as natively.
    Wasm,
    /// Unit tests of the pages.
    Web,
    /// Real server, real browser, real model API.
    Browser,
}

impl Group {
    const ALL: [Self; 4] = [Self::Rust, Self::Wasm, Self::Web, Self::Browser];

    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Wasm => "wasm",
            Self::Web => "web",
            Self::Browser => "browser",
        }
    }
}

pub fn command(arguments: &Arguments) -> Result<()> {
    let groups: Vec<Group> = Group::ALL
        .into_iter()
        .filter(|group| arguments.only.is_empty() || arguments.only.contains(group))
        .collect();

    let mut lines = Vec::new();
    let mut total = Count::default();
    let mut everything = Duration::ZERO;
    for group in groups {
        println!("== {}", group.name());
        let started = Instant::now();
        let count = run(group).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            // A group that cannot run counts as one failure; otherwise its absence would look like
            // success.
            Count {
                failed: 1,
                ..Count::default()
            }
        });
        let took = started.elapsed();
        everything += took;
        lines.push(format!(
            "  {:<8} {count}  ({})",
            group.name(),
            seconds(took)
        ));
        total += count;
    }

    println!("\nsummary ({})", seconds(everything));
    for line in lines {
        println!("{line}");
    }
    println!("\n{total}");
    if total.failed > 0 {
        bail!("{} failed", total.failed);
    }
    if total.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

fn run(group: Group) -> Result<Count> {
    match group {
        Group::Rust => rust(),
        Group::Wasm => {
            setup::for_building()?;
            xtask::wasm::build_for_tests()?;
            vitest("vitest-wasm.json", &["wasm"])
        }
        Group::Web => {
            setup::for_building()?;
            // The sources under test import the types of the generated modules.
            xtask::wasm::build_missing()?;
            vitest("vitest-web.json", &["--exclude", "**/*wasm*"])
        }
        Group::Browser => browser(),
    }
}

fn rust() -> Result<Count> {
    let chromium = setup::for_rust_tests();
    // Built first, because whole-system tests start the binary.
    let binary = binary()?;
    let mut count = Count::default();
    for selection in [&TOOLS[..], &TESTED] {
        let mut command = cargo();
        command.arg("test").args(selection).arg("--no-fail-fast");
        command.env("FED_BBPT", &binary);
        if let Some(chromium) = &chromium {
            command.env("CHROMIUM", chromium);
        }
        let finished = aloud(&mut command)?;
        count += count::cargo(&finished.stdout).or_one_failure(finished.success);
    }
    Ok(count)
}

/// Compiles all that the tests need and returns the path of `fed-bbpt`.
fn binary() -> Result<PathBuf> {
    aloud_or_fail(
        cargo()
            .arg("build")
            .args(TESTED)
            .args(["--bins", "--tests"]),
    )?;
    let binary = Profile::Dev.binary();
    if !binary.is_file() {
        bail!("{} was not built", binary.display());
    }
    Ok(binary)
}

/// Runs the page's tests. `selection` chooses files; those with `wasm` in their path are a group of
/// their own.
fn vitest(report: &str, selection: &[&str]) -> Result<Count> {
    let report = fresh_report(report)?;
    let mut command = node_tool("npx", &web());
    command
        .args(["--no-install", "vitest", "run"])
        .args(selection)
        .args([
            "--reporter=default",
            "--reporter=json",
            &format!("--outputFile.json={}", report.display()),
        ]);
    let finished = aloud(&mut command)?;
    Ok(read_report(&report, count::vitest).or_one_failure(finished.success))
}

fn browser() -> Result<Count> {
    let chromium = setup::for_browser_tests()?;
    build::pages()?;
    let binary = binary()?;
    let report = fresh_report("playwright.json")?;
    let finished = aloud(
        node_tool("npx", &tests())
            .args(["--no-install", "playwright", "test", "--reporter=list,json"])
            .env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report)
            .env("CHROMIUM", chromium)
            .env("FED_BBPT", binary)
            .env("CI", "1"),
    )?;
    Ok(read_report(&report, count::playwright).or_one_failure(finished.success))
}

/// The path to which a runner writes its report. An old one is removed, so that it is never read
/// again.
fn fresh_report(name: &str) -> Result<PathBuf> {
    let path = scratch()?.join(name);
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    Ok(path)
}

fn read_report(path: &Path, count: impl Fn(&serde_json::Value) -> Option<Count>) -> Count {
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .and_then(|report| count(&report))
        // A runner without a readable report has not done its work.
        .unwrap_or(Count {
            failed: 1,
            ..Count::default()
        })
}
