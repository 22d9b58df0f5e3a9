//! `text`: what words before a label template gain over the template alone, on three sets of texts.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulation::{mean, number, outcome, report, rounded};
use super::text_data::{Prepared, SETS, TEMPLATES, by_seed};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "text",
    summary: "AG News, TREC, SST-2 with a sentence encoder: hand templates, local-only, centralised, federated (needs --data, --models)",
    run,
};

/// The same with owners who hold out a quarter of their texts, and keep the template alone if it
/// does better on these.
pub const KEPT: Figure = Figure {
    name: "text-kept",
    summary: "the same federations when a quarter of the texts, held out, decides whether the prompt is kept (needs --data, --models)",
    run: kept,
};

const SHOTS: [u32; 2] = [16, 64];

/// The rate was tuned on AG News and TREC, with 16 texts of each class and another seed, tested on
/// other texts of the owned part.
const SETTINGS: &str = r#"positions = 4

[optimizer]
kind = "policy-gradient"
draws = 20
adam = false

[federation]
rounds = 10
local_steps = 1
batch = 1000
server = { kind = "adam", learning_rate = 1.0, beta1 = 0.9, beta2 = 0.99 }
"#;

/// The outcome's key in the JSON, and its name in the simulation's report.
const OUTCOMES: [(&str, &str); 3] = [
    ("local_only", "local"),
    ("centralised", "centralised"),
    ("federated", "federated"),
];

/// Runs one simulation of all seeds: 10 participants, Dirichlet 0.5, and the template that the
/// training examples choose.
pub fn simulate(
    binary: &Path,
    model: &Path,
    prepared: &Prepared,
    shots: u32,
    further: &[&str],
) -> Result<Value> {
    let shots = shots.to_string();
    let mut command = Command::new(binary);
    command
        .args(["simulate", "--task"])
        .arg(&prepared.task)
        .arg("--data")
        .arg(&prepared.owned)
        .arg("--test")
        .arg(&prepared.test)
        .arg("--model-folder")
        .arg(model)
        .args(["--shots", &shots, "--test-count", "1000"])
        .args([
            "--clients",
            "10",
            "--partition",
            "dirichlet:0.5",
            "--seeds",
            "0,1,2",
        ])
        .args(["--eval-every", "1000", "--json"])
        .args(further);
    for template in TEMPLATES {
        command.args(["--template", template]);
    }
    report(&mut command)
}

fn run(inputs: &Inputs) -> Result<Value> {
    over_all_sets(inputs, &[], summarise)
}

fn kept(inputs: &Inputs) -> Result<Value> {
    let further = ["--only", "federated", "--holdout", "0.25"];
    over_all_sets(inputs, &further, summarise_kept)
}

/// Simulates each set with each number of shots.
fn over_all_sets(
    inputs: &Inputs,
    further: &[&str],
    summarise: fn(&str, u32, &Value) -> Result<Value>,
) -> Result<Value> {
    let model = inputs.models("minilm")?;
    let binary = build_release()?;
    let mut further = further.to_vec();
    if inputs.quick {
        further.extend(["--rounds", "2"]);
    }
    let mut result = Map::new();
    for set in SETS {
        let prepared = set.prepare(&binary, &inputs.data(set.name)?, SETTINGS)?;
        let mut of_shots = Map::new();
        for shots in SHOTS {
            let report = simulate(&binary, &model, &prepared, shots, &further)?;
            of_shots.insert(shots.to_string(), summarise(set.title, shots, &report)?);
        }
        result.insert(set.name.to_owned(), Value::Object(of_shots));
    }
    println!();
    Ok(Value::Object(result))
}

/// The templates' accuracies on the test: of the template that was chosen, and of the best.
pub fn manual(run: &Value) -> Result<(f64, f64)> {
    let templates = run["templates"]
        .as_array()
        .context("the report has no templates")?;
    let taken = templates
        .iter()
        .find(|t| t["taken"] == true)
        .context("no template was taken")?;
    let mut best: f64 = 0.0;
    for template in templates {
        best = best.max(number(template, "test_accuracy")?);
    }
    Ok((number(taken, "test_accuracy")?, best))
}

