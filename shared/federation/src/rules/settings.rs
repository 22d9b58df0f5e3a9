//! The `[federation]` section of a task file.

use super::combine::Combine;
use super::server_optimizer::ServerOptimizer;
use crate::round::policy::{Limits, Policy, SecurePhases};
use ground::fault::Reader;
use secure_sum::{SumPolicy, THRESHOLD_MIN};
use serde_json::Value;
use tuning::optimizer::Optimizer;

/// Maximum cohort of a secure sum.
const LARGEST_SECURE_COHORT: u64 = 10_000;

/// What participants send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// θ's difference (McMahan et al., AISTATS 2017).
    FedAvg,
    /// Factors along each of the directions that all share (DeComFL, ICLR 2025); for CMA-ES, the
    /// losses of the population that all share.
    Scalars,
    /// The results of the participants' own searches, one by one (FedBPT, ICML 2024).
    FedBpt,
}

/// The `[federation]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Federation {
    /// What participants send.
    pub rule: Rule,
    /// Number of θ updates.
    pub rounds: u32,
    /// Optimiser steps of each participant in each round.
    pub local_steps: u32,
    /// Number of examples in a batch.
    pub batch: u32,
    /// Whether each step except a round's first is asked from θ as it was before the previous step
    /// (a gradient delayed by one step), so that its images are prepared while answers are awaited.
    pub ask_ahead: bool,
    /// Number of rounds that the file asks for; `rounds` is smaller if the query budget does not
    /// cover them.
    pub rounds_wanted: u32,
    /// Number of rounds without improvement of the held-out loss after which the federation ends; 0
    /// = never before the last.
    pub patience: u32,
    /// Maximum number of queries of one participant; 0 = no limit.
    pub query_budget: u64,
    /// What happens to the mean update.
    pub server: ServerOptimizer,
    /// Maximum L2 norm of an update; 0 = no bound.
    pub clip: f32,
    /// How groups, or without masks participants, are combined.
    pub combine: Combine,
    /// Secure sums; `None` if updates are sent in plain.
    pub secure: Option<Secure>,
    /// Differential privacy; `None` if updates carry no noise.
    pub privacy: Option<Privacy>,
    /// When phases end.
    pub policy: Policy,
}

/// The section `[federation.secure_sum]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Secure {
    /// Who exchanges shares with whom.
    pub policy: SumPolicy,
    /// Maximum size of a cohort, for which the ring is chosen.
    pub cohort_max: u32,
    /// Minimum number of members of an opened sum; the noise is split over this number.
    pub survivors_min: u32,
    /// Maximum weight in examples; a participant with more weighs as if it had this many.
    pub max_examples: u32,
    /// Off only in simulations: the same numbers are added without masks, which cancel anyway.
    pub masks: bool,
}

/// The section `[federation.privacy]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Privacy {
    /// Maximum ε of a participant.
    pub epsilon: f64,
    /// δ of that ε.
    pub delta: f64,
    /// The sum's noise in units of its sensitivity; `None`: as little as keeps all rounds within ε.
    pub noise_multiplier: Option<f64>,
    /// Maximum number of sums that hold an update of one participant, or one example; `None`: all
    /// rounds. With `federation.active`, or where an owner has many more examples than are asked in a
    /// round, each is in few of them, and only those cost it anything.
    pub participations: Option<u32>,
    /// Whose presence ε hides.
    pub unit: Unit,
}

/// What two federations differ in that noise must make alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// All that one participant contributes.
    Participant,
    /// One example of one participant, with a blank in its place. For owners who hold the data of
    /// many, such as a hospital.
    Example,
}

impl Privacy {
    /// Number of sums that one participant's privacy pays for in `rounds` rounds.
    #[must_use]
    pub fn sums(&self, rounds: u32) -> u32 {
        self.participations.map_or(rounds, |most| most.min(rounds))
    }
}

impl Federation {
    /// Whether the noise hides single examples and not whole participants.
    #[must_use]
    pub fn hides_examples(&self) -> bool {
        self.privacy.is_some_and(|p| p.unit == Unit::Example)
    }

    /// Number of queries of one participant's training in round number `round`.
    #[must_use]
    pub fn training_queries(&self, optimizer: &dyn Optimizer, round: u32) -> u64 {
        let points = u64::from(self.local_steps) * optimizer.points_in(round) as u64;
        points * u64::from(optimizer.examples_in(round, self.batch))
    }

