//! One participant's process: the real machine, a disk, and a driver that does one thing at a time.

use super::ops::{Moment, Trap};
use super::scenario::Scenario;
use federation::round::client::{Action, Client, Dither, Evaluation, Event, Report, StopReason};
use federation::round::messages::{Metrics, SumMessage};
use federation::round::phase::{Phase, RoundKind};
use federation::round::workbench::Workbench;
use ground::wire;
use secure_sum::encoding::RingVector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Maximum number of updates from one θ that a participant sends.
const MASKED_MAX: usize = 5;

/// A participant. Its number is its place in the world's list; the aggregator may know it by
/// another.
pub struct Participant {
    /// The data and secrets; `None` before it has joined.
    pub bench: Option<Workbench>,
    /// The running process; `None` while it is down, and before it has joined.
    pub machine: Option<Client>,
    /// What is stored on its disk.
    disk: Option<Vec<u8>>,
    /// Whether it stores JSON, as `fed-bbpt join` does, or the binary form of the browser's
    /// storage.
    json: bool,
    /// The request or computation whose answer is awaited, with what it is for.
    pub open: Option<(u64, Action)>,
    /// A crash that will happen at the next event.
    pub crash: Option<Moment>,
    /// What will happen when the message of a phase is made.
    pub trap: Option<(Phase, Trap)>,
    /// Whether it wants to be up.
    pub up: bool,
    /// Whether it is gone for good.
    pub gone: bool,
    /// All queries that the model was ever asked, including those whose answers a crash lost.
    pub asked: u64,
    /// What its masked vectors hide, by round.
    pub plain: BTreeMap<u32, Hidden>,
}

/// What a masked vector hides.
#[derive(Clone)]
pub struct Hidden {
    /// The vector without masks.
    pub vector: RingVector,
    /// The metrics in it.
    pub metrics: Metrics,
    /// What its round sums.
    pub kind: RoundKind,
    /// Number of θ updates before the θ from which the update was made.
    pub step: u32,
    /// The update, or the counts, before it was rounded.
    pub delta: Vec<f32>,
}

impl Participant {
    pub fn new(json: bool) -> Self {
        Self {
            bench: None,
            machine: None,
            disk: None,
            json,
            open: None,
            crash: None,
            trap: None,
            up: true,
            gone: false,
            asked: 0,
            plain: BTreeMap::new(),
        }
    }

    /// Takes its number, and stores it before anything else.
    pub fn joined(&mut self, bench: Workbench, number: u32) {
        self.bench = Some(bench);
        let client = Client::new(number);
        self.disk = Some(self.to_disk(&client));
        self.machine = Some(client);
    }

    fn to_disk(&self, client: &Client) -> Vec<u8> {
        write(client, self.json)
    }

    /// The process dies, and the answer for which it waits is lost.
    pub fn crash(&mut self) {
        (self.machine, self.open, self.crash, self.up) = (None, None, None, false);
    }

    /// Starts again from the disk.
    pub fn restart(&mut self) {
        self.up = true;
        if self.machine.is_none() {
            self.machine = self.disk.as_deref().map(|bytes| read(bytes, self.json));
        }
    }

    /// Lets the machine take an event; returns what is to be done now, unless the process dies of
    /// it.
    pub fn step(&mut self, event: Event) -> Option<Action> {
        let (machine, bench) = (self.machine.as_mut()?, self.bench.as_ref()?);
        let before = machine.clone();
        let action = machine.step(&bench.environment(), event);
        if let Action::Send { round, message } = &action {
            let fresh = before.clone().step(&bench.environment(), Event::Start) != action;
            if fresh && matches!(message, SumMessage::Masked(_)) {
                self.plain.insert(*round, plain_vector(machine, bench));
            }
            if let Some((_, trap)) = self.trap.take_if(|(phase, _)| *phase == message.phase()) {
                match trap {
                    Trap::Crash(Moment::Now) => self.crash = Some(Moment::BeforeStoring),
                    Trap::Crash(moment) => self.crash = Some(moment),
                    Trap::Vanish => (self.crash, self.gone) = (Some(Moment::AfterStoring), true),
                    Trap::SendAndVanish => self.gone = true,
                }
            }
        }
        let again = machine.clone().step(&bench.environment(), Event::Start);
        assert_eq!(
            again, action,
            "a restart would not go on with the open action; before: {before:?}"
        );
        if self.crash == Some(Moment::BeforeStoring) {
            self.crash();
            return None;
        }
        let bytes = write(machine, self.json);
        let stored: Client = read(&bytes, self.json);
        assert_eq!(
            essence(&stored, bench, self.json),
            essence(machine, bench, self.json),
            "the state does not survive the disk"
        );
        self.disk = Some(bytes);
        if self.crash == Some(Moment::AfterStoring) {
            self.crash();
            return None;
        }
        Some(action)
    }

