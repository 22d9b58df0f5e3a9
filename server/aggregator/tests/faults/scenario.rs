//! A federation small enough to be run hundreds of times: 8×8 images, few parameters, and a model that is a
//! function of the pixels.

use federation::round::client::Secrets;
use federation::round::workbench::{Labelled, Workbench};
use federation::task::Task;
use ground::rng::{Stream, purpose};
use model_client::Scores;
use proptest::prelude::*;
use secure_sum::Bytes32;
use secure_sum::identity::Identity;
use secure_sum::keystream::Keystream;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pixels of one side.
const SIDE: usize = 8;
/// Number of the model's classes.
const CLASSES: usize = 3;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Seed of everything random: the task, the data, the network.
    pub seed: u64,
    /// Number of participants who join at once.
    pub participants: u32,
    /// Number of updates of θ.
    pub rounds: u32,
    /// (count_min, time_min_ms, time_max_ms) of `Open` and of `Upload`.
    pub open: (u32, u64, u64),
    /// (count_min, time_min_ms, time_max_ms) of `Upload`.
    pub upload: (u32, u64, u64),
    /// The server's rule.
    pub rule: &'static str,
    /// `identity`, or how the mapping is learnt, which costs one more evaluation: `alone`; in a
    /// counting round `together`, or as `calibrate`; or `twice`, which is together and of framed
    /// images too.
    pub mapping: &'static str,
    /// Number of participants who are drawn to train in each round; 0 for all.
    pub active: u32,
    /// Number of rounds without an improvement after which it ends; 0 for never.
    pub patience: u32,
    /// Whether the model gives the same answer to everything, so that θ never moves.
    pub deaf_model: bool,
    /// Whether held-out examples exist.
    pub holdout: bool,
    /// How updates are summed under masks; `None` for plain updates.
    pub secure: Option<Secure>,
}

/// The settings of `[federation.secure_sum]`, and those that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Secure {
    /// Minimum and maximum size of the cohort.
    pub cohort: (u32, u32),
    /// Minimum number of participants in a sum that is opened.
    pub survivors_min: u32,
    /// Number of sums in each round.
    pub groups: u32,
    /// Share of a group that must be there at the end; less than two thirds are taken for two thirds.
    pub threshold: f64,
    /// Number of neighbours of each member.
    pub degree: u32,
    /// (time_min_ms, time_max_ms) of the five phases.
    pub phases: [(u64, u64); 5],
    /// ε, and the noise multiplier unless it is computed from ε; `None` for no noise.
    pub privacy: Option<(f64, Option<f64>)>,
    /// Whether updates are numbers along shared directions and not θ's difference.
    pub scalars: bool,
    /// The rule that combines groups.
    pub combine: &'static str,
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
            mapping: "identity",
            active: 0,
            patience: 0,
            deaf_model: false,
            holdout: true,
            secure: None,
        }
    }
}

impl Default for Secure {
    fn default() -> Self {
        Self {
            cohort: (3, 8),
            survivors_min: 2,
            groups: 1,
            threshold: 2.0 / 3.0,
            degree: 100,
            phases: [(1_000, 4_000); 5],
            privacy: None,
            scalars: false,
            combine: "mean",
        }
    }
}

/// Phases last at least as long as a participant here needs to see one (it looks every 150 ms,
/// where a real one is woken by the long poll), to deliver, and to be counted at the next tick:
/// otherwise it could miss every phase, in step with the clocks.
fn limits() -> impl Strategy<Value = (u32, u64, u64)> {
    (1..4_u32, 0..3_000_u64, 300..5_000_u64).prop_map(|(count, min, more)| (count, min, min + more))
}

