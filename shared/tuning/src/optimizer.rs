//! Zeroth-order optimisers. Each is a pair of functions: `ask` names the points at which losses are
//! wanted, and `tell` takes these losses and moves θ.
//!
//! To add one: write its file with an `ENTRY`, which says what it [`Needs`] and how it is built,
//! and put its name into the list in [`registry`]. `docs/adding.md` walks through it.

pub mod bandit;
mod by_picture;
pub mod cma_es;
mod estimate;
pub mod hiso;
pub mod individual;
pub mod memory;
pub mod node_perturbation;
pub mod points;
pub mod policy_gradient;
pub mod search;
pub mod secants;
pub mod spsa_gc;
pub mod zo_adam;
pub mod zo_sgd;

use crate::objective::Outcome;
use crate::optimizer::individual::Individual;
use ground::fault::{Faults, Reader, section};
use ground::form::About;
use ground::registry::Registry;
use ground::rng::{Direction, Distribution};
use points::Points;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::candidate::{Candidate, Domain, Space};
pub use by_picture::{ByPicture, ExampleBound, Seen};
pub use search::Search;

/// Philox key of a participant's directions, derived from the federation's seed and the participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionKey(pub [u32; 2]);

/// Everything that an optimiser remembers between calls. All else follows from the task file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The current parameters θ.
    pub theta: Vec<f32>,
    /// Index of the federation's round, from 0.
    pub round: u32,
    /// Number of steps already taken in this round.
    pub step: u32,
    /// What the optimiser keeps within a round: running averages, or the θ with which the round
    /// began.
    pub moments: Vec<Vec<f32>>,
    /// Factors of θ's movement along each direction of this round, in the order in which they were
    /// asked. Under the rule `scalars` they are uploaded instead of θ's movement. Empty for
    /// optimisers whose steps are not such sums.
    #[serde(default)]
    pub scalars: Vec<f32>,
    /// The state of CMA-ES apart from θ, which is its mean. `None` before its first step, and for
    /// all other optimisers.
    #[serde(default)]
    pub search: Option<Search>,
}

impl State {
    /// The state at the beginning of a round at `theta`.
    #[must_use]
    pub fn new(theta: Vec<f32>, round: u32) -> Self {
        Self {
            theta,
            round,
            step: 0,
            moments: Vec::new(),
            scalars: Vec::new(),
            search: None,
        }
    }

    /// Adds what is known of the landscape to a state at the beginning of a round.
    #[must_use]
    pub fn with_search(self, search: Option<Search>) -> Self {
        Self { search, ..self }
    }
}

/// The length of the run, for schedules that end with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of rounds of the federation.
    pub rounds: u32,
    /// Number of steps in each round.
    pub local_steps: u32,
}

impl Plan {
    /// Number of steps in the whole run before this one. It follows from the round, so a
    /// participant who joins late is in step with the others.
    #[must_use]
    pub fn steps_before(&self, state: &State) -> u32 {
        state
            .round
            .saturating_mul(self.local_steps)
            .saturating_add(state.step)
    }

    /// The learning rate of the state's step: `start`, or, if it decays linearly, what is left of
    /// it.
    #[must_use]
    pub fn rate(&self, start: f32, decays: bool, state: &State) -> f32 {
        start * if decays { self.remaining(state) } else { 1.0 }
    }

    /// The share of the run that is left, from 1 down to (almost) 0.
    #[must_use]
    pub fn remaining(&self, state: &State) -> f32 {
        let total = self.rounds.saturating_mul(self.local_steps).max(1);
        (1.0 - self.steps_before(state) as f32 / total as f32).max(0.0)
    }
}

/// What an optimiser requires of the task around it. It is known from the optimiser's name alone,
/// before its settings are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// What θ must mean. The server adds updates of [`Domain::Arms`] to θ as they are, without
    /// noise.
    pub domain: Domain,
    /// Whether steps may be asked ahead: from θ as it was one step earlier.
    pub ask_ahead: AskAhead,
    /// Whether it perturbs node values, which the generator then must have
    /// ([`Generator::nodes`]).
    pub nodes: bool,
}

/// Whether an optimiser's steps may be asked ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskAhead {
    /// Steps are asked ahead unless the task file says otherwise.
    Usual,
    /// Steps are asked ahead if the task file says so.
    OnRequest,
    /// Steps are never asked ahead, for this reason, which continues the words "must be false: ".
    Never(&'static str),
}

