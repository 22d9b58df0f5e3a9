//! `images`: what prompts gain on pictures, with real pre-trained models as black boxes, where all
//! inputs are shifted the same way and where they are clean.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulation::{each, enter, mean, number, outcome, report};
use super::{Figure, Inputs, build_release};
use xtask::workspace::target;

pub const FIGURE: Figure = Figure {
    name: "images",
    summary: "pictures through ResNet-8 and MobileNet, shifted and clean: every generator, with baselines (needs --data, --models)",
    run: |inputs| {
        let mut result = all_shifted(inputs)?;
        result.extend(all_clean(inputs)?);
        Ok(Value::Object(result))
    },
};

/// The second half alone: its three tasks take as long as all the shifted runs together.
pub const CLEAN_ALONE: Figure = Figure {
    name: "images-clean",
    summary: "the part of `images` with clean pictures through MobileNet (needs --data, --models)",
    run: |inputs| all_clean(inputs).map(Value::Object),
};

/// Seeds of the shift's field.
const FIELDS: [u32; 3] = [3, 11, 12];
/// The total of queries, rounds of 256 queries for each participant, and whether the baselines are
/// run too.
const ROUNDS: [(&str, u32, bool); 2] = [("6144", 24, true), ("19968", 78, false)];

/// The setting's name in the JSON, and in the simulation's report.
const SETTINGS: [(&str, &str); 3] = [
    ("local_only", "local"),
    ("centralised", "centralised"),
    ("federated", "federated"),
];

/// A task of clean pictures.
struct Clean {
    /// The folder of its data; its file in `tasks/` has the same name.
    name: &'static str,
    /// The arguments that divide the data into training and test.
    cut: &'static [&'static str],
    seeds: &'static [&'static str],
}

const CLEAN: [Clean; 3] = [
    Clean {
        name: "mnist",
        cut: &["--train", "5000", "--test-count", "5000"],
        seeds: &["0"],
    },
    // It has few pictures, 200 of them to test with, so it is divided with several seeds.
    Clean {
        name: "gtsrb",
        cut: &["--train", "400"],
        seeds: &["0", "1", "2"],
    },
    Clean {
        name: "cifar10",
        cut: &["--test-split", "test"],
        seeds: &["0"],
    },
];

/// Mappings without a prompt.
const MAPPINGS: [(&str, &[&str]); 3] = [
    (
        "frequency_1",
        &["mapping.per_label=1", "mapping.rank=probability"],
    ),
    (
        "frequency_3",
        &["mapping.per_label=3", "mapping.rank=probability"],
    ),
    (
        "calibrated_3",
        &["mapping.per_label=3", "mapping.rank=lift"],
    ),
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
    for task in CLEAN {
        let mut data = inputs.data(task.name)?;
        if task.name == "gtsrb" {
            data = ten_signs(&data)?;
        }
        let clean = clean(&bench, &task, &data, &mobilenet)?;
        result.insert(task.name.to_owned(), clean);
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

    /// Simulates ten participants whose data are split with Dirichlet 0.5.
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
            .arg(format!("tests/figures/tasks/{task}.toml"))
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
        if self.quick && !further.contains(&"--rounds") {
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
    let mut columns = vec![("no_prompt", each(&reports, zero_shot)?)];
    for (key, setting) in SETTINGS
        .into_iter()
        .filter(|(_, s)| baselines || *s == "federated")
    {
        let of = |report: &Value| number(outcome(report, setting)?, "test_accuracy");
        columns.push((key, each(&reports, of)?));
    }
    for (key, values) in columns {
        enter(&mut row, key, "field", &values);
        let each = &row[&format!("{key}_by_field")];
        shown.push(format!("{key} {:.1}% {each}", 100.0 * mean(&values)));
    }
    println!("\nshifted CIFAR-10: {}\n", shown.join(", "));
    row.insert("queries_each".to_owned(), queries_each(&reports)?);
    Ok(Value::Object(row))
}

fn clean(bench: &Bench, task: &Clean, data: &Path, model: &Path) -> Result<Value> {
    let file = format!("{}-mobilenet", task.name);
    let each_seed = |further: &[&str], set: &[&str]| -> Result<Vec<Value>> {
        let further = [
            task.cut,
            &["--range", "-1:1", "--output", "logits"],
            further,
        ]
        .concat();
        let simulate = |seed: &&str| bench.simulate(&file, data, model, seed, &further, set);
        task.seeds.iter().map(simulate).collect()
    };
    let mut result = Map::new();
    let mut without = Map::new();
    for (name, set) in MAPPINGS {
        let reports = each_seed(&["--only", "centralised", "--rounds", "1"], set)?;
        enter(&mut without, name, "seed", &each(&reports, zero_shot)?);
    }
    println!("\n{} without a prompt: {without:?}", task.name);
    result.insert("no_prompt".to_owned(), Value::Object(without));
    for (name, generator) in GENERATORS {
        let reports = each_seed(&["--holdout", "0.2"], &[generator])?;
        let mut row = Map::new();
        enter(&mut row, "no_prompt", "seed", &each(&reports, zero_shot)?);
        for (key, setting) in SETTINGS {
            let outcomes = reports.iter().map(|report| outcome(report, setting));
            let outcomes: Vec<&Value> = outcomes.collect::<Result<_>>()?;
            let last = each(&outcomes, |o| number(o, "test_accuracy"))?;
            // The result that the held-out examples choose: the unprompted model if the prompt is
            // no better.
            let kept = each(&outcomes, |o| number(&o["chosen"], "test_accuracy"))?;
            let unprompted = each(&outcomes, |o| number(&o["chosen"], "unprompted_accuracy"))?;
            enter(&mut row, key, "seed", &kept);
            enter(&mut row, &format!("{key}_unprompted"), "seed", &unprompted);
            enter(&mut row, &format!("{key}_last"), "seed", &last);
            let keeps = outcomes.iter().map(|o| &o["chosen"]["choice"]["keep"]);
            let keeps: Vec<&Value> = keeps.collect();
            if keeps.iter().all(|keep| keep.is_string()) {
                row.insert(format!("{key}_keeps"), json!(keeps));
            }
        }
        row.insert("queries_each".to_owned(), queries_each(&reports)?);
        println!("{} {name}: {row:?}", task.name);
        result.insert(name.to_owned(), Value::Object(row));
    }
    Ok(Value::Object(result))
}

fn zero_shot(report: &Value) -> Result<f64> {
    number(report, "zero_shot")
}

/// The number of queries of each participant, which no seed changes.
fn queries_each(reports: &[Value]) -> Result<Value> {
    let federated = outcome(&reports[0], "federated")?;
    Ok(json!(number(federated, "queries_per_participant")?))
}

/// Copies the folders of the classes that the task file names, from the 43 that exist.
fn ten_signs(all: &Path) -> Result<PathBuf> {
    let task: toml::Table = include_str!("../tasks/gtsrb-mobilenet.toml").parse()?;
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