/// Prints the rows of one simulation and returns its part of the JSON.
fn summarise(title: &str, shots: u32, report: &Value) -> Result<Value> {
    let mut rows = vec![
        ("manual", by_seed(report, |run| Ok(manual(run)?.0))?),
        (
            "manual_best_on_test",
            by_seed(report, |run| Ok(manual(run)?.1))?,
        ),
    ];
    let (mut queries, mut prompts) = (Map::new(), Map::new());
    for (key, setting) in OUTCOMES {
        let get =
            |what: &'static str| by_seed(report, move |run| number(outcome(run, setting)?, what));
        rows.push((key, get("test_accuracy")?));
        queries.insert(
            key.to_owned(),
            json!(mean(&get("queries_per_participant")?).round()),
        );
    }
    for run in report["runs"].as_array().into_iter().flatten() {
        let seed = run["seed"].to_string();
        prompts.insert(seed, outcome(run, "federated")?["prompt"].clone());
    }
    let mut result = table(title, shots, rows);
    println!("queries each: {}", Value::Object(queries.clone()));
    result.insert("queries_each".to_owned(), Value::Object(queries));
    result.insert("prompts".to_owned(), Value::Object(prompts));
    Ok(Value::Object(result))
}

/// Prints the rows of federations with a held-out part and returns their part of the JSON.
fn summarise_kept(title: &str, shots: u32, report: &Value) -> Result<Value> {
    let federated = |get: fn(&Value) -> Result<f64>| {
        by_seed(report, move |run| get(outcome(run, "federated")?))
    };
    let rows = vec![
        ("manual", by_seed(report, |run| Ok(manual(run)?.0))?),
        (
            "last",
            federated(|outcome| number(outcome, "test_accuracy"))?,
        ),
        (
            "kept",
            federated(|outcome| number(&outcome["chosen"], "test_accuracy"))?,
        ),
    ];
    let mut result = table(title, shots, rows);
    // The held-out examples of all participants together, in the round that decides.
    let held_out = federated(|outcome| number(&outcome["chosen"]["choice"]["measured"], "total"))?;
    println!("texts held out: {held_out:?}");
    result.insert("held_out".to_owned(), json!(held_out));
    Ok(Value::Object(result))
}

/// Prints the rows, with a value for each seed, and returns their means, spreads and values.
fn table(title: &str, shots: u32, rows: Vec<(&str, Vec<f64>)>) -> Map<String, Value> {
    println!("\n| {title}, {shots} of each class | mean | seeds |\n|---|---|---|");
    let (mut result, mut spread, mut seeds) = (Map::new(), Map::new(), Map::new());
    for (key, values) in rows {
        let shown: Vec<String> = values.iter().map(|v| format!("{:.1}", 100.0 * v)).collect();
        println!(
            "| {key} | {:.1}% | {} |",
            100.0 * mean(&values),
            shown.join(" ")
        );
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        result.insert(key.to_owned(), json!(rounded(mean(&values))));
        spread.insert(key.to_owned(), json!(rounded(most - least)));
        seeds.insert(
            key.to_owned(),
            json!(values.into_iter().map(rounded).collect::<Vec<f64>>()),
        );
    }
    result.insert("spread".to_owned(), Value::Object(spread));
    result.insert("by_seed".to_owned(), Value::Object(seeds));
    result
}

#[cfg(test)]
mod tests {
    use super::{manual, summarise};
    use serde_json::{Value, json};

    fn run(seed: u32, taken: f64, federated: f64) -> Value {
        let outcome = |setting: &str, accuracy: f64| json!({ "setting": setting, "test_accuracy": accuracy, "queries_per_participant": 100, "prompt": "so {}" });
        json!({
            "seed": seed,
            "templates": [
                { "taken": false, "test_accuracy": 0.6 },
                { "taken": true, "test_accuracy": taken },
            ],
            "outcomes": [outcome("federated", federated), outcome("local", 0.5), outcome("centralised", 0.8)],
        })
    }

    #[test]
    fn the_template_that_is_taken_need_not_be_the_best() {
        assert_eq!(manual(&run(0, 0.5, 0.7)).unwrap(), (0.5, 0.6));
        assert!(manual(&json!({ "templates": [] })).is_err());
    }

    #[test]
    fn means_and_spreads_are_over_the_seeds() {
        let report = json!({ "runs": [run(0, 0.5, 0.7), run(1, 0.7, 0.8)] });
        let line = summarise("Topics", 16, &report).unwrap();
        assert_eq!(
            (&line["manual"], &line["manual_best_on_test"]),
            (&json!(0.6), &json!(0.65))
        );
        assert_eq!(
            (&line["federated"], &line["spread"]["federated"]),
            (&json!(0.75), &json!(0.1))
        );
        assert_eq!(line["by_seed"]["manual"], json!([0.5, 0.7]));
        assert_eq!(line["queries_each"]["local_only"], 100.0);
        assert_eq!(line["prompts"]["1"], "so {}");
    }
}
