//! `epsilon-examples`: what differential privacy of single examples costs a few owners who have many.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{Noisy, rounded};
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "epsilon-examples",
    summary: "accuracy at ε ∞, 8, 4, 2, 1 of single examples: five owners with 1,000 examples each",
    run,
};

const OWNERS: u32 = 5;
const EACH: u32 = 1_000;
const BATCH: u32 = 200;
const ROUNDS: u32 = 40;
/// The name in the JSON, ε, and the bound of an update, tuned with the noise.
const EPSILONS: [(&str, Option<f64>, f64); 5] = [
    ("infinity", None, 10.0),
    ("8", Some(8.0), 1.0),
    ("4", Some(4.0), 0.5),
    ("2", Some(2.0), 0.5),
    ("1", Some(1.0), 0.3),
];

fn run(inputs: &Inputs) -> Result<Value> {
    let binary = build_release()?;
    let delta = f64::from(OWNERS * EACH).powf(-1.1);
    let mut result = Map::new();
    let mut table = "\n| ε | accuracy |\n|---|---|\n".to_owned();
    for (name, epsilon, clip) in EPSILONS {
        let rounds = if inputs.quick { 2 } else { ROUNDS };
        let mut set = vec![
            format!("federation.rounds={rounds}"),
            format!("federation.batch={BATCH}"),
            format!("federation.clip={clip}"),
            "federation.local_steps=1".to_owned(),
            format!("federation.secure_sum.cohort_min={OWNERS}"),
            format!("federation.secure_sum.survivors_min={OWNERS}"),
        ];
        if let Some(epsilon) = epsilon {
            set.push("federation.privacy.unit=example".to_owned());
            set.push(format!("federation.privacy.epsilon={epsilon}"));
            set.push(format!("federation.privacy.delta={delta}"));
            // Each example is asked once before any is asked again.
            let times = ROUNDS * BATCH / EACH;
            set.push(format!("federation.privacy.participations={times}"));
        }
        let noisy = Noisy {
            clients: OWNERS,
            each: EACH,
            epsilon,
            set,
        };
        let (before, accuracy) = noisy.run(&binary)?;
        result.insert("unprompted".to_owned(), json!(rounded(before)));
        result.insert(name.to_owned(), json!(rounded(accuracy)));
        table += &format!("| {name} | {:.1}% |\n", 100.0 * accuracy);
    }
    println!("{table}");
    Ok(Value::Object(result))
}