impl Needs {
    /// No special requirements: θ is plain numbers, and steps are asked ahead.
    pub const NOTHING: Self = Self {
        domain: Domain::Numbers,
        ask_ahead: AskAhead::Usual,
        nodes: false,
    };
}

/// Why losses were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// The number of losses differs from the number of points asked.
    #[error("{got} losses were given where {asked} were asked for")]
    Count {
        /// Number of points that `ask` named.
        asked: usize,
        /// Number of losses given.
        got: usize,
    },
    /// A loss is NaN or infinite.
    #[error("loss number {index} is not a finite number; the step is not taken")]
    NotFinite {
        /// Index of the loss.
        index: usize,
    },
    /// Mean losses of a batch were given to an optimiser that needs those of each picture.
    #[error("this optimiser is told the gradient that each picture's losses give")]
    NotByPicture,
}

/// A zeroth-order optimiser: pure functions of the task, the direction key and the [`State`].
pub trait Optimizer: Send + Sync {
    /// Names the points of the next step.
    fn ask(&self, state: &State) -> Vec<Candidate>;

    /// Takes the losses of exactly those points, in the same order, and moves θ.
    ///
    /// # Errors
    /// The number of losses is wrong, or one of them is not finite. The state is then unchanged.
    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError>;

    /// The loss that [`Optimizer::tell`] takes for a point, from the model's answers there.
    fn cost(&self, outcome: &Outcome) -> f32 {
        outcome.mean_loss()
    }

    /// Number of batches of queries in one step: the number of points that [`Optimizer::ask`]
    /// names.
    fn batches_per_step(&self) -> usize;

    /// Number of points in a step of round number `round`; another one than
    /// [`Optimizer::batches_per_step`] for an optimiser that goes on differently later.
    fn points_in(&self, _round: u32) -> usize {
        self.batches_per_step()
    }

    /// Number of examples that are asked at each of these points, if there are as many; `batch` is
    /// what the task says.
    fn examples_in(&self, _round: u32, batch: u32) -> u32 {
        batch
    }

    /// The parameters with which a run starts, given the generator's initial ones.
    fn start(&self, initial: Vec<f32>) -> Vec<f32> {
        initial
    }

    /// Number of factors that describe one step, if a step is a sum of its directions times factors
    /// ([`State::scalars`]); `None` if it is not.
    fn scalars_per_step(&self) -> Option<usize> {
        None
    }

    /// Adds to `out` (d entries) the sum of a round's directions times these factors. This repeats
    /// the steps from the [`State::scalars`] of a participant with the same direction key (DeComFL,
    /// ICLR 2025). `memory` is what an optimiser that [`Optimizer::remembers`] has learnt in all
    /// earlier rounds; it is empty at first, and this call adds to it.
    fn replay(&self, _round: u32, _scalars: &[f32], _memory: &mut Vec<f32>, _out: &mut [f32]) {}

    /// Whether the optimiser learns from the federation's own movement. The first [`State`] of a
    /// round then has one moment, the memory that [`Optimizer::replay`] has built up. It is the
    /// same for the aggregator, every participant and an auditor.
    fn remembers(&self) -> bool {
        false
    }

    /// Coordinates of the points that [`Optimizer::ask`] names, for optimisers whose points no
    /// direction names; otherwise empty.
    fn points(&self, _state: &State) -> Points {
        Points::default()
    }

    /// The two numbers that are uploaded along with θ's movement under the rule `fedbpt`.
    fn report(&self, _state: &State) -> [f32; 2] {
        [0.0; 2]
    }

    /// How it is told about single pictures, for optimisers that must be; others are told mean
    /// losses.
    fn by_picture(&self) -> Option<&dyn ByPicture> {
        None
    }

    /// The search that a whole federation can share, for optimisers that have one. The aggregator
    /// then moves θ by it and not by the server's optimiser.
    fn shared_search(&self) -> Option<&dyn SharedSearch> {
        None
    }
}

/// A search that the aggregator continues from what a round's participants found. Its memory is
/// [`State::search`].
pub trait SharedSearch {
    /// Why it cannot search `dim` parameters, as the text of a fault in `optimizer.covariance`;
    /// `None` if it can.
    fn refuses(&self, dim: usize) -> Option<String>;

