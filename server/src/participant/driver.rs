//! Carries out the client machine's actions over HTTP until it stops.

use super::aggregator::{Aggregator, ApiError};
use super::ahead::{Ahead, Preparation};
use super::caller::{CallError, HttpCaller};
use super::state::{Saved, StateError};
use federation::round::asking::{Asking, Pieces};
use federation::round::client::{Action, Client, Evaluation, Event, StopReason};
use federation::round::messages::RoundView;
use federation::round::phase::Phase;
use federation::round::workbench::{AnswerCount, Workbench};
use model_client::Scores;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tuning::query::Queries;

/// The lease is renewed at least this often while computing.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Longest pause between tries to reach the aggregator.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a participant gave up.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The model API.
    #[error(transparent)]
    Model(#[from] CallError),
    /// It answered something else.
    #[error(transparent)]
    Answers(#[from] AnswerCount),
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// The aggregator answers, but not as one.
    #[error(transparent)]
    Aggregator(#[from] ApiError),
    /// The task is for simulations.
    #[error(
        "this federation sums updates without the masks, which only simulations may do; nothing was sent"
    )]
    NoMasks,
}

/// What a built-in owner of a demonstration does while no visitor is there: take its time.
#[derive(Clone, Copy, Debug)]
pub struct Leisure {
    /// As many participants belong to the demonstration itself.
    pub owners: u32,
    /// Pause after each delivered update.
    pub pause: Duration,
}

/// Called after every step with the machine's state.
pub type OnStep = Box<dyn FnMut(&Saved, &Workbench) + Send + Sync>;

/// A participant under way.
pub struct Driver {
    bench: Arc<Workbench>,
    saved: Saved,
    path: Option<PathBuf>,
    aggregator: Aggregator,
    model: HttpCaller,
    last_contact: Instant,
    leisure: Option<Leisure>,
    on_step: OnStep,
    prepares: bool,
    ahead: Option<Ahead>,
    prepared: u64,
}

impl Driver {
    /// `path` is where the state is kept, if anywhere.
    pub fn new(
        bench: Workbench,
        saved: Saved,
        path: Option<PathBuf>,
        aggregator: Aggregator,
        model: HttpCaller,
        on_step: OnStep,
    ) -> Self {
        Self {
            bench: Arc::new(bench),
            saved,
            path,
            aggregator,
            model,
            last_contact: Instant::now(),
            leisure: None,
            on_step,
            prepares: true,
            ahead: None,
            prepared: 0,
        }
    }

    /// Slows the participant down while no visitor is there.
    #[must_use]
    pub fn at_leisure(mut self, leisure: Leisure) -> Self {
        self.leisure = Some(leisure);
        self
    }

    /// Whether inputs are prepared before they are asked. Nothing but the time depends on it.
    #[cfg(test)]
    #[must_use]
    pub fn preparing(mut self, prepares: bool) -> Self {
        self.prepares = prepares;
        self
    }

    /// Inputs so far that were ready when they were asked.
    pub fn prepared(&self) -> u64 {
        self.prepared
    }

