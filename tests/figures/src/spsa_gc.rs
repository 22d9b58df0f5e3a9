//! `spsa-gc-vs-default`: accuracy against queries of BlackVIP's optimiser as released and of ours,
//! on two tasks of images.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::optimisers::{Curve, best, curve, queries_to};
use super::plot::{Line, accuracy_over_queries};
use super::simulation::{IN_THETA, report, rounded};
use super::{Figure, Inputs, build_release};
use xtask::workspace::root;

pub const FIGURE: Figure = Figure {
    name: "spsa-gc-vs-default",
    summary: "accuracy over queries, SPSA-GC as released against the default, two image tasks; draws docs/spsa-gc-*.svg (needs --data, --models)",
    run,
};

/// A task, and how it is simulated.
struct Bench {
    name: &'static str,
    title: &'static str,
    arguments: Vec<String>,
    /// Number of rounds of SPSA-GC that take as many queries as the default does, with two steps of
    /// 320 queries in each.
    rounds: u32,
}

/// Released hyper-parameters of three data sets (BlackVIP's `scripts/blackvip/tl_bench.sh`): β, γ, c.
const RELEASED: [(&str, &str); 3] = [
    (
        "SPSA-GC as for SVHN",
        r#"{"kind":"spsa-gc","beta":0.9,"gamma":0.2,"c":0.005}"#,
    ),
    (
        "SPSA-GC as for Pets",
        r#"{"kind":"spsa-gc","beta":0.9,"gamma":0.1,"c":0.01}"#,
    ),
    (
        "SPSA-GC as for Flowers",
        r#"{"kind":"spsa-gc","beta":0.5,"gamma":0.2,"c":0.02}"#,
    ),
];

/// Five directions, both signs, and 32 images make 320 queries; θ is the plain mean of the
/// participants' θ.
const AS_RELEASED: [&str; 3] = [
    "federation.local_steps=2",
    "federation.batch=32",
    r#"federation.server={"kind":"sgd"}"#,
];

fn run(inputs: &Inputs) -> Result<Value> {
    let benches = benches(inputs)?;
    let binary = build_release()?;
    let mut result = Map::new();
    for bench in &benches {
        let curves = simulate(&binary, bench, inputs.quick)?;
        result.insert(bench.name.to_owned(), summarise(bench, &curves)?);
        let lines: Vec<Line> = curves
            .into_iter()
            .map(|(name, points)| Line { name, points })
            .collect();
        if !inputs.quick {
            let picture = root()
                .join("docs")
                .join(format!("spsa-gc-{}.svg", bench.name));
            accuracy_over_queries(&picture, bench.title, &lines)?;
        }
    }
    Ok(Value::Object(result))
}

fn benches(inputs: &Inputs) -> Result<Vec<Bench>> {
    let text = |path: PathBuf| path.display().to_string();
    let digits = text(inputs.data("digits")?);
    let cifar = text(inputs.data("cifar10")?);
    let resnet = text(inputs.models("resnet8_cifar10.onnx")?);
    let arguments = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect();
    Ok(vec![
        Bench {
            name: "cifar10-shifted",
            title: "Shifted CIFAR-10 through ResNet-8, federated",
            arguments: arguments(&[
                "--task",
                "tests/figures/tasks/cifar10-shifted.toml",
                "--data",
                &cifar,
                "--test-split",
                "test",
                "--model-file",
                &resnet,
                "--range",
                "0:255",
                "--shift",
                "contrast=0.6,field=0.6,seed=3",
                // 16,384 queries of each participant.
                "--set",
                "federation.rounds=64",
            ]),
            rounds: 25,
        },
        Bench {
            name: "digits",
            title: "Handwritten digits, light on dark, federated",
            arguments: arguments(&[
                "--task",
                "digits-light-on-dark",
                "--data",
                &digits,
                "--train",
                "1000",
                "--set",
                IN_THETA[1],
                "--set",
                IN_THETA[2],
            ]),
            rounds: 51,
        },
    ])
}

fn simulate(binary: &Path, bench: &Bench, quick: bool) -> Result<Vec<(String, Curve)>> {
    let mut ways = vec![("default".to_owned(), Vec::new(), "4")];
    for (name, optimizer) in RELEASED {
        let mut set = vec![
            format!("optimizer={optimizer}"),
            format!("federation.rounds={}", bench.rounds),
        ];
        set.extend(AS_RELEASED.map(str::to_owned));
        ways.push((name.to_owned(), set, "2"));
    }
    let mut curves = Vec::new();
    for (name, set, every) in ways {
        println!("{name}");
        let mut command = Command::new(binary);
        command.arg("simulate").args(&bench.arguments).args([
            "--only",
            "federated",
            "--seed",
            "0",
            "--json",
            "--eval-every",
            every,
        ]);
        set.iter().for_each(|setting| {
            command.args(["--set", setting]);
        });
        if quick {
            command.args(["--rounds", "2"]);
        }
        curves.push((name, curve(&report(&mut command)?)?));
    }
    Ok(curves)
}

fn summarise(bench: &Bench, curves: &[(String, Curve)]) -> Result<Value> {
    let [(_, default), others @ ..] = curves else {
        bail!("nothing was run");
    };
    println!(
        "\n{}\n| | last | best | queries to its own best | the default's to the same |\n|---|---|---|---|---|",
        bench.title
    );
    let mut runs = Map::new();
    for (name, curve) in curves {
        let (goal, last) = (
            best(curve),
            curve.last().map_or(0.0, |(_, accuracy)| *accuracy),
        );
        let (own, ours) = (queries_to(curve, goal), queries_to(default, goal));
        let shown = |q: Option<f64>| q.map_or("never".to_owned(), |q| format!("{q:.0}"));
        println!(
            "| {name} | {:.1}% | {:.1}% | {} | {} |",
            100.0 * last,
            100.0 * goal,
            shown(own),
            shown(ours)
        );
        runs.insert(
            name.clone(),
            json!({ "last": rounded(last), "best": rounded(goal), "queries": own, "default_queries": ours }),
        );
    }
    println!();
    let best_other = others
        .iter()
        .map(|(_, curve)| best(curve))
        .fold(0.0, f64::max);
    Ok(json!({
        "default": rounded(best(default)),
        "spsa_gc": rounded(best_other),
        "queries_each": default.last().map(|(queries, _)| *queries),
        "runs": runs,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Bench, summarise};

    #[test]
    fn the_default_is_compared_at_the_others_best() {
        let bench = Bench {
            name: "x",
            title: "x",
            arguments: Vec::new(),
            rounds: 1,
        };
        let curves = [
            (
                "default".to_owned(),
                vec![(0.0, 0.1), (10.0, 0.5), (20.0, 0.9)],
            ),
            ("other".to_owned(), vec![(0.0, 0.1), (20.0, 0.4)]),
        ];
        let line = summarise(&bench, &curves).unwrap();
        assert_eq!(line["spsa_gc"], 0.4);
        assert_eq!(line["runs"]["other"]["default_queries"], 10.0);
        assert!(summarise(&bench, &[]).is_err());
    }
}