    /// Moves the state by single updates, under the rule `fedbpt`. Returns false if nothing sound
    /// follows from them; the state is then unchanged.
    fn combine(&self, state: &mut State, updates: &[Individual]) -> bool;

    /// Moves the state by the summed losses of all participants at the same points, under the rule
    /// `scalars`. Returns false if nothing sound follows from them; the state is then unchanged.
    fn tell_all(&self, state: &mut State, losses: &[f32]) -> bool;
}

/// Checks what every `tell` must check: the number of losses, and that all are finite.
pub(crate) fn check_losses(asked: usize, losses: &[f32]) -> Result<(), TellError> {
    if losses.len() != asked {
        return Err(TellError::Count {
            asked,
            got: losses.len(),
        });
    }
    match losses.iter().position(|l| !l.is_finite()) {
        Some(index) => Err(TellError::NotFinite { index }),
        None => Ok(()),
    }
}

/// Direction number `index` of the state's current step.
pub(crate) fn direction(
    key: DirectionKey,
    state: &State,
    index: u32,
    distribution: Distribution,
) -> Direction {
    Direction {
        key: key.0,
        counter: [index, state.step, state.round],
        distribution,
    }
}

/// Reads an optimiser's own settings and builds it.
pub type Build = fn(&mut Reader<'_>, DirectionKey, Plan, Space) -> Box<dyn Optimizer>;

/// The questions of one step of an optimiser, in words for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Name of the setting that states their number, such as `directions`.
    pub setting: &'static str,
    /// Their number without that setting; `None` if other settings decide it.
    pub usual: Option<u32>,
    /// What they are, in the plural.
    pub what: &'static str,
}

impl Tries {
    /// Five directions, unless `directions` says otherwise.
    pub const DIRECTIONS: Self = Self {
        setting: "directions",
        usual: Some(5),
        what: "directions",
    };
}

/// An optimiser as it stands in a [`registry`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Texts for people about the optimiser.
    pub about: About,
    /// The questions of one step; `None` if there is one for each example.
    pub tries: Option<Tries>,
    /// What it requires of the task.
    pub needs: Needs,
    /// Reads its settings and builds it.
    pub build: Build,
}

/// The built-in optimisers by their names in a task file, one line each. The first one of a domain
/// is the default of that domain.
#[must_use]
pub fn registry() -> Registry<Entry> {
    Registry::new([
        ("zo-adam", zo_adam::ENTRY),
        ("zo-sgd", zo_sgd::ENTRY),
        ("spsa-gc", spsa_gc::ENTRY),
        ("cma-es", cma_es::ENTRY),
        ("hiso", hiso::ENTRY),
        ("node-perturbation", node_perturbation::ENTRY),
        ("secants", secants::ENTRY),
        ("policy-gradient", policy_gradient::ENTRY),
        ("bandit", bandit::ENTRY),
    ])
}

/// An optimiser that was built, with what the task must know about it.
pub struct Built {
    /// Its name in the task file.
    pub name: &'static str,
    /// What it requires of the task.
    pub needs: Needs,
    /// The optimiser.
    pub optimizer: Box<dyn Optimizer>,
}

/// Builds the optimiser that a task file's `[optimizer]` table describes, out of the built-in ones,
/// for parameters of the given space.
///
/// # Errors
/// All faults of the table at once.
pub fn build(
    spec: &Value,
    key: DirectionKey,
    plan: Plan,
    space: Space,
) -> Result<Box<dyn Optimizer>, Faults> {
    build_from(&registry(), spec, key, plan, space).map(|built| built.optimizer)
}

