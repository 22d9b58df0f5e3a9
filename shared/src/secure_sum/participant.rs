//! A participant's half of a secure sum. Serialisable between any two calls; what is stored holds its secrets.
//!
//! The driver stores the state after each call and before it sends the answer. A state that was lost must not
//! be made anew for the same sum: another vector under the same masks would show the difference of the two.

use super::encoding::RingVector;
use super::graph;
use super::identity::{self, Identity};
use super::keys::{self, Binding, CONTENT};
use super::keystream::{Keystream, derive};
use super::messages::{
    Envelope, Inbox, Masked, Member, Revealed, Roster, RoundKeys, SecretKind, Shares, Survivors,
    Unmask, commitment, hash_senders, hash_survivors, hash_vector, is_strictly_increasing,
    is_subset,
};
use super::secret::Secret;
use super::shamir;
pub use super::suspicion::Suspicion;
use super::{Bytes32, Context, SumPolicy, digest, labelled};
use crate::sort::{sort, sort_by};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Members of a roster, at most: everyone checks all of them.
pub const MEMBERS_MAX: usize = 10_000;
/// Numbers in a vector, at most.
pub const NUMBERS_MAX: usize = 1 << 24;
/// Fewer members in a group have no secrets from each other.
const GROUP_MIN: usize = 3;

/// One participant in one sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    context: Context,
    me: u32,
    policy: SumPolicy,
    seed: Secret,
    formed: Option<Formed>,
    sent: Option<Sent>,
    /// Hash of the survivors that were answered.
    unmasked: Option<Bytes32>,
}

// Its secrets are `Secret`s.
impl ZeroizeOnDrop for Participant {}

/// What stays of the roster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Formed {
    roster: Bytes32,
    /// U1.
    members: Vec<u32>,
    /// Strictly increasing.
    group: Vec<u32>,
    /// The other holders, by number.
    peers: Vec<Peer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Peer {
    participant: u32,
    encryption: Bytes32,
    masking: Bytes32,
}

/// What stays of the masked vector: of whom I hold what, and hashes by which a repetition is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    inbox: Bytes32,
    masked: Bytes32,
    /// U2.
    senders: Vec<u32>,
    held: Vec<Held>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    of: u32,
    self_mask: Secret,
    masking_key: Secret,
}

/// A holder, and both shares for it.
type Dealt = (u32, Zeroizing<[u8; CONTENT]>);

impl Held {
    fn new(of: u32, content: &[u8; CONTENT]) -> Self {
        let (mut self_mask, mut masking_key) = (Secret([0; 32]), Secret([0; 32]));
        self_mask.0.copy_from_slice(&content[..32]);
        masking_key.0.copy_from_slice(&content[32..]);
        Self {
            of,
            self_mask,
            masking_key,
        }
    }
}

impl Participant {
    /// Participant `me` in the sum of `context`. The seed is random and serves for this sum alone; that the
    /// policy is a good one shows in [`Participant::shares`].
    #[must_use]
    pub fn new(context: Context, me: u32, policy: SumPolicy, seed: Bytes32) -> Self {
        Self {
            context,
            me,
            policy,
            seed: Secret(seed),
            formed: None,
            sent: None,
            unmasked: None,
        }
    }

    /// The sum's context.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Members of my group, once the roster is known.
    #[must_use]
    pub fn group_size(&self) -> Option<usize> {
        self.formed.as_ref().map(|formed| formed.group.len())
    }

    /// Has the masked vector been made?
    #[must_use]
    pub fn is_masked(&self) -> bool {
        self.sent.is_some()
    }

    /// 32 secret bytes for one purpose in this sum. Bound to the context: a seed that is used again by mistake
    /// gives other keys.
    fn secret(&self, purpose: &str) -> Zeroizing<Bytes32> {
        derive(&self.seed.0, &self.purpose(purpose, &[]))
    }

