//! Secure sums with participants who vanish: real client machines over the aggregator's engine, with all keys,
//! shares and masks. Checks that every opened sum is exactly the sum of the survivors' vectors.
//!
//! `cargo run --release --package federation --example dropouts [PARTICIPANTS] [ROUNDS]`; the last
//! line is JSON.
//!
//! In every round each participant vanishes with a probability of 25%, at a random point: before
//! one of its messages leaves, or after it was taken and before the answer is back. It returns,
//! from its saved state, when the round is over. There is no model: losses are drawn at random.

use federation::engine::local::Local;
use federation::engine::memory::Memory;
use federation::record::{Commitments, Entry, Line, Replay, RoundEntry};
use federation::round::client::{Action, Client, Environment, Event, Secrets};
use federation::round::messages::{FederationStatus, RoundView, Standing};
use federation::round::phase::Phase;
use federation::task::Task;
use ground::rng::{Stream, derive_key};
use secure_sum::Bytes32;
use secure_sum::encoding::RingVector;
use secure_sum::identity::Identity;
use secure_sum::keystream::Keystream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tuning::objective::Outcome;
use tuning::optimizer::Optimizer;

/// Probability that a participant vanishes in a round.
const VANISH: f32 = 0.25;
/// Number of points at which it may vanish: two for the enrolment and for each of the five messages.
const POINTS: u32 = 12;
/// Number of examples that each pretends to train on, and to hold out.
const TRAINING: usize = 20;
const HOLDOUT: usize = 5;
/// Maximum number of turns of a round; more mean that it hangs.
const TURNS: u32 = 10_000;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u32| arguments.next().map_or(Ok(usual), |a| a.parse());
    let (participants, rounds) = (number(300)?, number(50)?);
    let begun = Instant::now();
    let mut world = World::new(participants, rounds)?;
    let mut seen = 0;
    while world.federation.status() == FederationStatus::Running && seen < rounds as usize {
        world.turn()?;
        if world.federation.records().len() > seen {
            seen = world.federation.records().len();
            let found = world.judge()?;
            eprintln!(
                "round {seen}: {found}, {:.0} s",
                begun.elapsed().as_secs_f64()
            );
        }
    }
    let mut result = world.summary()?;
    result["seconds"] = json!((begun.elapsed().as_secs_f64() * 10.0).round() / 10.0);
    println!("{result}");
    Ok(())
}

/// 425 parameters, one optimiser step a round.
fn task(participants: u32, rounds: u32, masks: bool) -> Result<Task, Failure> {
    let phase = json!({ "time_min_ms": 2_000, "time_max_ms": 20_000 });
    let source = json!({
        "name": "Vanishing participants",
        "model": {
            "url": "http://127.0.0.1:1", "name": "played",
            "input": { "height": 32, "width": 32 }, "output": { "classes": 2 },
        },
        "data": { "labels": ["a", "b"] },
        "generator": { "kind": "statistic", "grid": 5, "statistics": 16 },
        "optimizer": { "kind": "zo-sgd", "directions": 2 },
        "federation": {
            "rounds": rounds, "local_steps": 1, "clip": 1.0,
            "open": { "time_min_ms": 2_000, "time_max_ms": 20_000 },
            "secure_sum": {
                "cohort_min": participants / 2, "cohort_max": participants,
                "survivors_min": participants / 3, "degree": 100, "masks": masks,
                "keys": phase, "shares": phase, "masked": phase, "confirm": phase, "unmask": phase,
            },
        },
    });
    Ok(Task::from_value(source)?)
}

struct Participant {
    number: u32,
    optimizer: Box<dyn Optimizer>,
    secrets: Secrets,
    client: Client,
    action: Action,
    event: Option<Event>,
    /// Points left in this round until it vanishes; `None` if it stays.
    vanishes_in: Option<u32>,
    away: bool,
    /// The vector that it puts into the current sum, without masks.
    vector: Option<RingVector>,
    dim: usize,
}

impl Participant {
    fn environment<'a>(&'a self, task: &'a Task) -> Environment<'a> {
        Environment {
            task,
            optimizer: &*self.optimizer,
            dim: self.dim,
            training: TRAINING,
            holdout: HOLDOUT,
            secrets: Some(&self.secrets),
        }
    }

