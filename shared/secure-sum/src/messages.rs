//! The messages between participants and the aggregator in a secure sum; binary ([`ground::wire`]).
//! Sets travel as strictly increasing lists.

use super::{Bytes32, Context, digest, identity, labelled};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// An Ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

// serde supports arrays of up to 32 entries: hence two of them, which postcard writes as 64 plain
// bytes.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&self.0[..32]);
        s.copy_from_slice(&self.0[32..]);
        (r, s).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (r, s): (Bytes32, Bytes32) = Deserialize::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r);
        bytes[32..].copy_from_slice(&s);
        Ok(Self(bytes))
    }
}

/// One participant's public keys for one sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundKeys {
    /// X25519 public key to which shares are sealed.
    pub encryption: Bytes32,
    /// X25519 public key from which pair masks are derived.
    pub masking: Bytes32,
    /// The identity's signature over [`RoundKeys::signed`].
    pub signature: Signature,
}

impl RoundKeys {
    /// The bytes that the identity signs.
    #[must_use]
    pub fn signed(
        context: &Bytes32,
        participant: u32,
        encryption: &Bytes32,
        masking: &Bytes32,
    ) -> Vec<u8> {
        labelled(
            "round keys",
            &[context, &participant.to_le_bytes(), encryption, masking],
        )
    }
}

/// A participant with its keys, as everyone in the cohort sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The participant's number in the federation.
    pub participant: u32,
    /// Ed25519 public key.
    pub identity: Bytes32,
    /// The public keys for this sum.
    pub keys: RoundKeys,
}

impl Member {
    /// Returns whether the identity signed the keys for this sum.
    #[must_use]
    pub fn is_signed(&self, context: &Context) -> bool {
        self.is_signed_in(&context.digest())
    }

    /// Does what [`Member::is_signed`] does with [`Context::digest`], for checking many members.
    pub fn is_signed_in(&self, context: &Bytes32) -> bool {
        let RoundKeys {
            encryption,
            masking,
            signature,
        } = &self.keys;
        let signed = RoundKeys::signed(context, self.participant, encryption, masking);
        identity::verify(&self.identity, &signed, &signature.0)
    }
}

/// U1: the frozen list of participants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The members by participant, strictly increasing.
    pub members: Vec<Member>,
}

impl Roster {
    /// Hash of everything in the roster, on which the cohort agrees.
    #[must_use]
    pub fn hash(&self) -> Bytes32 {
        let mut bytes = Vec::with_capacity(164 * self.members.len());
        for member in &self.members {
            bytes.extend_from_slice(&member.participant.to_le_bytes());
            bytes.extend_from_slice(&member.identity);
            bytes.extend_from_slice(&member.keys.encryption);
            bytes.extend_from_slice(&member.keys.masking);
            bytes.extend_from_slice(&member.keys.signature.0);
        }
        digest("roster", &[&bytes])
    }

    /// The members' numbers.
    #[must_use]
    pub fn participants(&self) -> Vec<u32> {
        let mut participants = Vec::with_capacity(self.members.len());
        for member in &self.members {
            participants.push(member.participant);
        }
        participants
    }

    /// Finds a member, provided that the roster is sorted.
    #[must_use]
    pub fn member(&self, participant: u32) -> Option<&Member> {
        let at = self
            .members
            .binary_search_by_key(&participant, |m| m.participant)
            .ok()?;
        self.members.get(at)
    }
}

/// Two shares for one holder, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The addressee in [`Shares`], the sender in [`Inbox`].
    pub peer: u32,
    /// ChaCha20-Poly1305 over both shares: 80 bytes.
    pub sealed: Vec<u8>,
}

/// A participant's shares for the other holders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// Hash of the roster to which they were dealt.
    pub roster: Bytes32,
    /// Exactly one envelope for each other holder, by `peer`.
    pub envelopes: Vec<Envelope>,
}

/// U2, and the shares that its members dealt to the addressee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// U2: all participants who dealt shares, strictly increasing.
    pub senders: Vec<u32>,
    /// One envelope from each of them whose shares the addressee holds, by `peer`.
    pub envelopes: Vec<Envelope>,
}

/// A masked vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// Hash of U2 by [`hash_senders`].
    pub senders: Bytes32,
    /// The vector in the form of [`super::encoding::RingVector::to_bytes`].
    pub vector: Vec<u8>,
    /// The identity's signature over [`commitment`].
    pub signature: Signature,
}

/// A participant whose masked vector is in the sum, and its commitment to that vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// The participant's number in the federation.
    pub participant: u32,
    /// SHA-256 of the masked vector, [`hash_vector`].
    pub vector: Bytes32,
    /// The identity's signature over [`commitment`], as in [`Masked::signature`]. It covers U2, so
    /// that a holder sees whether this member was shown the same senders.
    pub signature: Signature,
}

