//! The training loop: carries out the machine's open action, feeds it the event, saves, and so on until it
//! rests or stops. The aggregator being away is waited out; the model API failing pauses the training.

use std::rc::Rc;

use shared::round::client::{Action, Event};
use shared::round::messages::RoundView;
use shared::round::refusal::Refusal;

use super::aggregator::Failure;
use super::owner::Owner;
use super::report::{Place, Trouble};
use super::timer::{back_off, first, sleep};

/// While the model is asked, the aggregator hears of us this often. Leases last 90 s and more.
const HEARTBEAT_MS: f64 = 30_000.0;
/// Longest pause between two tries to reach the aggregator.
const LONGEST_WAIT_MS: f64 = 30_000.0;
/// So many tries before the owner is told.
const QUIET_TRIES: u32 = 2;

/// Runs until the machine stops. A second call while it runs changes nothing.
pub async fn run(owner: Rc<Owner>) {
    if owner.running.replace(true) {
        return;
    }
    let mut action = owner.step(Event::Start);
    loop {
        if let Action::Stop(reason) = action {
            owner.stop.set(Some(reason));
        }
        // Before anything is sent: after a reload the same bytes must be sent again. Other shares or another
        // vector for the same sum would give the update away.
        let stored = owner.save_state().await;
        if !stored && matches!(action, Action::Send { .. }) {
            owner.trouble(&unstored());
            action = owner.step(Event::Pause);
        }
        owner.progress(true);
        if matches!(action, Action::Stop(_)) {
            break;
        }
        // Whoever raises `changed` has fed the machine already: its open action is asked for again.
        let event = first(owner.carry_out(&action), owner.changed.wait())
            .await
            .unwrap_or(Event::Start);
        let unchanged_sync =
            matches!(action, Action::Sync { after: None }) && matches!(event, Event::View(_));
        action = owner.step(event);
        if unchanged_sync && matches!(action, Action::Sync { after: None }) {
            // The answer led nowhere; never ask in a tight loop.
            let _ = first(sleep(1_000.0), owner.changed.wait()).await;
        }
    }
    owner.running.set(false);
}

impl Owner {
    async fn carry_out(&self, action: &Action) -> Event {
        match action {
            Action::Sync { after } => match self.persist(async || self.look(*after).await).await {
                Ok(view) => Event::View(view),
                Err(refusal) => Event::Refused(refusal),
            },
            Action::Read { from } => match self
                .persist(async || self.aggregator.record(*from).await)
                .await
            {
                Ok(lines) => Event::Lines(lines),
                Err(refusal) => Event::Refused(refusal),
            },
            Action::Evaluate(evaluation) => {
                match first(self.evaluate(evaluation), self.heartbeats(action)).await {
                    Ok(Ok(event)) => event,
                    Ok(Err(trouble)) => {
                        self.trouble(&trouble);
                        Event::Pause
                    }
                    Err(()) => Event::Start,
                }
            }
            Action::Enrol { round, body } => {
                let token = self.token();
                self.accepted(
                    self.persist(async || self.aggregator.enrol(&token, *round, body).await)
                        .await,
                )
            }
            Action::Upload(update) => {
                let token = self.token();
                self.accepted(
                    self.persist(async || self.aggregator.upload(&token, update).await)
                        .await,
                )
            }
            Action::Fetch { round, phase } => {
                let token = self.token();
                match self
                    .persist(async || self.aggregator.input(&token, *round, *phase).await)
                    .await
                {
                    Ok(input) => Event::Input(input),
                    Err(refusal) => Event::Refused(refusal),
                }
            }
            Action::Send { round, message } => {
                let token = self.token();
                self.accepted(
                    self.persist(async || self.aggregator.sum(&token, *round, message).await)
                        .await,
                )
            }
            // Tasks that sum without masks are not opened here.
            Action::Contribute { .. } => Event::Refused(Refusal::Malformed),
            // Somebody raises `changed`.
            Action::Rest | Action::Stop(_) => std::future::pending().await,
        }
    }

    /// What came back is news of the round as well.
    fn accepted(&self, result: Result<RoundView, Refusal>) -> Event {
        match result {
            Ok(view) => {
                self.step(Event::Accepted);
                Event::View(view)
            }
            Err(refusal) => Event::Refused(refusal),
        }
    }

    /// Where the round is. A tab that becomes visible does not wait for a change any longer.
    async fn look(&self, after: Option<u64>) -> Result<RoundView, Failure> {
        let token = self.token();
        match first(self.aggregator.round(&token, after), self.visible.wait()).await {
            Ok(result) => result,
            Err(()) => self.aggregator.round(&token, None).await,
        }
    }

    /// Tries until the aggregator answers yes or no.
    async fn persist<T>(
        &self,
        mut request: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Refusal> {
        let mut tries = 0;
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Refused(refusal, _)) => return Err(refusal),
                Err(Failure::Outage(why)) => {
                    if tries == QUIET_TRIES {
                        self.trouble(&outage(&why, Place::Training));
                    }
                    let pause = sleep(back_off(tries, 1_000.0, LONGEST_WAIT_MS));
                    let _ = first(pause, self.visible.wait()).await;
                    tries += 1;
                }
            }
        }
    }

    /// Renews the lease during a long evaluation, and breaks it off when the round has moved on without us.
    async fn heartbeats(&self, action: &Action) {
        loop {
            let _ = first(sleep(HEARTBEAT_MS), self.visible.wait()).await;
            let token = self.token();
            let event = match self.aggregator.round(&token, None).await {
                Ok(view) => Event::View(view),
                Err(Failure::Refused(
                    refusal @ (Refusal::Unauthorized
                    | Refusal::NotFound
                    | Refusal::FederationClosed),
                    _,
                )) => Event::Refused(refusal),
                // Later.
                Err(_) => continue,
            };
            if self.step(event) != *action {
                return;
            }
            self.progress(false);
        }
    }
}

/// A secure sum's message would be sent, but the state that it belongs to is kept nowhere.
fn unstored() -> Trouble {
    Trouble::new(
        Place::Storage,
        "sum_not_stored",
        "Paused: this browser could not store what belongs to the secure sum",
        "Nothing was sent. If this tab were reloaded now, it could not go on with the same sum, and beginning it twice could give your change away. Free some disk space or allow this site to store data, then press Resume.",
    )
}

/// The aggregator does not answer.
pub fn outage(why: &str, place: Place) -> Trouble {
    Trouble::new(
        place,
        "aggregator_unreachable",
        "The federation's server does not answer",
        format!("Right now {why}. This page keeps trying by itself, and nothing is lost."),
    )
}