    fn purpose(&self, purpose: &str, more: &[u8]) -> Vec<u8> {
        labelled(
            purpose,
            &[&self.context.digest(), &self.me.to_le_bytes(), more],
        )
    }

    fn encryption_key(&self) -> Zeroizing<Bytes32> {
        self.secret("encryption key")
    }

    fn masking_key(&self) -> Zeroizing<Bytes32> {
        self.secret("masking key")
    }

    fn self_mask_seed(&self) -> Zeroizing<Bytes32> {
        self.secret("self mask seed")
    }

    /// The keys of this sum, signed.
    #[must_use]
    pub fn keys(&self, identity: &Identity) -> RoundKeys {
        let encryption = keys::public_key(&self.encryption_key());
        let masking = keys::public_key(&self.masking_key());
        let signed = RoundKeys::signed(&self.context.digest(), self.me, &encryption, &masking);
        RoundKeys {
            encryption,
            masking,
            signature: identity.signature(&signed),
        }
    }

    /// Judges the roster and deals shares. `identity`: my own public key. `pins`: the identities seen before,
    /// by participant.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing changed.
    pub fn shares(
        &mut self,
        identity: &Bytes32,
        roster: &Roster,
        pins: &BTreeMap<u32, Bytes32>,
    ) -> Result<Shares, Suspicion> {
        let hash = roster.hash();
        // A repetition is known by its hash, and was judged then.
        if let Some(formed) = &self.formed {
            if formed.roster != hash {
                return Err(Suspicion::SecondRequest);
            }
            return self.deal(formed);
        }
        let formed = self.judge(identity, roster, hash, pins)?;
        let shares = self.deal(&formed)?;
        self.formed = Some(formed);
        Ok(shares)
    }

    fn judge(
        &self,
        identity: &Bytes32,
        roster: &Roster,
        hash: Bytes32,
        pins: &BTreeMap<u32, Bytes32>,
    ) -> Result<Formed, Suspicion> {
        let policy = &self.policy;
        if !policy.is_valid() {
            return Err(Suspicion::BadPolicy);
        }
        if roster.members.len() > MEMBERS_MAX {
            return Err(Suspicion::TooLarge);
        }
        if roster.members.len() < policy.cohort_min as usize {
            return Err(Suspicion::TooFewMembers);
        }
        let members = roster.participants();
        check_list(&members)?;
        let own = roster.member(self.me).ok_or(Suspicion::OwnKeyMissing)?;
        self.judge_own(identity, own)?;
        judge_keys(roster)?;
        let changed = |m: &Member| {
            pins.get(&m.participant)
                .is_some_and(|pin| *pin != m.identity)
        };
        if roster.members.iter().any(changed) {
            return Err(Suspicion::IdentityChanged);
        }
        let groups = graph::groups(&hash, &members, policy);
        // Everyone of the roster is in one of them.
        let mut group = groups
            .into_iter()
            .find(|group| group.contains(&self.me))
            .ok_or(Suspicion::Malformed)?;
        if group.len() < GROUP_MIN {
            return Err(Suspicion::TooFewMembers);
        }
        // Whoever is in another group neither holds my shares nor hides me.
        for member in group.iter().filter_map(|&m| roster.member(m)) {
            if !identity::is_acceptable(&member.identity) {
                return Err(Suspicion::WeakKey);
            }
            if !member.is_signed_in(&self.context.digest()) {
                return Err(Suspicion::BadSignature);
            }
        }
        let peers = graph::holders(&group, self.me, policy)
            .into_iter()
            .filter(|&holder| holder != self.me)
            .filter_map(|holder| roster.member(holder))
            .map(|member| Peer {
                participant: member.participant,
                encryption: member.keys.encryption,
                masking: member.keys.masking,
            })
            .collect();
        sort(&mut group);
        Ok(Formed {
            roster: hash,
            members,
            group,
            peers,
        })
    }

