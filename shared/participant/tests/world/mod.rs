//! A world without anything outside: a clock that jumps to the next event, and an aggregator and a
//! model that follow a script.

use federation::record::Replay;
use federation::round::client::{Action, Client, Event, StopReason};
use federation::round::messages::{FederationStatus, RoundView, Standing};
use federation::round::phase::Phase;
use federation::round::workbench::{Input, Labelled, Workbench};
use federation::task::Task;
use model_client::caller::CallError;
use model_client::tally::Tally;
use model_client::transport::{Answer, Call, NoAnswer, Transport};
use owner_data::texts::Text;
use participant::api::Api;
use participant::{Awaited, DriveError, Participant, Platform};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A request as the script sees it.
pub struct Asked {
    pub path: String,
    pub body: Vec<u8>,
}

/// An answer of the script, and its time.
#[derive(Clone)]
pub struct Reply {
    after_ms: f64,
    result: Result<Answer, NoAnswer>,
}

impl Reply {
    pub fn bytes(status: u16, body: Vec<u8>) -> Self {
        let headers = Vec::new();
        let result = Ok(Answer {
            status,
            headers,
            body,
        });
        Self {
            after_ms: 1.0,
            result,
        }
    }

    pub fn json(status: u16, body: &impl serde::Serialize) -> Self {
        Self::bytes(status, serde_json::to_vec(body).unwrap())
    }

    pub fn nothing() -> Self {
        let cause = "nobody is there".to_owned();
        Self {
            after_ms: 0.0,
            result: Err(NoAnswer::Unreachable { cause }),
        }
    }

