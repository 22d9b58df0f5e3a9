//! Checks that crates depend only downwards.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use super::packages::{self, Package};

/// Each crate, and the crates that it may use directly; it may also use those that they may use.
/// This is the only place that states it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ground", &[]),
    ("owner-data", &["ground"]),
    ("secure-sum", &["ground"]),
    ("privacy", &["secure-sum"]),
    ("tuning", &["owner-data"]),
    ("model-client", &["tuning"]),
    ("federation", &["model-client", "privacy"]),
    ("participant", &["federation"]),
    ("inference", &["model-client"]),
    ("client-wasm", &["participant"]),
    ("client-module", &["client-wasm"]),
    ("on-device", &["inference"]),
    ("listener", &[]),
    ("aggregator", &["federation", "listener"]),
    ("model-api", &["inference", "listener"]),
    ("datasets", &["federation"]),
    ("relay", &["aggregator"]),
    ("recipes", &["datasets"]),
    (
        "fed-bbpt",
        &["participant", "model-api", "relay", "recipes"],
    ),
];
/// Crates that measure and test the others, and may use all of them.
const ABOVE_ALL: &[&str] = &["figures", "interop", "tests", "xtask"];

pub fn check() -> Result<()> {
    let faults = faults(&packages::all()?);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn faults(packages: &[Package]) -> Vec<String> {
    let table = MAY_USE
        .iter()
        .map(|(name, uses)| (*name, uses.to_vec()))
        .collect();
    let normal = packages
        .iter()
        .map(|package| {
            let uses = package
                .dependencies
                .iter()
                .filter(|(_, only_tests)| !only_tests);
            (
                package.name.as_str(),
                uses.map(|(name, _)| name.as_str()).collect(),
            )
        })
        .collect();
    let mut faults = Vec::new();
    for Package {
        name, dependencies, ..
    } in packages
    {
        if ABOVE_ALL.contains(&name.as_str()) {
            continue;
        }
        if MAY_USE.iter().all(|(known, _)| known != name) {
            faults.push(format!(
                "{name} is in no layer: xtask/src/check/layers.rs must say what it may use"
            ));
            continue;
        }
        let allowed = below(name, &table);
        for (other, only_tests) in dependencies {
            let other = other.as_str();
            if *only_tests {
                if below(other, &normal).contains(name.as_str()) {
                    faults.push(format!(
                        "the tests of {name} use {other}, which uses {name}: test there"
                    ));
                }
            } else if !allowed.contains(other) {
                faults.push(format!(
                    "{name} must not use {other}: it may use {allowed:?}"
                ));
            }
        }
    }
    faults
}

/// All crates that `name` uses, directly or indirectly.
fn below<'a>(name: &'a str, uses: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![name];
    while let Some(next) = waiting.pop() {
        let new = uses.get(next).into_iter().flatten();
        waiting.extend(new.filter(|other| found.insert(**other)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, normal: &[&str], dev: &[&str]) -> Package {
        let named = |names: &[&str], dev| {
            names
                .iter()
                .map(move |name| ((*name).to_owned(), dev))
                .collect::<Vec<_>>()
        };
        Package {
            name: name.to_owned(),
            manifest: "Cargo.toml".into(),
            roots: Vec::new(),
            dependencies: [named(normal, false), named(dev, true)].concat(),
        }
    }

    #[test]
    fn downwards_is_allowed_and_nothing_else() {
        let good = [
            package("ground", &[], &[]),
            package("tuning", &["ground", "owner-data"], &["inference"]),
            package("federation", &["ground", "secure-sum", "tuning"], &[]),
            package("tests", &["fed-bbpt", "xtask"], &[]),
        ];
        assert_eq!(faults(&good), Vec::<String>::new());
        for bad in [
            package("ground", &["tuning"], &[]),
            package("tuning", &["privacy"], &[]),
            package("aggregator", &["model-api"], &[]),
            package("model-client", &["federation"], &[]),
            package("another", &[], &[]),
        ] {
            assert_eq!(faults(&[bad]).len(), 1);
        }
    }

    #[test]
    fn tests_do_not_make_a_circle() {
        let packages = [
            package("ground", &[], &["federation"]),
            package("tuning", &["ground"], &[]),
            package("federation", &["tuning"], &[]),
        ];
        let [fault] = &faults(&packages)[..] else {
            panic!("one fault was expected");
        };
        assert!(
            fault.contains("the tests of ground use federation"),
            "{fault}"
        );
    }
}
