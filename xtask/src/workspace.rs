//! Paths of the workspace, and the cargo profiles that are built.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::Result;
use clap::ValueEnum;

use crate::run::hand_over;

/// The repository's root: the folder that holds the workspace's Cargo.toml.
pub fn root() -> &'static Path {
    // `cargo run` tells where the package lies, so that the commands work from any folder below
    // the root. The path known when compiling is no substitute where cargo does tell: checkouts
    // that share a target folder share this binary too.
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file());
        root.unwrap_or(&here).to_path_buf()
    });
    &ROOT
}

/// The page's folder, an npm package.
pub fn web() -> PathBuf {
    root().join("web")
}

/// The whole-system tests' folder, an npm package and a crate.
pub fn tests() -> PathBuf {
    root().join("tests")
}

/// The built page, as `fed-bbpt serve --web` and `fed-bbpt demo --web` take it.
pub fn web_dist() -> PathBuf {
    web().join("dist")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Folder, below cargo's target folder, for what xtask itself keeps between runs (reports, stamps).
pub fn scratch() -> std::io::Result<PathBuf> {
    let folder = target().join("xtask");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The packages that `cargo` compiles for tests. Every command uses the same selection, because
/// cargo unites the features of all that one command names, and another selection would compile
/// twice.
/// one command names, and another selection would compile twice.
pub const TESTED: [&str; 7] = [
    "--workspace",
    "--exclude",
    "xtask",
    "--exclude",
    "figures",
    "--exclude",
    "interop",
];

/// The other packages: this program was compiled without the rest, so it is tested without them
/// too.
pub const TOOLS: [&str; 6] = [
    "--package",
    "xtask",
    "--package",
    "figures",
    "--package",
    "interop",
];

/// A cargo profile of the native binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Tuned: the crates that compute are optimised, and tests share every artefact.
    #[default]
    Dev,
    /// For measuring and for deployment.
    Release,
}

impl Profile {
    /// The value of cargo's `--profile`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    /// The built `fed-bbpt` binary.
    pub fn binary(self) -> PathBuf {
        let folder = match self {
            Self::Dev => "debug",
            Self::Release => "release",
        };
        target()
            .join(folder)
            .join(format!("fed-bbpt{}", std::env::consts::EXE_SUFFIX))
    }
}

/// The command `cargo` in the repository's root, without what `cargo run` (which started this
/// program) put into the environment for this package alone: the build scripts of others would see
/// it and run again.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Becomes `package`'s program with these arguments, built first if necessary, in the caller's
/// folder.
pub fn hand_over_to(package: &str, arguments: &[OsString]) -> Result<()> {
    let mut command = cargo();
    // Paths that a caller gives are relative to the caller's folder.
    command.current_dir(std::env::current_dir()?);
    command.args(["run", "--quiet", "--package", package, "--"]);
    hand_over(command.args(arguments))
}

/// The command `npm` or `npx` in `folder`.
pub fn node_tool(tool: &str, folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) {
        format!("{tool}.cmd")
    } else {
        tool.to_owned()
    });
    command.current_dir(folder);
    command
}
