//! `optimisers`: how many queries SPSA-GC and `zo-adam` need to reach what the default reaches.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::simulation::{IN_THETA, Simulation, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "optimisers",
    summary: "queries to the same accuracy: SPSA-GC (as released, and best of a grid) against the default (needs --data)",
    run,
};

/// Maximum number of queries of a participant in a whole run: 1,020 batches of 32.
const QUERIES: f64 = 32_640.0;

/// An accuracy, besides the best of SPSA-GC, at which queries are compared.
const TARGET: f64 = 0.7;

/// One way to train, as arguments of the simulation. A point of each curve stands for 640 queries.
struct Way {
    name: &'static str,
    spsa: bool,
    arguments: &'static [&'static str],
}

/// θ is the plain mean of the participants' θ, because SPSA-GC has no optimiser on the server.
const MEAN: &str = r#"federation.server={"kind":"sgd"}"#;

/// The task's own batch and rounds, with five directions, both signs, and 8 steps of 4 examples in
/// each round.
const SMALL_STEPS: &str = "federation.local_steps=8";

const WAYS: &[Way] = &[
    Way {
        name: "default",
        spsa: false,
        arguments: &["--eval-every", "2"],
    },
    Way {
        name: "zo-adam",
        spsa: false,
        arguments: &[
            "--eval-every",
            "2",
            "--set",
            r#"optimizer={"kind":"zo-adam","directions":15,"differences":"forward","perturbation":0.05,"learning_rate":0.01}"#,
            "--set",
            MEAN,
        ],
    },
    Way {
        name: "spsa-gc as released",
        spsa: true,
        arguments: &[
            "--eval-every",
            "1",
            "--rounds",
            "51",
            "--set",
            r#"optimizer={"kind":"spsa-gc"}"#,
            "--set",
            "federation.local_steps=2",
            "--set",
            "federation.batch=32",
            "--set",
            MEAN,
        ],
    },
    Way {
        name: "spsa-gc a=0.01 c=0.005",
        spsa: true,
        arguments: &[
            "--eval-every",
            "2",
            "--set",
            r#"optimizer={"kind":"spsa-gc"}"#,
            "--set",
            SMALL_STEPS,
            "--set",
            MEAN,
        ],
    },
    Way {
        name: "spsa-gc a=0.01 c=0.05",
        spsa: true,
        arguments: &[
            "--eval-every",
            "2",
            "--set",
            r#"optimizer={"kind":"spsa-gc","c":0.05}"#,
            "--set",
            SMALL_STEPS,
            "--set",
            MEAN,
        ],
    },
    Way {
        name: "spsa-gc a=0.03 c=0.005",
        spsa: true,
        arguments: &[
            "--eval-every",
            "2",
            "--set",
            r#"optimizer={"kind":"spsa-gc","a":0.03}"#,
            "--set",
            SMALL_STEPS,
            "--set",
            MEAN,
        ],
    },
    Way {
        name: "spsa-gc a=0.03 c=0.05",
        spsa: true,
        arguments: &[
            "--eval-every",
            "2",
            "--set",
            r#"optimizer={"kind":"spsa-gc","a":0.03,"c":0.05}"#,
            "--set",
            SMALL_STEPS,
            "--set",
            MEAN,
        ],
    },
];

/// The queries of a participant and the accuracy, in the order of the run.
pub type Curve = Vec<(f64, f64)>;

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut curves = Vec::new();
    for way in WAYS {
        println!("{}", way.name);
        let mut further = vec!["--only", "federated"];
        further.extend(way.arguments);
        let simulation = Simulation {
            task: "digits-light-on-dark",
            digits: &digits,
            seed: 0,
            base: &IN_THETA,
            further: &further,
        };
        let curve = curve(&simulation.run(&binary)?)?;
        if curve.last().is_none_or(|(queries, _)| *queries > QUERIES) {
            bail!(
                "{} asks more than {QUERIES} queries of a participant",
                way.name
            );
        }
        curves.push((way, curve));
    }
    summarise(&curves)
}

pub fn curve(report: &Value) -> Result<Curve> {
    outcome(report, "federated")?["curve"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|point| {
            Ok((
                number(point, "queries_per_participant")?,
                number(point, "test_accuracy")?,
            ))
        })
        .collect()
}

pub fn best(curve: &Curve) -> f64 {
    curve
        .iter()
        .map(|(_, accuracy)| *accuracy)
        .fold(0.0, f64::max)
}

/// Number of queries at the first measurement that is not below `accuracy`.
pub fn queries_to(curve: &Curve, accuracy: f64) -> Option<f64> {
    curve
        .iter()
        .find(|(_, reached)| *reached >= accuracy)
        .map(|(queries, _)| *queries)
}

/// The multiple of the default's queries that `curve` needs to reach its own best accuracy.
fn ratio(curve: &Curve, default: &Curve) -> Option<f64> {
    let goal = best(curve);
    Some(rounded(
        queries_to(curve, goal)? / queries_to(default, goal)?,
    ))
}

fn summarise(curves: &[(&Way, Curve)]) -> Result<Value> {
    let [(_, default), others @ ..] = curves else {
        bail!("nothing was run");
    };
    let spsa = || others.iter().filter(|(way, _)| way.spsa);
    let Some((best_way, best_spsa)) = spsa().max_by(|a, b| best(&a.1).total_cmp(&best(&b.1)))
    else {
        bail!("SPSA-GC was not run");
    };
    let released = spsa().next().map(|(_, curve)| curve);
    println!(
        "\n{:<26}{:>8}{:>8}{:>14}{:>22}",
        "", "best", "last", "queries to 70%", "to SPSA-GC's best"
    );
    let goal = best(best_spsa);
    let shown =
        |queries: Option<f64>| queries.map_or("never".to_owned(), |queries| queries.to_string());
    for (way, curve) in curves {
        let last = curve.last().map_or(0.0, |(_, accuracy)| *accuracy);
        println!(
            "{:<26}{:>7.1}%{:>7.1}%{:>14}{:>22}",
            way.name,
            100.0 * best(curve),
            100.0 * last,
            shown(queries_to(curve, TARGET)),
            shown(queries_to(curve, goal)),
        );
    }
    println!();
    let runs: Vec<Value> = curves
        .iter()
        .map(|(way, curve)| {
            json!({
                "name": way.name,
                "best_accuracy": rounded(best(curve)),
                "last_accuracy": rounded(curve.last().map_or(0.0, |(_, accuracy)| *accuracy)),
                "queries_to_70_percent": queries_to(curve, TARGET),
                "queries_to_spsa_best": queries_to(curve, goal),
            })
        })
        .collect();
    Ok(json!({
        "query_ratio": ratio(best_spsa, default),
        "query_ratio_as_released": released.and_then(|curve| ratio(curve, default)),
        "best_spsa_gc": best_way.name,
        "accuracy": rounded(goal),
        "seed": 0,
        "queries_per_participant": QUERIES,
        "runs": runs,
    }))
}

#[cfg(test)]
mod tests {
    use super::{queries_to, ratio};

    #[test]
    fn the_ratio_is_taken_at_the_slower_ones_best() {
        let slow = vec![(10.0, 0.2), (20.0, 0.5), (30.0, 0.4)];
        let fast = vec![(5.0, 0.5), (10.0, 0.9)];
        assert_eq!(ratio(&slow, &fast), Some(4.0));
        assert_eq!(ratio(&fast, &slow), None);
        assert_eq!(queries_to(&fast, 0.6), Some(10.0));
    }
}
