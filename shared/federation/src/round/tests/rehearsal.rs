//! A federation in one test: real client machines take turns over the aggregator, whose state is in
//! memory. The model is played, and the test may alter the aggregator's answers.

use super::client::{Action, Client, Environment, Evaluation, Event, Purpose, Secrets};
use super::messages::{RoundView, SumMessage};
use super::phase::{Phase, RoundKind};
use crate::engine::local::Local;
use crate::engine::memory::Memory;
use crate::task::Task;
use ground::wire;
use secure_sum::Bytes32;
use secure_sum::identity::Identity;
use secure_sum::keystream::Keystream;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU8, Ordering};
use tuning::objective::Outcome;
use tuning::optimizer::Optimizer;

/// The aggregator's clock.
pub(crate) const NOW: u64 = 1_800_000_000_000;

/// A participant's examples and tools, besides its machine.
pub(crate) struct Kit {
    pub optimizer: Box<dyn Optimizer>,
    pub secrets: Secrets,
    pub training: usize,
}

/// The participants, with the aggregator.
pub(crate) struct Rehearsal {
    pub task: Task,
    pub aggregator: Local,
    pub kits: Vec<Kit>,
    pub clients: Vec<Client>,
    /// Every message of a sum that a client wanted to send, with its round, once each.
    pub sent: Vec<Vec<(u32, SumMessage)>>,
}

/// A task of 8 parameters with this `[federation]`.
pub(crate) fn task(federation: Value) -> Task {
    let mut source = json!({
        "name": "t",
        "model": { "url": "http://127.0.0.1:1", "name": "m", "input": { "height": 8, "width": 8 }, "output": { "classes": 2 } },
        "data": { "labels": ["a", "b"] },
        "generator": { "kind": "statistic", "grid": 2, "statistics": 1 },
        "optimizer": { "kind": "zo-sgd", "directions": 2, "learning_rate": 0.1 },
        "federation": { "rounds": 4, "local_steps": 2, "batch": 2 },
    });
    for (key, value) in federation.as_object().unwrap() {
        source["federation"][key] = value.clone();
    }
    Task::from_value(source).unwrap()
}

/// A task with secure sums of at least three, whose phases wait for all participants.
pub(crate) fn secure_task(secure: Value) -> Task {
    task(json!({ "clip": 1.0, "secure_sum": secure }))
}

/// The same bytes for everything that `seed` stands for.
pub(crate) fn bytes(seed: u8, label: &[u8]) -> Bytes32 {
    let mut bytes = [0; 32];
    Keystream::new(&[seed; 32], label).fill(&mut bytes);
    bytes
}

pub(crate) fn identity(who: usize) -> Identity {
    Identity::from_seed(bytes(who as u8, b"identity"))
}

impl Rehearsal {
    /// Lets `participants` join. What they draw is never the same twice.
    pub fn new(task: Task, participants: usize) -> Self {
        Self::with_entropy(task, participants, |who| {
            let drawn = AtomicU8::new(0);
            Box::new(move || bytes(who, &[b'e', drawn.fetch_add(1, Ordering::Relaxed)]))
        })
    }

    /// The same with other sources of entropy.
    pub fn with_entropy(
        task: Task,
        participants: usize,
        entropy: impl Fn(u8) -> Box<dyn Fn() -> Bytes32 + Send + Sync>,
    ) -> Self {
        let mut aggregator = Local::new(Memory::default(), "hub", &task, NOW).unwrap();
        let kits: Vec<Kit> = (0..participants)
            .map(|who| Kit {
                optimizer: task.optimizer(who as u32).unwrap(),
                secrets: Secrets {
                    identity: identity(who),
                    entropy: entropy(who as u8),
                },
                training: 3 + who,
            })
            .collect();
        let join = |kit: &Kit| {
            let public = kit.secrets.identity.public();
            aggregator.join(NOW, Some(public)).unwrap()
        };
        let numbers: Vec<u32> = kits.iter().map(join).collect();
        Self {
            clients: numbers.into_iter().map(Client::new).collect(),
            sent: vec![Vec::new(); participants],
            task,
            aggregator,
            kits,
        }
    }

