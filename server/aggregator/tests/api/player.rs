//! Participants' machines without a model: the model's answers are invented, everything else is real: the machine, and
//! the client that asks the aggregator. They play against the server, or against the aggregator in memory, which must have
//! the same results.
//!
//! They are stepped by hand and not by `participant::run`: the same script must work with both aggregators, one of which is
//! no server, and scripts stop between making a message and sending it, which the driver does in one step.

use crate::support::*;
use aggregator::TestClock;
use federation::engine::local::Local;
use federation::engine::memory::Memory;
use federation::round::client::{
    Action, Client, Dither, Environment, Evaluation, Event, Purpose, Report, Secrets, StopReason,
};
use federation::round::messages::{Invite, Metrics, RoundView};
use federation::round::phase::{Phase, RoundKind};
use federation::task::Task;
use participant::api::ApiError;
use secure_sum::identity::Identity;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tuning::objective::Outcome;
use tuning::optimizer::Optimizer;

/// Number of held-out examples of each player.
pub const HOLDOUT: usize = 2;
/// Minimum and maximum time of every phase, in milliseconds.
pub const PHASE_MS: u64 = 1_000;

/// The side that answers the players, and lets time pass.
pub trait World {
    async fn answer(&mut self, number: u32, action: &Action) -> Event;
    /// The number of the current round.
    async fn round(&mut self) -> u32;
    /// Lets the time of the current phase run out.
    async fn pass(&mut self);
}

/// A participant with invented answers.
pub struct Player {
    pub number: u32,
    pub client: Client,
    pub task: Task,
    optimizer: Box<dyn Optimizer>,
    secrets: Secrets,
    event: Option<Event>,
    /// The last message of a sum that was sent.
    sent: Option<Action>,
    /// For each of these rounds, the phase from which on nothing is heard of the player.
    pub silent: BTreeMap<u32, Phase>,
    fell_silent: Option<u32>,
}

impl Player {
    pub fn new(task: &Task, number: u32) -> Self {
        let counter = AtomicU32::new(0);
        let entropy = move || {
            let call = counter.fetch_add(1, Ordering::SeqCst);
            let seed = format!("{number} {call}");
            ground::hex::unhex(&ground::hash::sha256_hex(seed.as_bytes())).unwrap()
        };
        Self {
            number,
            client: Client::new(number),
            optimizer: task.optimizer(number).unwrap(),
            task: task.clone(),
            secrets: Secrets {
                identity: Identity::from_seed([seed_of(number); 32]),
                entropy: Box::new(entropy),
            },
            event: None,
            sent: None,
            silent: BTreeMap::new(),
            fell_silent: None,
        }
    }

    pub fn many(task: &Task, count: u32) -> Vec<Self> {
        (0..count).map(|number| Self::new(task, number)).collect()
    }

    /// Number of training examples, which differs from player to player.
    pub fn training(&self) -> usize {
        5 + self.number as usize
    }

    pub fn identity(&self) -> &Identity {
        &self.secrets.identity
    }

    /// What this player reports of itself besides its update; `again` after an update from the same
    /// θ was sent in an earlier round.
    pub fn report(&self, again: bool) -> Report {
        let total = HOLDOUT as u32;
        let exact = Metrics {
            correct: total / 2,
            total,
            ..Metrics::default()
        };
        let dither = Dither::new(&self.task, Some(&self.secrets));
        dither.report(self.training() as u32, &exact, again)
    }

    /// The open action, after telling the machine what happened last.
    pub fn open(&mut self) -> Action {
        let event = self.event.take().unwrap_or(Event::Start);
        let env = Environment {
            task: &self.task,
            optimizer: &*self.optimizer,
            dim: self.task.dim(),
            training: self.training(),
            holdout: HOLDOUT,
            secrets: Some(&self.secrets),
        };
        self.client.step(&env, event)
    }

    /// Tells the machine what happened.
    pub fn tell(&mut self, event: Event) {
        self.event = Some(event);
    }

