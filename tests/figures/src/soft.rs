//! `soft`: soft prompts found by CMA-ES, under three rules of federation.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{each, enter, mean, number, outcome, report, rounded};
use super::text_data::SETS;
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "soft",
    summary: "soft prompts on AG News: one population for all, FedBPT, and the mean of CMA-ES's means (needs --data, --models)",
    run,
};

const TASK: &str = "tests/figures/tasks/ag-news-soft.toml";
const SEEDS: [u64; 3] = [0, 1, 2];

/// Settings besides the task's: the same number of points for each participant, in 20 rounds of 8
/// steps of 5.
const LOCAL_STEPS: [&str; 3] = [
    "federation.rounds=20",
    "federation.local_steps=8",
    "optimizer.population=5",
];

/// The rule's name in the JSON, the rule, and whether the baselines are run too.
const RULES: [(&str, &str, bool); 3] = [
    ("one_population", "scalars", true),
    ("fedbpt", "fedbpt", false),
    ("fedavg", "fedavg", false),
];

fn run(inputs: &Inputs) -> Result<Value> {
    let model = inputs.models("minilm")?;
    let data = inputs.data("ag_news")?;
    let binary = build_release()?;
    let prepared = SETS[0].prepare(&binary, &data, "")?;
    let mut result = Map::new();
    for (name, rule, baselines) in RULES {
        let rule_set = format!("federation.rule={rule}");
        let mut set = vec![rule_set.as_str()];
        if rule != "scalars" {
            set.extend(LOCAL_STEPS);
        }
        let mut reports = Vec::new();
        for seed in SEEDS {
            let files = (prepared.owned.as_path(), prepared.test.as_path());
            reports.push(simulate(
                &binary,
                &model,
                files,
                seed,
                &set,
                baselines,
                inputs.quick,
            )?);
        }
        result.insert(name.to_owned(), summarise(name, &reports, baselines)?);
    }
    Ok(Value::Object(result))
}

fn simulate(
    binary: &Path,
    model: &Path,
    (owned, test): (&Path, &Path),
    seed: u64,
    set: &[&str],
    baselines: bool,
    quick: bool,
) -> Result<Value> {
    let mut command = Command::new(binary);
    command
        .args(["simulate", "--task", TASK, "--data"])
        .arg(owned)
        .arg("--test")
        .arg(test)
        .arg("--model-folder")
        .arg(model)
        .args(["--shots", "16", "--test-count", "1000", "--clients", "10"])
        .args(["--partition", "dirichlet:0.5", "--seed", &seed.to_string()])
        .args(["--eval-every", "1000", "--json"]);
    set.iter().for_each(|setting| {
        command.args(["--set", setting]);
    });
    if !baselines {
        command.args(["--only", "federated"]);
    }
    if quick {
        command.args(["--rounds", "2"]);
    }
    report(&mut command)
}

fn summarise(name: &str, reports: &[Value], baselines: bool) -> Result<Value> {
    let mut row = Map::new();
    let mut settings = vec![("federated", "federated")];
    if baselines {
        settings.extend([("local_only", "local"), ("centralised", "centralised")]);
        let manual = each(reports, |report| number(report, "zero_shot"))?;
        row.insert("manual".to_owned(), json!(rounded(mean(&manual))));
    }
    for (key, setting) in settings {
        let of = |report: &Value| number(outcome(report, setting)?, "test_accuracy");
        enter(&mut row, key, "seed", &each(reports, of)?);
    }
    let federated = reports
        .iter()
        .map(|report| outcome(report, "federated"))
        .collect::<Result<Vec<_>>>()?;
    let most = |key| {
        let each = federated
            .iter()
            .map(|o| number(o, key))
            .collect::<Result<Vec<f64>>>();
        each.map(|each| each.into_iter().fold(0.0, f64::max))
    };
    row.insert(
        "queries_each".to_owned(),
        json!(most("queries_per_participant")?),
    );
    row.insert(
        "bytes_up".to_owned(),
        json!(most("bytes_up_per_participant")?),
    );
    println!("{name}: {row:?}");
    Ok(Value::Object(row))
}
