//! The aggregator's half of a secure sum: checking what participants send, and removing the masks
//! from the sums.
//!
//! Of each member of U2 the aggregator learns one secret: of survivors the self-mask's seed, of
//! dropouts the private masking key, from which it computes the pair masks that the dropout's
//! surviving neighbours added.

use super::encoding::{Layout, RingVector};
use super::graph::Graph;
use super::keys::{self, Binding};
use super::messages::{
    Confirmation, Inbox, Masked, Member, Roster, SecretKind, Shares, Unmask, hash_senders,
    hash_survivors, hash_vector, is_strictly_increasing, is_subset, verify_commitment,
};
use super::shamir::{self, ShamirError};
use super::{Bytes32, Context, SumPolicy, identity};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Why the sums stay closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A list is not a set, the sets are not nested, or the policy is out of range.
    #[error("the cohort's sets are not nested, or the policy is out of range")]
    Malformed,
    /// There is not exactly one sum of the stated layout for each group.
    #[error("there is not one sum of the stated layout for each group")]
    Sums,
    /// A participant answered twice, is not a survivor, or answered about other survivors.
    #[error("the answer of participant {from} does not belong to this opening")]
    BadAnswer {
        /// The participant who answered.
        from: u32,
    },
    /// Fewer shares of a secret than its threshold.
    #[error("too few shares came to open a secret of participant {of}")]
    TooFewShares {
        /// The participant whose secret it is.
        of: u32,
    },
    /// The shares contradict each other, or the masking key that they give does not match the
    /// public key.
    #[error("the shares of a secret of participant {of} are wrong")]
    BadShares {
        /// The participant whose secret it is.
        of: u32,
    },
}

/// The group of each member. Adding vectors up needs no [`Graph`].
#[must_use]
pub fn group_of(roster: &Roster, policy: &SumPolicy) -> BTreeMap<u32, usize> {
    let graph = Graph::new(roster, policy);
    let numbered = graph.groups().iter().enumerate();
    numbered
        .flat_map(|(number, group)| group.iter().map(move |&member| (member, number)))
        .collect()
}

/// Returns whether these keys may go into a roster: usable, and signed for this sum by a usable
/// identity. Whether a key appears twice can only be seen in the whole roster.
#[must_use]
pub fn check_keys(context: &Context, member: &Member) -> bool {
    let (encryption, masking) = (&member.keys.encryption, &member.keys.masking);
    encryption != masking
        && keys::is_acceptable(encryption)
        && keys::is_acceptable(masking)
        && identity::is_acceptable(&member.identity)
        && member.is_signed(context)
}

/// Returns whether these are one participant's shares for this roster: exactly one envelope of the
/// right size for each other holder, in order. Only the holders can check their contents and
/// context.
#[must_use]
pub fn check_shares(
    _context: &Context,
    policy: &SumPolicy,
    roster: &Roster,
    from: u32,
    shares: &Shares,
) -> bool {
    check_shares_in(&Graph::new(roster, policy), from, shares)
}

/// Does what [`check_shares`] does, with a graph that exists already.
#[must_use]
pub fn check_shares_in(graph: &Graph, from: u32, shares: &Shares) -> bool {
    let holders = graph.holders(from);
    let expected = holders.iter().filter(|&&holder| holder != from);
    shares.roster == graph.roster()
        && !holders.is_empty()
        && expected.eq(shares.envelopes.iter().map(|e| &e.peer))
        && shares
            .envelopes
            .iter()
            .all(|e| e.sealed.len() == keys::SEALED)
}

/// Makes the message for a member of U2: the list of those who dealt shares, and the shares dealt
/// to it. `shares` must cover U2.
#[must_use]
pub fn inbox(senders: &[u32], shares: &BTreeMap<u32, Shares>, to: u32) -> Inbox {
    let from = |&sender: &u32| {
        let envelopes = &shares.get(&sender)?.envelopes;
        let at = envelopes.binary_search_by_key(&to, |e| e.peer).ok()?;
        let mut envelope = envelopes.get(at)?.clone();
        envelope.peer = sender;
        Some(envelope)
    };
    Inbox {
        senders: senders.to_vec(),
        envelopes: senders.iter().filter_map(from).collect(),
    }
}

