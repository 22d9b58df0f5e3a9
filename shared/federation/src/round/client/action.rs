//! What a participant's machine wants done, and what it is told: [`Action`] and [`Event`].

use crate::round::messages::{Enrolment, RoundView, SumInput, SumMessage, Update};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use serde::{Deserialize, Serialize};
use tuning::objective::Outcome;
use tuning::optimizer::Candidate;
use tuning::optimizer::points::Points;

/// Which of the participant's examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Trained on.
    Training,
    /// Only measured with.
    Holdout,
}

/// What the answers are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Counting what a mapping is learnt from ([`Task::counts_twice`]).
    Mapping,
    /// Accuracy and loss at θ_t; without candidates, those of the model with no prompt at all.
    Measure,
    /// An optimiser step.
    Step,
}

/// Images to be rendered, sent to the model API, and scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What for.
    pub purpose: Purpose,
    /// θ.
    pub theta: Vec<f32>,
    /// The points; for each, all examples are asked. Without any, they go as they are.
    pub candidates: Vec<Candidate>,
    /// Coordinates of the points that no direction names.
    pub points: Points,
    /// Which examples.
    pub part: Part,
    /// Their numbers in that part.
    pub examples: Vec<u32>,
}

impl Evaluation {
    /// Writes the coordinates of a candidate's point into `out`; says no if there is no such
    /// candidate.
    pub fn point(&self, candidate: usize, out: &mut Vec<f32>) -> bool {
        let Some(named) = self.candidates.get(candidate) else {
            return false;
        };
        match self.points.get(candidate) {
            Some(point) => point.clone_into(out),
            None => named.apply(&self.theta, out),
        }
        true
    }

    /// Queries that it costs.
    #[must_use]
    pub fn queries(&self) -> u32 {
        (self.candidates.len().max(1) * self.examples.len()) as u32
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the aggregator where the round is; after the version seen last, wait for a change.
    Sync {
        /// The version seen last.
        after: Option<u64>,
    },
    /// Read on in the federation's record: θ follows from it.
    Read {
        /// Lines read so far.
        from: u32,
    },
    /// Ask the model.
    Evaluate(Evaluation),
    /// Enrol in a round.
    Enrol {
        /// The round.
        round: u32,
        /// The body.
        body: Enrolment,
    },
    /// Send the update.
    Upload(Update),
    /// Send a vector for a sum without masks (in simulations).
    Contribute {
        /// The round.
        round: u32,
        /// [`secure_sum::encoding::RingVector::to_bytes`].
        vector: Vec<u8>,
    },
    /// Get what the next message of a secure sum needs.
    Fetch {
        /// The round.
        round: u32,
        /// The phase.
        phase: Phase,
    },
    /// Send a message of a secure sum.
    Send {
        /// The round.
        round: u32,
        /// The message.
        message: SumMessage,
    },
    /// Wait for the owner.
    Rest,
    /// Nothing more to do.
    Stop(StopReason),
}

/// Why a participant is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(ts_rs::TS)]
#[ts(export)]
pub enum StopReason {
    /// All rounds are done; θ is final.
    Finished,
    /// The organiser closed the federation.
    Closed,
    /// The owner left.
    Left,
    /// The query budget does not cover another round.
    BudgetSpent,
    /// The aggregator does not know us any more.
    Unauthorized,
    /// θ, or an answer, contradicted what was announced, or the aggregator asked for what would
    /// give away an update: [`Client::suspicion`] says what.
    Inconsistent,
    /// Another round would bring the participant's own ε above the task's.
    PrivacySpent,
    /// The money for the model API does not cover another question.
    MoneySpent,
}

impl StopReason {
    /// Nothing more comes from this participant while the federation goes on: it leaves, so that
    /// the others do not wait until its lease runs out.
    #[must_use]
    pub fn leaves(self) -> bool {
        matches!(self, Self::Left | Self::BudgetSpent | Self::MoneySpent)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Begin, or go on after a restart.
    Start,
    /// Where the round is; welcome at any time.
    View(RoundView),
    /// Lines of the record, from where [`Action::Read`] said.
    Lines(Vec<String>),
    /// What [`Action::Fetch`] asked for.
    Input(SumInput),
    /// The answers to an evaluation: one outcome for each candidate, or the counts for a mapping.
    Evaluated {
        /// For each candidate.
        outcomes: Vec<Outcome>,
        /// For [`Purpose::Mapping`]: [`counts::Counts::means`].
        means: Option<Vec<f32>>,
    },
    /// An enrolment or an update was taken.
    Accepted,
    /// Or not.
    Refused(Refusal),
    /// The owner pauses; the driver gives up for now (the reason is the driver's to show).
    Pause,
    /// And goes on.
    Resume,
    /// The owner leaves.
    Leave,
    /// The open evaluation costs more money than there is left (which is the driver's to count).
    MoneySpent,
}