    /// Carries out the open action and returns it.
    pub async fn turn(&mut self, world: &mut impl World) -> Action {
        let action = self.open();
        let event = match &action {
            Action::Evaluate(evaluation) => self.made_up(evaluation),
            Action::Rest | Action::Stop(_) => Event::Start,
            Action::Send { round, message }
                if self
                    .silent
                    .get(round)
                    .is_some_and(|phase| message.phase() >= *phase) =>
            {
                self.fell_silent = Some(*round);
                Event::Start
            }
            other => {
                if let Action::Send { .. } = other {
                    self.sent = Some(other.clone());
                }
                world.answer(self.number, other).await
            }
        };
        self.tell(event);
        action
    }

    /// Carries out actions until a wanted one is open, which is not carried out.
    pub async fn until(
        &mut self,
        world: &mut impl World,
        wish: impl Fn(&Action) -> bool,
    ) -> Action {
        for _ in 0..200 {
            let action = self.open();
            if wish(&action) {
                return action;
            }
            self.turn(world).await;
        }
        let open = self.open();
        panic!("{} does not come to it: {open:?}", self.number);
    }

    /// Carries out actions until nothing is left but to wait. Returns false if there was nothing to
    /// do at all.
    async fn settle(&mut self, world: &mut impl World) -> bool {
        let mut moved = false;
        for _ in 0..500 {
            let version = self.client.view().map(|v| v.version);
            match self.turn(world).await {
                Action::Stop(_) => return moved,
                Action::Send { round, .. } if self.fell_silent == Some(round) => return moved,
                Action::Sync { .. } => {
                    let waits =
                        matches!(&self.event, Some(Event::View(v)) if Some(v.version) == version);
                    // The machine may have something to do with the view that it has.
                    let idle = waits && matches!(self.open(), Action::Sync { .. });
                    if idle {
                        return moved;
                    }
                    moved |= !waits;
                }
                _ => moved = true,
            }
        }
        let open = self.open();
        panic!("{} goes in circles: {open:?}", self.number);
    }

    /// Ends the silence after its round; what is sent for that round is late.
    fn speak_again(&mut self) {
        if let Some(over) = self.fell_silent.take() {
            self.silent.remove(&over);
        }
    }

    fn made_up(&self, evaluation: &Evaluation) -> Event {
        let total = evaluation.examples.len() as u32;
        let shift = f64::from(self.number) * 0.01 + evaluation.theta.len() as f64 * 1e-6;
        let outcomes = (0..evaluation.candidates.len().max(1))
            .map(|i| Outcome {
                loss: f64::from(total) * (1.0 + shift + 0.125 * i as f64),
                correct: total / 2,
                total,
            })
            .collect();
        Event::Evaluated {
            outcomes,
            means: (evaluation.purpose == Purpose::Mapping).then(|| {
                let length = self.task.length_of(RoundKind::Counting);
                (0..length)
                    .map(|i| 1.0 / (2 + i as u32 + self.number) as f32)
                    .collect()
            }),
            memory: None,
        }
    }

    /// The last message of a sum that was sent, if it was in this phase of this round.
    pub fn sent(&self, in_round: u32, phase: Phase) -> Option<&Action> {
        let of_round =
            |action: &&Action| matches!(action, Action::Send { round, .. } if *round == in_round);
        let sent = self.sent.as_ref().filter(of_round);
        sent.filter(|action| sends(action, phase))
    }