    /// The open action of `who`.
    pub fn open(&mut self, who: usize) -> Action {
        self.tell(who, Event::Start)
    }

    /// Lets the machine of `who` take an event; the machine is stored and read again between any
    /// two.
    pub fn tell(&mut self, who: usize, event: Event) -> Action {
        let kit = &self.kits[who];
        let env = Environment {
            task: &self.task,
            optimizer: &*kit.optimizer,
            dim: self.task.dim(),
            training: kit.training,
            holdout: 2,
            secrets: Some(&kit.secrets),
        };
        let mut client: Client = wire::decode(&wire::encode(&self.clients[who])).unwrap();
        assert_eq!(client, self.clients[who]);
        let action = client.step(&env, event);
        self.clients[who] = client;
        if let Action::Send { round, message } = &action {
            let sent = (*round, message.clone());
            if !self.sent[who].contains(&sent) {
                self.sent[who].push(sent);
            }
        }
        action
    }

    /// The answer of an honest aggregator, or of the model.
    pub fn answer(&mut self, who: usize, action: &Action) -> Option<Event> {
        let number = self.clients[who].participant();
        match action {
            Action::Evaluate(evaluation) => Some(played(&self.task, number, evaluation)),
            other => self.aggregator.answer(number, NOW, other).unwrap(),
        }
    }

    /// Answers one action of `who` honestly; returns the next open action.
    pub fn turn(&mut self, who: usize) -> Action {
        let action = self.open(who);
        match self.answer(who, &action) {
            Some(event) => self.tell(who, event),
            None => action,
        }
    }

    /// Lets all participants take turns until `until` holds.
    pub fn play(&mut self, until: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            for who in 0..self.clients.len() {
                if until(self) {
                    return;
                }
                self.turn(who);
            }
        }
        panic!("it does not come to that: {:?}", self.aggregator.round());
    }

    /// Lets all take turns until a round reaches a phase.
    pub fn play_to(&mut self, round: u32, phase: Phase) {
        self.play(|r| (r.aggregator.round().number, r.aggregator.round().phase) == (round, phase));
    }

    /// Lets all take turns until all have stopped.
    pub fn play_out(&mut self) {
        self.play(|r| {
            let mut clients = r.clients.iter();
            clients.all(|c| c.activity(&r.task).0 == "stopped")
        });
    }

    /// The view that the aggregator would show `who` now.
    pub fn view(&mut self, who: usize) -> RoundView {
        let number = self.clients[who].participant();
        self.aggregator.view(number, NOW).unwrap()
    }

    /// Takes turns of `who` alone until its open action is of some kind.
    pub fn lead(&mut self, who: usize, to: impl Fn(&Action) -> bool) -> Action {
        for _ in 0..200 {
            let action = self.open(who);
            if to(&action) {
                return action;
            }
            self.turn(who);
        }
        panic!("participant {who} does not come to that")
    }
}

/// The played model, whose losses differ for every participant, candidate, step and choice of
/// examples.
fn played(task: &Task, number: u32, evaluation: &Evaluation) -> Event {
    let total = evaluation.examples.len() as u32;
    let theta: f64 = evaluation.theta.iter().map(|t| f64::from(*t)).sum();
    let spread = theta + f64::from(evaluation.examples.iter().sum::<u32>());
    let outcomes = (0..evaluation.candidates.len().max(1))
        .map(|i| Outcome {
            loss: f64::from(total)
                * (1.0 + ((f64::from(number) + 3.0 * i as f64 + spread) * 1.7).sin()),
            correct: (number + i as u32) % (total + 1),
            total,
        })
        .collect();
    Event::Evaluated {
        outcomes,
        means: (evaluation.purpose == Purpose::Mapping).then(|| {
            let times = 1 + usize::from(task.counts_twice());
            let length = task.length_of(RoundKind::Counting) / times;
            vec![1.0 / (2.0 + number as f32); length]
        }),
        memory: None,
    }
}