/// Returns whether this is a masked vector of a member of U2, of the right length, and signed.
#[must_use]
pub fn check_masked(
    context: &Context,
    identity: &Bytes32,
    participant: u32,
    senders: &[u32],
    layout: Layout,
    masked: &Masked,
) -> bool {
    let senders_hash = hash_senders(senders);
    senders.binary_search(&participant).is_ok()
        && masked.senders == senders_hash
        && masked.vector.len() == layout.bytes()
        && verify_commitment(
            identity,
            &context.digest(),
            participant,
            &senders_hash,
            &hash_vector(&masked.vector),
            &masked.signature,
        )
}

/// Returns whether this is a survivor's confirmation of these sets, signed.
#[must_use]
pub fn check_confirmation(
    context: &Context,
    roster: &Roster,
    senders: &[u32],
    survivors: &[u32],
    from: u32,
    confirmation: &Confirmation,
) -> bool {
    let hash = hash_survivors(survivors);
    let senders = hash_senders(senders);
    let signed = Confirmation::signed(&context.digest(), from, &roster.hash(), &senders, &hash);
    confirmation.survivors == hash
        && survivors.binary_search(&from).is_ok()
        && roster.member(from).is_some_and(|member| {
            identity::verify(&member.identity, &signed, &confirmation.signature.0)
        })
}

/// Returns whether this is a survivor's answer: exactly one share for each member of U2 whose
/// shares it holds, of the secret that may be opened.
#[must_use]
pub fn check_unmask(
    policy: &SumPolicy,
    roster: &Roster,
    senders: &[u32],
    survivors: &[u32],
    from: u32,
    unmask: &Unmask,
) -> bool {
    check_unmask_in(
        &Graph::new(roster, policy),
        senders,
        survivors,
        from,
        unmask,
    )
}

/// Does what [`check_unmask`] does, with a graph that exists already.
#[must_use]
pub fn check_unmask_in(
    graph: &Graph,
    senders: &[u32],
    survivors: &[u32],
    from: u32,
    unmask: &Unmask,
) -> bool {
    // The graph is symmetric: the holders of a member's shares are the members whose shares it
    // holds.
    let expected = graph
        .holders(from)
        .iter()
        .filter(|of| senders.binary_search(of).is_ok())
        .map(|&of| (of, kind_of(of, survivors)));
    survivors.binary_search(&from).is_ok()
        && unmask.survivors == hash_survivors(survivors)
        && expected.eq(unmask.shares.iter().map(|share| (share.of, share.kind)))
}

fn kind_of(member: u32, survivors: &[u32]) -> SecretKind {
    match survivors.binary_search(&member) {
        Ok(_) => SecretKind::SelfMask,
        Err(_) => SecretKind::MaskingKey,
    }
}

/// Removes the masks, in place. `senders` is U2; `survivors` is U3; `unmasks` holds the answers of
/// U5; `sums` holds for each group the sum of its survivors' masked vectors, zero if there are
/// none. A group without survivors is left as it is.
///
/// # Errors
/// [`OpenError`]; the sums are then masked and unchanged.
#[allow(clippy::too_many_arguments)] // All that the aggregator has stored about the round.
pub fn open(
    context: &Context,
    policy: &SumPolicy,
    roster: &Roster,
    senders: &[u32],
    survivors: &[u32],
    layout: Layout,
    unmasks: &[(u32, Unmask)],
    sums: &mut [RingVector],
) -> Result<(), OpenError> {
    let members = roster.participants();
    let sets = [&members, senders, survivors];
    if !policy.is_valid()
        || !sets.into_iter().all(is_strictly_increasing)
        || !is_subset(senders, &members)
        || !is_subset(survivors, senders)
    {
        return Err(OpenError::Malformed);
    }
    let graph = Graph::new(roster, policy);
    if sums.len() != graph.groups().len() || sums.iter().any(|sum| sum.layout() != layout) {
        return Err(OpenError::Sums);
    }
    let opening = Opening {
        binding: Binding {
            context: context.digest(),
            roster: graph.roster(),
        },
        policy,
        roster,
        graph: &graph,
        senders,
        survivors,
        shares: collect(&graph, senders, survivors, unmasks)?,
    };
    // All secrets are recovered first, so that an opening that fails changes nothing.
    let secrets = opening.secrets()?;
    let senders_hash = hash_senders(senders);
    for (of, secret) in &secrets {
        let group = graph.group_of(*of).ok_or(OpenError::Malformed)?;
        let sum = sums.get_mut(group).ok_or(OpenError::Sums)?;
        opening.take_off(*of, secret, &senders_hash, sum)?;
    }
    Ok(())
}