    fn judge_own(&self, identity: &Bytes32, own: &Member) -> Result<(), Suspicion> {
        let same = own.identity == *identity
            && own.keys.encryption == keys::public_key(&self.encryption_key())
            && own.keys.masking == keys::public_key(&self.masking_key())
            && own.is_signed(&self.context);
        if same {
            Ok(())
        } else {
            Err(Suspicion::OwnKeyChanged)
        }
    }

    /// Both secrets' shares for each holder, in the holders' order.
    fn split(&self, formed: &Formed) -> Result<Vec<Dealt>, Suspicion> {
        let holders = formed.holders(self.me);
        let share = |secret: &Bytes32, purpose: &str| {
            let t = u8::try_from(self.policy.threshold_of(holders.len()));
            let n = u8::try_from(holders.len());
            // Coefficients are bound to the roster: dealt to another one, the shares have nothing in common.
            let label = self.purpose(purpose, &formed.roster);
            let mut rng = Keystream::new(&self.seed.0, &label);
            match (t, n) {
                (Ok(t), Ok(n)) => shamir::split(secret, t, n, &mut rng)
                    .map(Zeroizing::new)
                    .ok(),
                _ => None,
            }
        };
        // A valid policy has no more than 255 holders, and t of them.
        let bad = Suspicion::BadPolicy;
        let self_mask = share(&self.self_mask_seed(), "self mask shares").ok_or(bad)?;
        let masking_key = share(&self.masking_key(), "masking key shares").ok_or(bad)?;
        let both = |(a, b): (&Bytes32, &Bytes32)| {
            let mut content = Zeroizing::new([0; CONTENT]);
            content[..32].copy_from_slice(a);
            content[32..].copy_from_slice(b);
            content
        };
        let contents = self_mask.iter().zip(masking_key.iter()).map(both);
        Ok(holders.into_iter().zip(contents).collect())
    }

    fn deal(&self, formed: &Formed) -> Result<Shares, Suspicion> {
        let private = self.encryption_key();
        let public = keys::public_key(&private);
        let contents = self.split(formed)?;
        let binding = self.binding(formed);
        let envelope = |peer: &Peer| {
            // The lists have the same holders: mine among the contents is passed over.
            let (_, content) = contents.iter().find(|(to, _)| *to == peer.participant)?;
            let to = (peer.participant, &peer.encryption);
            let sealed = keys::seal(&private, &binding, (self.me, &public), to, content)?;
            Some(Envelope {
                peer: peer.participant,
                sealed,
            })
        };
        let envelopes: Option<Vec<Envelope>> = formed.peers.iter().map(envelope).collect();
        Ok(Shares {
            roster: formed.roster,
            envelopes: envelopes.ok_or(Suspicion::WeakKey)?,
        })
    }

    fn binding(&self, formed: &Formed) -> Binding {
        Binding {
            context: self.context.digest(),
            roster: formed.roster,
        }
    }

    /// Judges who dealt shares and masks the vector. It is wiped afterwards.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing changed.
    pub fn masked(
        &mut self,
        identity: &Identity,
        inbox: &Inbox,
        mut vector: RingVector,
    ) -> Result<Masked, Suspicion> {
        let formed = self.formed.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let hash = hash_inbox(inbox);
        if self.sent.as_ref().is_some_and(|sent| sent.inbox != hash) {
            return Err(Suspicion::SecondRequest);
        }
        if vector.layout().len() > NUMBERS_MAX {
            return Err(Suspicion::TooLarge);
        }
        let held = match &self.sent {
            Some(_) => None,
            None => Some(self.receive(formed, inbox)?),
        };
        let senders = hash_senders(&inbox.senders);
        self.mask(formed, &inbox.senders, &senders, &mut vector)?;
        let bytes = vector.to_bytes();
        let vector_hash = hash_vector(&bytes);
        let signed = commitment(&self.context.digest(), self.me, &senders, &vector_hash);
        let masked = Masked {
            senders,
            vector: bytes,
            signature: identity.signature(&signed),
        };
        match (&self.sent, held) {
            // The same masks over another vector would show the difference.
            (Some(sent), _) if sent.masked != vector_hash => return Err(Suspicion::SecondRequest),
            (None, Some(held)) => {
                self.sent = Some(Sent {
                    inbox: hash,
                    masked: vector_hash,
                    senders: inbox.senders.clone(),
                    held,
                });
            }
            _ => {}
        }
        Ok(masked)
    }

