//! The reasons for which a participant refuses a message.

use serde::{Deserialize, Serialize};

/// Why a participant does not answer: the message would harm it, or makes no sense. The round is
/// over for it; its vector was not sent, or stays masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Suspicion {
    /// A number of the policy is outside its range.
    #[error("the policy of secure sums is not one that protects")]
    BadPolicy,
    /// The request needs an earlier step that was left out.
    #[error("a step of the secure sum was left out")]
    OutOfOrder,
    /// The message is about another roster, or has parts that were not asked for.
    #[error("the message does not belong here")]
    Malformed,
    /// The roster, or the vector, is larger than the limit.
    #[error("the cohort or the vector is too large")]
    TooLarge,
    /// This participant is not in the roster.
    #[error("this participant's keys are missing in the cohort")]
    OwnKeyMissing,
    /// The roster has other keys for this participant than its own.
    #[error("this participant's keys were changed")]
    OwnKeyChanged,
    /// One public key appears twice in the roster.
    #[error("one key appears twice in the cohort")]
    DuplicateKey,
    /// One participant or one identity appears twice.
    #[error("one participant appears twice")]
    DuplicateMember,
    /// A list that must be strictly increasing is not.
    #[error("a list of participants is not sorted")]
    NotSorted,
    /// A member's keys are not signed by its identity for this sum.
    #[error("a member's keys are not signed for this sum")]
    BadSignature,
    /// A member's identity differs from the one seen before.
    #[error("a member's identity is not the one seen before")]
    IdentityChanged,
    /// The cohort, this participant's group, or those in it who dealt shares are too few.
    #[error("the cohort is too small")]
    TooFewMembers,
    /// U2 ⊄ U1 or U3 ⊄ U2.
    #[error("a later list names someone whom the earlier one did not")]
    NotASubset,
    /// This participant did its part, but the list leaves it out.
    #[error("the list leaves this participant out although it answered")]
    Excluded,
    /// A member dealt shares, but none for this participant arrived.
    #[error("a member's shares for this participant are missing")]
    SharesMissing,
    /// An envelope does not open: its sender, or the server, is malicious.
    #[error("a member's shares do not open")]
    BadEnvelope,
    /// There are so few survivors that their sum would reveal too much.
    #[error("too few survivors to open the sum")]
    TooFewSurvivors,
    /// A survivor's vector is not signed for the senders that this participant was shown: the
    /// aggregator told the two different things, or put another vector in its place.
    #[error("a survivor was shown other senders than this participant")]
    OtherSenders,
    /// A survivor's signature over the sets is not one over the sets that this participant was
    /// shown.
    #[error("a survivor was shown other survivors than this participant")]
    OtherSurvivors,
    /// Fewer members of the group than a sum needs have confirmed the survivors.
    #[error("too few participants confirm who is in the sum")]
    TooFewConfirmed,
    /// The same step was requested before, with another input.
    #[error("a second request of this round differs from the first")]
    SecondRequest,
    /// A public key has small order, or a non-canonical encoding.
    #[error("a member's key is of no use")]
    WeakKey,
}

impl Suspicion {
    /// All suspicions.
    pub const ALL: [Self; 22] = [
        Self::BadPolicy,
        Self::OutOfOrder,
        Self::Malformed,
        Self::TooLarge,
        Self::OwnKeyMissing,
        Self::OwnKeyChanged,
        Self::DuplicateKey,
        Self::DuplicateMember,
        Self::NotSorted,
        Self::BadSignature,
        Self::IdentityChanged,
        Self::TooFewMembers,
        Self::NotASubset,
        Self::Excluded,
        Self::SharesMissing,
        Self::BadEnvelope,
        Self::TooFewSurvivors,
        Self::OtherSenders,
        Self::OtherSurvivors,
        Self::TooFewConfirmed,
        Self::SecondRequest,
        Self::WeakKey,
    ];

    /// The stable code, as it is serialised.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BadPolicy => "bad-policy",
            Self::OutOfOrder => "out-of-order",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::OwnKeyMissing => "own-key-missing",
            Self::OwnKeyChanged => "own-key-changed",
            Self::DuplicateKey => "duplicate-key",
            Self::DuplicateMember => "duplicate-member",
            Self::NotSorted => "not-sorted",
            Self::BadSignature => "bad-signature",
            Self::IdentityChanged => "identity-changed",
            Self::TooFewMembers => "too-few-members",
            Self::NotASubset => "not-a-subset",
            Self::Excluded => "excluded",
            Self::SharesMissing => "shares-missing",
            Self::BadEnvelope => "bad-envelope",
            Self::TooFewSurvivors => "too-few-survivors",
            Self::OtherSenders => "other-senders",
            Self::OtherSurvivors => "other-survivors",
            Self::TooFewConfirmed => "too-few-confirmed",
            Self::SecondRequest => "second-request",
            Self::WeakKey => "weak-key",
        }
    }
}
