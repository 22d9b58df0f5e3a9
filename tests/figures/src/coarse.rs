//! `coarse-reports`: what it costs that participants report powers of two and rounded shares instead
//! of counts: the accuracy that is reached, and how far the dashboard is from the truth.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulation::{IN_THETA, Simulation, enter, mean, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "coarse-reports",
    summary: "coarse weights and metrics against exact ones: accuracy reached, and the dashboard's error (needs --data)",
    run,
};

const SEEDS: [u64; 3] = [0, 1, 2];
const PARTICIPANTS: [usize; 3] = [5, 10, 50];
const ROUNDS: &str = "federation.rounds=20";

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut result = Map::new();
    println!(
        "\n| participants | test accuracy, exact | coarse | dashboard off by (mean, most) |\n|---|---|---|---|"
    );
    for participants in PARTICIPANTS {
        let (mut exact, mut coarse, mut off) = (Vec::new(), Vec::new(), Vec::new());
        for seed in SEEDS {
            // Without secure sums, reports are exact. θ follows from the weights, which differ little.
            let [plain, secure] =
                ["federation.secure_sum=false", "federation.secure_sum={}"].map(|sums| {
                    let rounds = if inputs.quick {
                        "federation.rounds=2"
                    } else {
                        ROUNDS
                    };
                    let simulation = Simulation {
                        task: "digits-light-on-dark",
                        digits: &digits,
                        seed,
                        base: &IN_THETA,
                        further: &[
                            "--only",
                            "federated",
                            "--holdout",
                            "0.2",
                            "--eval-every",
                            "1000",
                            "--set",
                            rounds,
                            "--set",
                            sums,
                        ],
                    };
                    simulation.run_with(&binary, participants)
                });
            let (plain, secure) = (plain?, secure?);
            exact.push(number(outcome(&plain, "federated")?, "test_accuracy")?);
            coarse.push(number(outcome(&secure, "federated")?, "test_accuracy")?);
            off.push((shown(&plain)? - shown(&secure)?).abs());
        }
        let most = off.iter().copied().fold(0.0, f64::max);
        println!(
            "| {participants} | {:.1}% | {:.1}% | {:.1}, {:.1} points |",
            100.0 * mean(&exact),
            100.0 * mean(&coarse),
            100.0 * mean(&off),
            100.0 * most
        );
        enter(
            &mut result,
            &format!("exact_{participants}"),
            "seed",
            &exact,
        );
        enter(
            &mut result,
            &format!("coarse_{participants}"),
            "seed",
            &coarse,
        );
        enter(&mut result, &format!("off_{participants}"), "seed", &off);
        result.insert(format!("off_most_{participants}"), json!(rounded(most)));
    }
    println!();
    Ok(Value::Object(result))
}

/// What the dashboard shows of the model without a prompt, which is the same in both runs: its
/// accuracy on the held-out examples of all participants.
fn shown(report: &Value) -> Result<f64> {
    let chosen = &outcome(report, "federated")?["chosen"];
    let measured = &chosen["choice"]["measured"];
    let whole = |key: &str| {
        let number = measured[key].as_f64();
        number.with_context(|| format!("the report does not tell {key}"))
    };
    Ok(whole("unprompted")? / whole("total")?)
}
