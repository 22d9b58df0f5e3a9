//! A federation small enough to be run hundreds of times: 8×8 images, few parameters, and a model that is a
//! function of the pixels.

use proptest::prelude::*;
use serde_json::json;
use shared::model_api::Scores;
use shared::rng::{Stream, purpose};
use shared::round::workbench::{Labelled, Workbench};
use shared::task::Task;

/// Pixels of one side.
const SIDE: usize = 8;
/// What the model tells apart.
const CLASSES: usize = 3;

/// What a run starts from.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Of everything random: the task, the data, the network.
    pub seed: u64,
    /// Those who join at once.
    pub participants: u32,
    /// Updates of θ.
    pub rounds: u32,
    /// (count_min, time_min_ms, time_max_ms) of `Open` and of `Upload`.
    pub open: (u32, u64, u64),
    /// Likewise.
    pub upload: (u32, u64, u64),
    /// The server's rule.
    pub rule: &'static str,
    /// Whether the mapping is learnt, which costs an evaluation more.
    pub learnt_mapping: bool,
    /// The model says the same to everything: θ never moves.
    pub deaf_model: bool,
    /// Whether held-out examples exist.
    pub holdout: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 1,
            participants: 3,
            rounds: 3,
            open: (1, 500, 5_000),
            upload: (1, 1_000, 4_000),
            rule: "sgd",
            learnt_mapping: false,
            deaf_model: false,
            holdout: true,
        }
    }
}

fn limits() -> impl Strategy<Value = (u32, u64, u64)> {
    (1..4_u32, 0..3_000_u64, 100..5_000_u64).prop_map(|(count, min, more)| (count, min, min + more))
}

/// All kinds of them.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let flags = (any::<bool>(), prop::bool::weighted(0.15), any::<bool>());
    let rule = prop::sample::select(vec!["sgd", "momentum", "adam"]);
    (
        any::<u64>(),
        1..6_u32,
        1..5_u32,
        limits(),
        limits(),
        rule,
        flags,
    )
        .prop_map(
            |(
                seed,
                participants,
                rounds,
                open,
                upload,
                rule,
                (learnt_mapping, deaf_model, holdout),
            )| Scenario {
                seed,
                participants,
                rounds,
                open,
                upload,
                rule,
                learnt_mapping,
                deaf_model,
                holdout,
            },
        )
}

impl Scenario {
    /// The task file.
    pub fn task(&self) -> Task {
        let limits = |(count_min, time_min_ms, time_max_ms): (u32, u64, u64)| json!({ "count_min": count_min, "time_min_ms": time_min_ms, "time_max_ms": time_max_ms });
        let mapping = if self.learnt_mapping {
            json!({ "kind": "frequency" })
        } else {
            json!({ "kind": "identity" })
        };
        Task::from_value(json!({
            "name": "faults",
            // JSON numbers above 2⁵³ are for nobody.
            "seed": self.seed >> 12,
            "model": {
                "url": "http://127.0.0.1:1", "name": "m",
                "input": { "height": SIDE, "width": SIDE }, "output": { "classes": CLASSES },
            },
            "data": { "labels": ["a", "b", "c"] },
            "mapping": mapping,
            "generator": { "kind": "statistic", "grid": 2, "statistics": 1 },
            "optimizer": { "kind": "zo-sgd", "directions": 1, "learning_rate": 0.5 },
            "federation": {
                "rounds": self.rounds, "local_steps": 2, "batch": 2, "lease_seconds": 5,
                "server": { "kind": self.rule },
                "open": limits(self.open), "upload": limits(self.upload),
            },
        }))
        .expect("the scenario's task is valid")
    }

    /// How many participants a round cannot do without.
    pub fn least(&self) -> u32 {
        self.open.0.max(self.upload.0)
    }

    /// The data of participant `number`, ready for use.
    pub fn bench(&self, task: &Task, number: u32) -> Workbench {
        let mut stream = Stream::new(self.seed ^ u64::from(number), purpose::HANDWRITING);
        let mut some = |n: usize| -> Vec<Labelled> {
            let mut one = |label| Labelled {
                image: (0..3 * SIDE * SIDE)
                    .map(|_| stream.below(256) as u8)
                    .collect(),
                label,
            };
            (0..n).map(|i| one(i % CLASSES)).collect()
        };
        // Different weights, or a mean without weights would pass.
        let (training, holdout) = (
            some(3 + number as usize % 4),
            some(if self.holdout { 2 } else { 0 }),
        );
        Workbench::new(task.clone(), number, training, holdout).expect("the data fit the task")
    }

    /// The black box: `count` images' scores.
    pub fn model(&self, images: &[u8], count: usize) -> Scores {
        let row = |image: &[u8]| -> Vec<f32> {
            if self.deaf_model {
                return vec![0.0; CLASSES];
            }
            let mean = |part: &[u8]| {
                part.iter().map(|p| f32::from(*p)).sum::<f32>() / (255.0 * part.len() as f32)
            };
            image
                .chunks(image.len() / CLASSES)
                .map(|part| 4.0 * mean(part))
                .collect()
        };
        let values = images
            .chunks(images.len() / count.max(1))
            .flat_map(row)
            .collect();
        Scores::new(CLASSES, values).expect("the model answers finite rows")
    }
}