    /// Reads the section. `ask_ahead` is the default of that setting.
    pub(crate) fn read(r: &mut Reader<'_>, ask_ahead: bool) -> Self {
        let names = ["fedavg", "scalars", "fedbpt"];
        let rule =
            [Rule::FedAvg, Rule::Scalars, Rule::FedBpt][r.choice("rule", &names, Some("fedavg"))];
        let rounds = r.whole("rounds", 1..=100_000, Some(50)) as u32;
        let local_steps = r.whole("local_steps", 1..=1000, Some(5)) as u32;
        let batch = r.whole("batch", 1..=4096, Some(32)) as u32;
        let ask_ahead = r.flag("ask_ahead", ask_ahead);
        let query_budget = r.whole("query_budget", 0..=u64::MAX, Some(0));
        let patience = r.whole("patience", 0..=100_000, Some(0)) as u32;
        let active = r.whole("active", 0..=1_000_000, Some(0)) as u32;
        let server = r.table("server", ServerOptimizer::read);
        // `false` says in so many words that updates are to be seen one by one.
        let secure_sum = r.raw("secure_sum");
        let has_secure = secure_sum.is_some_and(|value| *value != Value::Bool(false));
        let has_privacy = r.has("privacy");
        // Under masks the ring's size follows from it.
        let (least, default) = if has_secure { (1e-6, 10.0) } else { (0.0, 0.0) };
        let clip = r.number("clip", least..=1e6, Some(default));
        let trim = r.number("trim", 0.0..=0.49, Some(0.2));
        let combine = [Combine::Mean, Combine::Median, Combine::TrimmedMean(trim)]
            [r.choice("combine", &["mean", "median", "trimmed-mean"], Some("mean"))];
        // If few train, the clock may run from the beginning of their training.
        let longest = if active > 0 { 600_000 } else { 120_000 };
        let mut open = r.table("open", |r| Limits::read(r, 2_000, longest));
        let mut upload = r.table("upload", |r| Limits::read(r, 20_000, 60_000));
        let lease_ms = r.whole("lease_seconds", 5..=3600, Some(120)) * 1000;
        if active > 0 && u64::from(active) > u64::from(open.count_max) {
            r.fault("active", "exceeds open.count_max: no round takes so many");
        }
        if upload.count_min > open.count_max {
            r.fault(
                "upload.count_min",
                "exceeds open.count_max: no round could end",
            );
        }
        let mut phases = None;
        let secure = has_secure.then(|| {
            let (secure, limits) = r.table("secure_sum", |r| Secure::read(r, &open));
            open.count_max = open.count_max.min(secure.cohort_max);
            open.count_min = open
                .count_min
                .max(secure.policy.cohort_min)
                .min(open.count_max);
            if secure.masks {
                phases = Some(limits);
            } else {
                upload.count_min = upload.count_min.max(secure.survivors_min);
            }
            secure
        });
        let privacy: Option<Privacy> = has_privacy.then(|| r.table("privacy", Privacy::read));
        let in_turns =
            privacy.is_some_and(|p| p.participations.is_some() && p.unit == Unit::Participant);
        if active == 0 && in_turns {
            r.fault(
                "privacy.participations",
                "needs federation.active: where everybody is in every round, all rounds count",
            );
        }
        if privacy.is_some_and(|p| p.unit == Unit::Example) {
            let checks = [
                (
                    active > 0,
                    "active",
                    "does not go with privacy.unit = \"example\", where every owner is in every round",
                ),
                (
                    local_steps != 1,
                    "local_steps",
                    "must be 1 with privacy.unit = \"example\": an example would shape the steps after its own",
                ),
                (
                    patience > 0,
                    "patience",
                    "must be 0 with privacy.unit = \"example\", where no loss is reported that could improve",
                ),
                (
                    rule != Rule::FedAvg,
                    "rule",
                    "must be \"fedavg\" with privacy.unit = \"example\"",
                ),
                (
                    privacy.is_some_and(|p| p.participations.is_none()),
                    "privacy.participations",
                    "is needed with unit = \"example\": in how many rounds one example may take part. About rounds × batch ÷ the examples of the owner with the fewest",
                ),
            ];
            for (_, path, message) in checks.into_iter().filter(|(wrong, ..)| *wrong) {
                r.fault(path, message);
            }
        }
        if privacy.is_some() {
            let groups = secure.map_or(0, |s: Secure| s.policy.groups);
            if groups != 1 {
                r.fault(
                    "privacy",
                    "needs [federation.secure_sum] with groups = 1: only its participants add the noise together",
                );
            }
        }
        Self {
            rule,
            rounds,
            rounds_wanted: rounds,
            patience,
            local_steps,
            batch,
            ask_ahead,
            query_budget,
            server,
            clip,
            combine,
            secure,
            privacy,
            policy: Policy {
                open,
                upload,
                secure: phases,
                active,
                in_turns,
                lease_ms,
            },
        }
    }
}

