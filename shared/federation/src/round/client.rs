//! The participant's side: a pure function of (state, event). Serialisable between any two steps,
//! so that a reloaded tab, or a restarted process, continues where it was.
//!
//! Its driver (the browser's Worker, `fed-bbpt join`, a simulation) carries out one [`Action`] at a
//! time and answers with an [`Event`]. After a restart it sends [`Event::Start`] and gets the open
//! action again: every action may be repeated without harm.

use super::draw::is_drawn;
use super::messages::{Enrolment, FederationStatus, Metrics, RoundView, Standing, Update};
use super::phase::{Phase, RoundKind};
use super::refusal::Refusal;
use crate::record::{Commitments, Replay};
use crate::rules::choice::Choice;
use crate::task::{Rule, Task};
use ground::hash::Hash;
use secure_sum::Bytes32;
use secure_sum::identity::Identity;
use serde::{Deserialize, Serialize};
use tuning::objective::Outcome;
use tuning::objective::mapping::Mappings;
use tuning::optimizer::memory::PictureMemory;
use tuning::optimizer::{Optimizer, State};

/// Maximum number of θ in a row that differ from the announced one. That θ moved on between two
/// answers explains one or two; after this many the aggregator contradicts itself.
const MISMATCHES: u32 = 20;
/// Maximum number of updates from one θ that are masked and sent. Sums are lost now and then when
/// participants lose their connection; an aggregator that wants to compare sums over different
/// people begins one after the other.
const MASKED_MAX: u32 = 5;

/// What the machine is given from outside and need not remember.
pub struct Environment<'a> {
    /// The task.
    pub task: &'a Task,
    /// The participant's optimiser, [`Task::optimizer`].
    pub optimizer: &'a dyn Optimizer,
    /// Number of parameters d.
    pub dim: usize,
    /// Number of this participant's training examples.
    pub training: usize,
    /// Number of this participant's held-out examples.
    pub holdout: usize,
    /// What a secure sum needs.
    pub secrets: Option<&'a Secrets>,
}

/// A participant's long-term key, and its source of fresh secrets.
pub struct Secrets {
    /// Key that signs round keys and what goes into a sum.
    pub identity: Identity,
    /// Returns 32 fresh random bytes; in the page and in the program from the operating system.
    pub entropy: Box<dyn Fn() -> Bytes32 + Send + Sync>,
}

// There is one of it for each participant, and it is training most of the time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Stage {
    Syncing,
    Loading,
    /// Others were drawn to train: the aggregator is told that this participant is present.
    Waiting,
    Fitting {
        /// The counts of unprompted inputs, while those that θ₀ prompts are counted, too.
        counted: Option<Vec<f32>>,
    },
    Baseline,
    Measuring,
    Training {
        state: State,
        /// The state from which the open step was asked, if that is the state before the last step
        /// ([`crate::task::Federation::ask_ahead`]).
        behind: Option<State>,
    },
    Enrolling,
    AwaitingCohort,
    Uploading,
    /// A phase of a secure sum waits for this participant's message.
    Summing,
    AwaitingResult,
    Stopped(StopReason),
}

/// What the participant has computed for one θ_t. It stays valid for every round that starts from
/// this θ_t, until the update has been masked and sent: a sum with it may have been opened then, and
/// the same update in a sum over other people would be told apart by the difference (So et al.,
/// arXiv:2106.03328). After such a round the participant trains again, on other examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Work {
    hash: Hash,
    step: u32,
    /// What the round sums. A counting round leaves θ and step as they are.
    kind: RoundKind,
    theta: Vec<f32>,
    measured: Option<Outcome>,
    delta: Option<Vec<f32>>,
    /// An update was handed out for sending, with all queries unreported until then. Only θ shows
    /// whether it counted: an aborted round leaves θ as it was and counts nothing.
    offered: bool,
    /// The round in which the update was masked and sent.
    masked: Option<u32>,
    /// Number of updates from this θ_t that were masked and sent in earlier rounds.
    renewed: u32,
    /// The examples of the last step.
    #[serde(default)]
    examples: Vec<u32>,
}

