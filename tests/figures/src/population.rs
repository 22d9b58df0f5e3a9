//! `epsilon-population`: what differential privacy costs where many people take part, each with a
//! handwriting of their own, in turns.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{Noisy, rounded};
use super::{Figure, Inputs, build_release};

pub const FEW: Figure = Figure {
    name: "epsilon-population-200",
    summary: "accuracy at ε ∞, 8, 4, 2, 1 with 200 participants, who are in every round",
    run: |inputs| run(inputs, 200),
};
pub const MANY: Figure = Figure {
    name: "epsilon-population-2000",
    summary: "the same with 2,000 participants who take turns",
    run: |inputs| run(inputs, 2_000),
};
pub const MOST: Figure = Figure {
    name: "epsilon-population-10000",
    summary: "the same with 10,000 participants who take turns (half an hour)",
    run: |inputs| run(inputs, 10_000),
};

/// Number of participants who train in a round, if there are as many.
const ACTIVE: u32 = 500;
const ROUNDS: u32 = 20;
/// The name in the JSON, and ε; `None` for no noise.
const EPSILONS: [(&str, Option<f64>); 5] = [
    ("infinity", None),
    ("8", Some(8.0)),
    ("4", Some(4.0)),
    ("2", Some(2.0)),
    ("1", Some(1.0)),
];
/// Tuned with noise: every update has the length `clip`.
const SETTINGS: [&str; 3] = [
    "federation.local_steps=2",
    "federation.server.learning_rate=0.2",
    "federation.clip=0.05",
];

fn run(inputs: &Inputs, participants: u32) -> Result<Value> {
    let binary = build_release()?;
    let mut result = Map::new();
    let names: String = EPSILONS
        .iter()
        .map(|(name, _)| format!(" ε {name} |"))
        .collect();
    let active = ACTIVE.min(participants);
    // Nine of ten who were drawn are enough; they share the noise.
    let least = active - active / 10;
    let delta = f64::from(participants).powf(-1.1);
    let turns = ROUNDS.div_ceil(participants / active);
    let mut row = String::new();
    for (name, epsilon) in EPSILONS {
        let rounds = if inputs.quick { 2 } else { ROUNDS };
        let mut set = vec![
            format!("federation.rounds={rounds}"),
            format!("federation.active={active}"),
            format!("federation.secure_sum.cohort_min={least}"),
            format!("federation.secure_sum.survivors_min={least}"),
            format!("federation.secure_sum.cohort_max={}", 2 * active),
        ];
        set.extend(SETTINGS.map(str::to_owned));
        if let Some(epsilon) = epsilon {
            set.push(format!("federation.privacy.epsilon={epsilon}"));
            set.push(format!("federation.privacy.delta={delta}"));
            set.push(format!("federation.privacy.participations={turns}"));
        }
        let noisy = Noisy {
            clients: participants,
            each: 16,
            epsilon,
            set,
        };
        let (before, accuracy) = noisy.run(&binary)?;
        if row.is_empty() {
            row = format!("| {participants} | {:.1}% |", 100.0 * before);
            result.insert("unprompted".to_owned(), json!(rounded(before)));
        }
        row += &format!(" {:.1}% |", 100.0 * accuracy);
        println!("{row}");
        result.insert(name.to_owned(), json!(rounded(accuracy)));
    }
    let table =
        format!("\n| participants | no prompt |{names}\n|---|---|---|---|---|---|---|\n{row}\n");
    println!("{table}");
    Ok(Value::Object(result))
}
