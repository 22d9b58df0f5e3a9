//! The state of one owner's client. All methods take `&self`: JavaScript may call in while a future
//! is suspended, and a `RefCell` is never borrowed across an `await`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use federation::round::client::{Client, Part, Secrets};
use federation::round::workbench::Workbench;
use federation::task::Task;
use ground::wire;
use model_client::caller::CallError;
use participant::Participant;
use secure_sum::identity::Identity;
use serde_json::{Value, json};
use tuning::optimizer::Candidate;

use super::examples::Examples;
use super::host::Host;
use super::random;
use super::report::{self, Area, Buffers, Trouble};
use super::saved::{self, Membership, State, record};
use super::timer::now;
use super::transport::Web;
use super::troubles::{self, no_data};
use crate::gpu::GpuStep;
use crate::renderer::{Choice, Hint, Wish};

/// The content of the Worker's message `open`.
pub struct Opening {
    /// The federation's id.
    pub federation: String,
    /// The secret of the invite link.
    pub invite: Option<String>,
    /// The origin of the page.
    pub aggregator: String,
    /// The address of the owner's own model API, if the owner chose one.
    pub model_url: Option<String>,
    /// What the owner chose to render with.
    pub backend: Wish,
    /// Whether images are rendered before they are asked. Only time depends on it.
    pub prepare: bool,
    /// What the Worker found out about the GPU.
    pub gpu: Hint,
}

impl Opening {
    /// Reads it from JSON; `None` if something is missing.
    pub fn read(json: &str) -> Option<Self> {
        let opening: Value = serde_json::from_slice(json.as_bytes()).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let gpu = &opening["gpu"];
        Some(Self {
            federation: text(&opening["federation"])?,
            invite: text(&opening["invite"]),
            aggregator: text(&opening["aggregator"])?,
            model_url: text(&opening["modelUrl"]),
            backend: Wish::named(opening["backend"].as_str()?)?,
            prepare: opening["prepare"].as_bool()?,
            gpu: Hint {
                refusal: text(&gpu["refusal"]),
                name: text(&gpu["name"]).unwrap_or_default(),
                software: gpu["software"].as_bool().unwrap_or_default(),
            },
        })
    }
}

/// One owner's client.
pub struct Owner {
    pub host: Host,
    pub opening: Opening,
    /// Hash of the task at the aggregator.
    pub task_hash: String,
    /// The part of the client that is the same on every platform.
    pub me: Participant<Web>,
    pub examples: RefCell<Option<Rc<Examples>>>,
    /// The key with which the owner joins and signs, once there is one.
    pub identity: RefCell<Option<Identity>>,
    pub membership: RefCell<Option<Membership>>,
    pub gpu: RefCell<Option<Rc<GpuStep>>>,
    pub choice: RefCell<Choice>,
    /// Whether the driver's loop runs.
    pub running: Cell<bool>,
    /// Whether a request to join is under way.
    pub joining: Cell<bool>,
    /// Number of queries for pictures and checks.
    pub other_queries: Cell<u64>,
    pub last_progress: Cell<f64>,
    pub storage_failed: Cell<bool>,
    /// Whether the owner has left, after which nothing is saved.
    pub left: Cell<bool>,
}

impl Owner {
    /// The task of the federation.
    pub fn task(&self) -> &Task {
        self.me.task()
    }

    /// Takes new examples, and drops what was answered for the earlier ones.
    pub fn take_examples(&self, examples: Rc<Examples>) {
        *self.examples.borrow_mut() = Some(examples);
        self.me.set_bench(None);
    }

    /// Prepares the examples for training. There must be examples and a membership.
    pub fn set_up(&self) -> Result<(), Trouble> {
        if self.me.bench().is_some() {
            return Ok(());
        }
        let examples = self.examples.borrow().clone().ok_or_else(no_data)?;
        let participant = self
            .membership
            .borrow()
            .as_ref()
            .map_or(0, |membership| membership.participant);
        let parts = [Part::Training, Part::Holdout].map(|part| examples.labelled(part));
        let [training, holdout] = parts;
        let bench = Workbench::new(self.task().clone(), participant, training, holdout).map_err(
            |faults| {
                Trouble::new(
                    Area::Open,
                    "bad_task",
                    "This federation cannot be opened",
                    faults.to_string(),
                )
            },
        )?;
        let bench = match self.identity.borrow().clone() {
            Some(identity) => bench.with_secrets(Secrets {
                identity,
                entropy: Box::new(random::more),
            }),
            None => bench,
        };
        self.me.set_bench(Some(bench));
        Ok(())
    }

    /// The key that we join with: made once for this browser and federation, and stored before it is used.
    pub async fn identity(&self) -> Result<Identity, Trouble> {
        if let Some(identity) = self.identity.borrow().clone() {
            return Ok(identity);
        }
        let seed = random::seed()?;
        self.save(record::IDENTITY, &seed).await;
        let identity = Identity::from_seed(seed);
        *self.identity.borrow_mut() = Some(identity.clone());
        Ok(identity)
    }