/// One point of the participant's own curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
pub struct OwnPoint {
    /// Number of θ updates before it.
    pub step: u32,
    /// Accuracy on the held-out examples.
    pub accuracy: f32,
    /// Mean loss on the held-out examples.
    pub loss: f32,
    /// Number of held-out examples.
    pub total: u32,
}

/// A participant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    participant: u32,
    stage: Stage,
    paused: bool,
    view: Option<RoundView>,
    work: Option<Work>,
    mappings: Option<Mappings>,
    spent: u64,
    unreported: u32,
    delivered: u32,
    /// Round of the last update that was taken.
    taken: Option<u32>,
    /// The round in which the aggregator knows that this participant is present and was not drawn.
    waits: Option<u32>,
    before: Option<Outcome>,
    curve: Vec<OwnPoint>,
    mismatches: u32,
    record: Option<Replay>,
    sum: Option<Sum>,
    sums: Sums,
    suspicion: Option<String>,
    /// What the optimiser remembers of the participant's pictures. It is never sent.
    #[serde(default)]
    memory: PictureMemory,
}

impl Client {
    /// Participant number `participant`, who has just joined.
    #[must_use]
    pub fn new(participant: u32) -> Self {
        Self {
            participant,
            stage: Stage::Syncing,
            paused: false,
            view: None,
            work: None,
            mappings: None,
            spent: 0,
            unreported: 0,
            delivered: 0,
            taken: None,
            waits: None,
            before: None,
            curve: Vec::new(),
            mismatches: 0,
            record: None,
            sum: None,
            sums: Sums::default(),
            suspicion: None,
            memory: PictureMemory::default(),
        }
    }

    /// What the optimiser remembers of the participant's pictures.
    #[must_use]
    pub fn memory(&self) -> &PictureMemory {
        &self.memory
    }

    /// The participant's number.
    #[must_use]
    pub fn participant(&self) -> u32 {
        self.participant
    }

    /// Number of queries spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Number of updates that were taken.
    #[must_use]
    pub fn delivered(&self) -> u32 {
        self.delivered
    }

    /// The unprompted model's accuracy and loss on the participant's own held-out examples, once
    /// measured.
    #[must_use]
    pub fn before(&self) -> Option<Outcome> {
        self.before
    }

    /// Accuracy on the participant's own held-out examples for each θ.
    #[must_use]
    pub fn curve(&self) -> &[OwnPoint] {
        &self.curve
    }

    /// The last view of the round.
    #[must_use]
    pub fn view(&self) -> Option<&RoundView> {
        self.view.as_ref()
    }

    /// The θ in use; `None` before one was loaded.
    #[must_use]
    pub fn theta(&self) -> Option<&[f32]> {
        self.work.as_ref().map(|w| &w.theta[..])
    }

    /// The mappings in use; `None` before they are known.
    #[must_use]
    pub fn mappings(&self, task: &Task) -> Option<Mappings> {
        self.mappings.clone().or_else(|| task.mapping.fixed())
    }

