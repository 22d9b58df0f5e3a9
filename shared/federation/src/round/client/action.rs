//! What a participant's machine wants done, and what it is told: [`Action`] and [`Event`].

use crate::round::messages::{Enrolment, RoundView, SumInput, SumMessage, Update};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use serde::{Deserialize, Serialize};
use tuning::objective::Outcome;
use tuning::optimizer::Candidate;
use tuning::optimizer::memory::PictureMemory;
use tuning::optimizer::points::Points;

/// One of the two parts of the participant's examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Examples for training.
    Training,
    /// Examples used only for measuring.
    Holdout,
}

/// What the answers are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Counting, from which a mapping is learnt ([`crate::task::Task::counts_twice`]).
    Mapping,
    /// Accuracy and loss at θ_t; without candidates, those of the unprompted model.
    Measure,
    /// An optimiser step.
    Step,
}

/// Inputs to be prompted, sent to the model API, and scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What the answers are needed for.
    pub purpose: Purpose,
    /// The point θ that candidates start from.
    pub theta: Vec<f32>,
    /// The points at which all examples are asked. If empty, the examples are asked without a
    /// prompt.
    pub candidates: Vec<Candidate>,
    /// Coordinates of the points that no direction names.
    pub points: Points,
    /// Which part of the examples is asked.
    pub part: Part,
    /// Indices of the examples in that part.
    pub examples: Vec<u32>,
}

impl Evaluation {
    /// Writes the coordinates of a candidate's point into `out`; false if there is no such
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

    /// Number of queries that it costs.
    #[must_use]
    pub fn queries(&self) -> u32 {
        (self.candidates.len().max(1) * self.examples.len()) as u32
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the aggregator for the round's state; given the version seen last, wait for a change.
    Sync {
        /// The version seen last.
        after: Option<u64>,
    },
    /// Read more of the federation's record, from which θ follows.
    Read {
        /// Number of lines read so far.
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
        /// Number of the round.
        round: u32,
        /// The vector in the form of [`secure_sum::encoding::RingVector::to_bytes`].
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
    /// Nothing more is to be done.
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
    /// The aggregator no longer knows this participant.
    Unauthorized,
    /// θ, or an answer, contradicted what was announced, or the aggregator asked for something that
    /// would reveal an update; [`super::Client::suspicion`] says what.
    Inconsistent,
    /// Another round would bring the participant's own ε above the task's.
    PrivacySpent,
    /// The money for the model API does not cover another request.
    MoneySpent,
}

impl StopReason {
    /// Returns whether nothing more comes from this participant while the federation goes on: then
    /// it leaves, so that the others do not wait until its lease runs out.
    #[must_use]
    pub fn leaves(self) -> bool {
        matches!(self, Self::Left | Self::BudgetSpent | Self::MoneySpent)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Begin, or continue after a restart.
    Start,
    /// The round's state; welcome at any time.
    View(RoundView),
    /// Lines of the record, from the number that [`Action::Read`] stated.
    Lines(Vec<String>),
    /// The answer to [`Action::Fetch`].
    Input(SumInput),
    /// The answers to an evaluation: one outcome for each candidate, or what follows from single
    /// answers.
    Evaluated {
        /// One outcome for each candidate.
        outcomes: Vec<Outcome>,
        /// The counts for [`Purpose::Mapping`], [`tuning::objective::counts::Counts::means`]; for a
        /// step of an optimiser that is told [by picture](tuning::optimizer::ByPicture), the gradient
        /// (d numbers).
        means: Option<Vec<f32>>,
        /// What the participant remembers after such a step.
        memory: Option<PictureMemory>,
    },
    /// An enrolment or an update was taken.
    Accepted,
    /// An enrolment or an update was refused.
    Refused(Refusal),
    /// The owner pauses, or the driver gives up for now (it shows the reason itself).
    Pause,
    /// The owner or the driver resumes.
    Resume,
    /// The owner leaves.
    Leave,
    /// The open evaluation costs more money than is left (the driver counts it).
    MoneySpent,
}