impl Federation {
    /// What does not go with one search of CMA-ES that all share, or with the rule `fedbpt`:
    /// settings and why not.
    pub(crate) fn search_faults(&self, shares_search: bool) -> Vec<(&'static str, &'static str)> {
        let fedbpt = self.rule == Rule::FedBpt;
        let shared = shares_search && self.rule != Rule::FedAvg;
        let plain = self.server.rule == super::server_optimizer::Rule::Sgd
            && self.server.learning_rate == 1.0
            && !self.server.decay;
        let checks = [
            (
                fedbpt && !shares_search,
                "federation.rule",
                "\"fedbpt\" needs optimizer.kind = \"cma-es\": its updates are what searches found",
            ),
            (
                fedbpt && self.secure.is_some(),
                "federation.secure_sum",
                "does not go with rule = \"fedbpt\", which ranks participants by their losses and so needs every update by itself: write secure_sum = false, and the aggregator sees each; rule = \"scalars\" with cma-es needs sums only",
            ),
            (
                fedbpt && self.clip > 0.0,
                "federation.clip",
                "does not go with rule = \"fedbpt\", whose updates hold a loss and a step size, too",
            ),
            (
                fedbpt && self.combine != Combine::Mean,
                "federation.combine",
                "does not go with rule = \"fedbpt\", which takes the better half",
            ),
            (
                shared && self.rule == Rule::Scalars && self.local_steps != 1,
                "federation.local_steps",
                "must be 1 for cma-es with rule = \"scalars\": the next population follows from everybody's losses",
            ),
            (
                shared && !plain,
                "federation.server",
                "has no part here: θ is the mean of the search that all share",
            ),
        ];
        let found = checks.into_iter().filter(|(wrong, ..)| *wrong);
        found.map(|(_, path, message)| (path, message)).collect()
    }
}

impl Secure {
    /// Minimum number of participants in any sum that can be opened, which is what a data owner is
    /// told. With several groups each is summed by itself, and t of the smallest group suffice.
    #[must_use]
    pub fn smallest_sum(&self) -> u32 {
        let opened = self.policy.contributors_min() as u32;
        if self.policy.groups == 1 {
            opened.max(self.survivors_min)
        } else {
            opened
        }
    }

    fn read(r: &mut Reader<'_>, open: &Limits) -> (Self, SecurePhases) {
        // Tasks from before the bound was two thirds are still read, and kept to it.
        let threshold = r.number("threshold", 0.5..=0.95, Some(THRESHOLD_MIN.into()));
        let threshold = threshold.max(THRESHOLD_MIN);
        let degree = r.whole("degree", 4..=253, Some(100)) as u32;
        let groups = r.whole("groups", 1..=1000, Some(1)) as u32;
        let cohort_max = r.whole("cohort_max", 3..=LARGEST_SECURE_COHORT, Some(300)) as u32;
        let least = 3 * groups;
        let cohort_min = r.whole(
            "cohort_min",
            u64::from(least)..=LARGEST_SECURE_COHORT,
            Some(u64::from(least.max(open.count_min))),
        ) as u32;
        if cohort_min > cohort_max {
            r.fault("cohort_min", "exceeds cohort_max");
        }
        let least = least.max(2 * cohort_min / 3);
        let survivors_min = r.whole(
            "survivors_min",
            2..=LARGEST_SECURE_COHORT,
            Some(u64::from(least)),
        ) as u32;
        if survivors_min > cohort_min {
            r.fault("survivors_min", "exceeds cohort_min");
        }
        let max_examples = r.whole("max_examples", 1..=1_000_000, Some(1_000)) as u32;
        let masks = r.flag("masks", true);
        // Long enough for a tab in the background, whose timers run once a minute.
        let mut limits = |key| {
            r.table(key, |r| {
                let given = r.has("time_min_ms");
                let mut time_min_ms = r.whole("time_min_ms", 0..=86_400_000, Some(90_000));
                let time_max_ms = r.whole(
                    "time_max_ms",
                    100..=7 * 86_400_000,
                    Some(150_000.max(time_min_ms + 100)),
                );
                if time_max_ms < time_min_ms {
                    if given {
                        r.fault("time_max_ms", "is less than time_min_ms");
                    }
                    time_min_ms = time_max_ms;
                }
                Limits {
                    count_min: cohort_min,
                    count_max: cohort_max,
                    time_min_ms,
                    time_max_ms,
                }
            })
        };
        let phases = SecurePhases {
            keys: limits("keys"),
            shares: limits("shares"),
            masked: Limits {
                count_min: survivors_min,
                ..limits("masked")
            },
            // As many as can open the sum, which follows from the threshold.
            confirm: Limits {
                count_min: 2,
                ..limits("confirm")
            },
            unmask: Limits {
                count_min: 2,
                ..limits("unmask")
            },
            threshold,
        };
        let secure = Self {
            policy: SumPolicy {
                cohort_min,
                threshold,
                degree,
                groups,
            },
            cohort_max,
            survivors_min,
            max_examples,
            masks,
        };
        (secure, phases)
    }
}

impl Privacy {
    fn read(r: &mut Reader<'_>) -> Self {
        let given = r.has("noise_multiplier");
        let bounded = r.has("participations");
        let participations = r.whole("participations", 1..=100_000, Some(1)) as u32;
        let noise = r.exact_number("noise_multiplier", 1e-3..=1e4, Some(1.0));
        Self {
            epsilon: r.exact_number("epsilon", 1e-3..=1e4, Some(8.0)),
            delta: r.exact_number("delta", 1e-12..=0.1, Some(1e-5)),
            noise_multiplier: given.then_some(noise),
            participations: bounded.then_some(participations),
            unit: [Unit::Participant, Unit::Example]
                [r.choice("unit", &["participant", "example"], Some("participant"))],
        }
    }
}

#[cfg(test)]
mod tests;
