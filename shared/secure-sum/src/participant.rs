//! A participant's half of a secure sum. It can be serialised between any two calls; the serialised
//! state contains its seed.
//!
//! The driver stores the state after each call and before it sends the answer. A lost state must
//! not be made again for the same sum: another vector under the same masks would reveal the
//! difference of the two.
//!
//! The state holds the seed and what was answered; everything else is recomputed.

use super::encoding::RingVector;
use super::graph;
use super::identity::{self, Identity};
use super::keys::{self, Binding, CONTENT};
use super::keystream::{Keystream, derive};
use super::messages::{
    Confirmation, Confirmations, Envelope, Inbox, Masked, Member, Revealed, Roster, RoundKeys,
    SecretKind, Shares, Survivor, Survivors, Unmask, commitment, hash_senders, hash_survivors,
    hash_vector, is_subset, verify_commitment,
};
use super::secret::Secret;
use super::shamir;
pub use super::suspicion::Suspicion;
use super::{Bytes32, Context, SumPolicy, labelled};
use ground::order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Maximum number of members of a roster: every participant checks all of them.
pub const MEMBERS_MAX: usize = 10_000;
/// Maximum number of numbers in a vector.
pub const NUMBERS_MAX: usize = 1 << 24;
/// Minimum number of members of a group; in a smaller one, members have no secrets from each other.
const GROUP_MIN: usize = 3;

/// One participant in one sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    context: Context,
    me: u32,
    policy: SumPolicy,
    seed: Secret,
    /// U1, the roster to which shares were dealt.
    roster: Option<Roster>,
    sent: Option<Sent>,
    /// U3, to which this participant has signed; shares are revealed about no other.
    confirmed: Option<Vec<u32>>,
}

// Its only secret is a `Secret`.
impl ZeroizeOnDrop for Participant {}

/// A masked vector that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    /// U2, and the shares for this participant, still sealed.
    inbox: Inbox,
    /// Hash of the masked vector.
    vector: Bytes32,
}

/// This participant's neighbours in the graph.
struct Neighbourhood<'a> {
    binding: Binding,
    /// The members of its group, strictly increasing.
    group: Vec<u32>,
    /// This participant and its neighbours, strictly increasing.
    holders: Vec<&'a Member>,
}

/// The shares of both secrets for one holder, or of one sender.
type Pair = Zeroizing<[u8; CONTENT]>;

impl Participant {
    /// Makes participant `me` for the sum of `context`. The seed must be random and used for this
    /// sum alone; [`Participant::shares`] checks the policy.
    #[must_use]
    pub fn new(context: Context, me: u32, policy: SumPolicy, seed: Bytes32) -> Self {
        Self {
            context,
            me,
            policy,
            seed: Secret(seed),
            roster: None,
            sent: None,
            confirmed: None,
        }
    }

    /// The sum's context.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Number of members of this participant's group, once the roster is known.
    #[must_use]
    pub fn group_size(&self) -> Option<usize> {
        let neighbourhood = self.neighbourhood(self.roster.as_ref()?)?;
        Some(neighbourhood.group.len())
    }

    /// Returns whether the masked vector has been made.
    #[must_use]
    pub fn is_masked(&self) -> bool {
        self.sent.is_some()
    }

    /// Derives 32 secret bytes for one purpose in this sum. They are bound to the context: a seed
    /// that is reused by mistake gives other keys.
    fn secret(&self, purpose: &str) -> Zeroizing<Bytes32> {
        derive(&self.seed.0, &self.purpose(purpose, &[]))
    }

