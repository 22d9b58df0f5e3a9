//! Carries out the client machine's actions over HTTP until it stops.

use super::aggregator::{Aggregator, ApiError};
use super::caller::{CallError, HttpCaller};
use super::state::{Saved, StateError};
use futures::StreamExt as _;
use shared::round::client::{Action, Client, Evaluation, Event, StopReason};
use shared::round::messages::RoundView;
use shared::round::phase::Phase;
use shared::round::workbench::{AnswerCount, REQUEST_IMAGES, Workbench};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Requests of one evaluation that are under way at once.
const IN_FLIGHT: usize = 4;
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
    bench: Workbench,
    saved: Saved,
    path: Option<PathBuf>,
    aggregator: Aggregator,
    model: HttpCaller,
    most_images: usize,
    last_contact: Instant,
    leisure: Option<Leisure>,
    on_step: OnStep,
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
            bench,
            saved,
            path,
            aggregator,
            model,
            most_images: REQUEST_IMAGES,
            last_contact: Instant::now(),
            leisure: None,
            on_step,
        }
    }

    /// Slows the participant down while no visitor is there.
    #[must_use]
    pub fn at_leisure(mut self, leisure: Leisure) -> Self {
        self.leisure = Some(leisure);
        self
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
                    if matches!(reason, StopReason::Left | StopReason::BudgetSpent) {
                        // The lease would run out anyway; this only spares the others the wait.
                        let _ = self.aggregator.leave(&self.saved.federation).await;
                    }
                    return Ok(reason);
                }
                Action::Rest => Event::Resume,
                Action::Evaluate(evaluation) => self.evaluate(&evaluation).await?,
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
                    refusal: shared::round::refusal::Refusal::RateLimited,
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
        let heartbeat = async {
            // Another machine may take long to answer; the lease must not run out meanwhile.
            loop {
                tokio::time::sleep_until(self.last_contact + HEARTBEAT).await;
                if let Err(error) = self.aggregator.heartbeat(&self.saved.federation).await {
                    tracing::debug!(%error, "heartbeat");
                }
                sleep(HEARTBEAT).await;
            }
        };
        // Rendered one by one as places come free, while the others' answers are awaited.
        let requests = Workbench::requests(evaluation, self.most_images)
            .into_iter()
            .map(|request| {
                let (mut images, count) = (Vec::new(), request.len());
                self.bench.render(evaluation, request, &mut images);
                self.model.ask(images, count)
            });
        let answers = futures::stream::iter(requests)
            .buffered(IN_FLIGHT)
            .collect::<Vec<_>>();
        let answers = tokio::select! {
            answers = answers => answers,
            () = heartbeat => Vec::new(),
        };
        let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(self.bench.event(&self.saved.client, evaluation, &answers)?)
    }
}
