//! How many queries each way to search needs.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::SEEDS;
use crate::optimisers::{Curve, curve};
use crate::simulation::{IN_THETA, Simulation, rounded};
use crate::{Inputs, build_release};

/// Queries of each participant at which methods are compared.
const AT: [u64; 6] = [500, 1_000, 2_000, 4_000, 8_000, 32_640];
/// The accuracies to which queries are counted, with their names in the JSON. The first is the best
/// that SPSA-GC reached in a small grid.
const TARGETS: [(&str, f64); 2] = [("queries_to_79", 0.793), ("queries_to_85", 0.85)];

/// θ is the plain mean of the participants' θ, because SPSA-GC has no optimiser on the server.
const MEAN: &str = r#"federation.server={"kind":"sgd"}"#;

struct Method {
    name: &'static str,
    /// Number of rounds between measurements on the test, as an argument.
    every: &'static str,
    base: &'static [&'static str],
    settings: &'static [&'static str],
}

const METHODS: [Method; 5] = [
    Method {
        name: "spsa_gc_released",
        every: "1",
        base: &[],
        settings: &[
            r#"optimizer={"kind":"spsa-gc"}"#,
            "federation.rounds=51",
            "federation.local_steps=2",
            "federation.batch=32",
            MEAN,
        ],
    },
    // The best of the figure `optimisers`.
    Method {
        name: "spsa_gc_tuned",
        every: "2",
        base: &[],
        settings: &[
            r#"optimizer={"kind":"spsa-gc","a":0.01,"c":0.05}"#,
            "federation.local_steps=8",
            "federation.batch=4",
            MEAN,
        ],
    },
    Method {
        name: "zo_sgd",
        every: "2",
        base: &IN_THETA,
        settings: &[],
    },
    Method {
        name: "node_perturbation",
        every: "1",
        base: &[],
        settings: &[],
    },
    // One query for each of 25 pictures in a round, 80 rounds long; then 80 pictures with three
    // differences each.
    Method {
        name: "secants",
        every: "1",
        base: &[],
        settings: &[
            r#"optimizer={"kind":"secants"}"#,
            "federation.rounds=175",
            "federation.local_steps=1",
            "federation.batch=25",
        ],
    },
];

/// Runs every method with three seeds, prints a table, and returns what each reaches.
pub fn compare(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut result = Map::new();
    let mut table = "\n| queries each |".to_owned();
    AT.iter().for_each(|at| table += &format!(" {at} |"));
    table += " to 79.3% | to 85% |\n|---|---|---|---|---|---|---|---|---|\n";
    for method in METHODS {
        println!("{}", method.name);
        let mut further = vec!["--only", "federated", "--eval-every", method.every];
        for setting in method.settings {
            further.extend(["--set", setting]);
        }
        if inputs.quick {
            further.extend(["--rounds", "2"]);
        }
        let curves = SEEDS.map(|seed| {
            let simulation = Simulation {
                task: "digits-light-on-dark",
                digits: &digits,
                seed,
                base: method.base,
                further: &further,
            };
            curve(&simulation.run(&binary)?)
        });
        let curves = curves.into_iter().collect::<Result<Vec<_>>>()?;
        let mut of = Map::new();
        table += &format!("| {} |", method.name);
        for at in AT {
            let reached = mean_at(&curves, at as f64);
            of.insert(at.to_string(), json!(reached.map(rounded)));
            table += &reached.map_or(" |".to_owned(), |a| format!(" {:.1}% |", 100.0 * a));
        }
        for (name, target) in TARGETS {
            let needed = queries_to(&curves, target);
            of.insert(name.to_owned(), json!(needed));
            table += &needed.map_or(" never |".to_owned(), |q| format!(" {q} |"));
        }
        table.push('\n');
        result.insert(method.name.to_owned(), Value::Object(of));
    }
    println!("{table}");
    Ok(Value::Object(result))
}

/// The mean accuracy of the last measurements with at most so many queries; `None` before the first.
fn mean_at(curves: &[Curve], queries: f64) -> Option<f64> {
    let reached = |curve: &Curve| {
        let paid = curve.iter().filter(|(spent, _)| *spent <= queries);
        paid.map(|(_, accuracy)| *accuracy).next_back()
    };
    let all: Option<Vec<f64>> = curves.iter().map(reached).collect();
    all.map(|all| all.iter().sum::<f64>() / all.len() as f64)
}

/// The queries with which the mean accuracy first is `target`.
fn queries_to(curves: &[Curve], target: f64) -> Option<u64> {
    let mut measured: Vec<f64> = curves.iter().flatten().map(|(spent, _)| *spent).collect();
    measured.sort_by(f64::total_cmp);
    let enough = |spent: &f64| mean_at(curves, *spent).is_some_and(|mean| mean >= target);
    measured.into_iter().find(enough).map(|spent| spent as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_of_what_was_paid() {
        let curves = [
            vec![(100.0, 0.5), (200.0, 0.9)],
            vec![(110.0, 0.7), (210.0, 0.8)],
        ];
        assert_eq!(mean_at(&curves, 99.0), None);
        assert_eq!(mean_at(&curves, 105.0), None);
        assert_eq!(mean_at(&curves, 150.0), Some(0.6));
        assert_eq!(queries_to(&curves, 0.8), Some(200));
        assert_eq!(queries_to(&curves, 0.9), None);
    }
}
