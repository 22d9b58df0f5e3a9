//! `images`: what prompts gain on pictures, with real pre-trained models as black boxes: where all inputs are shifted
//! alike, and where they are clean.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulation::{mean, number, outcome, report, rounded};
use super::{Figure, Inputs, build_release};
use crate::workspace::target;

pub const FIGURE: Figure = Figure {
    name: "images",
    summary: "pictures through ResNet-8 and MobileNet, shifted and clean: every generator, with baselines (needs --data, --models)",
    run: |inputs| {
        let mut result = all_shifted(inputs)?;
        result.extend(all_clean(inputs)?);
        Ok(Value::Object(result))
    },
};

/// The second half alone: three tasks take as long as all shifted runs together.
pub const CLEAN_ALONE: Figure = Figure {
    name: "images-clean",
    summary: "the part of `images` with clean pictures through MobileNet (needs --data, --models)",
    run: |inputs| all_clean(inputs).map(Value::Object),
};

/// Seeds of the shift's field.
const FIELDS: [u32; 3] = [3, 11, 12];
/// Rounds of 256 queries for each participant, and whether the baselines are run, too: 6,144 and 19,968 in all.
const ROUNDS: [(&str, u32, bool); 2] = [("6144", 24, true), ("19968", 78, false)];

/// Name in the JSON, and in the simulation's report.
const SETTINGS: [(&str, &str); 3] = [
    ("local_only", "local"),
    ("centralised", "centralised"),
    ("federated", "federated"),
];

/// A clean task: its file in `tasks/`, its folder of data, and how that is cut into training and test. Of the signs' few
/// pictures there are 200 to test with, so that they are cut with several seeds.
const CLEAN: [(&str, &str, &[&str], &[&str]); 3] = [
    (
        "mnist",
        "mnist",
        &["--train", "5000", "--test-count", "5000"],
        &["0"],
    ),
    ("gtsrb", "gtsrb", &["--train", "400"], &["0", "1", "2"]),
    ("cifar10", "cifar10", &["--test-split", "test"], &["0"]),
];

/// Mappings without any prompt; settings with a blank between.
const MAPPINGS: [(&str, &str); 3] = [
    (
        "frequency_1",
        "mapping.per_label=1 mapping.rank=probability",
    ),
    (
        "frequency_3",
        "mapping.per_label=3 mapping.rank=probability",
    ),
    ("calibrated_3", "mapping.per_label=3 mapping.rank=lift"),
];