/// Scenarios of all kinds.
pub fn scenario() -> impl Strategy<Value = Scenario> {
    let mappings = vec!["identity", "alone", "together", "calibrate", "twice"];
    let flags = (
        prop::sample::select(mappings),
        prop_oneof![2 => Just(0), 1 => 1..4_u32],
        prop_oneof![4 => Just(0), 1 => 1..3_u32],
        prop::bool::weighted(0.15),
        any::<bool>(),
    );
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
                (mapping, active, patience, deaf_model, holdout),
            )| Scenario {
                seed,
                participants,
                rounds,
                open,
                upload,
                rule,
                mapping,
                active,
                patience,
                deaf_model,
                holdout,
                secure: None,
            },
        )
}

/// Scenarios of all kinds, with secure sums.
pub fn secure_scenario() -> impl Strategy<Value = Scenario> {
    let cohort = (1..3_u32).prop_flat_map(|groups| {
        let least = 3 * groups;
        (Just(groups), (least..7.max(least + 1)), 0..3_u32, 0..3_u32)
    });
    let phase = (0..2_000_u64, 1_500..5_000_u64);
    let privacy = prop_oneof![
        3 => Just(None),
        1 => Just(Some((8.0, None))),
        // Enough for two or three rounds.
        1 => Just(Some((5.0, Some(2.0)))),
    ];
    let kind = (
        prop::sample::select(vec![0.5, 2.0 / 3.0, 0.8]),
        prop::sample::select(vec![4, 100_u32]),
        any::<bool>(),
        prop::sample::select(vec!["mean", "median", "trimmed-mean"]),
    );
    (
        scenario(),
        cohort,
        prop::array::uniform5(phase),
        privacy,
        kind,
        0..3_u32,
    )
        .prop_map(
            |(
                scenario,
                (groups, cohort_min, more, fewer),
                phases,
                privacy,
                (threshold, degree, scalars, combine),
                others,
            )| {
                // Waits for all participants if the first to deliver may all be of one group or
                // neighbourhood; otherwise round after round could fail for that.
                let patience = if groups > 1 || degree < 8 { 500 } else { 0 };
                let privacy = privacy.filter(|_| groups == 1);
                // Counts carry no noise.
                let mapping = match privacy {
                    Some(_) => "alone",
                    None => scenario.mapping,
                };
                Scenario {
                    mapping,
                    participants: cohort_min - 1 + others,
                    open: (scenario.open.0, scenario.open.1, scenario.open.1 + 2_000),
                    secure: Some(Secure {
                        cohort: (cohort_min, cohort_min + more),
                        survivors_min: (cohort_min - fewer.min(cohort_min - 2)).max(2),
                        groups,
                        threshold,
                        degree,
                        phases: phases.map(|(min, more)| {
                            let min = min.max(patience);
                            (min, min + more)
                        }),
                        privacy,
                        scalars,
                        combine: if groups > 1 { combine } else { "mean" },
                    }),
                    ..scenario
                }
            },
        )
}

impl Scenario {
    /// The task file.
    pub fn task(&self) -> Task {
        let limits = |(count_min, time_min_ms, time_max_ms): (u32, u64, u64)| json!({ "count_min": count_min, "time_min_ms": time_min_ms, "time_max_ms": time_max_ms });
        let mapping = match self.mapping {
            "identity" => json!({}),
            "calibrate" => json!({ "calibrate": true }),
            "twice" => json!({ "kind": "frequency", "rank": "lift", "examples": 3 }),
            learn => json!({ "kind": "frequency", "learn": learn, "examples": 3 }),
        };
        let generator = match self.mapping {
            "twice" => json!({ "kind": "frame", "inner": SIDE / 2, "grid": 2 }),
            _ => json!({ "kind": "statistic", "grid": 2, "statistics": 1 }),
        };
        let mut task = json!({
            "name": "faults",
            // A JSON number above 2⁵³ would be rounded by some readers.
            "seed": self.seed >> 12,
            "model": {
                "url": "http://127.0.0.1:1", "name": "m",
                "input": { "height": SIDE, "width": SIDE }, "output": { "classes": CLASSES },
            },
            "data": { "labels": ["a", "b", "c"] },
            "mapping": mapping,
            "generator": generator,
            "optimizer": { "kind": "zo-sgd", "directions": 1, "learning_rate": 0.5 },
            "federation": {
                "rounds": self.rounds, "local_steps": 2, "batch": 2, "lease_seconds": 5,
                "active": self.active, "patience": self.patience,
                "server": { "kind": self.rule },
                "open": limits(self.open), "upload": limits(self.upload),
            },
        });
        if let Some(secure) = &self.secure {
            secure.write(&mut task["federation"]);
        }
        Task::from_value(task).expect("the scenario's task is valid")
    }

