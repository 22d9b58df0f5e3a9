//! `federation-rules`: θ's difference, or one number for each direction that all participants
//! share; in plain and in secure sums.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::simulation::{IN_THETA, Simulation, number, outcome, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "federation-rules",
    summary: "dense fedavg with distinct directions, and scalars along shared ones, at equal queries: accuracy and bytes per round, plain and in secure sums (needs --data)",
    run,
};

const SEED: u64 = 1;
/// Number of rounds in which the bytes of a secure sum are counted, with all messages that masks
/// need.
const COUNTED: u32 = 2;

/// The rule's name in the JSON, and the settings besides the task's own.
const RULES: [(&str, &[&str]); 2] = [("fedavg", &[]), ("scalars", &SCALARS)];

/// The same number of queries at another learning rate: θ moves along fewer directions, but along
/// the same ones in all updates.
const SCALARS: [&str; 1] = ["federation.rule=scalars"];

const SECURE: [&str; 2] = [
    "federation.secure_sum.cohort_min=10",
    "federation.secure_sum.survivors_min=6",
];

struct Row {
    rule: &'static str,
    secure: bool,
    accuracy: f64,
    queries: f64,
    up: f64,
    down: f64,
}

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let simulate = |set: &[&str], more: &[&str]| -> Result<Value> {
        let mut further = vec!["--only", "federated", "--eval-every", "1000"];
        further.extend(more);
        set.iter().for_each(|s| further.extend(["--set", s]));
        let simulation = Simulation {
            task: "digits-light-on-dark",
            digits: &digits,
            seed: SEED,
            base: &IN_THETA,
            further: &further,
        };
        simulation.run(&binary)
    };
    let counted = COUNTED.to_string();
    let quick: &[&str] = if inputs.quick {
        &["--rounds", "2"]
    } else {
        &[]
    };
    let mut rows = Vec::new();
    for (rule, settings) in RULES {
        for secure in [false, true] {
            let set = [settings, if secure { &SECURE } else { &[] }].concat();
            let report = simulate(&set, quick)?;
            // Masks cancel, so they are left out there; what they cost is counted in a few rounds
            // with them.
            let masked = secure
                .then(|| simulate(&set, &["--masks", "--rounds", &counted]))
                .transpose()?;
            let bytes = outcome(masked.as_ref().unwrap_or(&report), "federated")?;
            let per_round =
                |key| Ok::<f64, anyhow::Error>(number(bytes, key)? / number(bytes, "updates")?);
            let reached = outcome(&report, "federated")?;
            rows.push(Row {
                rule,
                secure,
                accuracy: number(reached, "test_accuracy")?,
                queries: number(reached, "queries_per_participant")?,
                up: per_round("bytes_up_per_participant")?,
                down: per_round("bytes_down_per_participant")?,
            });
        }
    }
    summarise(&rows)
}

fn summarise(rows: &[Row]) -> Result<Value> {
    let Some(first) = rows.first() else {
        bail!("nothing was run");
    };
    println!(
        "\n| rule | sums | accuracy | bytes up a round | bytes down a round |\n|---|---|---|---|---|"
    );
    let mut result = Map::new();
    for row in rows {
        if row.queries != first.queries {
            bail!(
                "{} does not ask as often: nothing can be compared",
                row.rule
            );
        }
        let sums = if row.secure { "secure" } else { "plain" };
        println!(
            "| {} | {sums} | {:.1}% | {:.0} | {:.0} |",
            row.rule,
            100.0 * row.accuracy,
            row.up,
            row.down
        );
        for (what, value) in [
            ("accuracy", rounded(row.accuracy)),
            ("bytes_up", row.up.round()),
            ("bytes_down", row.down.round()),
        ] {
            result.insert(format!("{}_{sums}_{what}", row.rule), json!(value));
        }
    }
    println!();
    result.insert("queries_per_participant".to_owned(), json!(first.queries));
    result.insert("seed".to_owned(), json!(SEED));
    Ok(Value::Object(result))
}

#[cfg(test)]
mod tests {
    use super::{Row, summarise};

    fn row(rule: &'static str, secure: bool, queries: f64) -> Row {
        Row {
            rule,
            secure,
            accuracy: 0.75,
            queries,
            up: 100.4,
            down: 300.0,
        }
    }

    #[test]
    fn every_row_is_named() {
        let line = summarise(&[row("fedavg", false, 64.0), row("scalars", true, 64.0)]).unwrap();
        assert_eq!(line["fedavg_plain_accuracy"], 0.75);
        assert_eq!(line["scalars_secure_bytes_up"], 100.0);
    }

    #[test]
    fn unequal_queries_are_refused() {
        assert!(summarise(&[row("fedavg", false, 64.0), row("scalars", false, 65.0)]).is_err());
    }
}
