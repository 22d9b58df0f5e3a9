//! A participant as a process of its own, or as one of several in a demonstration: [`Native`].

use super::state::{Saved, StateError};
use super::transport::{Aggregator, HttpCaller, HttpTransport};
use federation::round::client::Evaluation;
use federation::round::workbench::Workbench;
use federation::task::Task;
use model_client::caller::CallError;
use participant::api::ApiError;
use participant::{Participant, Platform};
use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tuning::query::Queries;

/// The pace of a demonstration's built-in owner while no visitor is there.
#[derive(Clone, Copy, Debug)]
pub struct Leisure {
    /// Number of participants that belong to the demonstration itself.
    pub owners: u32,
    /// Pause after each delivered update.
    pub pause: Duration,
}

/// A function that is called after every step.
pub type OnStep = Box<dyn FnMut(&Participant<HttpTransport>)>;

/// A participant in this process.
pub struct Native {
    participant: Participant<HttpTransport>,
    saved: RefCell<Saved>,
    path: Option<PathBuf>,
    leisure: Option<Leisure>,
    on_step: RefCell<OnStep>,
    prepares: bool,
}

impl Native {
    /// Makes a participant whose state is kept at `path`, if there is one.
    pub fn new(
        bench: Workbench,
        saved: Saved,
        path: Option<PathBuf>,
        aggregator: Aggregator,
        model: HttpCaller,
        on_step: OnStep,
    ) -> Self {
        let task = bench.task().clone();
        let participant = Participant::new(saved.federation.clone(), task, aggregator, model);
        participant.set_client(saved.client.clone());
        participant.set_bench(Some(bench));
        Self {
            participant,
            saved: RefCell::new(saved),
            path,
            leisure: None,
            on_step: RefCell::new(on_step),
            prepares: true,
        }
    }

    /// Slows the participant down while no visitor is there.
    #[must_use]
    pub fn at_leisure(mut self, leisure: Leisure) -> Self {
        self.leisure = Some(leisure);
        self
    }

    /// Sets whether inputs are prepared before they are asked. Only time depends on it.
    #[cfg(test)]
    #[must_use]
    pub fn preparing(mut self, prepares: bool) -> Self {
        self.prepares = prepares;
        self
    }

    /// Why nothing more is asked, once the money is spent.
    pub fn out_of_money(&self) -> Option<CallError> {
        self.participant.model.purse().spent()
    }

    /// The cost of calling the model so far, in words; `None` if it has no price.
    pub fn spent(&self) -> Option<String> {
        let task: &Task = self.participant.task();
        let price = task.model.price.as_ref()?;
        let tally = self.participant.model.purse().tally();
        let budget = match price.budget {
            budget if budget > 0.0 => format!(" of {budget}"),
            _ => String::new(),
        };
        Some(format!(
            "spent {:.4}{budget} {} in {} calls of {} queries",
            tally.cost(price),
            price.currency,
            tally.calls,
            tally.queries
        ))
    }

    fn write(&self, path: &std::path::Path) -> Result<(), StateError> {
        let mut saved = self.saved.borrow_mut();
        if let Some(client) = self.participant.client() {
            saved.client = client;
        }
        saved.tally = self.participant.model.purse().tally();
        saved.write(path)
    }
}

impl Platform for Native {
    type Transport = HttpTransport;

    fn participant(&self) -> &Participant<HttpTransport> {
        &self.participant
    }

    async fn save(&self) -> Result<bool, String> {
        // A demonstration's owner has no file: once stopped, it does not come back.
        if let Some(path) = &self.path {
            self.write(path).map_err(|error| error.to_string())?;
        }
        Ok(true)
    }

    fn show(&self, at_once: bool) {
        if at_once {
            (self.on_step.borrow_mut())(&self.participant);
        }
    }

    fn outage(&self, error: &ApiError, tries: u32) {
        tracing::warn!(%error, tries, "the aggregator is asked again");
    }

    async fn delivered(&self) {
        let live = self
            .participant
            .with_client(|c| c.view().map_or(0, |v| v.live));
        let live = live.unwrap_or(0);
        if let Some(leisure) = self.leisure.filter(|l| live <= l.owners) {
            tokio::time::sleep(leisure.pause).await;
        }
    }

    fn prepares(&self) -> bool {
        self.prepares
    }

