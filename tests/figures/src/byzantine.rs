//! `byzantine`: how bad participants change the result, and what stops them.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{IN_THETA, Simulation, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "byzantine",
    summary: "0 to 30% of 30 participants send bad updates: accuracy without defence, with a norm bound, with medians (needs --data)",
    run,
};

const SEED: u64 = 1;
const PARTICIPANTS: usize = 30;

/// Percentages of participants that are bad.
const BAD: [u32; 4] = [0, 10, 20, 30];
const ATTACKS: [&str; 2] = ["sign-flip", "scale:100"];

/// Fewer rounds than in the task, because there are three times as many participants.
const COMMON: [&str; 3] = [
    "federation.rounds=25",
    "federation.local_steps=2",
    "federation.server.learning_rate=0.2",
];

/// The defence's name in the JSON, and its settings.
const DEFENCES: [(&str, &[&str]); 4] = [
    ("none", &[]),
    ("norm_bound", &["federation.clip=0.1"]),
    (
        "groups_median",
        &[
            "federation.clip=0.1",
            "federation.combine=median",
            "federation.secure_sum.cohort_min=30",
            "federation.secure_sum.groups=10",
        ],
    ),
    (
        "median",
        &["federation.clip=0.1", "federation.combine=median"],
    ),
];

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let accuracy = |defence: &[&str], bad: u32, attack: &str| -> Result<f64> {
        let fraction = format!("{}", f64::from(bad) / 100.0);
        let mut further = vec!["--only", "federated", "--eval-every", "1000"];
        further.extend(["--bad", &fraction, "--attack", attack]);
        for setting in COMMON.iter().chain(defence) {
            further.extend(["--set", setting]);
        }
        if inputs.quick {
            further.extend(["--set", "federation.rounds=2"]);
        }
        let simulation = Simulation {
            task: "digits-light-on-dark",
            digits: &digits,
            seed: SEED,
            base: &IN_THETA,
            further: &further,
        };
        let report = simulation.run_with(&binary, PARTICIPANTS)?;
        number(outcome(&report, "federated")?, "test_accuracy")
    };
    let mut rows = Vec::new();
    for (name, defence) in DEFENCES {
        // Without bad participants both attacks are the same.
        let honest = accuracy(defence, 0, ATTACKS[0])?;
        for attack in ATTACKS {
            let mut row = vec![honest];
            for bad in BAD.into_iter().skip(1) {
                row.push(accuracy(defence, bad, attack)?);
            }
            rows.push((name, attack, row));
        }
    }
    Ok(summarise(&rows))
}

fn summarise(rows: &[(&str, &str, Vec<f64>)]) -> Value {
    let columns: String = BAD.iter().map(|bad| format!(" {bad}% |")).collect();
    println!("\n| defence | attack |{columns}\n|---|---|---|---|---|---|");
    let mut result = Map::new();
    for (defence, attack, accuracies) in rows {
        let shown: String = accuracies
            .iter()
            .map(|a| format!(" {:.1}% |", 100.0 * a))
            .collect();
        println!("| {defence} | {attack} |{shown}");
        for (bad, accuracy) in BAD.into_iter().zip(accuracies) {
            let attack = attack.replace([':', '-'], "_");
            result.insert(
                format!("{defence}_{attack}_{bad}"),
                json!(rounded(*accuracy)),
            );
        }
    }
    println!();
    result.insert("participants".to_owned(), json!(PARTICIPANTS));
    result.insert("seed".to_owned(), json!(SEED));
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::summarise;

    #[test]
    fn every_cell_is_named() {
        let row = vec![0.75, 0.5, 0.25, 0.12345];
        let line = summarise(&[("norm_bound", "scale:100", row)]);
        assert_eq!(line["norm_bound_scale_100_0"], 0.75);
        assert_eq!(line["norm_bound_scale_100_30"], 0.1235);
    }
}