/// U3: the participants whose masked vectors are in the sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivors {
    /// The survivors by participant, strictly increasing. A participant in U2 that is not listed
    /// here has dropped out: the two cannot overlap.
    pub members: Vec<Survivor>,
}

impl Survivors {
    /// The survivors' numbers.
    #[must_use]
    pub fn participants(&self) -> Vec<u32> {
        self.members.iter().map(|s| s.participant).collect()
    }
}

/// A survivor's signed statement of which sets it was shown: nobody releases a share before enough
/// members of its group have stated the same.
///
/// Source: Bonawitz et al., CCS 2017, round 3 (ConsistencyCheck).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Hash of U3 by [`hash_survivors`].
    pub survivors: Bytes32,
    /// The identity's signature over [`Confirmation::signed`].
    pub signature: Signature,
}

impl Confirmation {
    /// The bytes that the identity signs: the sum, who signs, and the three sets that it was shown,
    /// as [`Roster::hash`], [`hash_senders`] and [`hash_survivors`].
    #[must_use]
    pub fn signed(
        context: &Bytes32,
        participant: u32,
        roster: &Bytes32,
        senders: &Bytes32,
        survivors: &Bytes32,
    ) -> Vec<u8> {
        let number = participant.to_le_bytes();
        labelled("survivors", &[context, &number, roster, senders, survivors])
    }
}

/// U4: the confirmations of the survivors who sent one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmations {
    /// The survivors' numbers, strictly increasing, and their signatures over
    /// [`Confirmation::signed`].
    pub members: Vec<(u32, Signature)>,
}

/// Names one of a member's two secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// The seed of the self-mask, revealed for survivors.
    SelfMask,
    /// The private masking key, revealed for dropouts.
    MaskingKey,
}

/// A share that a holder reveals.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revealed {
    /// The member whose secret it is.
    pub of: u32,
    /// Which of the member's two secrets.
    pub kind: SecretKind,
    /// The holder's share of the secret.
    pub share: Bytes32,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revealed")
            .field("of", &self.of)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A survivor's shares: one secret of each member of U2 whose shares it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmask {
    /// Hash of U3 by [`hash_survivors`].
    pub survivors: Bytes32,
    /// The shares by `of`, strictly increasing.
    pub shares: Vec<Revealed>,
}

/// Hash of a set under `label`.
#[must_use]
pub fn hash_members(label: &str, members: &[u32]) -> Bytes32 {
    let mut bytes = Vec::with_capacity(4 * members.len());
    for member in members {
        bytes.extend_from_slice(&member.to_le_bytes());
    }
    digest(label, &[&bytes])
}

/// The hash of U2.
#[must_use]
pub fn hash_senders(senders: &[u32]) -> Bytes32 {
    hash_members("senders", senders)
}

/// The hash of U3.
#[must_use]
pub fn hash_survivors(survivors: &[u32]) -> Bytes32 {
    hash_members("survivors", survivors)
}

/// SHA-256 of a masked vector's bytes, which is all that the record keeps of it.
#[must_use]
pub fn hash_vector(vector: &[u8]) -> Bytes32 {
    Sha256::digest(vector).into()
}

/// The bytes that [`Masked::signature`] signs: `senders` by [`hash_senders`], `vector` by
/// [`hash_vector`].
#[must_use]
pub fn commitment(
    context_digest: &Bytes32,
    participant: u32,
    senders: &Bytes32,
    vector_hash: &Bytes32,
) -> Vec<u8> {
    labelled(
        "masked",
        &[
            context_digest,
            &participant.to_le_bytes(),
            senders,
            vector_hash,
        ],
    )
}

/// Returns whether this identity signed that masked vector. Needs only the vector's hash, so that a
/// record can be checked.
#[must_use]
pub fn verify_commitment(
    identity: &Bytes32,
    context_digest: &Bytes32,
    participant: u32,
    senders: &Bytes32,
    vector_hash: &Bytes32,
    signature: &Signature,
) -> bool {
    let signed = commitment(context_digest, participant, senders, vector_hash);
    identity::verify(identity, &signed, &signature.0)
}

/// Returns whether a list is strictly increasing, the only form of a set.
pub fn is_strictly_increasing(members: &[u32]) -> bool {
    members.windows(2).all(|pair| pair[0] < pair[1])
}

/// Returns whether every entry of one sorted list is in the other.
pub fn is_subset(inner: &[u32], outer: &[u32]) -> bool {
    inner.iter().all(|m| outer.binary_search(m).is_ok())
}

#[cfg(test)]
mod tests;