    fn purpose(&self, purpose: &str, more: &[u8]) -> Vec<u8> {
        let me = self.me.to_le_bytes();
        labelled(purpose, &[&self.context.digest(), &me, more])
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

    /// The keys for this sum, signed.
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

    /// Checks the roster and deals shares. `identity` is this participant's public key. `pins`
    /// holds the identities seen before, by participant.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing has changed then.
    pub fn shares(
        &mut self,
        identity: &Bytes32,
        roster: &Roster,
        pins: &BTreeMap<u32, Bytes32>,
    ) -> Result<Shares, Suspicion> {
        match &self.roster {
            // The same roster was checked before.
            Some(known) if known == roster => {}
            Some(_) => return Err(Suspicion::SecondRequest),
            None => self.judge(identity, roster, pins)?,
        }
        let neighbourhood = self.neighbourhood(roster).ok_or(Suspicion::OwnKeyMissing)?;
        if self.roster.is_none() {
            self.judge_group(roster, &neighbourhood)?;
        }
        let shares = self.deal(&neighbourhood)?;
        if self.roster.is_none() {
            self.roster = Some(roster.clone());
        }
        Ok(shares)
    }

    /// Checks everything that concerns the whole roster.
    fn judge(
        &self,
        identity: &Bytes32,
        roster: &Roster,
        pins: &BTreeMap<u32, Bytes32>,
    ) -> Result<(), Suspicion> {
        if !self.policy.is_valid() {
            return Err(Suspicion::BadPolicy);
        }
        if roster.members.len() > MEMBERS_MAX {
            return Err(Suspicion::TooLarge);
        }
        if roster.members.len() < self.policy.cohort_min as usize {
            return Err(Suspicion::TooFewMembers);
        }
        check_list(&roster.participants())?;
        let own = roster.member(self.me).ok_or(Suspicion::OwnKeyMissing)?;
        let mine = own.identity == *identity
            && own.keys.encryption == keys::public_key(&self.encryption_key())
            && own.keys.masking == keys::public_key(&self.masking_key())
            && own.is_signed(&self.context);
        if !mine {
            return Err(Suspicion::OwnKeyChanged);
        }
        let mut publics = Vec::with_capacity(2 * roster.members.len());
        let mut identities = Vec::with_capacity(roster.members.len());
        for member in &roster.members {
            publics.push(member.keys.encryption);
            publics.push(member.keys.masking);
            identities.push(member.identity);
        }
        if !publics.iter().all(keys::is_acceptable) {
            return Err(Suspicion::WeakKey);
        }
        if has_duplicate(&publics) {
            return Err(Suspicion::DuplicateKey);
        }
        if has_duplicate(&identities) {
            return Err(Suspicion::DuplicateMember);
        }
        for member in &roster.members {
            let pin = pins.get(&member.participant);
            if pin.is_some_and(|pin| *pin != member.identity) {
                return Err(Suspicion::IdentityChanged);
            }
        }
        Ok(())
    }

    /// Checks what concerns this participant's group only: members of other groups neither hold its
    /// shares nor hide it.
    fn judge_group(
        &self,
        roster: &Roster,
        neighbourhood: &Neighbourhood<'_>,
    ) -> Result<(), Suspicion> {
        if neighbourhood.group.len() < GROUP_MIN {
            return Err(Suspicion::TooFewMembers);
        }
        for &number in &neighbourhood.group {
            let member = roster.member(number).ok_or(Suspicion::Malformed)?;
            if !identity::is_acceptable(&member.identity) {
                return Err(Suspicion::WeakKey);
            }
            if !member.is_signed_in(&neighbourhood.binding.context) {
                return Err(Suspicion::BadSignature);
            }
        }
        Ok(())
    }

    /// Finds this participant in the graph; `None` if it is not in the roster.
    fn neighbourhood<'a>(&self, roster: &'a Roster) -> Option<Neighbourhood<'a>> {
        let hash = roster.hash();
        let groups = graph::groups(&hash, &roster.participants(), &self.policy);
        for mut group in groups {
            if !group.contains(&self.me) {
                continue;
            }
            let mut holders = Vec::new();
            for number in graph::holders(&group, self.me, &self.policy) {
                holders.push(roster.member(number)?);
            }
            group.sort_unstable();
            let context = self.context.digest();
            return Some(Neighbourhood {
                binding: Binding {
                    context,
                    roster: hash,
                },
                group,
                holders,
            });
        }
        None
    }

    /// Splits both secrets into shares, in the holders' order.
    fn split(&self, neighbourhood: &Neighbourhood<'_>) -> Result<Vec<Pair>, Suspicion> {
        let mut pairs = vec![Zeroizing::new([0; CONTENT]); neighbourhood.holders.len()];
        let self_mask = (self.self_mask_seed(), "self mask shares");
        let masking_key = (self.masking_key(), "masking key shares");
        for (at, (secret, purpose)) in [(0, self_mask), (32, masking_key)] {
            // Coefficients are bound to the roster: shares dealt to another roster have nothing in
            // common with these.
            let label = self.purpose(purpose, &neighbourhood.binding.roster);
            let mut rng = Keystream::new(&self.seed.0, &label);
            // A valid policy has at most 255 holders, and at least t of them.
            let bad = Suspicion::BadPolicy;
            let n = u8::try_from(neighbourhood.holders.len()).map_err(|_| bad)?;
            let t = u8::try_from(self.policy.threshold_of(n.into())).map_err(|_| bad)?;
            let shares = shamir::split(&secret, t, n, &mut rng).map_err(|_| bad)?;
            for (pair, share) in pairs.iter_mut().zip(&*Zeroizing::new(shares)) {
                pair[at..at + 32].copy_from_slice(share);
            }
        }
        Ok(pairs)
    }

    fn deal(&self, neighbourhood: &Neighbourhood<'_>) -> Result<Shares, Suspicion> {
        let private = self.encryption_key();
        let public = keys::public_key(&private);
        let mut envelopes = Vec::new();
        for (holder, pair) in neighbourhood
            .holders
            .iter()
            .zip(&self.split(neighbourhood)?)
        {
            let peer = holder.participant;
            if peer != self.me {
                let to = (peer, &holder.keys.encryption);
                let sealed = keys::seal(
                    &private,
                    &neighbourhood.binding,
                    (self.me, &public),
                    to,
                    pair,
                )
                .ok_or(Suspicion::WeakKey)?;
                envelopes.push(Envelope { peer, sealed });
            }
        }
        Ok(Shares {
            roster: neighbourhood.binding.roster,
            envelopes,
        })
    }

    /// Checks who dealt shares and masks the vector. The unmasked vector is wiped afterwards.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing has changed then.
    pub fn masked(
        &mut self,
        identity: &Identity,
        inbox: &Inbox,
        mut vector: RingVector,
    ) -> Result<Masked, Suspicion> {
        let roster = self.roster.as_ref().ok_or(Suspicion::OutOfOrder)?;
        if self.sent.as_ref().is_some_and(|sent| sent.inbox != *inbox) {
            return Err(Suspicion::SecondRequest);
        }
        if vector.layout().len() > NUMBERS_MAX {
            return Err(Suspicion::TooLarge);
        }
        let neighbourhood = self.neighbourhood(roster).ok_or(Suspicion::OwnKeyMissing)?;
        if self.sent.is_none() {
            // Checked before masking, so that the masks of a member whose shares do not open are
            // never in a sum with this one.
            self.receive(roster, &neighbourhood, inbox)?;
        }
        let senders = hash_senders(&inbox.senders);
        self.mask(&neighbourhood, &inbox.senders, &senders, &mut vector)?;
        let bytes = vector.to_bytes();
        let hash = hash_vector(&bytes);
        // The same masks over another vector would reveal the difference.
        if self.sent.as_ref().is_some_and(|sent| sent.vector != hash) {
            return Err(Suspicion::SecondRequest);
        }
        let signed = commitment(&neighbourhood.binding.context, self.me, &senders, &hash);
        if self.sent.is_none() {
            self.sent = Some(Sent {
                inbox: inbox.clone(),
                vector: hash,
            });
        }
        Ok(Masked {
            senders,
            vector: bytes,
            signature: identity.signature(&signed),
        })
    }

    /// Opens the envelopes: the shares that this participant holds, in the order of the senders
    /// among its holders. Its own shares never travel.
    fn receive(
        &self,
        roster: &Roster,
        neighbourhood: &Neighbourhood<'_>,
        inbox: &Inbox,
    ) -> Result<Vec<(u32, Pair)>, Suspicion> {
        let senders = &inbox.senders;
        check_list(senders)?;
        if !is_subset(senders, &roster.participants()) {
            return Err(Suspicion::NotASubset);
        }
        if !contains(senders, self.me) {
            return Err(Suspicion::Excluded);
        }
        if !self.is_enough(neighbourhood, senders) {
            return Err(Suspicion::TooFewMembers);
        }
        let mut from = Vec::with_capacity(inbox.envelopes.len());
        for envelope in &inbox.envelopes {
            from.push(envelope.peer);
        }
        check_list(&from)?;
        let private = self.encryption_key();
        let public = keys::public_key(&private);
        let mut held = Vec::new();
        for (holder, own) in neighbourhood.holders.iter().zip(self.split(neighbourhood)?) {
            let peer = holder.participant;
            if peer == self.me {
                held.push((peer, own));
            } else if contains(senders, peer) {
                let at = from.binary_search(&peer);
                let at = at.map_err(|_| Suspicion::SharesMissing)?;
                let envelope = inbox.envelopes.get(at).ok_or(Suspicion::SharesMissing)?;
                let sealed = &envelope.sealed;
                let party = (peer, &holder.keys.encryption);
                let to = (self.me, &public);
                let pair = keys::unseal(&private, &neighbourhood.binding, party, to, sealed)
                    .ok_or(Suspicion::BadEnvelope)?;
                held.push((peer, pair));
            }
        }
        if from.len() + 1 != held.len() {
            return Err(Suspicion::Malformed);
        }
        Ok(held)
    }

    fn mask(
        &self,
        neighbourhood: &Neighbourhood<'_>,
        senders: &[u32],
        senders_hash: &Bytes32,
        vector: &mut RingVector,
    ) -> Result<(), Suspicion> {
        let private = self.masking_key();
        let public = keys::public_key(&private);
        let (binding, me) = (&neighbourhood.binding, self.me);
        let mut stream = keys::self_mask(&self.self_mask_seed(), binding, senders_hash, me);
        vector.mask(&mut stream, true);
        for holder in &neighbourhood.holders {
            let peer = holder.participant;
            if peer != me && contains(senders, peer) {
                let theirs = (peer, &holder.keys.masking);
                let mut stream =
                    keys::pair_mask(&private, binding, senders_hash, (me, &public), theirs)
                        .ok_or(Suspicion::WeakKey)?;
                vector.mask(&mut stream, keys::adds(me, peer));
            }
        }
        Ok(())
    }

    /// Returns whether enough of this participant's holders, and of its group, are among `members`
    /// for a secret, and a sum, to be opened.
    fn is_enough(&self, neighbourhood: &Neighbourhood<'_>, members: &[u32]) -> bool {
        let (mut holders, mut group) = (0, 0);
        for holder in &neighbourhood.holders {
            holders += usize::from(contains(members, holder.participant));
        }
        for &member in &neighbourhood.group {
            group += usize::from(contains(members, member));
        }
        holders >= self.policy.threshold_of(neighbourhood.holders.len())
            && group >= self.policy.threshold_of(neighbourhood.group.len())
    }

    /// Checks the survivors and signs that these were shown. Nothing secret is revealed yet.
    ///
    /// Every survivor whose shares this participant holds must have committed itself to its vector
    /// under the same U2: a holder thus helps to remove a self-mask only where the pair masks
    /// beneath it are those of this sum.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing has changed then.
    pub fn confirm(
        &mut self,
        identity: &Identity,
        survivors: &Survivors,
    ) -> Result<Confirmation, Suspicion> {
        let roster = self.roster.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let sent = self.sent.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let members = survivors.participants();
        if self
            .confirmed
            .as_ref()
            .is_some_and(|known| *known != members)
        {
            return Err(Suspicion::SecondRequest);
        }
        check_list(&members)?;
        if !is_subset(&members, &sent.inbox.senders) {
            return Err(Suspicion::NotASubset);
        }
        if !contains(&members, self.me) {
            return Err(Suspicion::Excluded);
        }
        let neighbourhood = self.neighbourhood(roster).ok_or(Suspicion::OwnKeyMissing)?;
        if !self.is_enough(&neighbourhood, &members) {
            return Err(Suspicion::TooFewSurvivors);
        }
        let (context, senders) = (
            &neighbourhood.binding.context,
            hash_senders(&sent.inbox.senders),
        );
        for member in &neighbourhood.holders {
            let number = member.participant;
            let Ok(at) = members.binary_search(&number) else {
                continue;
            };
            let Survivor {
                vector, signature, ..
            } = &survivors.members[at];
            let identity = &member.identity;
            if !verify_commitment(identity, context, number, &senders, vector, signature) {
                return Err(Suspicion::OtherSenders);
            }
            if number == self.me && *vector != sent.vector {
                return Err(Suspicion::OtherSenders);
            }
        }
        let hash = hash_survivors(&members);
        let roster = &neighbourhood.binding.roster;
        let signed = Confirmation::signed(context, self.me, roster, &senders, &hash);
        self.confirmed = Some(members);
        Ok(Confirmation {
            survivors: hash,
            signature: identity.signature(&signed),
        })
    }

    /// Checks that at least t members of the group have signed the same sets as this participant,
    /// and then reveals one share of each member whose shares it holds: of the self-mask if the
    /// member survived, of the masking key if it dropped out.
    ///
    /// Two different views need t honest signatures each. With t > ⅔m of m members they overlap in
    /// more than m/3, so that fewer colluders cannot give both the signatures they need.
    ///
    /// # Errors
    /// A [`Suspicion`]; nothing has changed then.
    pub fn unmask(&mut self, confirmations: &Confirmations) -> Result<Unmask, Suspicion> {
        let roster = self.roster.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let sent = self.sent.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let members = self.confirmed.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let neighbourhood = self.neighbourhood(roster).ok_or(Suspicion::OwnKeyMissing)?;
        let hash = hash_survivors(members);
        self.judge_confirmations(roster, &neighbourhood, members, &hash, confirmations)?;
        let mut shares = Vec::new();
        for (of, pair) in self.receive(roster, &neighbourhood, &sent.inbox)? {
            let (kind, half) = if contains(members, of) {
                (SecretKind::SelfMask, &pair[..32])
            } else {
                (SecretKind::MaskingKey, &pair[32..])
            };
            let mut share = [0; 32];
            share.copy_from_slice(half);
            shares.push(Revealed { of, kind, share });
        }
        Ok(Unmask {
            survivors: hash,
            shares,
        })
    }

    fn judge_confirmations(
        &self,
        roster: &Roster,
        neighbourhood: &Neighbourhood<'_>,
        members: &[u32],
        survivors: &Bytes32,
        confirmations: &Confirmations,
    ) -> Result<(), Suspicion> {
        let sent = self.sent.as_ref().ok_or(Suspicion::OutOfOrder)?;
        let senders = hash_senders(&sent.inbox.senders);
        let numbers: Vec<u32> = confirmations.members.iter().map(|(who, _)| *who).collect();
        check_list(&numbers)?;
        if !is_subset(&numbers, members) {
            return Err(Suspicion::NotASubset);
        }
        let Binding {
            context,
            roster: shown,
        } = &neighbourhood.binding;
        let mut confirmed = 0;
        for (who, signature) in &confirmations.members {
            if !contains(&neighbourhood.group, *who) {
                continue;
            }
            let member = roster.member(*who).ok_or(Suspicion::NotASubset)?;
            let signed = Confirmation::signed(context, *who, shown, &senders, survivors);
            if !identity::verify(&member.identity, &signed, &signature.0) {
                return Err(Suspicion::OtherSurvivors);
            }
            confirmed += 1;
        }
        if confirmed < self.policy.threshold_of(neighbourhood.group.len()) {
            return Err(Suspicion::TooFewConfirmed);
        }
        Ok(())
    }
}

