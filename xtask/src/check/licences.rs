//! Checks that every dependency can be used in a program under `MIT OR Apache-2.0`: no copyleft
//! beyond the file.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use spdx::{Expression, ParseMode};
use xtask::run::quietly;
use xtask::workspace::{cargo, web};

/// Licences that ask for no more than a notice, and MPL-2.0, whose copyleft ends with the file.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks all crates and the npm packages that reach the visitor.
pub fn check() -> Result<()> {
    let mut refused = crates()?;
    refused.extend(npm_packages()?);
    if !refused.is_empty() {
        bail!(
            "licences that are not on the list of allowed ones: {}",
            refused.join("; ")
        );
    }
    Ok(())
}

fn crates() -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(&quietly(cargo().args([
        "metadata",
        "--format-version",
        "1",
    ]))?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` lists no packages")?;
    Ok(packages
        .iter()
        .filter_map(|package| {
            let licence = package["license"].as_str().unwrap_or("unknown");
            refused(package["name"].as_str()?, licence)
        })
        .collect())
}

/// The packages that the page uses, without those that only build and test it.
fn npm_packages() -> Result<Vec<String>> {
    let lock = web().join("package-lock.json");
    if !lock.is_file() {
        bail!("web/package-lock.json is missing");
    }
    let lock: Value = serde_json::from_str(&std::fs::read_to_string(lock)?)?;
    let packages = lock["packages"]
        .as_object()
        .context("web/package-lock.json lists no packages")?;
    Ok(packages
        .iter()
        // The empty path is the page itself.
        .filter(|(path, package)| {
            !path.is_empty() && package["dev"] != true && package["devOptional"] != true
        })
        .filter_map(|(path, package)| {
            let stated = package["license"].as_str().map(str::to_owned);
            let licence = stated
                .or_else(|| installed_licence(path))
                .unwrap_or_else(|| "unknown".to_owned());
            refused(path, &licence)
        })
        .collect())
}

/// The licence in an installed package, for lock files that leave it out.
fn installed_licence(path: &str) -> Option<String> {
    let manifest = std::fs::read_to_string(web().join(path).join("package.json")).ok()?;
    let manifest: Value = serde_json::from_str(&manifest).ok()?;
    manifest["license"].as_str().map(str::to_owned)
}

fn refused(name: &str, licence: &str) -> Option<String> {
    (!satisfiable(licence)).then(|| format!("{name}: {licence}"))
}

/// Whether this SPDX expression leaves a choice in which every licence is allowed; false if it is
/// malformed.
fn satisfiable(expression: &str) -> bool {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let mode = ParseMode {
        allow_slash_as_or_operator: true,
        ..ParseMode::STRICT
    };
    // An exception only adds permissions, and a version "or later" can be taken as the stated one.
    Expression::parse_mode(expression, mode).is_ok_and(|expression| {
        expression.evaluate(|wanted| {
            let id = wanted.license.id();
            id.is_some_and(|id| ALLOWED.contains(&id.name))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{refused, satisfiable};

    #[test]
    fn copyleft_and_unknown_licences_are_refused() {
        assert_eq!(refused("a", "MIT OR LGPL-2.1-or-later"), None);
        assert_eq!(
            refused("b", "GPL-3.0-or-later").as_deref(),
            Some("b: GPL-3.0-or-later")
        );
        assert_eq!(refused("c", "unknown").as_deref(), Some("c: unknown"));
        assert!(refused("d", "AGPL-3.0-only OR LGPL-3.0-only").is_some());
    }

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_conjunction_all() {
        for expression in [
            "MIT/Apache-2.0",
            "(GPL-2.0-only OR MIT) AND Apache-2.0 WITH LLVM-exception",
            // AND binds tighter than OR.
            "MIT OR GPL-2.0-only AND OpenSSL",
        ] {
            assert!(satisfiable(expression), "{expression}");
        }
        for expression in [
            "MIT AND OpenSSL",
            "(MIT OR GPL-2.0-only) AND OpenSSL",
            "MIT OR",
            "(MIT",
            "MIT MIT",
            "",
        ] {
            assert!(!satisfiable(expression), "{expression:?}");
        }
    }
}
