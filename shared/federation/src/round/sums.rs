//! The aggregator's part in a secure sum: what it checks, what it hands out, and how it opens the
//! sum. Called by the store of the messages, in memory or in the server's database.

use super::messages::SumMessage;
use super::phase::{AbortReason, RoundKind};
use super::refusal::Refusal;
use crate::record::{Cohort, Commitment};
use crate::rules::advance::{GroupSum, Sums};
use crate::task::Task;
use ground::hex::hex;
use secure_sum::encoding::{Layout, RingVector};
use secure_sum::messages::{Inbox, Masked, Member, Roster, Shares, Unmask, hash_vector};
use secure_sum::opening;
use secure_sum::opening::OpenError;
use secure_sum::{Bytes32, Context, SumPolicy};
use std::collections::BTreeMap;

/// The sets of a round that are frozen so far; a set not yet frozen is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// U1.
    pub roster: Roster,
    /// U2.
    pub senders: Vec<u32>,
    /// U3.
    pub survivors: Vec<u32>,
}

fn parts(task: &Task, kind: RoundKind) -> Result<(SumPolicy, Layout), Refusal> {
    match (&task.federation.secure, task.contribution_of(kind)) {
        (Some(secure), Some(contribution)) => Ok((secure.policy, contribution.layout())),
        // This federation's updates are not summed under masks.
        _ => Err(Refusal::TooEarly),
    }
}

/// Checks a message of participant `from` by itself and against the sets frozen before it.
pub fn check(
    task: &Task,
    kind: RoundKind,
    context: &Context,
    frozen: &Frozen,
    from: u32,
    identity: &Bytes32,
    message: &SumMessage,
) -> Result<(), Refusal> {
    let (policy, layout) = parts(task, kind)?;
    let (good, refusal) = match message {
        SumMessage::Keys(keys) => {
            let member = Member {
                participant: from,
                identity: *identity,
                keys: keys.clone(),
            };
            (opening::check_keys(context, &member), Refusal::BadIdentity)
        }
        SumMessage::Shares(shares) => (
            opening::check_shares(context, &policy, &frozen.roster, from, shares),
            Refusal::Malformed,
        ),
        SumMessage::Masked(masked) => (
            opening::check_masked(context, identity, from, &frozen.senders, layout, masked),
            Refusal::Malformed,
        ),
        SumMessage::Confirmation(confirmation) => (
            opening::check_confirmation(
                context,
                &frozen.roster,
                &frozen.senders,
                &frozen.survivors,
                from,
                confirmation,
            ),
            Refusal::Malformed,
        ),
        SumMessage::Unmask(unmask) => (
            opening::check_unmask(
                &policy,
                &frozen.roster,
                &frozen.senders,
                &frozen.survivors,
                from,
                unmask,
            ),
            Refusal::Malformed,
        ),
    };
    if good { Ok(()) } else { Err(refusal) }
}

/// The roster of those whose keys were taken.
#[must_use]
pub fn roster(members: impl IntoIterator<Item = Member>) -> Roster {
    let by_number: BTreeMap<u32, Member> =
        members.into_iter().map(|m| (m.participant, m)).collect();
    Roster {
        members: by_number.into_values().collect(),
    }
}

/// The inbox of every sender: the envelopes that the others sealed for it.
#[must_use]
pub fn inboxes(shares: &BTreeMap<u32, Shares>) -> BTreeMap<u32, Inbox> {
    let senders: Vec<u32> = shares.keys().copied().collect();
    let mut inboxes: BTreeMap<u32, Inbox> = senders
        .iter()
        .map(|to| {
            let inbox = Inbox {
                senders: senders.clone(),
                envelopes: Vec::new(),
            };
            (*to, inbox)
        })
        .collect();
    for (from, shares) in shares {
        for envelope in &shares.envelopes {
            if let Some(inbox) = inboxes.get_mut(&envelope.peer) {
                let mut envelope = envelope.clone();
                envelope.peer = *from;
                inbox.envelopes.push(envelope);
            }
        }
    }
    inboxes
}

