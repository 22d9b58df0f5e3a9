//! The participants' messages in a round: to enrol, to deliver, and those of a secure sum.

use super::apply::{Body, Message, apply};
use super::store::{Current, Federations as _, Messages as _, Store, Tx};
use super::sums::{admit, in_time, require_plain, require_secure};
use super::{Aggregator, Effects, Federation, Speaker, require_running};
use crate::round::draw::is_drawn;
use crate::round::messages::{Enrolment, RoundView, Standing, SumMessage, Update};
use crate::round::phase::Phase;
use crate::round::refusal::Refusal;
use crate::round::server::Event;
use secure_sum::encoding::RingVector;

/// Refuses a participant who has left, or has got another token, since its token was recognised.
async fn require_present<T: Tx>(tx: &mut T, speaker: &Speaker) -> Result<(), T::Error> {
    tx.by_token(&speaker.token_hash)
        .await?
        .ok_or(Refusal::Unauthorized)?;
    Ok(())
}

impl<S: Store> Aggregator<S> {
    /// Enrols a participant who has an update for round `number`, or who waits for others who were
    /// drawn. Returns the participant's new view.
    ///
    /// # Errors
    /// The phase is another one, the participant was not drawn, or θ is another.
    pub async fn enrol(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        number: u32,
        enrolment: &Enrolment,
        now: u64,
    ) -> Result<RoundView, S::Error> {
        let (task, who) = (&federation.task, speaker.number);
        let done = self
            .store
            .run_tx(&federation.id, "enrol", async |tx| {
                let mut at = tx.current(Some(who), now).await?;
                require_running(at.status)?;
                require_present(tx, speaker).await?;
                if at.round.number != number {
                    return Err(Refusal::WrongRound.into());
                }
                if enrolment.theta != at.theta {
                    return Err(Refusal::WrongTheta.into());
                }
                let (standing, live) = (at.standing, at.live);
                let draw = (at.round.registered, at.round.attempt);
                let policy = task.policy_of(at.kind(task));
                let event = if enrolment.waits {
                    Event::Wait { live }
                } else if is_drawn(&policy, task.seed, at.step, draw, who) {
                    Event::Enrol { standing, live }
                } else {
                    return Err(Refusal::NotDrawn.into());
                };
                step(tx, federation, &mut at, now, event, who, None).await
            })
            .await?;
        Ok(self.told(federation, done))
    }

    /// Takes a participant's update, which came in a body of `bytes` bytes. Returns the
    /// participant's new view.
    ///
    /// # Errors
    /// The update is malformed, sent again, or late, or belongs to another round or θ.
    pub async fn deliver(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        update: &Update,
        bytes: u64,
        now: u64,
    ) -> Result<RoundView, S::Error> {
        let (task, who) = (&federation.task, speaker.number);
        require_plain(task)?;
        let done = self
            .store
            .run_tx(&federation.id, "update", async |tx| {
                let mut at = tx.current(Some(who), now).await?;
                let standing = standing_in(tx, &at, update.round, who).await?;
                in_time(&at, update.round, standing)?;
                require_present(tx, speaker).await?;
                update.validate(task.length_of(at.kind(task)))?;
                if update.theta != at.theta {
                    return Err(Refusal::WrongTheta.into());
                }
                let event = Event::Deliver {
                    standing,
                    phase: Phase::Upload,
                };
                let body = Body::Update(update, bytes);
                step(tx, federation, &mut at, now, event, who, Some(body)).await
            })
            .await?;
        Ok(self.told(federation, done))
    }

    /// Takes a participant's vector for a sum without masks, which exists only in simulations.
    /// Returns the participant's new view.
    ///
    /// # Errors
    /// The task has masks; otherwise those of [`Self::deliver`].
    pub async fn contribute(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        number: u32,
        vector: &[u8],
        now: u64,
    ) -> Result<RoundView, S::Error> {
        let (task, who) = (&federation.task, speaker.number);
        if task.federation.policy.secure.is_some() {
            return Err(Refusal::Malformed.into());
        }
        let done = self
            .store
            .run_tx(&federation.id, "contribute", async |tx| {
                let mut at = tx.current(Some(who), now).await?;
                let standing = standing_in(tx, &at, number, who).await?;
                in_time(&at, number, standing)?;
                require_present(tx, speaker).await?;
                let contribution = task.contribution_of(at.kind(task));
                let layout = contribution.ok_or(Refusal::Malformed)?.layout();
                RingVector::from_bytes(layout, vector).map_err(|_| Refusal::Malformed)?;
                let event = Event::Deliver {
                    standing,
                    phase: Phase::Upload,
                };
                let body = Body::Vector(vector);
                step(tx, federation, &mut at, now, event, who, Some(body)).await
            })
            .await?;
        Ok(self.told(federation, done))
    }