    /// Opens the envelopes: of whom I hold which shares.
    fn receive(&self, formed: &Formed, inbox: &Inbox) -> Result<Vec<Held>, Suspicion> {
        let senders = &inbox.senders;
        check_list(senders)?;
        if !is_subset(senders, &formed.members) {
            return Err(Suspicion::NotASubset);
        }
        if senders.binary_search(&self.me).is_err() {
            return Err(Suspicion::Excluded);
        }
        if !self.is_enough(formed, senders) {
            return Err(Suspicion::TooFewMembers);
        }
        let from: Vec<u32> = inbox.envelopes.iter().map(|e| e.peer).collect();
        check_list(&from)?;
        let private = self.encryption_key();
        let public = keys::public_key(&private);
        let binding = self.binding(formed);
        let mut held = Vec::new();
        // My own share never travels.
        let own = self.split(formed)?;
        held.extend(
            own.iter()
                .filter(|(to, _)| *to == self.me)
                .map(|(_, content)| Held::new(self.me, content)),
        );
        for peer in formed.peers_among(senders) {
            let at = from
                .binary_search(&peer.participant)
                .map_err(|_| Suspicion::SharesMissing)?;
            let envelope = inbox.envelopes.get(at).ok_or(Suspicion::SharesMissing)?;
            let party = (peer.participant, &peer.encryption);
            let to = (self.me, &public);
            let content = keys::unseal(&private, &binding, party, to, &envelope.sealed)
                .ok_or(Suspicion::BadEnvelope)?;
            held.push(Held::new(peer.participant, &content));
        }
        if inbox.envelopes.len() + 1 != held.len() {
            return Err(Suspicion::Malformed);
        }
        sort_by(&mut held, |a, b| a.of.cmp(&b.of));
        Ok(held)
    }

    fn mask(
        &self,
        formed: &Formed,
        senders: &[u32],
        senders_hash: &Bytes32,
        vector: &mut RingVector,
    ) -> Result<(), Suspicion> {
        let private = self.masking_key();
        let public = keys::public_key(&private);
        let binding = self.binding(formed);
        let seed = self.self_mask_seed();
        vector.mask(
            &mut keys::self_mask(&seed, &binding, senders_hash, self.me),
            true,
        );
        for peer in formed.peers_among(senders) {
            let theirs = (peer.participant, &peer.masking);
            let mine = (self.me, &public);
            let mut stream = keys::pair_mask(&private, &binding, senders_hash, mine, theirs)
                .ok_or(Suspicion::WeakKey)?;
            vector.mask(&mut stream, keys::adds(self.me, peer.participant));
        }
        Ok(())
    }

    /// Enough of my holders, and of my group, that a secret, and a sum, may be opened by so many?
    fn is_enough(&self, formed: &Formed, members: &[u32]) -> bool {
        let among = |list: &[u32]| {
            list.iter()
                .filter(|m| members.binary_search(m).is_ok())
                .count()
        };
        let holders = formed.holders(self.me);
        among(&holders) >= self.policy.threshold_of(holders.len())
            && among(&formed.group) >= self.policy.threshold_of(formed.group.len())
    }