    /// The record's choice of what to keep; `None` as long as the record reports no held-out
    /// examples.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        self.record.as_ref().and_then(Replay::choice)
    }

    /// Returns whether it trains from this θ again, because an update from it was sent and not used.
    #[must_use]
    pub fn has_begun_anew(&self) -> bool {
        self.work.as_ref().is_some_and(|w| w.renewed > 0)
    }

    /// Returns whether the owner or the driver has paused it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Why it is done, if it is.
    #[must_use]
    pub fn stopped(&self) -> Option<StopReason> {
        match self.stage {
            Stage::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    /// A word for what it is doing, and how far it is with this round's local steps (done, of).
    #[must_use]
    pub fn activity(&self, task: &Task) -> (&'static str, u32, u32) {
        let of = task.federation.local_steps;
        match &self.stage {
            Stage::Stopped(_) => ("stopped", of, of),
            _ if self.paused => ("paused", 0, of),
            Stage::Syncing => ("syncing", 0, of),
            Stage::Loading => ("loading", 0, of),
            Stage::Waiting => ("resting", 0, of),
            Stage::Fitting { .. } => ("fitting", 0, of),
            Stage::Baseline | Stage::Measuring => ("measuring", 0, of),
            Stage::Training { state, .. } => ("training", state.step, of),
            Stage::AwaitingCohort if !self.update_is_ready() => ("resting", 0, of),
            Stage::Enrolling | Stage::AwaitingCohort => ("waiting", of, of),
            Stage::Uploading | Stage::Summing => ("uploading", of, of),
            Stage::AwaitingResult => ("waiting", of, of),
        }
    }

    /// Takes an event and returns the action that is open now. An event that does not belong to the
    /// open action (an answer that came too late) changes nothing, and the open action is returned
    /// again.
    pub fn step(&mut self, env: &Environment<'_>, event: Event) -> Action {
        if let Stage::Stopped(reason) = self.stage {
            self.forget_seeds();
            return Action::Stop(reason);
        }
        match event {
            Event::Start => {}
            Event::Pause => self.paused = true,
            Event::Resume => self.paused = false,
            Event::Leave => self.stage = Stage::Stopped(StopReason::Left),
            Event::MoneySpent => {
                self.cannot_ask(StopReason::MoneySpent);
            }
            Event::View(view) => self.take_view(env, view),
            Event::Lines(lines) => self.take_lines(env, &lines),
            Event::Input(input) => self.take_input(env, &input),
            Event::Evaluated {
                outcomes,
                means,
                memory,
            } => self.take_answers(env, &outcomes, means, memory),
            Event::Accepted => match self.stage {
                Stage::Enrolling => self.stage = Stage::AwaitingCohort,
                Stage::Waiting => self.is_known_to_wait(),
                Stage::Uploading => self.delivered_update(),
                Stage::Summing => self.message_taken(),
                _ => {}
            },
            Event::Refused(refusal) => self.take_refusal(refusal),
        }
        let action = self.open_action(env);
        self.forget_seeds();
        action
    }

    fn take_view(&mut self, env: &Environment<'_>, view: RoundView) {
        // Answers may overtake each other on the way here.
        if self
            .view
            .as_ref()
            .is_some_and(|old| old.version > view.version)
        {
            return;
        }
        // A round that did not move θ is still another one, with other directions and examples.
        let stale = self
            .work
            .as_ref()
            .is_none_or(|w| w.hash != view.theta || w.step != view.step);
        let (status, phase, standing) = (view.status, view.phase, view.standing);
        // An aborted round leaves θ as it was, but the record goes on: round keys are bound to its
        // last line. A counting round leaves θ, too.
        let secure = env.task.federation.policy.secure.is_some();
        let unread = self.record.as_ref().is_none_or(|r| {
            let news = secure || r.kind(env.task) == RoundKind::Counting;
            (news && r.lines() < view.lines)
                || (r.lines() == view.lines && *r.head() != view.record)
        });
        self.view = Some(view);
        if status == FederationStatus::Closed {
            self.stage = Stage::Stopped(StopReason::Closed);
        } else if stale || (unread && !self.is_evaluating()) {
            // The final θ is read and measured, too.
            self.stage = Stage::Loading;
        } else if status == FederationStatus::Running && self.update_is_ready() {
            self.stage = match (phase, standing) {
                (Phase::Open, Standing::Idle) if self.was_masked() => return self.renew(env),
                (Phase::Open, Standing::Idle)
                    if self.sums.is_spent(env) && !env.task.federation.policy.in_turns =>
                {
                    Stage::Stopped(StopReason::PrivacySpent)
                }
                (Phase::Open, Standing::Idle) if self.is_drawn(env) => Stage::Enrolling,
                (Phase::Open, Standing::Idle) => self.waiting(),
                (Phase::Upload, Standing::InCohort) => match self.upload(env) {
                    Ok(stage) => stage,
                    Err(why) => return self.suspect(why.to_owned()),
                },
                (phase, Standing::InCohort) if phase.collects() => {
                    match self.join_sum(env, phase) {
                        Ok(stage) => stage,
                        Err(why) => return self.suspect(why.to_owned()),
                    }
                }
                (_, Standing::Delivered) => Stage::AwaitingResult,
                _ => Stage::AwaitingCohort,
            };
        } else if !self.is_evaluating() {
            self.prepare_to_train(env);
        }
    }

    /// Returns whether the model is being asked: then no answer of the aggregator belongs to the
    /// open action.
    fn is_evaluating(&self) -> bool {
        matches!(
            self.stage,
            Stage::Fitting { .. } | Stage::Baseline | Stage::Measuring | Stage::Training { .. }
        )
    }

    /// Returns whether the participant trains from the θ that was announced last.
    fn is_drawn(&self, env: &Environment<'_>) -> bool {
        let kind = self.work.as_ref().map_or(RoundKind::Training, |w| w.kind);
        let policy = env.task.policy_of(kind);
        if policy.in_turns && self.sums.is_spent(env) {
            // It has given what its privacy pays for, and stays for the result.
            return false;
        }
        self.view.as_ref().is_none_or(|view| {
            let round = (view.registered, view.attempt);
            is_drawn(&policy, env.task.seed, view.step, round, self.participant)
        })
    }

    /// The participant has nothing to do in this round but to say so, once.
    fn waiting(&self) -> Stage {
        match &self.view {
            Some(view) if view.phase == Phase::Open && self.waits != Some(view.round) => {
                Stage::Waiting
            }
            _ => Stage::AwaitingCohort,
        }
    }

    fn is_known_to_wait(&mut self) {
        self.waits = self.view.as_ref().map(|v| v.round);
        self.stage = Stage::AwaitingCohort;
    }

    fn update_is_ready(&self) -> bool {
        self.work.as_ref().is_some_and(|w| w.delta.is_some())
    }

    /// Returns whether the update at hand was masked and sent in an earlier round.
    fn was_masked(&self) -> bool {
        let round = self.view.as_ref().map(|v| v.round);
        let masked = self.work.as_ref().and_then(|w| w.masked);
        masked.is_some() && masked != round
    }

    fn finished(&self) -> bool {
        self.view
            .as_ref()
            .is_some_and(|v| v.status == FederationStatus::Finished)
    }

    fn take_lines(&mut self, env: &Environment<'_>, lines: &[String]) {
        let Stage::Loading = &self.stage else {
            return;
        };
        if self.record.is_none() {
            // The task was read, so its generator can be built.
            self.record = Replay::new(env.task).ok();
        }
        let (Some(record), Some(view)) = (self.record.as_mut(), &self.view) else {
            return;
        };
        for line in lines {
            match record.take(env.task, line, Commitments::Trust) {
                Ok(entry) => {
                    let betrayed = entry.and_then(|entry| {
                        let seen = self.sums.check(env.task, self.participant, &entry);
                        seen.err()
                    });
                    if let Some(why) = betrayed {
                        return self.suspect(why.to_string());
                    }
                }
                Err(difference) => return self.suspect(difference.to_string()),
            }
        }
        if record.lines() < view.lines && !lines.is_empty() {
            // There is more of it.
            return;
        }
        let agrees = record.step() == view.step
            && *record.theta() == view.theta
            && record.lines() >= view.lines
            && (record.lines() != view.lines || *record.head() == view.record);
        if !agrees {
            // Either θ moved on since the view, or the two contradict each other: look again.
            self.mismatches += 1;
            if self.mismatches >= MISMATCHES {
                self.suspect(
                    "the θ that is announced is not the one that the record leads to".into(),
                );
            } else {
                self.stage = Stage::Syncing;
            }
            return;
        }
        self.mismatches = 0;
        let kind = record.kind(env.task);
        let same =
            |w: &Work| w.hash == *record.theta() && w.step == record.step() && w.kind == kind;
        if self.work.as_ref().is_some_and(same) {
            if self.recall(env) {
                return;
            }
            if self.update_is_ready() {
                self.stage = Stage::Syncing;
            } else {
                self.prepare_to_train(env);
            }
            return;
        }
        if self.work.as_ref().is_some_and(|w| w.offered) {
            // θ moved on, perhaps with that update in it: its answer may have been lost. Not
            // reporting those queries is better than reporting them twice.
            self.unreported = 0;
        }
        self.work = Some(Work {
            hash: record.theta().clone(),
            step: record.step(),
            kind,
            theta: record.parameters().to_vec(),
            measured: None,
            delta: None,
            offered: false,
            masked: None,
            renewed: 0,
            examples: Vec::new(),
        });
        if !self.recall(env) {
            self.prepare_to_train(env);
        }
    }

    /// Trains once more from the same θ, on other examples, if the round in which the update was
    /// sent is over.
    fn renew(&mut self, env: &Environment<'_>) {
        let rounds = self.record.as_ref().map_or(0, Replay::rounds);
        self.stage = Stage::AwaitingCohort;
        let Some(work) = self.work.as_mut() else {
            return;
        };
        // Without other examples this participant sits out until θ moves.
        if work.renewed as usize + 1 >= env.training
            || work.masked.is_none_or(|round| round >= rounds)
        {
            return;
        }
        work.renewed += 1;
        work.delta = None;
        work.masked = None;
        if work.renewed >= MASKED_MAX {
            return self.suspect(format!(
                "{MASKED_MAX} sums that began from the same θ were not used; to send yet another update would let the aggregator compare them"
            ));
        }
        self.prepare_to_train(env);
    }

    /// Stops and says why.
    fn suspect(&mut self, why: String) {
        self.suspicion = Some(why);
        self.stage = Stage::Stopped(StopReason::Inconsistent);
    }

    /// Measures what must be known before training from the θ just loaded: the mapping and the
    /// unprompted accuracy once, the accuracy at θ for every θ. A participant who is not drawn asks
    /// nothing. The last θ is measured by all.
    fn prepare_to_train(&mut self, env: &Environment<'_>) {
        let Some(work) = &self.work else { return };
        let (measured, counting) = (work.measured.is_some(), work.kind == RoundKind::Counting);
        if self.mappings.is_none() {
            let means = self.record.as_ref().and_then(Replay::means);
            self.mappings = means.map(|means| env.task.fit_mappings(means));
        }
        self.stage = if !(self.finished() || self.is_drawn(env)) {
            self.waiting()
        } else if counting || self.mappings(env.task).is_none() {
            Stage::Fitting { counted: None }
        } else if self.before.is_none() && env.holdout > 0 && self.can_measure(env, 2) {
            Stage::Baseline
        } else if !measured && self.before.is_some() && self.can_measure(env, 1) {
            Stage::Measuring
        } else {
            return self.begin_training(env);
        };
    }

    /// Returns whether `times` measurements are within the budget while the training of all planned
    /// rounds is still paid for. Training goes first: a participant who is present from the
    /// beginning stays to the end.
    fn can_measure(&self, env: &Environment<'_>, times: u64) -> bool {
        let federation = &env.task.federation;
        let Some(work) = self.work.as_ref().filter(|_| federation.query_budget > 0) else {
            return true;
        };
        let rounds = work.step..federation.rounds;
        let training: u64 = rounds
            .map(|round| federation.training_queries(env.optimizer, round))
            .sum();
        let measuring = times * env.holdout as u64;
        // If few are drawn, nobody knows how often anyone trains; and at the end there is nothing
        // to train.
        let open_ended = federation.policy.active > 0 || self.finished();
        let needed = if open_ended { 0 } else { training };
        self.spent + measuring + needed <= federation.query_budget
    }

    fn begin_training(&mut self, env: &Environment<'_>) {
        if self.finished() {
            self.stage = Stage::Stopped(StopReason::Finished);
        } else if let Some(work) = &self.work {
            let state = self.beginning(env, work);
            let hides = env.task.federation.hides_examples();
            self.stage = if hides && self.training_step(env, &state).examples.is_empty() {
                Stage::Stopped(StopReason::PrivacySpent)
            } else {
                Stage::Training {
                    state,
                    behind: None,
                }
            };
        }
    }

    /// The state in which the round's training starts: at θ_t, with the shared search's state, or
    /// what the optimiser remembers of all rounds before.
    fn beginning(&self, env: &Environment<'_>, work: &Work) -> State {
        let state = State::new(work.theta.clone(), work.step);
        if let Some(record) = self.record.as_ref().map(Replay::state) {
            if env.optimizer.remembers() {
                return State {
                    moments: vec![record.second.clone()],
                    ..state
                };
            }
            return state.with_search(record.search.clone());
        }
        state
    }

    fn take_answers(
        &mut self,
        env: &Environment<'_>,
        outcomes: &[Outcome],
        means: Option<Vec<f32>>,
        memory: Option<PictureMemory>,
    ) {
        let Some(evaluation) = self.evaluation(env) else {
            return;
        };
        let queries = evaluation.queries();
        match &mut self.stage {
            Stage::Fitting { counted } => {
                let (Some(means), Some(work)) = (means, self.work.as_mut()) else {
                    return;
                };
                let unprompted = counted.take();
                if unprompted.is_none() && env.task.counts_twice() {
                    *counted = Some(means);
                } else {
                    let means = [unprompted.unwrap_or_default(), means].concat();
                    if work.kind == RoundKind::Counting {
                        work.delta = Some(means);
                        self.stage = Stage::Syncing;
                    } else {
                        self.mappings = Some(env.task.fit_mappings(&means));
                        self.prepare_to_train(env);
                    }
                }
            }
            Stage::Baseline => {
                let [outcome] = outcomes else { return };
                self.before = Some(*outcome);
                self.prepare_to_train(env);
            }
            Stage::Measuring => {
                let [outcome] = outcomes else { return };
                if let Some(work) = self.work.as_mut() {
                    work.measured = Some(*outcome);
                    self.curve.push(OwnPoint {
                        step: work.step,
                        accuracy: outcome.accuracy(),
                        loss: outcome.mean_loss(),
                        total: outcome.total,
                    });
                }
                self.prepare_to_train(env);
            }
            Stage::Training { state, behind } => {
                let before = env.task.federation.ask_ahead.then(|| state.clone());
                let told = match (env.optimizer.by_picture(), means) {
                    (Some(by_picture), Some(gradient)) => {
                        by_picture.tell_gradient(state, &gradient)
                    }
                    _ => {
                        let cost = |outcome: &Outcome| env.optimizer.cost(outcome);
                        let losses: Vec<f32> = outcomes.iter().map(cost).collect();
                        env.optimizer.tell(state, &losses)
                    }
                };
                if told.is_err() {
                    return;
                }
                if let Some(memory) = memory {
                    self.memory = memory;
                }
                *behind = before.map(|before| State {
                    step: state.step,
                    ..before
                });
                let done = state.step >= env.task.federation.local_steps;
                if let Some(work) = self.work.as_mut() {
                    work.examples = evaluation.examples;
                }
                if let Some(work) = self.work.as_mut().filter(|_| done) {
                    let moved = state.theta.iter().zip(&work.theta);
                    let moved = moved.map(|(new, old)| new - old);
                    work.delta = Some(match env.task.federation.rule {
                        Rule::Scalars => std::mem::take(&mut state.scalars),
                        Rule::FedBpt => moved.chain(env.optimizer.report(state)).collect(),
                        _ => moved.collect(),
                    });
                    self.stage = Stage::Syncing;
                }
            }
            _ => return,
        }
        self.spent += u64::from(queries);
        self.unreported = self.unreported.saturating_add(queries);
    }

    fn delivered_update(&mut self) {
        self.stage = Stage::AwaitingResult;
        let round = self.view.as_ref().map(|v| v.round);
        // A view from before the answer makes the message go out again; it was counted.
        if self.taken != round {
            self.taken = round;
            self.delivered += 1;
        }
    }

    fn take_refusal(&mut self, refusal: Refusal) {
        self.stage = match (refusal, &self.stage) {
            // It arrived the first time; the answer was lost.
            (Refusal::Duplicate, Stage::Uploading) => {
                self.delivered_update();
                return;
            }
            (Refusal::Duplicate, Stage::Summing) => {
                self.message_taken();
                return;
            }
            (Refusal::Duplicate, Stage::Enrolling) => Stage::AwaitingCohort,
            // The round is past the point at which it matters.
            (Refusal::TooLate, Stage::Waiting) => {
                self.is_known_to_wait();
                return;
            }
            (Refusal::FederationClosed, _) => Stage::Stopped(StopReason::Closed),
            (Refusal::Unauthorized | Refusal::NotFound, _) => {
                Stage::Stopped(StopReason::Unauthorized)
            }
            // This participant's own update is refused for its content: another try would be
            // refused again.
            (
                Refusal::Malformed | Refusal::NotFinite | Refusal::OutOfRange | Refusal::TooLarge,
                Stage::Uploading | Stage::Enrolling | Stage::Waiting | Stage::Summing,
            ) => Stage::Stopped(StopReason::Inconsistent),
            // It answers a message from before the open evaluation.
            _ if self.is_evaluating() => return,
            // Finished, wrong round, too late, no place in the cohort: look where the round is now.
            _ if self.update_is_ready() => Stage::AwaitingCohort,
            _ => Stage::Syncing,
        };
    }

    /// Stops because nothing more can be asked. The final θ is good even if nothing is left to
    /// measure it with.
    fn cannot_ask(&mut self, why: StopReason) -> Action {
        let reason = if self.finished() {
            StopReason::Finished
        } else {
            why
        };
        self.stage = Stage::Stopped(reason);
        Action::Stop(reason)
    }

    fn open_action(&mut self, env: &Environment<'_>) -> Action {
        if let Stage::Stopped(reason) = self.stage {
            return Action::Stop(reason);
        }
        if self.paused {
            return Action::Rest;
        }
        if let Some(evaluation) = self.evaluation(env) {
            let budget = env.task.federation.query_budget;
            if budget > 0 && self.spent + u64::from(evaluation.queries()) > budget {
                return self.cannot_ask(StopReason::BudgetSpent);
            }
            return Action::Evaluate(evaluation);
        }
        let version = self.view.as_ref().map(|v| v.version);
        match (&self.stage, &self.view, &self.work) {
            (Stage::Loading, ..) => Action::Read {
                from: self.record.as_ref().map_or(0, Replay::lines),
            },
            (Stage::Summing, Some(view), _) => self.sum_action(view),
            (Stage::Enrolling, Some(view), Some(work)) => Action::Enrol {
                round: view.round,
                body: Enrolment {
                    theta: work.hash.clone(),
                    waits: false,
                },
            },
            (Stage::Waiting, Some(view), _) => Action::Enrol {
                round: view.round,
                body: Enrolment {
                    theta: view.theta.clone(),
                    waits: true,
                },
            },
            (Stage::Uploading, ..) if env.task.contribution().is_some() => self.contribution(env),
            (Stage::Uploading, Some(view), Some(work)) => {
                let Report { examples, metrics } = self.report(env, work);
                Action::Upload(Update {
                    round: view.round,
                    theta: work.hash.clone(),
                    examples,
                    delta: work.delta.clone().unwrap_or_default(),
                    metrics,
                })
            }
            (Stage::AwaitingCohort | Stage::AwaitingResult, _, _) => {
                Action::Sync { after: version }
            }
            _ => Action::Sync { after: None },
        }
    }

    /// What goes into the sum besides the update.
    fn report(&self, env: &Environment<'_>, work: &Work) -> Report {
        let measured = work.measured.unwrap_or_default();
        let exact = Metrics {
            correct: measured.correct,
            total: measured.total,
            loss: measured.loss,
            queries: self.unreported,
            // Of the same examples; if they were not measured with θ_t, they count on neither side.
            unprompted: match work.measured {
                Some(_) => self.before.map(|before| before.correct),
                None => Some(0),
            },
        };
        let dither = Dither::new(env.task, env.secrets);
        dither.report(env.training as u32, &exact, work.renewed > 0)
    }
}

mod action;
mod asked;
mod coarse;
#[cfg(test)]
#[path = "client/tests/malicious.rs"]
mod malicious;
mod shown;
mod sum;
#[cfg(test)]
mod tests;

pub use action::{Action, Evaluation, Event, Part, Purpose, StopReason};
pub use coarse::{Dither, Report};
pub use shown::{Confirmed, MaskedUpdate};
use sum::{Sum, Sums};
