//! `norm`: the coordinator with its default, which normalises each pixel, and with batch norm as
//! released.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{mean, number, outcome, report, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "norm",
    summary: "the coordinator's layer norm against batch norm as released, shifted CIFAR-10 (needs --data, --models)",
    run,
};

const NORMS: [&str; 2] = ["layer", "batch"];
const SEEDS: [u64; 3] = [0, 1, 2];

/// Settings in place of the task's own: 12·5 steps of 6·16 queries, 5,760 for each participant, in
/// batches that are large enough for a batch norm.
const SETTINGS: [&str; 2] = [
    r#"optimizer={"kind":"zo-adam","directions":5,"differences":"forward","perturbation":0.02,"learning_rate":0.01}"#,
    r#"federation={"rounds":12,"local_steps":5,"batch":16}"#,
];

fn run(inputs: &Inputs) -> Result<Value> {
    let data = inputs.data("cifar10")?;
    let model = inputs.models("resnet8_cifar10.onnx")?;
    let binary = build_release()?;
    let mut result = Map::new();
    let mut table =
        String::from("| norm | zero-shot | federated, by seed | mean |\n|---|---|---|---|\n");
    for norm in NORMS {
        let (mut reached, mut before) = (Vec::new(), Vec::new());
        for seed in SEEDS {
            let report = simulate(&binary, &data, &model, norm, seed, inputs.quick)?;
            reached.push(number(outcome(&report, "federated")?, "test_accuracy")?);
            before.push(number(&report, "zero_shot")?);
        }
        let percent = |share: f64| format!("{:.1}%", 100.0 * share);
        let each: Vec<String> = reached.iter().map(|a| percent(*a)).collect();
        table += &format!(
            "| {norm} | {} | {} | {} |\n",
            percent(mean(&before)),
            each.join(", "),
            percent(mean(&reached))
        );
        result.insert(norm.to_owned(), json!(rounded(mean(&reached))));
        result.insert("zero_shot".to_owned(), json!(rounded(mean(&before))));
    }
    println!("\n{table}");
    result.insert("seeds".to_owned(), json!(SEEDS));
    Ok(Value::Object(result))
}

/// Simulates five participants and returns the report.
fn simulate(
    binary: &Path,
    data: &Path,
    model: &Path,
    norm: &str,
    seed: u64,
    quick: bool,
) -> Result<Value> {
    let generator = format!(r#"generator={{"kind":"coordinator","norm":"{norm}"}}"#);
    let mut command = Command::new(binary);
    command
        .args(["simulate", "--task"])
        .arg("tests/figures/tasks/cifar10-shifted.toml")
        .arg("--data")
        .arg(data)
        .arg("--model-file")
        .arg(model)
        .args(["--range", "0:255", "--test-split", "test"])
        .args(["--shift", "contrast=0.6,field=0.6,seed=3"])
        .args(["--clients", "5", "--test-count", "1000"])
        .args(["--only", "federated", "--eval-every", "1000", "--json"])
        .args(["--seed", &seed.to_string(), "--set", &generator]);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    if quick {
        command.args(["--rounds", "2"]);
    }
    report(&mut command)
}