    /// The candidates of the largest step of any participant, of which only number and kind matter,
    /// and the number of its examples.
    pub fn largest_step(&self) -> (Vec<Candidate>, usize) {
        let federation = &self.task().federation;
        let Ok(optimizer) = self.task().optimizer(0) else {
            return (Vec::new(), 0);
        };
        // An optimiser goes on differently at most once.
        let steps = [0, federation.rounds.saturating_sub(1)].map(|round| {
            let theta = self.task().initial().unwrap_or_default();
            let candidates = optimizer.ask(&tuning::optimizer::State::new(theta, round));
            (
                candidates,
                optimizer.examples_in(round, federation.batch) as usize,
            )
        });
        let largest = steps.into_iter().max_by_key(|(c, n)| c.len() * n);
        largest.unwrap_or_default()
    }

    /// Saves the state; returns whether it is stored. The first failure is reported to the owner.
    pub async fn save_state(&self) -> bool {
        match self.state() {
            Some(state) => self.save(record::STATE, &wire::encode(&state)).await,
            None => false,
        }
    }

    fn state(&self) -> Option<State> {
        Some(State {
            client: self.me.client()?,
            other_queries: self.other_queries.get(),
            tally: self.me.model.purse().tally(),
            bytes: self.me.bytes(),
        })
    }

    /// Continues from a saved state.
    pub fn restore(&self, state: State) {
        self.me.resume_bytes(state.bytes);
        self.other_queries.set(state.other_queries);
        self.me.model.purse().resume(state.tally);
        self.me.set_client(state.client);
    }

    /// Saves a record; returns whether it is stored.
    pub async fn save(&self, key: &str, bytes: &[u8]) -> bool {
        if self.left.get() {
            return false;
        }
        let Err(error) = saved::save(&self.host, key, bytes).await else {
            return true;
        };
        if !self.storage_failed.replace(true) {
            self.trouble(&Trouble::new(
                Area::Storage,
                "storage_failed",
                "This browser keeps nothing",
                format!(
                    "What was done so far cannot be stored ({error}). You can take part, but keep this tab open: a reload starts anew. A private window, a full disk, or blocked site data may be why."
                ),
            ));
        }
        false
    }

    /// Posts an error to the page.
    pub fn trouble(&self, trouble: &Trouble) {
        report::trouble(&self.host, trouble);
    }

    /// The cause of a failed call to the model, as the page shows it.
    pub async fn model_trouble(&self, error: &CallError) -> Trouble {
        troubles::model_trouble(error, &self.me.model, &self.opening.aggregator).await
    }

    /// Posts the progress, at most five times a second unless `at_once`.
    pub fn progress(&self, at_once: bool) {
        if !at_once && now() - self.last_progress.get() < 200.0 {
            return;
        }
        self.last_progress.set(now());
        let Some(client) = self.me.client() else {
            return;
        };
        let (bytes, time) = (self.me.bytes(), self.me.step_time());
        let (activity, done, of) = client.activity(self.task());
        let activity = if self.running.get() || activity == "stopped" {
            activity
        } else {
            "paused"
        };
        let mut message = json!({ "type": "progress", "progress": {
            "activity": activity,
            "localStep": done,
            "localSteps": of,
            "view": client.view(),
            "before": client.before().map(|outcome| outcome.accuracy()),
            "curve": client.curve(),
            "delivered": client.delivered(),
            "queries": client.spent() + self.other_queries.get(),
            "queryBudget": self.task().federation.query_budget,
            "bytesToModel": bytes[0],
            "bytesFromModel": bytes[1],
            "bytesToAggregator": bytes[2],
            "bytesFromAggregator": bytes[3],
            "stopped": client.stopped(),
            "suspicion": client.suspicion(),
            "privacy": client.privacy(self.task()),
            "choice": client.choice(),
            "record": client.record().map(|record| json!({
                "lines": record.lines(),
                "head": record.head(),
            })),
            "prepared": self.me.prepared(),
            "renderMs": time.render_ms,
            "askMs": time.ask_ms,
            "awaited": self.me.awaited(),
            "confirmed": client.confirmed(self.task()),
        }});
        if let Some(prompt) = self.prompt(&client) {
            message["progress"]["prompt"] = prompt.into();
        }
        if let Some(price) = &self.task().model.price {
            message["progress"]["spent"] = json!({
                "amount": self.me.model.purse().tally().cost(price),
                "budget": price.budget,
                "currency": price.currency,
            });
        }
        report::post(&self.host, &message);
    }

    /// Posts the update that is being sent under masks, if there is one.
    pub fn show_masked(&self) {
        self.me.with_client(|client| {
            let Some((update, change, sent)) = client.masked_update(self.task()) else {
                return;
            };
            let change: Vec<u8> = change.iter().flat_map(|x| x.to_le_bytes()).collect();
            let mut buffers = Buffers::default();
            let message = json!({
                "type": "masked",
                "update": update,
                "change": buffers.add_bytes(&change),
                "sent": buffers.add_bytes(sent),
            });
            report::post_with(&self.host, &message, buffers);
        });
    }

    /// The prompt of a client's θ, for people; `None` in a task of images.
    fn prompt(&self, client: &Client) -> Option<String> {
        let text = self.task().inputs.texts()?;
        let prompt = client.theta().and_then(|theta| self.task().prompt(theta))?;
        Some(text.shown(&prompt))
    }

    /// Posts what renders the steps.
    pub fn show_backend(&self) {
        report::post(
            &self.host,
            &json!({ "type": "backend", "backend": *self.choice.borrow() }),
        );
    }
}