    /// The model's answers to an evaluation.
    pub fn ask(&mut self, scenario: &Scenario, evaluation: &Evaluation) -> Event {
        let (Some(machine), Some(bench)) = (&self.machine, &self.bench) else {
            return Event::Start;
        };
        self.asked += u64::from(evaluation.queries());
        let mut answers = Vec::new();
        for request in Workbench::requests(evaluation, 5) {
            let (mut images, count) = (Vec::new(), request.len());
            bench.render(evaluation, request, &mut images);
            answers.push(scenario.model(&images, count));
        }
        bench
            .event(machine, evaluation, &answers)
            .expect("as many answers as images")
    }

    /// The state of the process, or the state on the disk.
    pub fn state(&self) -> Option<Client> {
        self.machine
            .clone()
            .or_else(|| self.disk.as_deref().map(|bytes| read(bytes, self.json)))
    }

    /// Whether this participant has sent as many updates from one θ as it may: to send yet another would let the aggregator
    /// compare sums.
    pub fn has_sent_enough(&self) -> bool {
        let Some(last) = self.plain.values().last() else {
            return false;
        };
        let from_last = |p: &&Hidden| (p.step, p.kind) == (last.step, last.kind);
        let sent = self.plain.values().filter(from_last);
        sent.count() >= MASKED_MAX
    }

    /// Why the machine stopped, if it did.
    pub fn stopped(&self) -> Option<StopReason> {
        let bench = self.bench.as_ref()?;
        match self.state()?.step(&bench.environment(), Event::Start) {
            Action::Stop(reason) => Some(reason),
            _ => None,
        }
    }
}

/// What the masked vector just made hides, encoded again from the machine's state.
fn plain_vector(machine: &Client, bench: &Workbench) -> Hidden {
    // Straight from the numbers: no text, so not a bit is lost.
    let state = serde_json::to_value(machine).expect("the state is JSON");
    let (work, measured) = (&state["work"], &state["work"]["measured"]);
    let whole = |value: &Value| value.as_u64().unwrap_or(0) as u32;
    let unprompted = match measured.is_null() {
        true => Some(0),
        false => state["before"]["correct"].as_u64().map(|n| n as u32),
    };
    let exact = Metrics {
        unprompted,
        correct: whole(&measured["correct"]),
        total: whole(&measured["total"]),
        loss: measured["loss"].as_f64().unwrap_or(0.0),
        queries: whole(&state["unreported"]),
    };
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let delta: Vec<f32> = list(&work["delta"])
        .iter()
        .map(|d| d.as_f64().expect("a number") as f32)
        .collect();
    let seed: Vec<u8> = list(&state["sum"]["seed"])
        .iter()
        .map(|b| whole(b) as u8)
        .collect();
    let seed = seed.try_into().expect("32 bytes");
    let environment = bench.environment();
    let kind: RoundKind = serde_json::from_value(work["kind"].clone()).expect("a kind");
    let contribution = environment.task.contribution_of(kind).expect("secure sums");
    let dither = Dither::new(environment.task, environment.secrets);
    let again = whole(&work["renewed"]) > 0;
    let Report { examples, metrics } = dither.report(environment.training as u32, &exact, again);
    let vector = contribution
        .encode(&delta, examples, &metrics, &seed)
        .expect("an update that can be encoded");
    Hidden {
        vector,
        metrics,
        kind,
        step: whole(&work["step"]),
        delta,
    }
}

/// What must survive the disk, which is everything. But JSON as it is read here may lose the last
/// bit of an f64, which only sums of losses have; an f32 survives, because an f64 has bits to
/// spare.
fn essence(
    client: &Client,
    bench: &Workbench,
    json: bool,
) -> (Option<Client>, Action, u64, Option<Vec<f32>>) {
    let mut action = client.clone().step(&bench.environment(), Event::Start);
    if let (Action::Upload(update), true) = (&mut action, json) {
        update.metrics.loss = (1e9 * update.metrics.loss).round();
    }
    (
        (!json).then(|| client.clone()),
        action,
        client.spent(),
        client.theta().map(<[f32]>::to_vec),
    )
}

/// Writes a state as it is stored on a disk.
pub fn write<T: Serialize>(state: &T, json: bool) -> Vec<u8> {
    if json {
        serde_json::to_vec(state).expect("the state is JSON")
    } else {
        wire::encode(state)
    }
}

/// Reads a state from a disk.
pub fn read<T: DeserializeOwned>(bytes: &[u8], json: bool) -> T {
    if json {
        serde_json::from_slice(bytes).expect("the state parses")
    } else {
        wire::decode(bytes).expect("the state parses")
    }
}