    /// Minimum number of participants in a round.
    pub fn least(&self) -> u32 {
        match &self.secure {
            Some(secure) => self.open.0.max(secure.cohort.0).min(secure.cohort.1),
            None => self.open.0.max(self.upload.0),
        }
    }

    /// Maximum duration of a round in milliseconds, once its clock runs.
    pub fn longest_round(&self) -> u64 {
        let phases = match &self.secure {
            Some(secure) => secure.phases.iter().map(|(_, max)| max).sum(),
            None => self.upload.2,
        };
        self.open.2 + phases
    }

    /// The signing key of the participant who is number `who` in the world's list.
    pub fn identity(&self, who: usize) -> Identity {
        Identity::from_seed(secret(self.seed, who, u64::MAX))
    }

    /// The data and the secrets of participant `number`, who is number `who` in the world's list.
    pub fn bench(&self, task: &Task, number: u32, who: usize) -> Workbench {
        let mut stream = Stream::new(self.seed ^ u64::from(number), purpose::HANDWRITING);
        let mut some = |n: usize| -> Vec<Labelled> {
            let mut one = |label| {
                let image = (0..3 * SIDE * SIDE).map(|_| stream.below(256) as u8);
                Labelled::image(image.collect(), label)
            };
            (0..n).map(|i| one(i % CLASSES)).collect()
        };
        // Weights differ, so that a mean without weights would be noticed.
        let (training, holdout) = (
            some(5 + number as usize % 4),
            some(if self.holdout { 2 } else { 0 }),
        );
        let bench =
            Workbench::new(task.clone(), number, training, holdout).expect("the data fit the task");
        if self.secure.is_none() {
            return bench;
        }
        // Never the same twice, even in a process that is started again; and the same in every run.
        let (seed, drawn) = (self.seed, AtomicU64::new(0));
        bench.with_secrets(Secrets {
            identity: self.identity(who),
            entropy: Box::new(move || secret(seed, who, drawn.fetch_add(1, Ordering::Relaxed))),
        })
    }

    /// The model: the scores of `count` images.
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

impl Secure {
    fn write(&self, federation: &mut serde_json::Value) {
        let [keys, shares, masked, confirm, unmask] = self
            .phases
            .map(|(min, max)| json!({ "time_min_ms": min, "time_max_ms": max }));
        federation["rule"] = json!(if self.scalars { "scalars" } else { "fedavg" });
        federation["combine"] = json!(self.combine);
        federation["clip"] = json!(0.75);
        federation["secure_sum"] = json!({
            "cohort_min": self.cohort.0, "cohort_max": self.cohort.1,
            "survivors_min": self.survivors_min, "groups": self.groups,
            "threshold": self.threshold, "degree": self.degree,
            // Some participants have more.
            "max_examples": 7,
            "keys": keys, "shares": shares, "masked": masked, "confirm": confirm,
            "unmask": unmask,
        });
        if let Some((epsilon, noise)) = self.privacy {
            federation["privacy"] = json!({ "epsilon": epsilon });
            if let Some(noise) = noise {
                federation["privacy"]["noise_multiplier"] = json!(noise);
            }
        }
    }
}

/// 32 bytes in place of new random ones.
fn secret(seed: u64, who: usize, number: u64) -> Bytes32 {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(who as u64).to_le_bytes());
    key[16..24].copy_from_slice(&number.to_le_bytes());
    let mut bytes = [0; 32];
    Keystream::new(&key, b"faults").fill(&mut bytes);
    bytes
}