    /// Takes a participant's message of a secure sum in round `number`, which came as `body`.
    /// Returns the participant's new view.
    ///
    /// # Errors
    /// The message is malformed, wrongly signed, sent again, or late.
    pub async fn send(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        number: u32,
        message: &SumMessage,
        body: &[u8],
        now: u64,
    ) -> Result<RoundView, S::Error> {
        let (task, who) = (&federation.task, speaker.number);
        require_secure(task)?;
        // Checked before anything is locked, because signatures take time.
        let (_, grounds) = self
            .store
            .read(&federation.id, async |tx| {
                admit(tx, federation, number, speaker, message, now).await
            })
            .await?;
        grounds.judge(task, who, message)?;
        let done = self
            .store
            .run_tx(&federation.id, "sum", async |tx| {
                require_present(tx, speaker).await?;
                let (mut at, grounds_now) =
                    admit(tx, federation, number, speaker, message, now).await?;
                if grounds_now != grounds {
                    grounds_now.judge(task, who, message)?;
                }
                let event = Event::Deliver {
                    standing: at.standing,
                    phase: message.phase(),
                };
                let body = Body::Sum(message, body);
                step(tx, federation, &mut at, now, event, who, Some(body)).await
            })
            .await?;
        Ok(self.told(federation, done))
    }

    /// What a participant needs for its message in `phase` of round `number`, in the form in which
    /// it is sent.
    ///
    /// # Errors
    /// The participant is not in the sum, or the phase has not begun.
    pub async fn input(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        number: u32,
        phase: Phase,
        now: u64,
    ) -> Result<Vec<u8>, S::Error> {
        require_secure(&federation.task)?;
        let from = speaker.number;
        // Reads one state, because the round may move on meanwhile.
        self.store
            .read(&federation.id, async |tx| {
                let at = tx.current(Some(from), now).await?;
                require_running(at.status)?;
                if at.round.number != number {
                    return Err(Refusal::WrongRound.into());
                }
                if !tx.has_message(number, Phase::Keys, from).await? {
                    return Err(match at.round.phase {
                        Phase::Open => Refusal::TooEarly.into(),
                        _ => Refusal::NotInCohort.into(),
                    });
                }
                if at.round.phase < phase || at.round.phase.is_terminal() {
                    return Err(Refusal::TooEarly.into());
                }
                // Those who dropped out on the way are told nothing more.
                let sent = match phase {
                    Phase::Confirm => Phase::Masked,
                    Phase::Unmask => Phase::Confirm,
                    _ => Phase::Keys,
                };
                let body = match phase {
                    Phase::Masked => tx.inbox(from).await?,
                    _ if tx.has_message(number, sent, from).await? => tx.frozen_in(phase).await?,
                    _ => None,
                };
                Ok(body.ok_or(Refusal::NotInCohort)?)
            })
            .await
    }
}

/// The speaker's standing in round `number`, which may be over.
async fn standing_in<T: Tx>(
    tx: &mut T,
    at: &Current,
    number: u32,
    who: u32,
) -> Result<Standing, T::Error> {
    if at.round.number == number {
        return Ok(at.standing);
    }
    tx.standing(number, who).await
}

/// Applies the speaker's event. Returns the new view, and what changed.
async fn step<T: Tx>(
    tx: &mut T,
    federation: &Federation,
    at: &mut Current,
    now: u64,
    event: Event,
    speaker: u32,
    body: Option<Body<'_>>,
) -> Result<(RoundView, Effects), T::Error> {
    let mut effects = Effects::default();
    let message = Message {
        speaker: Some(speaker),
        body,
    };
    apply(tx, federation, at, now, event, message, &mut effects).await?;
    Ok((at.view(&federation.task, now), effects))
}
