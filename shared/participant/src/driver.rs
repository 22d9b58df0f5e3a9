//! The loop of a participant: carries out the machine's open action, tells the machine the result,
//! stores the state, and repeats until the machine stops. While the aggregator is away it waits.

use crate::api::ApiError;
use crate::error::DriveError;
use crate::evaluate::evaluate;
use crate::platform::Platform;
use federation::round::client::{Action, Event, StopReason};
use federation::round::phase::Phase;
use federation::round::refusal::Refusal;
use futures::future::{Either, select};
use model_client::caller::CallError;
use model_client::retry::back_off;
use model_client::transport::Transport as _;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;

/// Interval in milliseconds at which the round is looked at while the model is asked. Each look
/// renews the lease; leases last 90 s and more.
const HEARTBEAT_MS: f64 = 30_000.0;
/// Milliseconds before the round is looked at again if the last look led nowhere.
const AGAIN_MS: f64 = 1_000.0;

/// Takes part until the machine stops. Dropping the future at any point loses at most the step
/// under way.
///
/// # Errors
/// The errors with which [`Platform::failed`] ends the run.
pub async fn run<P: Platform>(platform: &P) -> Result<StopReason, DriveError> {
    let me = platform.participant();
    let mut action = me.step(Event::Start);
    loop {
        // Listens from here on, so that nothing that is told while the state is stored is missed.
        let changed = me.changed.listen();
        // Before anything is sent, because the same bytes must be sent again after a restart. Other
        // shares, or another vector, for the same sum would reveal the update.
        let kept = platform.save().await.map_err(DriveError::State);
        let failed = match kept {
            Ok(false) if matches!(action, Action::Send { .. }) => Some(DriveError::UnkeptSum),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            action = me.step(give_up(platform, error).await?);
        }
        platform.show(true);
        if let Action::Stop(reason) = action {
            if reason.leaves() {
                me.give_up_lease().await;
            }
            return Ok(reason);
        }
        // Whatever raised `changed` has already told the machine, so its open action is asked for
        // again.
        let done = first(carry_out(platform, &action), changed).await;
        let event = match done {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => give_up(platform, error).await?,
            Err(()) => Event::Start,
        };
        let looked =
            matches!(action, Action::Sync { after: None }) && matches!(event, Event::View(_));
        action = me.step(event);
        if looked && matches!(action, Action::Sync { after: None }) {
            // The answer led nowhere; the loop must never be tight.
            let pause = me.api.transport().sleep(AGAIN_MS);
            let _ = first(pause, me.changed.listen()).await;
        }
    }
}

/// The result of `work`, or that of `other` as an `Err` if `other` finishes first. The loser is
/// dropped, which cancels its requests.
async fn first<A, B>(
    work: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> Result<A, B> {
    match select(pin!(work), pin!(other)).await {
        Either::Left((a, _)) => Ok(a),
        Either::Right((b, _)) => Err(b),
    }
}

/// The event that tells the machine of a failure; or the failure, if it ends the run.
async fn give_up<P: Platform>(platform: &P, error: DriveError) -> Result<Event, DriveError> {
    let spent = matches!(error, DriveError::Model(CallError::Budget { .. }));
    match platform.failed(error).await {
        _ if spent => Ok(Event::MoneySpent),
        ControlFlow::Continue(()) => Ok(Event::Pause),
        ControlFlow::Break(error) => {
            // What was paid must not be forgotten. A failure to store it matters less than the
            // first one.
            let _ = platform.save().await;
            Err(error)
        }
    }
}

async fn carry_out<P: Platform>(platform: &P, action: &Action) -> Result<Event, DriveError> {
    match action {
        Action::Evaluate(evaluation) => {
            let evaluated = evaluate(platform, evaluation);
            match first(evaluated, heartbeats(platform, action)).await {
                Ok(event) => event,
                // The round has moved on: the work under way is given up, and nothing more is
                // asked.
                Err(()) => Ok(Event::Start),
            }
        }
        Action::Contribute { .. } => Err(DriveError::NoMasks),
        // Until `changed` is raised.
        Action::Rest | Action::Stop(_) => std::future::pending().await,
        _ => persist(platform, action).await,
    }
}

/// Asks the aggregator until it accepts or refuses, and waits for one that is away.
async fn persist<P: Platform>(platform: &P, action: &Action) -> Result<Event, DriveError> {
    let me = platform.participant();
    let clock = me.api.transport();
    let (mut action, mut tries) = (action, 0);
    let last = match action {
        Action::Upload(_) => true,
        Action::Send { message, .. } => message.phase() == Phase::Unmask,
        _ => false,
    };
    loop {
        let asked = me.api.carry_out(&me.federation, action);
        let error = match first(asked, me.visible.listen()).await {
            Ok(Ok(event)) => {
                if matches!(
                    action,
                    Action::Enrol { .. } | Action::Upload(_) | Action::Send { .. }
                ) {
                    // It was accepted, and the answer brings news of the round as well.
                    me.step(Event::Accepted);
                }
                if last {
                    platform.delivered().await;
                }
                return Ok(event);
            }
            Ok(Err(error)) => error,
            // A tab that becomes visible stops waiting for a change. Anything else that was asked
            // is asked again, which is harmless.
            Err(()) => {
                if matches!(action, Action::Sync { .. }) {
                    action = &Action::Sync { after: None };
                }
                continue;
            }
        };
        match error {
            // Being told to wait is no refusal.
            ApiError::Refused { refusal, .. } if refusal != Refusal::RateLimited => {
                return Ok(Event::Refused(refusal));
            }
            ApiError::Problem(problem) if problem.status < 500 => {
                return Err(ApiError::Problem(problem).into());
            }
            error => {
                tries += 1;
                platform.outage(&error, tries);
            }
        }
        let pause = clock.sleep(back_off(tries, clock.uniform()));
        let _ = first(pause, me.visible.listen()).await;
    }
}

/// Renews the lease during a long evaluation. Ends when the machine wants something else because
/// the round has moved on.
async fn heartbeats<P: Platform>(platform: &P, action: &Action) {
    let me = platform.participant();
    loop {
        let pause = me.api.transport().sleep(HEARTBEAT_MS);
        let _ = first(pause, me.visible.listen()).await;
        let event = match me.api.round(&me.federation, None).await {
            Ok(view) => Event::View(view),
            Err(ApiError::Refused {
                refusal:
                    refusal @ (Refusal::Unauthorized | Refusal::NotFound | Refusal::FederationClosed),
                ..
            }) => Event::Refused(refusal),
            // It will try again later.
            Err(_) => continue,
        };
        if me.step(event) != *action {
            return;
        }
        platform.show(false);
    }
}