/// A sum that is being opened: masked vectors are added one by one, and none is kept.
pub struct Opening<'a> {
    context: &'a Context,
    frozen: &'a Frozen,
    policy: SumPolicy,
    layout: Layout,
    groups: BTreeMap<u32, usize>,
    sums: Vec<RingVector>,
    contributors: Vec<Commitment>,
}

impl<'a> Opening<'a> {
    /// Starts with all three sets frozen.
    ///
    /// # Errors
    /// The task has no secure sums.
    pub fn new(
        task: &'a Task,
        kind: RoundKind,
        context: &'a Context,
        frozen: &'a Frozen,
    ) -> Result<Self, Refusal> {
        let (policy, layout) = parts(task, kind)?;
        Ok(Self {
            groups: opening::group_of(&frozen.roster, &policy),
            sums: vec![RingVector::zero(layout); policy.groups as usize],
            contributors: Vec::with_capacity(frozen.survivors.len()),
            context,
            frozen,
            policy,
            layout,
        })
    }

    /// Adds a survivor's vector, which was checked when it came. Ascending by participant.
    ///
    /// # Errors
    /// It is not a vector after all.
    pub fn add(&mut self, from: u32, masked: &Masked) -> Result<(), Refusal> {
        let vector =
            RingVector::from_bytes(self.layout, &masked.vector).map_err(|_| Refusal::Malformed)?;
        let member = self
            .frozen
            .roster
            .member(from)
            .ok_or(Refusal::NotInCohort)?;
        let group = self
            .groups
            .get(&from)
            .and_then(|g| self.sums.get_mut(*g))
            .ok_or(Refusal::NotInCohort)?;
        group.add(&vector).map_err(|_| Refusal::Malformed)?;
        self.contributors.push(Commitment {
            participant: from,
            identity: hex(&member.identity),
            vector: hex(&hash_vector(&masked.vector)),
            signature: hex(&masked.signature.0),
        });
        Ok(())
    }

    /// The members of the sum, for the record, even if it cannot be opened.
    #[must_use]
    pub fn cohort(&self) -> Cohort {
        Cohort {
            roster: hex(&self.frozen.roster.hash()),
            senders: self.frozen.senders.clone(),
            contributors: self.contributors.clone(),
        }
    }

    /// Removes the masks.
    ///
    /// # Errors
    /// Why the sum is lost.
    pub fn open(mut self, unmasks: &[(u32, Unmask)]) -> Result<Sums, AbortReason> {
        opening::open(
            self.context,
            &self.policy,
            &self.frozen.roster,
            &self.frozen.senders,
            &self.frozen.survivors,
            self.layout,
            unmasks,
            &mut self.sums,
        )
        .map_err(|error| match error {
            OpenError::TooFewShares { .. } => AbortReason::TooFewUnmasked,
            _ => AbortReason::FalseShares,
        })?;
        Ok(grouped(&self.groups, &self.frozen.survivors, &self.sums))
    }
}

/// The sums of vectors without masks, in the groups that masks would have put them into: for
/// simulations.
pub fn plain(
    task: &Task,
    kind: RoundKind,
    vectors: &BTreeMap<u32, RingVector>,
) -> Result<Sums, AbortReason> {
    let (policy, layout) = parts(task, kind).map_err(|_| AbortReason::TooFewUpdates)?;
    let count = policy.groups as usize;
    let mut sums = vec![RingVector::zero(layout); count];
    let mut groups = BTreeMap::new();
    for (place, (from, vector)) in vectors.iter().enumerate() {
        let group = place % count;
        groups.insert(*from, group);
        sums[group]
            .add(vector)
            .map_err(|_| AbortReason::TooFewUpdates)?;
    }
    let survivors: Vec<u32> = vectors.keys().copied().collect();
    Ok(grouped(&groups, &survivors, &sums))
}

fn grouped(groups: &BTreeMap<u32, usize>, survivors: &[u32], sums: &[RingVector]) -> Sums {
    let of = |group| {
        let members = survivors
            .iter()
            .filter(move |m| groups.get(*m) == Some(&group));
        members.copied().collect::<Vec<u32>>()
    };
    let groups = sums.iter().enumerate().map(|(group, sum)| GroupSum {
        members: of(group),
        sum: sum.integers(),
    });
    Sums::Secure {
        groups: groups.filter(|g| !g.members.is_empty()).collect(),
    }
}