fn contains(members: &[u32], member: u32) -> bool {
    members.binary_search(&member).is_ok()
}

/// Checks that a list is a set in its only form.
fn check_list(members: &[u32]) -> Result<(), Suspicion> {
    let mut sorted = true;
    for pair in members.windows(2) {
        if pair[0] == pair[1] {
            return Err(Suspicion::DuplicateMember);
        }
        sorted &= pair[0] < pair[1];
    }
    if sorted {
        Ok(())
    } else {
        Err(Suspicion::NotSorted)
    }
}

fn has_duplicate(keys: &[Bytes32]) -> bool {
    let places = order::sorted(keys.len(), &|a, b| keys[a].cmp(&keys[b]));
    places.windows(2).any(|pair| keys[pair[0]] == keys[pair[1]])
}

#[cfg(test)]
impl Participant {
    /// All secrets that must never be printed, except the seed: those derived from it and those
    /// held.
    pub(super) fn secrets_for_tests(&self) -> Vec<Vec<u8>> {
        let derived = [
            self.encryption_key(),
            self.masking_key(),
            self.self_mask_seed(),
        ];
        let mut secrets: Vec<Vec<u8>> = derived.iter().map(|secret| secret.to_vec()).collect();
        if let (Some(roster), Some(sent)) = (&self.roster, &self.sent) {
            let neighbourhood = self.neighbourhood(roster).unwrap();
            for (_, pair) in self.receive(roster, &neighbourhood, &sent.inbox).unwrap() {
                secrets.extend(pair.chunks(32).map(<[u8]>::to_vec));
            }
        }
        secrets
    }
}