    /// Takes one step of its machine; answers of the model are drawn at random.
    fn step(&mut self, task: &Task, open: &Task) {
        let Some(mut event) = self.event.take() else {
            return;
        };
        // Taken out while it works, because it works with the rest of this struct.
        let mut client = std::mem::replace(&mut self.client, Client::new(self.number));
        loop {
            self.action = client.step(&self.environment(task), event);
            let Action::Evaluate(evaluation) = &self.action else {
                break;
            };
            let total = evaluation.examples.len() as u32;
            let mut stream = Stream::with_key(derive_key(&[self.number, client.spent() as u32]));
            let mut draw = || Outcome {
                loss: f64::from(total) * f64::from(stream.uniform()),
                correct: stream.below(total + 1),
                total,
            };
            event = Event::Evaluated {
                outcomes: evaluation.candidates.iter().map(|_| draw()).collect(),
                means: None,
                memory: None,
            };
            if evaluation.candidates.is_empty() {
                event = Event::Evaluated {
                    outcomes: vec![draw()],
                    means: None,
                    memory: None,
                };
            }
        }
        self.client = client;
        if let Action::Send { message, .. } = &self.action
            && message.phase() == Phase::Masked
        {
            self.vector = self.unmasked(open);
        }
    }

    /// The vector behind the masked one: a copy of this machine is told that the same round has no
    /// masks.
    fn unmasked(&self, open: &Task) -> Option<RingVector> {
        let view = RoundView {
            phase: Phase::Upload,
            standing: Standing::InCohort,
            ..self.client.view()?.clone()
        };
        let mut copy = self.client.clone();
        match copy.step(&self.environment(open), Event::View(view)) {
            Action::Contribute { vector, .. } => {
                RingVector::from_bytes(open.contribution()?.layout(), &vector).ok()
            }
            _ => None,
        }
    }

    /// Passes one of its points to vanish at.
    fn passes_a_point(&mut self) -> bool {
        let left = self.vanishes_in.map(|n| n.checked_sub(1));
        self.away = left == Some(None);
        self.vanishes_in = left.flatten();
        self.away
    }
}

/// The same 32 bytes for all requests of one participant in one round: every use has its own label,
/// and a copy of the machine gets the same bytes.
fn entropy(participant: u32, round: u32) -> Bytes32 {
    let (mut key, mut bytes) = ([0; 32], [0; 32]);
    key[..4].copy_from_slice(&participant.to_le_bytes());
    key[4..8].copy_from_slice(&round.to_le_bytes());
    Keystream::new(&key, b"dropouts").fill(&mut bytes);
    bytes
}

struct World {
    task: Task,
    /// The same task without masks.
    open: Task,
    federation: Local,
    now: u64,
    turns: u32,
    round: Arc<AtomicU32>,
    participants: Vec<Participant>,
    chance: Stream,
    ended: u32,
    done: u32,
    exact: u32,
    vanished: u32,
    contributors: Vec<u32>,
}

impl World {
    fn new(participants: u32, rounds: u32) -> Result<Self, Failure> {
        let task = task(participants, rounds, true)?;
        let mut world = Self {
            open: self::task(participants, rounds, false)?,
            federation: Local::new(Memory::default(), "hub", &task, 0)?,
            now: 0,
            turns: 0,
            round: Arc::new(AtomicU32::new(0)),
            participants: Vec::new(),
            chance: Stream::new(0, 0),
            ended: 0,
            done: 0,
            exact: 0,
            vanished: 0,
            contributors: Vec::new(),
            task,
        };
        for number in 0..participants {
            let round = world.round.clone();
            let secrets = Secrets {
                identity: Identity::from_seed(entropy(number, u32::MAX)),
                entropy: Box::new(move || entropy(number, round.load(Ordering::Relaxed))),
            };
            let public = secrets.identity.public();
            world.participants.push(Participant {
                number: world.federation.join(0, Some(public))?,
                optimizer: world.task.optimizer(number)?,
                secrets,
                client: Client::new(number),
                action: Action::Rest,
                event: Some(Event::Start),
                vanishes_in: None,
                away: false,
                vector: None,
                dim: world.task.dim(),
            });
        }
        world.draw();
        Ok(world)
    }

    /// Draws which participants vanish in the round that begins, and when.
    fn draw(&mut self) {
        for participant in &mut self.participants {
            participant.vector = None;
            if participant.away {
                participant.away = false;
                participant.event = Some(Event::Start);
            }
            let vanishes = self.chance.uniform() < VANISH;
            participant.vanishes_in = vanishes.then(|| self.chance.below(POINTS));
            self.vanished += u32::from(vanishes);
        }
    }

