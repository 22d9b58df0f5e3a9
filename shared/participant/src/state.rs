//! The state of a participant on any platform: [`Participant`].

use crate::api::Api;
use crate::evaluate::{Ahead, Partial};
use event_listener::Event as Signal;
use federation::round::client::{Action, Client, Evaluation, Event};
use federation::round::messages::Standing;
use federation::round::phase::Phase;
use federation::round::workbench::Workbench;
use federation::task::{Inputs, Task};
use model_client::caller::Caller;
use model_client::transport::Transport;
use model_client::{ModelApiError, SharedEmbedder};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Makes the client of a task's model API.
///
/// # Errors
/// [`ModelApiError::InvalidSpec`].
pub fn caller<T: Transport>(
    task: &Task,
    embedder: Option<SharedEmbedder>,
    transport: T,
) -> Result<Caller<T>, ModelApiError> {
    let texts = match task.inputs {
        Inputs::Texts(_) => Some(task.text_dialect(embedder)?),
        Inputs::Images(_) => None,
    };
    Caller::new(&task.model, texts, task.input_bytes(), transport)
}

/// Times of the last optimiser step, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Time spent on rendering its images; `None` for texts.
    pub render_ms: Option<f64>,
    /// Time spent on waiting for answers.
    pub ask_ms: Option<f64>,
}

/// The number of participants for which this one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Awaited {
    /// Number of participants who are there, or who have delivered.
    pub here: u32,
    /// Minimum number that the phase needs to succeed, or the size of the cohort that should
    /// deliver.
    pub needed: u32,
}

/// A participant. All methods take `&self`: a page calls in while a future is suspended, and no
/// [`RefCell`] is borrowed across an `await`.
pub struct Participant<T> {
    /// The federation's id.
    pub federation: String,
    /// The client of the aggregator.
    pub api: Api<T>,
    /// The client of the model API.
    pub model: Caller<T>,
    /// Raised when the machine was told something from outside (paused, resumed, left), after which
    /// its open action is asked for again.
    pub changed: Signal,
    /// Raised when timers may have slept, as in a tab that becomes visible; everything is then
    /// asked at once.
    pub visible: Signal,
    task: Task,
    bench: RefCell<Option<Arc<Workbench>>>,
    client: RefCell<Option<Client>>,
    pub(crate) partial: RefCell<Option<Partial>>,
    pub(crate) ahead: RefCell<Option<Ahead>>,
    pub(crate) prepared: Cell<u64>,
    pub(crate) step_time: Cell<StepTime>,
}

impl<T: Transport> Participant<T> {
    /// A participant without data and without a machine.
    pub fn new(federation: String, task: Task, api: Api<T>, model: Caller<T>) -> Self {
        Self {
            federation,
            api,
            model,
            changed: Signal::new(),
            visible: Signal::new(),
            task,
            bench: RefCell::default(),
            client: RefCell::default(),
            partial: RefCell::default(),
            ahead: RefCell::default(),
            prepared: Cell::default(),
            step_time: Cell::default(),
        }
    }

    /// The task of the federation.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// A copy of the machine in its present state; `None` before the participant has joined.
    pub fn client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// Applies `look` to the machine; `None` before the participant has joined.
    pub fn with_client<A>(&self, look: impl FnOnce(&Client) -> A) -> Option<A> {
        self.client.borrow().as_ref().map(look)
    }

    /// Continues with this machine.
    pub fn set_client(&self, client: Client) {
        *self.client.borrow_mut() = Some(client);
    }

    /// The prepared examples; `None` before there are any.
    pub fn bench(&self) -> Option<Arc<Workbench>> {
        self.bench.borrow().clone()
    }

    /// Continues with these examples, or with none. Drops what was answered or prepared for others.
    pub fn set_bench(&self, bench: Option<Workbench>) {
        *self.bench.borrow_mut() = bench.map(Arc::new);
        *self.partial.borrow_mut() = None;
        *self.ahead.borrow_mut() = None;
    }

    /// Tells the machine an event; returns the action that is then open. Before there are a machine
    /// and examples, there is nothing to do.
    pub fn step(&self, event: Event) -> Action {
        let Some(bench) = self.bench() else {
            return Action::Rest;
        };
        match self.client.borrow_mut().as_mut() {
            Some(client) => client.step(&bench.environment(), event),
            None => Action::Rest,
        }
    }

    /// Tells the machine an event from outside the driver, which then looks at its open action
    /// again.
    pub fn tell(&self, event: Event) {
        self.step(event);
        self.changed.notify(usize::MAX);
    }

    /// Tells the aggregator that nothing more will come, so that it does not wait. Without an
    /// answer the lease runs out by itself.
    pub async fn give_up_lease(&self) {
        if self.api.token().is_some() {
            let _ = self.api.leave(&self.federation).await;
        }
    }

    /// The evaluation that will be asked next, as far as it is certain. `None` for texts, which
    /// take no time to prepare.
    pub(crate) fn upcoming(&self, bench: &Workbench) -> Option<Evaluation> {
        match self.task.inputs {
            Inputs::Texts(_) => None,
            Inputs::Images(_) => {
                self.with_client(|client| client.upcoming(&bench.environment()))?
            }
        }
    }

    /// Number of inputs so far that were ready when they were asked.
    pub fn prepared(&self) -> u64 {
        self.prepared.get()
    }

    /// The times of the last step.
    pub fn step_time(&self) -> StepTime {
        self.step_time.get()
    }

    /// Numbers of bytes sent to and received from the model API, then the aggregator.
    pub fn bytes(&self) -> [u64; 4] {
        let ([a, b], [c, d]) = (self.model.bytes(), self.api.bytes());
        [a, b, c, d]
    }

    /// Continues the byte counts from earlier values.
    pub fn resume_bytes(&self, [a, b, c, d]: [u64; 4]) {
        self.model.resume_bytes([a, b]);
        self.api.resume_bytes([c, d]);
    }

    /// The number of others for which the participant waits with its update; `None` while it is
    /// working itself.
    pub fn awaited(&self) -> Option<Awaited> {
        self.with_client(|client| awaited(client, &self.task))?
    }
}

fn awaited(client: &Client, task: &Task) -> Option<Awaited> {
    let view = client.view()?;
    if client.activity(task).0 != "waiting" || view.standing == Standing::Idle {
        return None;
    }
    if view.phase == Phase::Open {
        let limits = task.federation.policy.limits(Phase::Open, 0)?;
        return Some(Awaited {
            here: view.enrolled,
            needed: limits.count_min,
        });
    }
    (view.cohort > 0).then_some(Awaited {
        here: view.delivered,
        needed: view.cohort,
    })
}