    pub fn after(self, after_ms: f64) -> Self {
        Self { after_ms, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(answer) = &mut self.result {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Script = Box<dyn FnMut(&mut World, &Asked) -> Reply>;

/// Everything outside the participant.
pub struct World {
    pub now_ms: f64,
    timers: Vec<(f64, Waker)>,
    log: Vec<(String, f64)>,
    pub aggregator: Script,
    /// Milliseconds that the model takes for an answer.
    pub model_ms: f64,
    /// The model's first answers.
    pub model_failures: Vec<Reply>,
    /// The model's answers to its questions, in order; `None` stands for scores.
    pub model_script: Vec<Option<Reply>>,
    /// Bodies of the questions to the model.
    pub bodies: Vec<Vec<u8>>,
}

impl World {
    pub fn log(&mut self, what: &str) {
        self.log.push((what.to_owned(), self.now_ms));
    }

    pub fn logged(&self, what: &str) -> usize {
        self.times(what).len()
    }

    pub fn times(&self, what: &str) -> Vec<f64> {
        let of = self.log.iter().filter(|(name, _)| name == what);
        of.map(|(_, at)| *at).collect()
    }

    /// Keeps the round open until `at_ms`, when the federation is closed.
    pub fn close_at(&mut self, open: RoundView, at_ms: f64) {
        self.aggregator = Box::new(move |world, call| {
            if call.path.contains("/record") {
                return Reply::bytes(200, Vec::new());
            }
            let mut view = open.clone();
            if call.path.ends_with("/enrol") || call.path.contains("after=") {
                (view.version, view.standing) = (2, Standing::Enrolled);
            }
            if world.now_ms >= at_ms {
                (view.version, view.status) = (3, FederationStatus::Closed);
            }
            let held = if call.path.contains("wait_ms") {
                20_000.0
            } else {
                5.0
            };
            Reply::json(200, &view).after(held)
        });
    }

    fn model(&mut self, call: &Asked) -> Reply {
        self.log("model");
        if !self.model_failures.is_empty() {
            return self.model_failures.remove(0);
        }
        self.bodies.push(call.body.clone());
        if !self.model_script.is_empty()
            && let Some(reply) = self.model_script.remove(0)
        {
            return reply;
        }
        let output =
            json!({ "name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [0.25, 0.75] });
        Reply::json(
            200,
            &json!({ "model_name": "encoder", "outputs": [output] }),
        )
        .after(self.model_ms)
    }
}

/// The transport to both, with the clock.
pub struct Wire(Rc<RefCell<World>>);

impl Transport for Wire {
    async fn send(&self, call: Call<'_>) -> Result<Answer, NoAnswer> {
        let asked = Asked {
            path: call.path.to_owned(),
            body: call.body.unwrap_or_default().to_vec(),
        };
        let reply = if call.base == "http://model" {
            self.0.borrow_mut().model(&asked)
        } else {
            let silent: Script = Box::new(|_, _| Reply::nothing());
            let mut script = std::mem::replace(&mut self.0.borrow_mut().aggregator, silent);
            let reply = script(&mut self.0.borrow_mut(), &asked);
            self.0.borrow_mut().aggregator = script;
            reply
        };
        self.sleep(reply.after_ms).await;
        reply.result
    }

    fn now_ms(&self) -> f64 {
        self.0.borrow().now_ms
    }

    async fn sleep(&self, ms: f64) {
        let until = self.now_ms() + ms;
        poll_fn(|context| {
            let mut world = self.0.borrow_mut();
            if world.now_ms >= until {
                return Poll::Ready(());
            }
            world.timers.push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    fn uniform(&self) -> f32 {
        0.5
    }
}

/// The platform under test.
pub struct Scripted {
    me: Participant<Wire>,
    awaited: RefCell<Vec<Awaited>>,
    failures: RefCell<Vec<String>>,
    resumes: Cell<bool>,
}

impl Scripted {
    pub fn tally(&self) -> Tally {
        self.me.model.purse().tally()
    }

    /// The numbers of awaited participants that were shown, each once.
    pub fn awaited(&self) -> Vec<Awaited> {
        self.awaited.borrow().clone()
    }

    pub fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }
}

impl Platform for Scripted {
    type Transport = Wire;

    fn participant(&self) -> &Participant<Wire> {
        &self.me
    }

    async fn save(&self) -> Result<bool, String> {
        Ok(true)
    }

    fn show(&self, _: bool) {
        let mut shown = self.awaited.borrow_mut();
        if let Some(awaited) = self.me.awaited().filter(|a| shown.last() != Some(a)) {
            shown.push(awaited);
        }
    }

    async fn failed(&self, error: DriveError) -> ControlFlow<DriveError> {
        if !self.resumes.get() {
            return ControlFlow::Break(error);
        }
        if let DriveError::Model(CallError::Model(error)) = &error {
            self.failures.borrow_mut().push(error.code().to_owned());
        }
        ControlFlow::Continue(())
    }
}

/// A participant of a federation of texts, one question at a time.
pub struct Sim {
    pub task: Task,
    pub world: Rc<RefCell<World>>,
    platform: Scripted,
}

impl Sim {
    pub fn new(federation: Value) -> Self {
        let task = Task::from_value(json!({
            "name": "Topics",
            "model": {
                "url": "http://model", "name": "encoder", "input": { "kind": "text" },
                "output": { "name": "scores", "kind": "probabilities" },
                "calls": { "batch": 1, "concurrency": 1, "cache": 0 },
            },
            "data": { "labels": ["1", "2"] },
            "text": { "template": "About {}." },
            "generator": { "candidates": ["", "x", "y"], "positions": 2 },
            "federation": federation,
        }))
        .unwrap();
        let world = Rc::new(RefCell::new(World {
            now_ms: 0.0,
            timers: Vec::new(),
            log: Vec::new(),
            aggregator: Box::new(|_, _| Reply::nothing()),
            model_ms: 10.0,
            model_failures: Vec::new(),
            model_script: Vec::new(),
            bodies: Vec::new(),
        }));
        let wire = || Wire(Rc::clone(&world));
        let api = Api::new("http://aggregator", Some("token".to_owned()), wire());
        let model = participant::caller(&task, None, wire()).unwrap();
        let me = Participant::new("f".to_owned(), task.clone(), api, model);
        let platform = Scripted {
            me,
            awaited: RefCell::default(),
            failures: RefCell::default(),
            resumes: Cell::new(false),
        };
        Self {
            task,
            world,
            platform,
        }
    }

    /// Continues as this client, with four texts of its own.
    pub fn client(&self, client: Client) {
        let example = |label: usize| Labelled {
            input: Input::Text(Text {
                first: format!("text {label}"),
                second: String::new(),
            }),
            label: label % 2,
        };
        let examples = (0..4).map(example).collect();
        let number = client.participant();
        let bench = Workbench::new(self.task.clone(), number, examples, Vec::new()).unwrap();
        self.platform.me.set_client(client);
        self.platform.me.set_bench(Some(bench));
    }

    /// Lets the owner resume at once after a failure, which pauses.
    pub fn resumes(&self) {
        self.platform.resumes.set(true);
    }

    pub fn platform(&self) -> &Scripted {
        &self.platform
    }

    /// Number of questions in the first step.
    pub fn first_evaluation(&self) -> usize {
        let bench = self.platform.me.bench().unwrap();
        let mut client = Client::new(0);
        let env = bench.environment();
        client.step(&env, Event::View(self.view()));
        match client.step(&env, Event::Lines(Vec::new())) {
            Action::Evaluate(evaluation) => evaluation.queries() as usize,
            other => panic!("{other:?}"),
        }
    }

    /// The first round, open, before any participant is there.
    pub fn view(&self) -> RoundView {
        let record = Replay::new(&self.task).unwrap();
        RoundView {
            version: 1,
            status: FederationStatus::Running,
            step: 0,
            round: 0,
            phase: Phase::Open,
            theta: record.theta().clone(),
            lines: record.lines(),
            record: record.head().clone(),
            registered: 1,
            attempt: 0,
            standing: Standing::Idle,
            enrolled: 0,
            cohort: 0,
            delivered: 0,
            live: 1,
            deadline_ms: None,
        }
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the participant to its end; time passes when nothing else can happen.
pub fn run(sim: &Sim) -> Result<StopReason, DriveError> {
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut running = pin!(participant::run(&sim.platform));
    loop {
        while flag.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(ended) = running.as_mut().poll(&mut Context::from_waker(&waker)) {
                return ended;
            }
        }
        if sim.platform.resumes.get()
            && sim.platform.me.with_client(Client::is_paused) == Some(true)
        {
            sim.platform.me.tell(Event::Resume);
            continue;
        }
        let mut world = sim.world.borrow_mut();
        let now = world.now_ms;
        let next = world
            .timers
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at > now);
        let next = next.reduce(f64::min).expect("nothing will ever happen");
        world.now_ms = next;
        let due: Vec<_> = world.timers.extract_if(.., |(at, _)| *at <= next).collect();
        drop(world);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