    /// Everyone computes, on all cores; then everyone present sends one message.
    fn turn(&mut self) -> Result<(), Failure> {
        self.turns += 1;
        if self.turns > TURNS {
            return Err("a round does not end".into());
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = self.participants.len().div_ceil(cores).max(1);
        let (task, open) = (&self.task, &self.open);
        std::thread::scope(|scope| {
            for part in self.participants.chunks_mut(share) {
                scope.spawn(|| part.iter_mut().for_each(|p| p.step(task, open)));
            }
        });
        let (mut moved, rounds) = (false, self.federation.records().len());
        for at in 0..self.participants.len() {
            moved |= self.talk(at)?;
            // What follows belongs to the next round.
            if self.federation.records().len() > rounds {
                break;
            }
        }
        if !moved {
            // All wait: time passes for those who are gone.
            self.now += 1_000;
            self.federation.tick(self.now)?;
        }
        Ok(())
    }

    /// Sends one message; returns whether that changed or revealed anything.
    fn talk(&mut self, at: usize) -> Result<bool, Failure> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Ok(false);
        };
        let speaks = matches!(
            participant.action,
            Action::Enrol { .. } | Action::Send { .. }
        );
        if participant.away || (speaks && participant.passes_a_point()) {
            return Ok(false);
        }
        let (number, running) = (participant.number, FederationStatus::Running);
        if let Action::Stop(reason) = &participant.action
            && self.federation.status() == running
        {
            let why = participant.client.suspicion().unwrap_or_default();
            return Err(format!("participant {number} stopped: {reason:?} {why}").into());
        }
        let answer = self
            .federation
            .answer(number, self.now, &participant.action)?;
        let Some(event) = answer else {
            return Ok(false);
        };
        let version = participant.client.view().map(|v| v.version);
        let old = matches!(&event, Event::View(view) if Some(view.version) == version);
        // The answer may never arrive.
        if !(speaks && participant.passes_a_point()) {
            participant.event = Some(event);
        }
        Ok(!old)
    }

    /// Checks that the sum of the round that ended is that of the survivors' vectors.
    fn judge(&mut self) -> Result<String, Failure> {
        self.turns = 0;
        self.ended += 1;
        let line = self.federation.lines(self.federation.record().lines() - 1);
        let line: Line = serde_json::from_str(line.first().ok_or("a line is missing")?)?;
        let Entry::Round(entry) = line.entry else {
            return Err("the last line is no round".into());
        };
        let found = match entry.aborted {
            Some(reason) => format!("aborted, {reason:?}"),
            None => {
                let (contributors, exact) = self.compare(&entry)?;
                self.done += 1;
                self.exact += u32::from(exact);
                self.contributors.push(contributors);
                let word = if exact { "exact" } else { "WRONG" };
                format!("{word}, {contributors} contributors")
            }
        };
        self.round
            .store(self.federation.round().number, Ordering::Relaxed);
        self.draw();
        Ok(found)
    }

    fn compare(&self, entry: &RoundEntry) -> Result<(u32, bool), Failure> {
        let Some(federation::rules::advance::Sums::Secure { groups }) = &entry.sums else {
            return Err("no secure sum".into());
        };
        let layout = self.task.contribution().ok_or("no contribution")?.layout();
        let vectors: BTreeMap<u32, &RingVector> = self
            .participants
            .iter()
            .filter_map(|p| Some((p.number, p.vector.as_ref()?)))
            .collect();
        let (mut members, mut exact) = (0, true);
        for group in groups {
            let mut sum = RingVector::zero(layout);
            for member in &group.members {
                let vector = vectors.get(member).ok_or("a contributor without vector")?;
                sum.add(vector)?;
            }
            members += group.members.len() as u32;
            exact &= sum.integers() == group.sum;
        }
        Ok((members, exact))
    }

    /// The figure, after an audit of the whole record.
    fn summary(&self) -> Result<Value, Failure> {
        let mut replay = Replay::new(&self.task)?;
        for line in self.federation.lines(0) {
            replay.take(&self.task, line, Commitments::Check)?;
        }
        let same = replay.parameters() == self.federation.theta();
        Ok(json!({
            "participants": self.participants.len(),
            "vanish": VANISH,
            "vanished": self.vanished,
            "rounds": self.task.federation.rounds,
            "ended": self.ended,
            "opened": self.done,
            "exact": self.exact,
            "contributors_min": self.contributors.iter().min(),
            "contributors_max": self.contributors.iter().max(),
            "replayed": same,
        }))
    }
}