/// Builds the optimiser that a task file's `[optimizer]` table describes, out of those in
/// `registry`, for parameters of the given space.
///
/// # Errors
/// All faults of the table at once.
pub fn build_from(
    registry: &Registry<Entry>,
    spec: &Value,
    key: DirectionKey,
    plan: Plan,
    space: Space,
) -> Result<Built, Faults> {
    section("optimizer", spec, |reader| {
        let (name, Entry { needs, build, .. }) =
            registry.choose(reader, "kind", |entry| entry.needs.domain == space.domain);
        let optimizer = build(reader, key, plan, space);
        let is = |domain| (needs.domain == domain, space.domain == domain);
        match is(Domain::Categories) {
            (true, false) => reader.fault(
                "kind",
                "draws categories, of which the generator has none; it goes with discrete",
            ),
            (false, true) => reader.fault(
                "kind",
                "takes small steps in numbers, but the generator's parameters choose words; policy-gradient goes with it",
            ),
            _ => {}
        }
        if needs.nodes && space.nodes == 0 {
            let message = format!(
                "\"{name}\" needs a generator that is linear in its parameters up to each picture's own pattern: statistic, without a reparametrisation"
            );
            reader.fault("kind", message);
        }
        let (takes_arms, has_arms) = is(Domain::Arms);
        if takes_arms != has_arms {
            reader.fault(
                "kind",
                "\"bandit\" goes with the generator \"instruction\", and only with it: it counts how well each does",
            );
        }
        Built {
            name,
            needs,
            optimizer,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Minimises ‖θ − 1‖² from 0 with every optimiser; each must come much nearer.
    #[test]
    fn all_of_them_descend() {
        let specs = [
            json!({ "kind": "zo-adam", "learning_rate": 0.05, "directions": 4, "perturbation": 0.01 }),
            json!({ "kind": "zo-adam", "learning_rate": 0.05, "directions": 4, "perturbation": 0.01, "differences": "forward" }),
            json!({ "kind": "zo-sgd", "learning_rate": 0.01, "directions": 4, "perturbation": 0.01 }),
            json!({ "kind": "spsa-gc", "a": 0.01, "c": 0.01 }),
        ];
        for spec in specs {
            let plan = Plan {
                rounds: 1,
                local_steps: 400,
            };
            let optimizer = build(&spec, DirectionKey([1, 2]), plan, Space::default()).unwrap();
            let mut state = State::new(vec![0.0; 20], 0);
            let loss = |point: &[f32]| point.iter().map(|t| (t - 1.0) * (t - 1.0)).sum::<f32>();
            let mut point = Vec::new();
            for _ in 0..400 {
                let losses: Vec<f32> = optimizer
                    .ask(&state)
                    .iter()
                    .map(|c| {
                        c.apply(&state.theta, &mut point);
                        loss(&point)
                    })
                    .collect();
                optimizer.tell(&mut state, &losses).unwrap();
            }
            assert!(loss(&state.theta) < 2.0, "{spec}: {}", loss(&state.theta));
            assert_eq!(state.step, 400);
        }
    }

    /// The space in which the optimiser of this name works.
    fn space_of(name: &str) -> Space {
        let needs = registry().get(name).unwrap().needs;
        match needs.domain {
            Domain::Numbers => Space {
                nodes: usize::from(needs.nodes),
                ..Space::NUMBERS
            },
            Domain::Categories => Space::categories(3),
            Domain::Arms => Space::arms(3),
        }
    }

    #[test]
    fn bad_losses_change_nothing() {
        for name in registry().names() {
            let space = space_of(name);
            let optimizer = build(
                &json!({ "kind": name }),
                DirectionKey([1, 2]),
                Plan {
                    rounds: 1,
                    local_steps: 1,
                },
                space,
            )
            .unwrap();
            let before = State::new(vec![0.5; 6], 0);
            let mut state = before.clone();
            let asked = optimizer.ask(&state).len();
            assert_eq!(asked, optimizer.batches_per_step());
            assert_eq!(
                optimizer.tell(&mut state, &[]),
                Err(TellError::Count { asked, got: 0 })
            );
            let mut losses = vec![1.0; asked];
            losses[asked - 1] = f32::NAN;
            assert_eq!(
                optimizer.tell(&mut state, &losses),
                Err(TellError::NotFinite { index: asked - 1 })
            );
            assert_eq!(state, before);
        }
    }

    #[test]
    fn numbers_and_categories_are_not_confused() {
        let plan = Plan {
            rounds: 1,
            local_steps: 1,
        };
        for name in registry().names() {
            for other in ["zo-adam", "policy-gradient", "bandit"] {
                let space = space_of(other);
                let built = build(&json!({ "kind": name }), DirectionKey([1, 2]), plan, space);
                let fits = space == space_of(name);
                assert_eq!(built.is_ok(), fits, "{name} {space:?}");
            }
        }
        let Err(Faults(faults)) = build(
            &json!({ "kind": "zo-adam", "colour": 1 }),
            DirectionKey([1, 2]),
            plan,
            space_of("policy-gradient"),
        ) else {
            panic!("accepted")
        };
        let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["optimizer.kind", "optimizer.colour"]);
    }
}