const GENERATORS: [(&str, &str); 3] = [
    (
        "statistic",
        r#"generator={"kind":"statistic","grid":5,"channels":1,"statistics":8}"#,
    ),
    ("frame", r#"generator={"kind":"frame","inner":96,"grid":8}"#),
    ("coordinator", r#"generator={"kind":"coordinator"}"#),
];

fn all_shifted(inputs: &Inputs) -> Result<Map<String, Value>> {
    let (cifar, resnet) = (
        inputs.data("cifar10")?,
        inputs.models("resnet8_cifar10.onnx")?,
    );
    let bench = Bench::new(inputs)?;
    let mut result = Map::new();
    for (name, rounds, baselines) in ROUNDS {
        let shifted = shifted(&bench, &cifar, &resnet, rounds, baselines)?;
        result.insert(format!("cifar10_shifted_{name}"), shifted);
    }
    Ok(result)
}

fn all_clean(inputs: &Inputs) -> Result<Map<String, Value>> {
    let mobilenet = inputs.models("mobilenet_v1_0.25_128.onnx")?;
    let bench = Bench::new(inputs)?;
    let mut result = Map::new();
    for (task, folder, cut, seeds) in CLEAN {
        let mut data = inputs.data(folder)?;
        if task == "gtsrb" {
            data = ten_signs(&data)?;
        }
        let clean = clean(&bench, task, &data, &mobilenet, cut, seeds)?;
        result.insert(task.to_owned(), clean);
    }
    Ok(result)
}

struct Bench {
    binary: PathBuf,
    quick: bool,
}

impl Bench {
    fn new(inputs: &Inputs) -> Result<Self> {
        Ok(Self {
            binary: build_release()?,
            quick: inputs.quick,
        })
    }

    /// Simulates ten participants, Dirichlet 0.5.
    fn simulate(
        &self,
        task: &str,
        data: &Path,
        model: &Path,
        seed: &str,
        further: &[&str],
        set: &[&str],
    ) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command
            .args(["simulate", "--task"])
            .arg(format!("xtask/src/figures/tasks/{task}.toml"))
            .arg("--data")
            .arg(data)
            .arg("--model-file")
            .arg(model)
            .args([
                "--clients",
                "10",
                "--partition",
                "dirichlet:0.5",
                "--seed",
                seed,
            ])
            .args(["--eval-every", "1000", "--json"])
            .args(further);
        set.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        if self.quick {
            command.args(["--rounds", "2"]);
        }
        report(&mut command)
    }
}

fn shifted(
    bench: &Bench,
    cifar: &Path,
    resnet: &Path,
    rounds: u32,
    baselines: bool,
) -> Result<Value> {
    let rounds = format!("federation.rounds={rounds}");
    let mut reports = Vec::new();
    for field in FIELDS {
        let shift = format!("contrast=0.6,field=0.6,seed={field}");
        let further = [
            "--test-split",
            "test",
            "--range",
            "0:255",
            "--shift",
            &shift,
        ];
        let settings = [rounds.as_str()];
        reports.push(bench.simulate("cifar10-shifted", cifar, resnet, "0", &further, &settings)?);
    }
    let mut row = Map::new();
    let mut shown = Vec::new();
    let no_prompt = reports.iter().map(|r| number(r, "zero_shot"));
    let mut columns = vec![("no_prompt", no_prompt.collect::<Result<Vec<f64>>>()?)];
    for (key, setting) in SETTINGS
        .into_iter()
        .filter(|(_, s)| baselines || *s == "federated")
    {
        let of = |report| number(outcome(report, setting)?, "test_accuracy");
        columns.push((key, reports.iter().map(of).collect::<Result<_>>()?));
    }
    for (key, values) in columns {
        let each: Vec<f64> = values.iter().copied().map(rounded).collect();
        shown.push(format!("{key} {:.1}% {each:?}", 100.0 * mean(&values)));
        row.insert(key.to_owned(), json!(rounded(mean(&values))));
        row.insert(format!("{key}_by_field"), json!(each));
    }
    println!("\nshifted CIFAR-10: {}\n", shown.join(", "));
    let federated = outcome(&reports[0], "federated")?;
    row.insert(
        "queries_each".to_owned(),
        json!(number(federated, "queries_per_participant")?),
    );
    Ok(Value::Object(row))
}

fn clean(
    bench: &Bench,
    task: &str,
    data: &Path,
    model: &Path,
    cut: &[&str],
    seeds: &[&str],
) -> Result<Value> {
    let file = format!("{task}-mobilenet");
    let each_seed = |further: &[&str], set: &str| -> Result<Vec<Value>> {
        let further = [cut, &["--range", "-1:1", "--output", "logits"], further].concat();
        let set: Vec<&str> = set.split(' ').collect();
        let simulate = |seed: &&str| bench.simulate(&file, data, model, seed, &further, &set);
        seeds.iter().map(simulate).collect()
    };
    let zero_shot = |report: &Value| number(report, "zero_shot");
    let mut result = Map::new();
    let mut without = Map::new();
    for (name, set) in MAPPINGS {
        let reports = each_seed(&["--only", "centralised", "--rounds", "1"], set)?;
        enter(&mut without, name, &reports, zero_shot)?;
    }
    println!("\n{task} without a prompt: {without:?}");
    result.insert("no_prompt".to_owned(), Value::Object(without));
    for (name, generator) in GENERATORS {
        let reports = each_seed(&["--holdout", "0.2"], generator)?;
        let mut row = Map::new();
        enter(&mut row, "no_prompt", &reports, zero_shot)?;
        for (key, setting) in SETTINGS {
            let last = |report: &Value| number(outcome(report, setting)?, "test_accuracy");
            let chosen = |what: &'static str| {
                move |report: &Value| number(&outcome(report, setting)?["chosen"], what)
            };
            // What the held-out examples say is to be kept: the unprompted model, where the prompt is no better.
            enter(&mut row, key, &reports, chosen("test_accuracy"))?;
            let unprompted = chosen("unprompted_accuracy");
            enter(&mut row, &format!("{key}_unprompted"), &reports, unprompted)?;
            enter(&mut row, &format!("{key}_last"), &reports, last)?;
            let keeps = |report| Ok(outcome(report, setting)?["chosen"]["choice"]["keep"].clone());
            let keeps: Vec<Value> = reports.iter().map(keeps).collect::<Result<_>>()?;
            if keeps.iter().all(Value::is_string) {
                row.insert(format!("{key}_keeps"), json!(keeps));
            }
        }
        let federated = outcome(&reports[0], "federated")?;
        row.insert(
            "queries_each".to_owned(),
            json!(number(federated, "queries_per_participant")?),
        );
        println!("{task} {name}: {row:?}");
        result.insert(name.to_owned(), Value::Object(row));
    }
    Ok(Value::Object(result))
}

/// A number's mean over the reports of several seeds and, of more than one, each.
fn enter(
    row: &mut Map<String, Value>,
    key: &str,
    reports: &[Value],
    get: impl Fn(&Value) -> Result<f64>,
) -> Result<()> {
    let values: Vec<f64> = reports.iter().map(get).collect::<Result<_>>()?;
    row.insert(key.to_owned(), json!(rounded(mean(&values))));
    if values.len() > 1 {
        let each: Vec<f64> = values.into_iter().map(rounded).collect();
        row.insert(format!("{key}_by_seed"), json!(each));
    }
    Ok(())
}

/// The classes that the task file names, of the 43 that are there: copies of their folders.
fn ten_signs(all: &Path) -> Result<PathBuf> {
    let task: toml::Table = include_str!("tasks/gtsrb-mobilenet.toml").parse()?;
    let labels = task["data"]["labels"].as_array();
    let labels = labels.context("the task file has no labels")?;
    let some = target().join("figures").join("gtsrb");
    std::fs::create_dir_all(&some)?;
    for class in labels.iter().filter_map(toml::Value::as_str) {
        let (from, to) = (all.join(class), some.join(class));
        std::fs::create_dir_all(&to)?;
        let files =
            std::fs::read_dir(&from).with_context(|| format!("{} is missing", from.display()))?;
        for file in files {
            let file = file?;
            std::fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    Ok(some)
}
