//! `instructions`: one of sixteen label templates, chosen by the federation from their rewards,
//! compared with choosing alone.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::simulation::{mean, number, outcome, report, rounded};
use super::{Figure, Inputs, build_release};
use xtask::workspace::root;

pub const FIGURE: Figure = Figure {
    name: "instructions",
    summary: "a label template out of sixteen on AG News, TREC and SST-2: first, mean, chosen alone and federatedly, best on test (needs --data, --models)",
    run,
};

struct Task {
    name: &'static str,
    /// The training file below `--data`. Without a test file, the rest of it is the test.
    train: &'static str,
    test: Option<&'static str>,
}

const TASKS: [Task; 3] = [
    Task {
        name: "ag_news",
        train: "ag_news/test.csv",
        test: None,
    },
    Task {
        name: "trec",
        train: "trec/TREC.train.all",
        test: Some("trec/TREC.test.all"),
    },
    Task {
        name: "sst2",
        train: "sst2/stsa.binary.train",
        test: Some("sst2/stsa.binary.test"),
    },
];

/// The kinds of reward: the name in the result, which is also the setting.
const REWARDS: [&str; 2] = ["accuracy", "loss"];

fn run(inputs: &Inputs) -> Result<Value> {
    let model = inputs.models("minilm")?;
    let binary = build_release()?;
    let (mut result, mut rows) = (Map::new(), Vec::new());
    for task in &TASKS {
        let mut of_task = Map::new();
        for reward in REWARDS {
            let found = simulate(&binary, task, inputs, &model, reward)?;
            let reached = reached(&found)?;
            rows.push(reached.row(task.name, reward));
            reached.enter(reward, &mut of_task);
        }
        result.insert(task.name.to_owned(), of_task.into());
    }
    println!(
        "\n| task | reward | first | mean | alone | federated | centralised | best on test | queries each |\n|---|---|---|---|---|---|---|---|---|\n{}\n",
        rows.join("\n")
    );
    Ok(Value::Object(result))
}

fn simulate(
    binary: &Path,
    task: &Task,
    inputs: &Inputs,
    model: &Path,
    reward: &str,
) -> Result<Value> {
    let file = root().join(format!("tests/figures/instructions/{}.toml", task.name));
    let mut command = Command::new(binary);
    command.args(["simulate", "--task"]).arg(file);
    command.arg("--data").arg(inputs.data(task.train)?);
    if let Some(test) = task.test {
        command.arg("--test").arg(inputs.data(test)?);
    }
    command.arg("--model-folder").arg(model);
    let mut further =
        "--clients 10 --partition dirichlet:0.5 --oracle --eval-every 1000 --json".to_owned();
    further += if inputs.quick {
        // All sixteen at once, because there are no more rounds in which to halve them.
        " --shots 2 --test-count 20 --seeds 0 --rounds 2 --set optimizer.arms=16"
    } else {
        " --shots 16 --test-count 1000 --seeds 0,1,2 --rounds 12 --set optimizer.arms=8"
    };
    command.args(further.split(' '));
    command.args(["--set", &format!("optimizer.reward={reward}")]);
    report(&mut command)
}

/// The means over the seeds.
struct Reached {
    first: f64,
    mean: f64,
    best: f64,
    alone: f64,
    federated: f64,
    centralised: f64,
    queries: f64,
    /// The template that the federation chose, seed by seed.
    chosen: Vec<String>,
}

fn reached(report: &Value) -> Result<Reached> {
    let setting = |name: &str, key: &str| {
        let rows = report["summary"].as_array().into_iter().flatten();
        let mut rows = rows.filter(|row| row["setting"] == name);
        number(rows.next().context("a setting is missing")?, key)
    };
    let runs = report["runs"].as_array().context("no runs")?;
    let (mut first, mut means, mut best, mut chosen) = (vec![], vec![], vec![], vec![]);
    for run in runs {
        let tested = run["oracle"].as_array().context("no oracle")?;
        let tested: Vec<f64> = tested
            .iter()
            .map(|arm| number(arm, "test_accuracy"))
            .collect::<Result<_>>()?;
        first.push(*tested.first().context("no instruction was measured")?);
        means.push(mean(&tested));
        best.push(tested.iter().copied().fold(0.0, f64::max));
        let prompt = &outcome(run, "federated")?["prompt"];
        chosen.push(prompt.as_str().unwrap_or_default().to_owned());
    }
    Ok(Reached {
        first: mean(&first),
        mean: mean(&means),
        best: mean(&best),
        alone: setting("local", "mean")?,
        federated: setting("federated", "mean")?,
        centralised: setting("centralised", "mean")?,
        queries: setting("federated", "queries_per_participant")?,
        chosen,
    })
}

impl Reached {
    fn row(&self, task: &str, reward: &str) -> String {
        let shares = [
            self.first,
            self.mean,
            self.alone,
            self.federated,
            self.centralised,
            self.best,
        ];
        let shares = shares.map(|share| format!("{:.1}%", 100.0 * share));
        format!(
            "| {task} | {reward} | {} | {:.0} |",
            shares.join(" | "),
            self.queries
        )
    }

    /// Writes the values that no reward changes once, and the others under the reward's name.
    fn enter(&self, reward: &str, into: &mut Map<String, Value>) {
        for (name, value) in [
            ("first", self.first),
            ("mean", self.mean),
            ("best_on_test", self.best),
        ] {
            into.insert(name.to_owned(), json!(rounded(value)));
        }
        let by_reward = json!({
            "alone": rounded(self.alone),
            "federated": rounded(self.federated),
            "centralised": rounded(self.centralised),
            "queries_per_participant": self.queries.round(),
            "chosen_by_seed": self.chosen,
        });
        into.insert(reward.to_owned(), by_reward);
    }
}

#[cfg(test)]
mod tests {
    use super::{Map, json, reached};

    #[test]
    fn reports_are_read() {
        let run = |oracle: [f64; 2], prompt: &str| {
            json!({
                "oracle": oracle.map(|a| json!({ "instruction": "x", "test_accuracy": a })),
                "outcomes": [{ "setting": "federated", "prompt": prompt }],
            })
        };
        let row = |name: &str, mean: f64| json!({ "setting": name, "mean": mean, "queries_per_participant": 96.0 });
        let report = json!({
            "summary": [row("federated", 0.8), row("local", 0.6), row("centralised", 0.9)],
            "runs": [run([0.5, 0.75], "a {}"), run([0.7, 0.25], "b {}")],
        });
        let found = reached(&report).unwrap();
        assert_eq!((found.first, found.best), (0.6, 0.725));
        let mut entered = Map::new();
        found.enter("loss", &mut entered);
        assert_eq!(entered["mean"], 0.55);
        assert_eq!(entered["loss"]["alone"], 0.6);
        assert_eq!(entered["loss"]["chosen_by_seed"], json!(["a {}", "b {}"]));
        assert!(reached(&json!({ "runs": [] })).is_err());
    }
}