type SharesOf = BTreeMap<u32, Vec<(u8, Bytes32)>>;

/// Collects the shares of each member's one secret, with their x-coordinates.
fn collect(
    graph: &Graph,
    senders: &[u32],
    survivors: &[u32],
    unmasks: &[(u32, Unmask)],
) -> Result<SharesOf, OpenError> {
    let mut shares = SharesOf::new();
    let mut answered: Vec<u32> = unmasks.iter().map(|(from, _)| *from).collect();
    answered.sort_unstable();
    if let Some(pair) = answered.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(OpenError::BadAnswer { from: pair[0] });
    }
    for (from, unmask) in unmasks {
        if !check_unmask_in(graph, senders, survivors, *from, unmask) {
            return Err(OpenError::BadAnswer { from: *from });
        }
        for revealed in &unmask.shares {
            let place = graph.holders(revealed.of).binary_search(from).ok();
            let x = place.and_then(|place| u8::try_from(place + 1).ok());
            let x = x.ok_or(OpenError::BadAnswer { from: *from })?;
            shares
                .entry(revealed.of)
                .or_default()
                .push((x, revealed.share));
        }
    }
    Ok(shares)
}

struct Opening<'a> {
    binding: Binding,
    policy: &'a SumPolicy,
    roster: &'a Roster,
    graph: &'a Graph,
    senders: &'a [u32],
    survivors: &'a [u32],
    shares: SharesOf,
}

impl Opening<'_> {
    /// Recovers the secrets that are needed: those of every survivor, and of dropouts with a
    /// surviving neighbour.
    fn secrets(&self) -> Result<Vec<(u32, Zeroizing<Bytes32>)>, OpenError> {
        let needed =
            |of: &&u32| self.surviving_neighbours(**of).next().is_some() || self.survives(**of);
        let secret = |&of: &u32| {
            let secret = self.combine(of)?;
            if !self.survives(of) {
                let public = self.roster.member(of).map(|m| m.keys.masking);
                if public != Some(keys::public_key(&secret)) {
                    return Err(OpenError::BadShares { of });
                }
            }
            Ok((of, secret))
        };
        self.senders.iter().filter(needed).map(secret).collect()
    }

    fn survives(&self, member: u32) -> bool {
        self.survivors.binary_search(&member).is_ok()
    }

    fn surviving_neighbours(&self, of: u32) -> impl Iterator<Item = u32> {
        let neighbours = self.graph.holders(of).iter().copied();
        neighbours.filter(move |&holder| holder != of && self.survives(holder))
    }

    fn combine(&self, of: u32) -> Result<Zeroizing<Bytes32>, OpenError> {
        let t = self.policy.threshold_of(self.graph.holders(of).len());
        let shares = self.shares.get(&of).map_or(&[][..], Vec::as_slice);
        // A valid policy has at most 255 holders.
        let t = u8::try_from(t).map_err(|_| OpenError::Malformed)?;
        match shamir::combine(shares, t) {
            Ok(secret) => Ok(Zeroizing::new(secret)),
            Err(ShamirError::TooFew) => Err(OpenError::TooFewShares { of }),
            Err(_) => Err(OpenError::BadShares { of }),
        }
    }

    fn take_off(
        &self,
        of: u32,
        secret: &Bytes32,
        senders: &Bytes32,
        sum: &mut RingVector,
    ) -> Result<(), OpenError> {
        if self.survives(of) {
            let mut stream = keys::self_mask(secret, &self.binding, senders, of);
            sum.mask(&mut stream, false);
            return Ok(());
        }
        let public = keys::public_key(secret);
        for neighbour in self.surviving_neighbours(of) {
            let member = self.roster.member(neighbour).ok_or(OpenError::Malformed)?;
            let (mine, theirs) = ((of, &public), (neighbour, &member.keys.masking));
            // `None` only for a neighbour's key of small order, which would not have been admitted
            // to the roster.
            let mut stream = keys::pair_mask(secret, &self.binding, senders, mine, theirs)
                .ok_or(OpenError::BadShares { of: neighbour })?;
            sum.mask(&mut stream, !keys::adds(neighbour, of));
        }
        Ok(())
    }
}
