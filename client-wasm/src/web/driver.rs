//! The training loop: carries out the machine's open action, feeds it the event, saves, and so on until it
//! rests or stops. The aggregator being away is waited out; the model API failing pauses the training.

use std::rc::Rc;

use federation::round::client::{Action, Event};
use federation::round::refusal::Refusal;

use super::aggregator::{Failure, Request};
use super::ask::OUT_OF_MONEY;
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
    if let Action::Stop(reason) = action
        && reason.leaves()
    {
        owner.give_up_lease(&owner.token()).await;
    }
}

impl Owner {
    async fn carry_out(&self, action: &Action) -> Event {
        if let Some(request) = Request::of(action) {
            return match self.persist(request).await {
                Ok(event) => event,
                Err(refusal) => Event::Refused(refusal),
            };
        }
        match action {
            Action::Evaluate(evaluation) => {
                match first(self.evaluate(evaluation), self.heartbeats(action)).await {
                    Ok(Ok(event)) => event,
                    Ok(Err(trouble)) => {
                        self.trouble(&trouble);
                        if trouble.code == OUT_OF_MONEY {
                            Event::MoneySpent
                        } else {
                            Event::Pause
                        }
                    }
                    Err(()) => Event::Start,
                }
            }
            // Tasks that sum without masks are not opened here.
            Action::Contribute { .. } => Event::Refused(Refusal::Malformed),
            // Somebody raises `changed`.
            _ => std::future::pending().await,
        }
    }

    /// Tries until the aggregator answers yes or no.
    async fn persist(&self, mut request: Request) -> Result<Event, Refusal> {
        let mut tries = 0;
        loop {
            let token = self.token();
            let asked = self.aggregator.ask(&token, &request);
            let answer = match first(asked, self.visible.wait()).await {
                Ok(answer) => answer,
                // A tab that becomes visible does not wait for a change any longer; whatever else was asked is
                // asked again, which does no harm.
                Err(()) => {
                    if request.holds_back() {
                        request = Request::look(None);
                    }
                    continue;
                }
            };
            match answer {
                Ok(event) => {
                    if request.is_message() {
                        // It was taken; what came back is news of the round as well.
                        self.step(Event::Accepted);
                    }
                    return Ok(event);
                }
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
            let event = match self.aggregator.ask(&token, &Request::look(None)).await {
                Ok(event) => event,
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
