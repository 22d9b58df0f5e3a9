//! `ask-ahead`: how much accuracy it costs to ask steps ahead, from θ as it was one step earlier.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{IN_THETA, Simulation, enter, mean, number, outcome};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "ask-ahead",
    summary: "accuracy with steps asked ahead and asked in step: two tasks, three seeds, federated (needs --data)",
    run,
};

const SEEDS: [u64; 3] = [0, 1, 2];

/// The task's key in the JSON, and its name.
const TASKS: [(&str, &str); 2] = [
    ("light_on_dark", "digits-light-on-dark"),
    ("dark_on_light", "digits-dark-on-light"),
];

/// The end of the key in the JSON, and the setting.
const WAYS: [(&str, &str); 2] = [
    ("ahead", "federation.ask_ahead=true"),
    ("in_step", "federation.ask_ahead=false"),
];

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    let mut accuracies = Vec::new();
    for (key, task) in TASKS {
        for (way, setting) in WAYS {
            let further = ["--only", "federated", "--set", setting];
            // One after another, because each uses all cores.
            let by_seed = SEEDS.map(|seed| {
                let simulation = Simulation {
                    task,
                    digits: &digits,
                    seed,
                    base: &IN_THETA,
                    further: &further,
                };
                number(
                    outcome(&simulation.run(&binary)?, "federated")?,
                    "test_accuracy",
                )
            });
            let by_seed: Vec<f64> = by_seed.into_iter().collect::<Result<_>>()?;
            accuracies.push((format!("{key}_{way}"), by_seed));
        }
    }
    Ok(summarise(&accuracies))
}

/// Prints the table and returns the line of JSON.
fn summarise(accuracies: &[(String, Vec<f64>)]) -> Value {
    println!(
        "\n{:<24}{:>8}{:>8}{:>8}{:>8}",
        "", "seed 0", "seed 1", "seed 2", "mean"
    );
    let mut result = Map::new();
    for (key, by_seed) in accuracies {
        let shown: String = by_seed
            .iter()
            .chain([&mean(by_seed)])
            .map(|value| format!("{:>7.1}%", 100.0 * value))
            .collect();
        println!("{key:<24}{shown}");
        enter(&mut result, key, "seed", by_seed);
    }
    println!();
    result.insert("seeds".to_owned(), json!(SEEDS));
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::summarise;
    use serde_json::json;

    #[test]
    fn means_are_over_the_seeds() {
        let line = summarise(&[("light_on_dark_ahead".to_owned(), vec![0.7, 0.8, 0.9])]);
        assert_eq!(line["light_on_dark_ahead"], 0.8);
        assert_eq!(line["light_on_dark_ahead_by_seed"], json!([0.7, 0.8, 0.9]));
    }
}