    /// Judges the survivors and gives away one share of each member of whom I am a holder: of the self-mask if
    /// it survived, of the masking key if it dropped out.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing changed.
    pub fn unmask(&mut self, survivors: &Survivors) -> Result<Unmask, Suspicion> {
        let formed = self.formed.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let sent = self.sent.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let members = &survivors.members;
        let hash = hash_survivors(members);
        if self.unmasked.is_some_and(|unmasked| unmasked != hash) {
            return Err(Suspicion::SecondRequest);
        }
        check_list(members)?;
        if !is_subset(members, &sent.senders) {
            return Err(Suspicion::NotASubset);
        }
        if members.binary_search(&self.me).is_err() {
            return Err(Suspicion::Excluded);
        }
        if !self.is_enough(formed, members) {
            return Err(Suspicion::TooFewSurvivors);
        }
        let reveal = |held: &Held| {
            let survived = members.binary_search(&held.of).is_ok();
            let (kind, share) = if survived {
                (SecretKind::SelfMask, &held.self_mask)
            } else {
                (SecretKind::MaskingKey, &held.masking_key)
            };
            Revealed {
                of: held.of,
                kind,
                share: share.0,
            }
        };
        let shares = sent.held.iter().map(reveal).collect();
        self.unmasked = Some(hash);
        Ok(Unmask {
            survivors: hash,
            shares,
        })
    }
}

impl Formed {
    /// My holders, me among them, strictly increasing.
    fn holders(&self, me: u32) -> Vec<u32> {
        let mut holders: Vec<u32> = self.peers.iter().map(|peer| peer.participant).collect();
        holders.push(me);
        sort(&mut holders);
        holders
    }

    fn peers_among<'a>(&'a self, senders: &'a [u32]) -> impl Iterator<Item = &'a Peer> {
        let sent = |peer: &&Peer| senders.binary_search(&peer.participant).is_ok();
        self.peers.iter().filter(sent)
    }
}

/// A set in its only form.
fn check_list(members: &[u32]) -> Result<(), Suspicion> {
    if members.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Suspicion::DuplicateMember);
    }
    if is_strictly_increasing(members) {
        Ok(())
    } else {
        Err(Suspicion::NotSorted)
    }
}

/// No key and no identity twice, and no public key of small order.
fn judge_keys(roster: &Roster) -> Result<(), Suspicion> {
    let keys = |m: &Member| [m.keys.encryption, m.keys.masking];
    let mut publics: Vec<Bytes32> = roster.members.iter().flat_map(keys).collect();
    if !publics.iter().all(keys::is_acceptable) {
        return Err(Suspicion::WeakKey);
    }
    if has_duplicate(&mut publics) {
        return Err(Suspicion::DuplicateKey);
    }
    let mut identities: Vec<Bytes32> = roster.members.iter().map(|m| m.identity).collect();
    if has_duplicate(&mut identities) {
        return Err(Suspicion::DuplicateMember);
    }
    Ok(())
}

fn has_duplicate(keys: &mut [Bytes32]) -> bool {
    sort(keys);
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

fn hash_inbox(inbox: &Inbox) -> Bytes32 {
    let mut bytes = Vec::new();
    for envelope in &inbox.envelopes {
        bytes.extend_from_slice(&envelope.peer.to_le_bytes());
        bytes.extend_from_slice(&(envelope.sealed.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&envelope.sealed);
    }
    digest("inbox", &[&hash_senders(&inbox.senders), &bytes])
}

#[cfg(test)]
impl Participant {
    /// Everything that must never be printed: the seed apart, what is derived from it and what is held.
    pub(super) fn secrets_for_tests(&self) -> Vec<Vec<u8>> {
        let derived = [
            self.encryption_key(),
            self.masking_key(),
            self.self_mask_seed(),
        ];
        let held = self.sent.iter().flat_map(|sent| &sent.held);
        let shares = held.flat_map(|held| [held.self_mask.0, held.masking_key.0]);
        let derived = derived.iter().map(|secret| secret.to_vec());
        derived.chain(shares.map(|share| share.to_vec())).collect()
    }
}
