//! Participants: invites, joining, tokens, leases, and leaving.

use super::apply::leave;
use super::store::{
    Federations as _, Invites as _, NewInvite, NewParticipant, Participants as _, Store,
};
use super::{Aggregator, CommandError, Effects, Federation, Speaker, require_running};
use crate::round::messages::{FederationStatus, InviteSummary};
use crate::round::refusal::Refusal;

/// Maximum number of invites of one federation, so that a list of them stays readable.
const MOST_INVITES: u32 = 10_000;

/// A request to join.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    /// Hash of the invite's secret.
    pub invite: &'a str,
    /// An Ed25519 public key in lower-case hexadecimal whose possession was proved; `None` for
    /// none.
    pub identity: Option<&'a str>,
    /// Hash of the token with which the participant will speak.
    pub token_hash: &'a str,
    /// Maximum number of participants of a federation.
    pub most: u32,
}

/// Checks that a newcomer may join with an invite at time `now`.
fn admit(invite: &InviteSummary, now: u64) -> Result<(), Refusal> {
    readmit(invite)?;
    if invite.expires_at.is_some_and(|end| now >= end) {
        return Err(Refusal::InviteExpired);
    }
    if invite.uses.is_some_and(|uses| invite.used >= uses) {
        return Err(Refusal::InviteUsedUp);
    }
    Ok(())
}

/// Checks that a participant who joined with an invite before may join again, whatever its expiry
/// and uses.
fn readmit(invite: &InviteSummary) -> Result<(), Refusal> {
    if invite.revoked {
        return Err(Refusal::InviteRevoked);
    }
    Ok(())
}

impl<S: Store> Aggregator<S> {
    /// Makes an invite.
    ///
    /// # Errors
    /// The federation is over, or has too many invites.
    pub async fn invite(&self, federation: &str, new: &NewInvite<'_>) -> Result<(), S::Error> {
        self.store
            .run_tx(federation, "invite", async |tx| {
                require_running(tx.current(None, new.now).await?.status)?;
                if tx.count_invites().await? >= MOST_INVITES {
                    return Err(CommandError::RefusedBecause(
                        Refusal::Full,
                        format!("it has {MOST_INVITES} invites already"),
                    )
                    .into());
                }
                tx.insert_invite(new).await
            })
            .await
    }

    /// Revokes an invite, and returns its state. Revoking it again changes nothing.
    ///
    /// # Errors
    /// There is no such invite.
    pub async fn revoke(
        &self,
        federation: &str,
        invite: &str,
        now: u64,
    ) -> Result<InviteSummary, S::Error> {
        self.store
            .run_tx(federation, "revoke", async |tx| {
                tx.revoke_invite(invite, now).await
            })
            .await
    }

    /// Lets a participant join, and returns its number. A participant who joins again with the same
    /// identity gets the same number, and its former token becomes void.
    ///
    /// # Errors
    /// The invite or the federation does not admit the participant.
    /// The invite or the federation does not take them.
    pub async fn join(
        &self,
        federation: &Federation,
        join: Join<'_>,
        now: u64,
    ) -> Result<u32, S::Error> {
        let policy = &federation.task.federation.policy;
        if join.identity.is_none() && policy.secure.is_some() {
            return Err(CommandError::RefusedBecause(
                Refusal::BadIdentity,
                "updates are summed under masks here: join with an identity and its proof"
                    .to_owned(),
            )
            .into());
        }
        let lease_until = now.saturating_add(policy.lease_ms);
        let done = self
            .store
            .run_tx(&federation.id, "join", async |tx| {
                let found = tx.invite_by_hash(join.invite).await?;
                let found = found.ok_or(Refusal::BadInvite)?;
                let mut at = tx.current(None, now).await?;
                require_running(at.status)?;
                let known = match join.identity {
                    Some(identity) => tx.by_identity(identity).await?,
                    None => None,
                };
                match &known {
                    Some(member) if member.invite == join.invite => readmit(&found)?,
                    _ => admit(&found, now)?,
                }
                let number = if let Some(member) = known {
                    // Anyone who holds the key is the participant.
                    tx.readmit(member.number, join.token_hash, lease_until)
                        .await?;
                    member.number
                } else {
                    if at.participants >= join.most {
                        return Err(Refusal::Full.into());
                    }
                    let new = NewParticipant {
                        number: at.participants,
                        token_hash: join.token_hash,
                        identity: join.identity,
                        invite: join.invite,
                        now,
                        lease_until,
                    };
                    tx.insert_participant(&new).await?;
                    tx.count_use(join.invite).await?;
                    at.participants
                };
                // The number of live participants is part of every view.
                let mut effects = Effects::default();
                at.bump(tx, &mut effects).await?;
                Ok((number, effects))
            })
            .await?;
        Ok(self.told(federation, done))
    }

    /// The participant whose token has this hash.
    ///
    /// # Errors
    /// The token is no participant's, or its participant has left.
    pub async fn recognise(
        &self,
        federation: &Federation,
        token_hash: &str,
    ) -> Result<Speaker, S::Error> {
        let found = self
            .store
            .read(&federation.id, async |tx| tx.by_token(token_hash).await)
            .await?;
        Ok(found.ok_or(Refusal::Unauthorized)?)
    }

    /// Notes that a participant was heard from at `now`, and prolongs its lease if that is worth a
    /// write.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn renew(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        now: u64,
    ) -> Result<(), S::Error> {
        let lease_ms = federation.task.federation.policy.lease_ms;
        let until = now.saturating_add(lease_ms);
        if speaker.lease_until >= until - lease_ms / 4 {
            return Ok(());
        }
        self.store
            .run_tx(&federation.id, "renew", async |tx| {
                tx.renew(speaker.number, until).await
            })
            .await
    }

    /// Lets a participant leave for good.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn leave(
        &self,
        federation: &Federation,
        speaker: &Speaker,
        now: u64,
    ) -> Result<(), S::Error> {
        let number = speaker.number;
        let done = self
            .store
            .run_tx(&federation.id, "leave", async |tx| {
                let mut effects = Effects::default();
                tx.depart(number).await?;
                let mut at = tx.current(Some(number), now).await?;
                // The number of live participants is part of every view.
                at.bump(tx, &mut effects).await?;
                if at.status == FederationStatus::Running {
                    leave(tx, federation, &mut at, number, now, &mut effects).await?;
                }
                Ok(((), effects))
            })
            .await?;
        self.told(federation, done);
        Ok(())
    }
}
