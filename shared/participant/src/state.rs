//! What a participant holds, whatever platform it runs on: [`Participant`].

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

/// What asks a task's model API.
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

/// Milliseconds of the last optimiser step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// Spent on rendering its images; nothing of texts.
    pub render_ms: Option<f64>,
    /// Spent on waiting for answers.
    pub ask_ms: Option<f64>,
}

/// For how many the participant waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Awaited {
    /// Participants who are there, or who delivered.
    pub here: u32,
    /// The least that the phase needs to end well, or the cohort that is to deliver.
    pub needed: u32,
}

/// A participant. All methods take `&self`: a page calls in while a future is suspended, and no [`RefCell`] is borrowed
/// across an `await`.
pub struct Participant<T> {
    /// The federation's id.
    pub federation: String,
    /// The aggregator.
    pub api: Api<T>,
    /// The model API.
    pub model: Caller<T>,
    /// Raised when the machine was fed from outside (paused, resumed, left): its open action is asked for again.
    pub changed: Signal,
    /// Raised when timers may have slept, as in a tab that becomes visible: everything is asked now.
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
    /// Somebody without data and without a machine as yet.
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

    /// The task.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The machine, or a copy of its state as it is now; nothing before the participant has joined.
    pub fn client(&self) -> Option<Client> {
        self.client.borrow().clone()
    }

    /// What `look` sees of the machine; nothing before the participant has joined.
    pub fn with_client<A>(&self, look: impl FnOnce(&Client) -> A) -> Option<A> {
        self.client.borrow().as_ref().map(look)
    }

    /// Goes on with this machine.
    pub fn set_client(&self, client: Client) {
        *self.client.borrow_mut() = Some(client);
    }

    /// The examples, prepared; nothing before they are there.
    pub fn bench(&self) -> Option<Arc<Workbench>> {
        self.bench.borrow().clone()
    }

    /// Goes on with these examples, or with none. What was answered or prepared for others is worth nothing now.
    pub fn set_bench(&self, bench: Option<Workbench>) {
        *self.bench.borrow_mut() = bench.map(Arc::new);
        *self.partial.borrow_mut() = None;
        *self.ahead.borrow_mut() = None;
    }

    /// Feeds the machine; gives the action that is open now. Before there are a machine and examples there is nothing to
    /// do.
    pub fn step(&self, event: Event) -> Action {
        let Some(bench) = self.bench() else {
            return Action::Rest;
        };
        match self.client.borrow_mut().as_mut() {
            Some(client) => client.step(&bench.environment(), event),
            None => Action::Rest,
        }
    }

    /// Feeds the machine from outside the driver, which looks at its open action anew.
    pub fn tell(&self, event: Event) {
        self.step(event);
        self.changed.notify(usize::MAX);
    }

    /// Tells the aggregator that nothing more comes, so that nobody waits. Without an answer the lease runs out by
    /// itself.
    pub async fn give_up_lease(&self) {
        if self.api.token().is_some() {
            let _ = self.api.leave(&self.federation).await;
        }
    }

    /// What will be asked next, as far as it is certain. Wording texts takes no time, so nothing of those.
    pub(crate) fn upcoming(&self, bench: &Workbench) -> Option<Evaluation> {
        match self.task.inputs {
            Inputs::Texts(_) => None,
            Inputs::Images(_) => {
                self.with_client(|client| client.upcoming(&bench.environment()))?
            }
        }
    }

    /// Inputs so far that were ready when they were asked.
    pub fn prepared(&self) -> u64 {
        self.prepared.get()
    }

    /// How long the last step took.
    pub fn step_time(&self) -> StepTime {
        self.step_time.get()
    }

    /// Bytes to and from the model API, then to and from the aggregator.
    pub fn bytes(&self) -> [u64; 4] {
        let ([a, b], [c, d]) = (self.model.bytes(), self.api.bytes());
        [a, b, c, d]
    }

    /// Goes on counting bytes from there.
    pub fn resume_bytes(&self, [a, b, c, d]: [u64; 4]) {
        self.model.resume_bytes([a, b]);
        self.api.resume_bytes([c, d]);
    }

    /// For how many others the participant waits with its update; nothing while it is at work itself.
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
