//! `digits-light-on-dark`, `digits-dark-on-light`: handwriting for a model that has read only printed digits.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::simulation::{Simulation, enter, mean, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const LIGHT_ON_DARK: Figure = Figure {
    name: "digits-light-on-dark",
    summary: "accuracy on handwritten digits as scanned, light on dark, and queries to it by method: three seeds, with baselines (needs --data)",
    run: |inputs| {
        let mut result = run(inputs, "digits-light-on-dark")?;
        result["methods"] = methods::compare(inputs)?;
        Ok(result)
    },
};

pub const DARK_ON_LIGHT: Figure = Figure {
    name: "digits-dark-on-light",
    summary: "accuracy on handwritten digits inverted, dark on light: three seeds, with baselines (needs --data)",
    run: |inputs| run(inputs, "digits-dark-on-light"),
};

mod methods;

const SEEDS: [u64; 3] = [0, 1, 2];

/// The setting's key in the JSON, and its name in the simulation's report.
const SETTINGS: [(&str, &str); 3] = [
    ("federated", "federated"),
    ("local_only", "local"),
    ("centralised", "centralised"),
];

fn run(inputs: &Inputs, task: &str) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut reports = Vec::new();
    // One after another, because each uses all cores.
    for seed in SEEDS {
        let simulation = Simulation {
            task,
            digits: &digits,
            seed,
            base: &[],
            further: &[],
        };
        reports.push(simulation.run(&binary)?);
    }
    summarise(&reports)
}

/// Prints the table and returns the line of JSON.
fn summarise(reports: &[Value]) -> Result<Value> {
    let queries = number(
        outcome(&reports[0], "federated")?,
        "queries_per_participant",
    )?;
    let mut result = Map::new();
    let mut spread = Map::new();
    let mut columns = Vec::new();
    let zero_shot = reports.iter().map(|report| number(report, "zero_shot"));
    columns.push(("zero_shot", zero_shot.collect::<Result<Vec<f64>>>()?));
    for (key, setting) in SETTINGS {
        let mut accuracies = Vec::new();
        for report in reports {
            let outcome = outcome(report, setting)?;
            let spent = number(outcome, "queries_per_participant")?;
            if spent != queries {
                bail!(
                    "{setting} spent {spent} queries per participant and not {queries}: nothing can be compared"
                );
            }
            accuracies.push(number(outcome, "test_accuracy")?);
        }
        columns.push((key, accuracies));
    }
    println!(
        "\n{:<14}{:>8}{:>8}{:>8}{:>8}{:>12}",
        "", "seed 0", "seed 1", "seed 2", "mean", "queries"
    );
    for (key, values) in columns {
        let shown: String = values
            .iter()
            .chain([&mean(&values)])
            .map(|value| format!("{:>7.1}%", 100.0 * value))
            .collect();
        let spent = if key == "zero_shot" { 0.0 } else { queries };
        println!("{key:<14}{shown}{spent:>12}");
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        spread.insert(key.to_owned(), json!(rounded(most - least)));
        enter(&mut result, key, "seed", &values);
    }
    println!();
    result.insert("queries_per_participant".to_owned(), json!(queries as u64));
    result.insert("spread".to_owned(), Value::Object(spread));
    result.insert("seeds".to_owned(), json!(SEEDS));
    Ok(Value::Object(result))
}

#[cfg(test)]
mod tests {
    use super::summarise;
    use serde_json::{Value, json};

    fn report(accuracy: f64, local_queries: u64) -> Value {
        let outcome = |setting: &str, accuracy: f64, queries: u64| json!({ "setting": setting, "test_accuracy": accuracy, "queries_per_participant": queries });
        json!({ "zero_shot": 0.1, "outcomes": [
            outcome("federated", accuracy, 100),
            outcome("local", 0.3, local_queries),
            outcome("centralised", 0.5, 100),
        ] })
    }

    #[test]
    fn means_and_spreads_are_over_the_seeds() {
        let line = summarise(&[report(0.7, 100), report(0.8, 100), report(0.9, 100)]).unwrap();
        assert_eq!(line["federated"], 0.8);
        assert_eq!(line["federated_by_seed"], json!([0.7, 0.8, 0.9]));
        assert_eq!(line["spread"]["federated"], 0.2);
        assert_eq!(line["local_only"], 0.3);
        assert_eq!(line["queries_per_participant"], 100);
    }

    #[test]
    fn unequal_queries_are_refused() {
        assert!(summarise(&[report(0.7, 99)]).is_err());
    }
}
