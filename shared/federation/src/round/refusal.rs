//! Refusals: why a message was not taken. Each has a stable code that the client's machine
//! understands.

use serde::{Deserialize, Serialize};

/// Why the aggregator did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[derive(ts_rs::TS)]
#[ts(export)]
pub enum Refusal {
    /// The message belongs to another round.
    #[error("this message belongs to another round; ask for the current one")]
    WrongRound,
    /// The phase for this message is over.
    #[error("the phase for this message is over; the next round will take you")]
    TooLate,
    /// The phase for this message has not begun.
    #[error("the phase for this message has not begun; wait for it")]
    TooEarly,
    /// The message was taken before; nothing changed.
    #[error("this message was taken before; nothing was counted twice")]
    Duplicate,
    /// Only the cohort may send this.
    #[error("this round's cohort was formed without you; the next round will take you")]
    NotInCohort,
    /// The cohort is full.
    #[error("this round's cohort is full; the next round will take you")]
    CohortFull,
    /// The update was computed from another θ.
    #[error("this update was computed from another θ than this round's; load the current one")]
    WrongTheta,
    /// Others were drawn to train (`federation.active`).
    #[error("others were drawn to train in this round; wait for the next one")]
    NotDrawn,
    /// The message's length, or the bytes around it, are wrong.
    #[error("the message is malformed: it has the wrong length or does not parse")]
    Malformed,
    /// The update holds NaN or infinity.
    #[error("the update holds a number that is not finite")]
    NotFinite,
    /// Examples, counts or norms are impossible.
    #[error("a number in the message is outside its allowed range")]
    OutOfRange,
    /// The federation is closed.
    #[error("this federation is closed")]
    FederationClosed,
    /// All rounds are done.
    #[error("this federation has finished all of its rounds")]
    FederationFinished,
    /// The token is missing or wrong.
    #[error("the token is missing or wrong; join again with an invite")]
    Unauthorized,
    /// There is no such federation, participant or round.
    #[error("there is no such thing here; check the address")]
    NotFound,
    /// There is no such invite to this federation.
    #[error("this invite is not valid; ask the organiser for a new one")]
    BadInvite,
    /// The invite has expired.
    #[error("this invite has expired; ask the organiser for a new one")]
    InviteExpired,
    /// The organiser has revoked the invite.
    #[error("the organiser has revoked this invite; ask for a new one")]
    InviteRevoked,
    /// The invite has been used as often as it was made for.
    #[error("this invite is used up; ask the organiser for a new one")]
    InviteUsedUp,
    /// The identity's proof is missing, malformed or somebody else's.
    #[error("the identity's proof does not verify; join again from the invite link")]
    BadIdentity,
    /// The federation takes no more participants.
    #[error("this federation takes no more participants")]
    Full,
    /// The message is over the limit.
    #[error("the message is larger than this route takes")]
    TooLarge,
    /// There were too many requests.
    #[error("too many requests; wait a little")]
    RateLimited,
}

impl Refusal {
    /// All refusals.
    const ALL: [Self; 23] = [
        Self::WrongRound,
        Self::TooLate,
        Self::TooEarly,
        Self::Duplicate,
        Self::NotInCohort,
        Self::CohortFull,
        Self::WrongTheta,
        Self::NotDrawn,
        Self::Malformed,
        Self::NotFinite,
        Self::OutOfRange,
        Self::FederationClosed,
        Self::FederationFinished,
        Self::Unauthorized,
        Self::NotFound,
        Self::BadInvite,
        Self::InviteExpired,
        Self::InviteRevoked,
        Self::InviteUsedUp,
        Self::BadIdentity,
        Self::Full,
        Self::TooLarge,
        Self::RateLimited,
    ];

    /// The stable code, as in the problem document's `code`.
    #[must_use]
    pub fn code(self) -> String {
        // A unit variant serialises as its name.
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Finds a refusal by its code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::WrongRound
            | Self::TooLate
            | Self::TooEarly
            | Self::Duplicate
            | Self::NotInCohort
            | Self::CohortFull
            | Self::WrongTheta
            | Self::NotDrawn => 409,
            Self::Malformed | Self::NotFinite | Self::OutOfRange => 422,
            Self::FederationClosed | Self::FederationFinished => 410,
            Self::Unauthorized => 401,
            Self::BadInvite
            | Self::InviteExpired
            | Self::InviteRevoked
            | Self::InviteUsedUp
            | Self::BadIdentity
            | Self::Full => 403,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(Refusal::from_code(&refusal.code()), Some(refusal));
            assert_eq!(refusal as usize, number);
        }
        // If one were forgotten, it would be the last.
        assert_eq!(Refusal::ALL.len(), Refusal::RateLimited as usize + 1);
        assert_eq!(Refusal::WrongRound.code(), "wrong_round");
        assert_eq!(Refusal::from_code("nonsense"), None);
    }
}