    /// Runs until the machine stops. Dropping the future at any point loses at most the step under way.
    pub async fn run(&mut self) -> Result<StopReason, DriveError> {
        let mut event = Event::Start;
        loop {
            let action = self.saved.client.step(&self.bench.environment(), event);
            self.save()?;
            (self.on_step)(&self.saved, &self.bench);
            event = match action {
                Action::Stop(reason) => {
                    if reason.leaves() {
                        // The lease would run out anyway; this only spares the others the wait.
                        let _ = self.aggregator.leave(&self.saved.federation).await;
                    }
                    return Ok(reason);
                }
                Action::Rest => Event::Resume,
                Action::Evaluate(evaluation) => {
                    let evaluated = self.evaluate(&evaluation).await;
                    self.saved.tally = self.model.purse().tally();
                    match evaluated {
                        Err(DriveError::Model(CallError::Budget { .. })) => Event::MoneySpent,
                        Err(error) => {
                            // What was paid for is paid for.
                            self.save()?;
                            return Err(error);
                        }
                        Ok(event) => event,
                    }
                }
                Action::Sync { after } => {
                    self.persist(async |a, f| a.round(f, after).await, Event::View)
                        .await?
                }
                Action::Read { from } => {
                    self.persist(async |a, f| a.record(f, from).await, Event::Lines)
                        .await?
                }
                Action::Fetch { round, phase } => {
                    self.persist(
                        async |a, f| a.sum_input(f, round, phase).await,
                        Event::Input,
                    )
                    .await?
                }
                Action::Send { round, message } => {
                    let last = message.phase() == Phase::Unmask;
                    let event = self
                        .persist(
                            async |a, f| a.sum_message(f, round, &message).await,
                            |_: RoundView| Event::Accepted,
                        )
                        .await?;
                    if last {
                        self.rest().await;
                    }
                    event
                }
                Action::Contribute { .. } => return Err(DriveError::NoMasks),
                Action::Enrol { round, body } => {
                    self.persist(
                        async |a, f| a.enrol(f, round, &body).await,
                        |_: RoundView| Event::Accepted,
                    )
                    .await?
                }
                Action::Upload(update) => {
                    let event = self
                        .persist(
                            async |a, f| a.update(f, &update).await,
                            |_: RoundView| Event::Accepted,
                        )
                        .await?;
                    self.rest().await;
                    event
                }
            };
        }
    }

    /// The machine.
    pub fn client(&self) -> &Client {
        &self.saved.client
    }

    /// Why nothing more is asked once the money is spent.
    pub fn out_of_money(&self) -> Option<CallError> {
        self.model.purse().spent()
    }