    pub fn stopped(&mut self) -> Option<StopReason> {
        match self.open() {
            Action::Stop(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Whether it is a message of a sum, of this phase.
pub fn sends(action: &Action, phase: Phase) -> bool {
    matches!(action, Action::Send { message, .. } if message.phase() == phase)
}

/// The seed of a participant's identity, for [`Api::join_as`].
pub fn seed_of(number: u32) -> u8 {
    100 + number as u8
}

/// Lets all players do what there is to do, then lets a phase's time run out, and so on, until all
/// have stopped or the round has the number `until`.
pub async fn play(world: &mut impl World, players: &mut [Player], until: u32) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the federation does not end");
        let mut moved = false;
        let (mut stopped, mut silent) = (0, 0);
        for player in players.iter_mut() {
            let round = world.round().await;
            if round >= until {
                return;
            }
            if player.fell_silent.is_some_and(|fell| fell == round) {
                silent += 1;
                continue;
            }
            player.speak_again();
            moved |= player.settle(world).await;
            stopped += usize::from(player.stopped().is_some());
        }
        if stopped == players.len() {
            return;
        }
        if stopped + silent == players.len() {
            // It was the last round.
            players.iter_mut().for_each(Player::speak_again);
            continue;
        }
        if !moved {
            world.pass().await;
        }
    }
}

/// A real server whose clock stands still.
pub struct Live {
    pub members: Vec<Member>,
    pub clock: Option<Arc<TestClock>>,
}

impl Live {
    /// Members with the players' identities.
    pub async fn join(api: &Api, invite: &Invite, players: &[Player]) -> Self {
        let mut members = Vec::new();
        for player in players {
            let member = api.join_as(seed_of(player.number), invite).await;
            assert_eq!(member.number, player.number);
            members.push(member);
        }
        Self {
            members,
            clock: None,
        }
    }

    pub fn with(mut self, clock: &Arc<TestClock>) -> Self {
        self.clock = Some(Arc::clone(clock));
        self
    }

    /// The same members at another server.
    pub fn at(&self, api: &Api) -> Self {
        let members = self.members.iter().map(|member| Member {
            api: api.clone(),
            ..member.clone()
        });
        Self {
            members: members.collect(),
            clock: self.clock.clone(),
        }
    }
}

impl World for Live {
    async fn answer(&mut self, number: u32, action: &Action) -> Event {
        let member = &self.members[number as usize];
        if let Action::Sync { .. } = action {
            // Nothing would change while this one waits: only one of them acts at a time.
            return Event::View(member.view().await);
        }
        match member.ask(action).await {
            // It was taken. That news of the round came back, too, must make no difference.
            Ok(Event::View(_)) => Event::Accepted,
            Ok(event) => event,
            Err(ApiError::Refused { refusal, .. }) => Event::Refused(refusal),
            Err(error) => panic!("{action:?}: {error:?}"),
        }
    }

    async fn round(&mut self) -> u32 {
        self.members[0].view().await.round
    }

    async fn pass(&mut self) {
        let before: RoundView = self.members[0].view().await;
        self.clock.as_ref().expect("a clock").advance(PHASE_MS);
        self.members[0].until(|v| v.version > before.version).await;
    }
}

/// The same engine with its state in memory.
pub struct InMemory {
    pub aggregator: Local,
    now: u64,
}

impl InMemory {
    pub fn join(task: &Task, players: &[Player]) -> Self {
        let mut aggregator = Local::new(Memory::default(), "hub", task, 0).unwrap();
        for player in players {
            let number = aggregator.join(0, Some(player.identity().public()));
            assert_eq!(number, Ok(player.number));
        }
        Self { aggregator, now: 0 }
    }
}

impl World for InMemory {
    async fn answer(&mut self, number: u32, action: &Action) -> Event {
        let answer = self.aggregator.answer(number, self.now, action).unwrap();
        answer.unwrap_or_else(|| panic!("nothing to answer: {action:?}"))
    }

    async fn round(&mut self) -> u32 {
        self.aggregator.round().number
    }

    async fn pass(&mut self) {
        self.now += PHASE_MS;
        self.aggregator.tick(self.now).unwrap();
    }
}

pub async fn lines_from(api: &Api, id: &str, from: u32) -> String {
    let lines = api.client(None).record(id, from).await.unwrap();
    lines.iter().map(|line| format!("{line}\n")).collect()
}
