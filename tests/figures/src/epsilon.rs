//! `epsilon-accuracy`: how much accuracy differential privacy costs, by ε, by number of
//! participants, and by what they send.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::simulation::{IN_THETA, Simulation, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "epsilon-accuracy",
    summary: "accuracy without noise and at ε 8, 4, 2, with 10, 50 and 200 participants, fedavg and scalars (needs --data)",
    run,
};

const SEED: u64 = 1;
const PARTICIPANTS: [usize; 3] = [10, 50, 200];

/// The name in the JSON, and ε; `None` for no noise.
const EPSILONS: [(&str, Option<u32>); 4] = [
    ("infinity", None),
    ("8", Some(8)),
    ("4", Some(4)),
    ("2", Some(2)),
];

/// Settings of all runs: few rounds of many queries, because the noise of each round costs.
const COMMON: [&str; 3] = [
    "federation.rounds=20",
    "federation.local_steps=2",
    "federation.server.learning_rate=0.2",
];

/// The rule's name in the JSON, and its settings. Every update has the length `clip`, so that the
/// noise is as large as it must be and no larger.
const RULES: [(&str, &[&str]); 2] = [
    ("fedavg", &["federation.clip=0.05"]),
    (
        "scalars",
        &["federation.rule=scalars", "federation.clip=0.0025"],
    ),
];

struct Cell {
    rule: &'static str,
    participants: usize,
    epsilon: &'static str,
    accuracy: f64,
    /// The noise's standard deviation as a multiple of the sum's sensitivity.
    noise_multiplier: Option<f64>,
    queries: f64,
}

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut cells = Vec::new();
    for (rule, settings) in RULES {
        for participants in PARTICIPANTS {
            for (name, epsilon) in EPSILONS {
                // All participants are there in every round, and share the noise.
                let mut set: Vec<String> = ["cohort_min", "survivors_min"]
                    .map(|least| format!("federation.secure_sum.{least}={participants}"))
                    .to_vec();
                set.extend(epsilon.map(|e| format!("federation.privacy.epsilon={e}")));
                set.extend(COMMON.iter().chain(settings).map(ToString::to_string));
                if inputs.quick {
                    set.push("federation.rounds=2".to_owned());
                }
                let mut further = vec!["--only", "federated", "--eval-every", "1000"];
                set.iter().for_each(|s| further.extend(["--set", s]));
                let simulation = Simulation {
                    task: "digits-light-on-dark",
                    digits: &digits,
                    seed: SEED,
                    base: &IN_THETA,
                    further: &further,
                };
                let report = simulation.run_with(&binary, participants)?;
                cells.push(cell(&report, rule, participants, name, epsilon)?);
            }
        }
    }
    Ok(summarise(&cells))
}

/// Reads a report, and checks that it kept the promised ε.
fn cell(
    report: &Value,
    rule: &'static str,
    participants: usize,
    name: &'static str,
    limit: Option<u32>,
) -> Result<Cell> {
    let reached = outcome(report, "federated")?;
    let privacy = &report["federation"]["privacy"];
    if let Some(limit) = limit {
        let spent = number(privacy, "epsilon")?;
        if spent > f64::from(limit) {
            bail!("ε is {spent} where at most {limit} was allowed");
        }
    }
    Ok(Cell {
        rule,
        participants,
        epsilon: name,
        accuracy: number(reached, "test_accuracy")?,
        noise_multiplier: privacy["noise_multiplier"].as_f64(),
        queries: number(reached, "queries_per_participant")?,
    })
}

fn summarise(cells: &[Cell]) -> Value {
    let columns: String = EPSILONS
        .iter()
        .map(|(name, _)| format!(" ε {name} |"))
        .collect();
    println!("\n| rule | participants |{columns}\n|---|---|---|---|---|---|");
    let mut result = Map::new();
    for row in cells.chunks(EPSILONS.len()) {
        let Some(first) = row.first() else { continue };
        let shown: String = row
            .iter()
            .map(|cell| format!(" {:.1}% |", 100.0 * cell.accuracy))
            .collect();
        println!("| {} | {} |{shown}", first.rule, first.participants);
        for cell in row {
            let key = format!("{}_{}_{}", cell.rule, cell.participants, cell.epsilon);
            result.insert(key.clone(), json!(rounded(cell.accuracy)));
            if let Some(noise) = cell.noise_multiplier {
                result.insert(format!("{key}_noise_multiplier"), json!(rounded(noise)));
            }
        }
    }
    println!();
    let queries = cells.iter().map(|cell| cell.queries).fold(0.0, f64::max);
    result.insert("queries_per_participant".to_owned(), json!(queries));
    result.insert("delta".to_owned(), json!(1e-5));
    result.insert("seed".to_owned(), json!(SEED));
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::{cell, summarise};
    use serde_json::json;

    #[test]
    fn a_report_that_spent_too_much_is_refused() {
        let report = |epsilon: f64| {
            json!({
                "federation": { "privacy": { "epsilon": epsilon, "noise_multiplier": 2.0 } },
                "outcomes": [{
                    "setting": "federated", "test_accuracy": 0.5, "queries_per_participant": 640,
                }],
            })
        };
        let good = cell(&report(7.9), "scalars", 50, "8", Some(8)).unwrap();
        assert!(cell(&report(8.1), "scalars", 50, "8", Some(8)).is_err());
        let line = summarise(&[good]);
        assert_eq!(line["scalars_50_8"], 0.5);
        assert_eq!(line["scalars_50_8_noise_multiplier"], 2.0);
        assert_eq!(line["queries_per_participant"], 640.0);
    }
}