    /// What calling the model has cost, in words; nothing where it has no price.
    pub fn spent(&self) -> Option<String> {
        let price = self.bench.task().model.price.as_ref()?;
        let tally = self.model.purse().tally();
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

    /// Bytes to and from the model API, then to and from the aggregator.
    pub fn bytes(&self) -> [u64; 4] {
        let ((a, b), (c, d)) = (self.model.bytes(), self.aggregator.bytes());
        [a, b, c, d]
    }

    async fn rest(&self) {
        let live = self.saved.client.view().map_or(0, |v| v.live);
        if let Some(leisure) = self.leisure.filter(|l| live <= l.owners) {
            sleep(leisure.pause).await;
        }
    }

    fn save(&self) -> Result<(), StateError> {
        self.path
            .as_ref()
            .map_or(Ok(()), |path| self.saved.write(path))
    }

    /// Asks the aggregator until it answers. A refusal is an answer; an aggregator that is down is waited for.
    async fn persist<T>(
        &mut self,
        ask: impl AsyncFn(&Aggregator, &str) -> Result<T, ApiError>,
        read: impl Fn(T) -> Event,
    ) -> Result<Event, DriveError> {
        let mut pause = Duration::from_millis(250);
        loop {
            match ask(&self.aggregator, &self.saved.federation).await {
                Ok(answer) => {
                    self.last_contact = Instant::now();
                    return Ok(read(answer));
                }
                Err(ApiError::Refused {
                    refusal: federation::round::refusal::Refusal::RateLimited,
                }) => {}
                Err(ApiError::Refused { refusal }) => return Ok(Event::Refused(refusal)),
                Err(ApiError::Problem(problem)) if problem.status < 500 => {
                    return Err(ApiError::Problem(problem).into());
                }
                Err(error) => tracing::warn!(%error, "the aggregator is asked again"),
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    async fn evaluate(&mut self, evaluation: &Evaluation) -> Result<Event, DriveError> {
        let ready = self.ahead.take().map(|ahead| ahead.of(evaluation));
        let upcoming = self.saved.client.upcoming(&self.bench.environment());
        let upcoming = upcoming.filter(|_| self.prepares);
        let done = tokio::select! {
            done = self.ask(evaluation, ready.unwrap_or_default(), upcoming) => done,
            never = self.heartbeats() => match never {},
        };
        let (answers, ahead, prepared) = done?;
        self.ahead = ahead;
        self.prepared += prepared;
        Ok(self.bench.event(&self.saved.client, evaluation, &answers)?)
    }

    /// Another machine may take long to answer; the lease must not run out meanwhile.
    async fn heartbeats(&self) -> Infallible {
        loop {
            tokio::time::sleep_until(self.last_contact + HEARTBEAT).await;
            if let Err(error) = self.aggregator.heartbeat(&self.saved.federation).await {
                tracing::debug!(%error, "heartbeat");
            }
            sleep(HEARTBEAT).await;
        }
    }

    /// The answers, in order, what was prepared while the last of them were awaited, and how many of the inputs asked were
    /// `ready`.
    async fn ask(
        &self,
        evaluation: &Evaluation,
        mut ready: Pieces<Queries>,
        upcoming: Option<Evaluation>,
    ) -> Result<(Vec<Scores>, Option<Ahead>, u64), CallError> {
        let mut asking = Asking::new(evaluation.queries() as usize);
        let (mut preparation, mut prepared) = (None, 0);
        let asked = self.model.ask_missing(
            self.model.purse(),
            &mut asking,
            // Rendered one by one as places come free, while the others' answers are awaited.
            |asking| {
                let (allowed, size) = (self.model.batch(), |all| self.model.cut(all));
                let (request, piece) = ready.cut(asking, allowed, size)?;
                prepared += piece.as_ref().map_or(0, Queries::count) as u64;
                let queries =
                    piece.unwrap_or_else(|| self.bench.queries(evaluation, request.clone()));
                Some((request, queries))
            },
            || {
                preparation = upcoming.map(|next| {
                    let most = self.model.size_of(next.queries() as usize);
                    Preparation::begin(&self.bench, next, most, self.model.window())
                });
            },
        );
        asked.await?;
        let ahead = match preparation {
            Some(preparation) => preparation.end().await,
            None => None,
        };
        Ok((asking.into_answers(), ahead, prepared))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test may panic: that is how it fails.
mod tests {
    use super::*;
    use crate::commands::join::{built_in, workbench};
    use crate::task_source;
    use ::aggregator::{AggregatorConfig, RealClock, Secret};
    use federation::round::client::Client;
    use federation::round::messages::CreateFederation;
    use model_api::ModelApiConfig;
    use model_client::tally::Tally;
    use std::future::pending;
    use std::net::TcpListener;

    /// Two rounds of three steps of 64 images each.
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

    /// One participant's whole federation: θ, images that were ready, queries.
    async fn take_part(prepares: bool) -> (Vec<u8>, u64, u64) {
        // As the program does; a second test's call changes nothing.
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
        let organiser = Aggregator::new(&url, Some(token.reveal().to_owned())).unwrap();
        let invite = loop {
            // The server is only just starting.
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
            tally: Tally::default(),
            client: Client::new(joined.participant),
        };
        let mut driver = Driver::new(
            bench,
            saved,
            None,
            Aggregator::new(&url, Some(joined.token)).unwrap(),
            HttpCaller::new(&task, None).unwrap(),
            Box::new(|_, _| {}),
        )
        .preparing(prepares);
        assert_eq!(driver.run().await.unwrap(), StopReason::Finished);
        let theta = organiser.theta(&invite.federation).await.unwrap();
        serving.iter().for_each(tokio::task::JoinHandle::abort);
        (theta, driver.prepared(), driver.saved.client.spent())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn images_are_ready_before_they_are_asked_and_change_nothing() {
        let (theta, prepared, queries) = take_part(true).await;
        let (theta_without, prepared_without, queries_without) = take_part(false).await;
        // At least one request of each step and at most all: the model's answers decide how many.
        assert!((6 * 32..=6 * 64).contains(&prepared), "{prepared}");
        assert_eq!(prepared_without, 0);
        assert!(theta.iter().any(|byte| *byte != 0));
        assert_eq!(theta, theta_without);
        assert_eq!(queries, queries_without);
    }
}