    async fn render(
        &self,
        bench: &Arc<Workbench>,
        evaluation: &Arc<Evaluation>,
        request: Range<usize>,
    ) -> Option<Queries> {
        let (bench, evaluation) = (Arc::clone(bench), Arc::clone(evaluation));
        let render = move || bench.queries(&evaluation, request);
        tokio::task::spawn_blocking(render).await.ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;
    use crate::commands::join::{built_in, workbench};
    use crate::native::transport::{aggregator, model_api as caller};
    use crate::task_source;
    use ::aggregator::{AggregatorConfig, RealClock, Secret};
    use federation::round::client::{Client, StopReason};
    use federation::round::messages::CreateFederation;
    use model_api::ModelApiConfig;
    use model_client::tally::Tally;
    use std::future::pending;
    use std::net::TcpListener;

    /// Settings for two rounds of three steps of 64 images each.
    const SETTINGS: [&str; 7] = [
        "federation.rounds=2",
        "federation.local_steps=3",
        "federation.ask_ahead=true",
        "federation.open.count_min=1",
        "federation.upload.count_min=1",
        "federation.open.time_min_ms=0",
        "federation.upload.time_min_ms=0",
    ];

    fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    }

    /// The whole federation of one participant: θ, the number of images that were ready, the number
    /// of queries.
    async fn take_part(prepares: bool) -> (Vec<u8>, u64, u64) {
        // As the program does it; a second call by another test changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let ((page, url), (model, model_url)) = (listen(), listen());
        let token = Secret::random().unwrap();
        let serve = AggregatorConfig::new(folder.path().join("test.sqlite"), token.clone());
        let serving = [
            tokio::spawn(async move {
                ::aggregator::run(page, serve, Arc::new(RealClock), pending::<()>())
                    .await
                    .unwrap();
            }),
            tokio::spawn(async move {
                model_api::run(model, ModelApiConfig::default(), pending::<()>())
                    .await
                    .unwrap();
            }),
        ];
        let mut set = vec![format!("model.url={model_url}")];
        set.extend(SETTINGS.map(str::to_owned));
        let task = task_source::load("handwriting", &set).unwrap();
        let body = CreateFederation {
            task_toml: None,
            task: Some(task.source().clone()),
        };
        let organiser = aggregator(&url, Some(token.reveal().to_owned())).unwrap();
        let invite = loop {
            // The server may still be starting.
            match organiser.create(&body).await {
                Ok(invite) => break invite,
                Err(ApiError::Unreachable { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let identity = secure_sum::identity::Identity::from_seed([7; 32]);
        let joined = organiser
            .join(&invite.federation, &invite.invite, &identity)
            .await
            .unwrap();
        let examples = built_in(&task, 3, 40).unwrap_or_else(|_| panic!("digits"));
        let bench = workbench(task.clone(), joined.participant, examples)
            .unwrap_or_else(|_| panic!("a bench"));
        let saved = Saved {
            aggregator: url.clone(),
            federation: invite.federation.clone(),
            token: joined.token.clone(),
            identity: String::new(),
            task: joined.task,
            examples: 40,
            data: String::new(),
            tally: Tally::default(),
            client: Client::new(joined.participant),
            is_outdated: false,
        };
        let native = Native::new(
            bench,
            saved,
            None,
            aggregator(&url, Some(joined.token)).unwrap(),
            caller(&task, None, None).unwrap(),
            Box::new(|_| {}),
        )
        .preparing(prepares);
        let ended = participant::run(&native).await.unwrap();
        assert_eq!(ended, StopReason::Finished);
        let theta = organiser.theta(&invite.federation).await.unwrap();
        serving.iter().for_each(tokio::task::JoinHandle::abort);
        let me = native.participant();
        (theta, me.prepared(), me.client().unwrap().spent())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn images_are_ready_before_they_are_asked_and_change_nothing() {
        let (theta, prepared, queries) = take_part(true).await;
        let (theta_without, prepared_without, queries_without) = take_part(false).await;
        // At least one request of each step, and at most all: the model's answers decide how many.
        assert!((6 * 32..=6 * 64).contains(&prepared), "{prepared}");
        assert_eq!(prepared_without, 0);
        assert!(theta.iter().any(|byte| *byte != 0));
        assert_eq!(theta, theta_without);
        assert_eq!(queries, queries_without);
    }
}
