//! A whole cohort with an honest server, for tests; tests of malicious servers change its messages.

use super::encoding::{Layout, Ring, RingVector};
use super::identity::Identity;
use super::messages::{
    Confirmation, Confirmations, Inbox, Masked, Member, Roster, Shares, Signature, Survivor,
    Survivors, Unmask, hash_vector,
};
use super::opening::{self, OpenError};
use super::participant::{Participant, Suspicion};
use super::{Context, SumPolicy};
use ground::rng::Stream;
use ground::wire::{decode, encode};
use std::collections::BTreeMap;

pub const LAYOUT: Layout = Layout {
    ring: Ring::U32,
    entries: 5,
    tail: 2,
};

pub fn context() -> Context {
    Context {
        federation: "handwriting".to_owned(),
        task: [1; 32],
        round: 7,
        theta: [2; 32],
        record: [3; 32],
    }
}

pub fn complete() -> SumPolicy {
    SumPolicy::default()
}

/// The last step that a participant takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Last {
    Keys,
    Shares,
    Masked,
    Confirm,
    Unmask,
}

pub struct Cohort {
    pub context: Context,
    pub policy: SumPolicy,
    pub layout: Layout,
    pub identities: BTreeMap<u32, Identity>,
    pub participants: BTreeMap<u32, Participant>,
    pub roster: Roster,
    pub shares: BTreeMap<u32, Shares>,
    /// U2: the participants who dealt shares.
    pub senders: Vec<u32>,
    pub masked: BTreeMap<u32, Masked>,
    /// U3: the participants whose vectors are in the sum.
    pub survivors: Vec<u32>,
    /// U4: who confirmed the survivors.
    pub confirmations: BTreeMap<u32, Confirmation>,
    pub unmasks: Vec<(u32, Unmask)>,
}

impl Cohort {
    /// Participants 10, 13, 16, …, who have posted their keys.
    pub fn new(n: u32, policy: SumPolicy) -> Self {
        Self::of(context(), n, policy)
    }

    pub fn of(context: Context, n: u32, policy: SumPolicy) -> Self {
        let numbers: Vec<u32> = (0..n).map(|i| 10 + 3 * i).collect();
        let seed = |number: u32, of: u8| {
            let mut seed = [of; 32];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            seed
        };
        let identities: BTreeMap<u32, Identity> = numbers
            .iter()
            .map(|&p| (p, Identity::from_seed(seed(p, 0xd1))))
            .collect();
        let participants: BTreeMap<u32, Participant> = numbers
            .iter()
            .map(|&p| {
                let participant = Participant::new(context.clone(), p, policy, seed(p, 0x5e));
                (p, participant)
            })
            .collect();
        let members = numbers
            .iter()
            .map(|p| Member {
                participant: *p,
                identity: identities[p].public(),
                keys: participants[p].keys(&identities[p]),
            })
            .collect();
        Self {
            context,
            policy,
            layout: LAYOUT,
            identities,
            participants,
            roster: Roster { members },
            shares: BTreeMap::new(),
            senders: Vec::new(),
            masked: BTreeMap::new(),
            survivors: Vec::new(),
            confirmations: BTreeMap::new(),
            unmasks: Vec::new(),
        }
    }

    pub fn numbers(&self) -> Vec<u32> {
        self.participants.keys().copied().collect()
    }

    /// The vector that a participant adds: any integers small enough not to wrap around.
    pub fn vector(&self, participant: u32) -> RingVector {
        RingVector::from_integers(self.layout, &self.integers(participant)).unwrap()
    }

    pub fn integers(&self, participant: u32) -> Vec<i64> {
        let mut stream = Stream::new(u64::from(participant), 0);
        (0..self.layout.len())
            .map(|_| i64::from(stream.below(2_000_001)) - 1_000_000)
            .collect()
    }

    /// Stores and restores a participant, as a reload does.
    pub fn reload(&mut self, participant: u32) {
        let stored = encode(&self.participants[&participant]);
        let restored: Participant = decode(&stored).unwrap();
        assert_eq!(restored, self.participants[&participant]);
        self.participants.insert(participant, restored);
    }

    pub fn ask_shares(&mut self, p: u32, roster: &Roster) -> Result<Shares, Suspicion> {
        let identity = self.identities[&p].public();
        let pins = BTreeMap::new();
        let participant = self.participants.get_mut(&p).unwrap();
        participant.shares(&identity, roster, &pins)
    }

    pub fn inbox(&self, p: u32) -> Inbox {
        opening::inbox(&self.senders, &self.shares, p)
    }

    pub fn ask_masked(&mut self, p: u32, inbox: &Inbox) -> Result<Masked, Suspicion> {
        let vector = self.vector(p);
        let participant = self.participants.get_mut(&p).unwrap();
        participant.masked(&self.identities[&p], inbox, vector)
    }

    /// What the server tells about these members, with the vectors that they sent.
    pub fn survivors_of(&self, members: &[u32]) -> Survivors {
        let survivor = |&participant: &u32| {
            // Somebody who sent nothing has signed nothing.
            let masked = self.masked.get(&participant);
            Survivor {
                participant,
                vector: masked.map_or([0; 32], |m| hash_vector(&m.vector)),
                signature: masked.map_or(Signature([0; 64]), |m| m.signature),
            }
        };
        Survivors {
            members: members.iter().map(survivor).collect(),
        }
    }

    pub fn ask_confirm(&mut self, p: u32, members: &[u32]) -> Result<Confirmation, Suspicion> {
        let survivors = self.survivors_of(members);
        let participant = self.participants.get_mut(&p).unwrap();
        participant.confirm(&self.identities[&p], &survivors)
    }

    /// What the server passes on of the confirmations that it has.
    pub fn confirmed(&self) -> Confirmations {
        let signatures = self.confirmations.iter().map(|(p, c)| (*p, c.signature));
        Confirmations {
            members: signatures.collect(),
        }
    }

    pub fn ask_unmask(&mut self, p: u32) -> Result<Unmask, Suspicion> {
        let confirmations = self.confirmed();
        let participant = self.participants.get_mut(&p).unwrap();
        participant.unmask(&confirmations)
    }

    /// Lets the participants `senders` deal shares, which the server checks; they become U2.
    pub fn deal(&mut self, senders: &[u32]) {
        let roster = self.roster.clone();
        for member in &roster.members {
            assert!(opening::check_keys(&self.context, member));
        }
        for &p in senders {
            let shares = self.ask_shares(p, &roster).unwrap();
            assert!(opening::check_shares(
                &self.context,
                &self.policy,
                &roster,
                p,
                &shares
            ));
            self.shares.insert(p, shares);
        }
        self.senders = senders.to_vec();
    }

    /// Lets the candidates send their vectors; they become U3. Returns those who refuse because
    /// they see too few.
    pub fn send(&mut self, candidates: &[u32]) -> Vec<u32> {
        let mut refused = Vec::new();
        for &p in candidates {
            let inbox = self.inbox(p);
            match self.ask_masked(p, &inbox) {
                Ok(masked) => {
                    let identity = self.identities[&p].public();
                    assert!(opening::check_masked(
                        &self.context,
                        &identity,
                        p,
                        &self.senders,
                        self.layout,
                        &masked
                    ));
                    self.masked.insert(p, masked);
                    self.survivors.push(p);
                }
                Err(suspicion) => {
                    assert_eq!(suspicion, Suspicion::TooFewMembers);
                    refused.push(p);
                }
            }
        }
        refused
    }

    /// Lets the candidates confirm (U4). Returns those who refuse because they see too few.
    pub fn confirm(&mut self, candidates: &[u32]) -> Vec<u32> {
        let survivors = self.survivors.clone();
        let mut refused = Vec::new();
        for &p in candidates {
            match self.ask_confirm(p, &survivors) {
                Ok(confirmation) => {
                    assert!(opening::check_confirmation(
                        &self.context,
                        &self.roster,
                        &self.senders,
                        &survivors,
                        p,
                        &confirmation
                    ));
                    self.confirmations.insert(p, confirmation);
                }
                Err(suspicion) => {
                    assert_eq!(suspicion, Suspicion::TooFewSurvivors);
                    refused.push(p);
                }
            }
        }
        refused
    }

    /// Lets the candidates answer (U5). Returns those who refuse because too few have confirmed.
    pub fn answer(&mut self, candidates: &[u32]) -> Vec<u32> {
        let survivors = self.survivors.clone();
        let mut refused = Vec::new();
        for &p in candidates {
            match self.ask_unmask(p) {
                Ok(unmask) => {
                    assert!(opening::check_unmask(
                        &self.policy,
                        &self.roster,
                        &self.senders,
                        &survivors,
                        p,
                        &unmask
                    ));
                    self.unmasks.push((p, unmask));
                }
                Err(suspicion) => {
                    assert_eq!(suspicion, Suspicion::TooFewConfirmed);
                    refused.push(p);
                }
            }
        }
        refused
    }

    /// The sums of the survivors' masked vectors, one for each group.
    pub fn sums(&self) -> Vec<RingVector> {
        let groups = opening::group_of(&self.roster, &self.policy);
        let number = groups.values().max().map_or(0, |last| last + 1);
        let mut sums = vec![RingVector::zero(self.layout); number];
        for p in &self.survivors {
            let masked = RingVector::from_bytes(self.layout, &self.masked[p].vector).unwrap();
            sums[groups[p]].add(&masked).unwrap();
        }
        sums
    }

    /// The sums that must come out.
    pub fn expected(&self) -> Vec<RingVector> {
        let groups = opening::group_of(&self.roster, &self.policy);
        let mut sums = vec![RingVector::zero(self.layout); self.sums().len()];
        for p in &self.survivors {
            sums[groups[p]].add(&self.vector(*p)).unwrap();
        }
        sums
    }

    pub fn open(&self) -> Result<Vec<RingVector>, OpenError> {
        let mut sums = self.sums();
        let before = sums.clone();
        let result = opening::open(
            &self.context,
            &self.policy,
            &self.roster,
            &self.senders,
            &self.survivors,
            self.layout,
            &self.unmasks,
            &mut sums,
        );
        if result.is_err() {
            assert_eq!(sums, before, "a failed opening changes nothing");
        }
        result.map(|()| sums)
    }

    /// A cohort in which everyone did everything up to `last`.
    pub fn at(n: u32, policy: SumPolicy, last: Last) -> Self {
        let mut cohort = Self::new(n, policy);
        let all = cohort.numbers();
        if last >= Last::Shares {
            cohort.deal(&all);
        }
        if last >= Last::Masked {
            assert!(cohort.send(&all).is_empty());
        }
        if last >= Last::Confirm {
            assert!(cohort.confirm(&all).is_empty());
        }
        if last >= Last::Unmask {
            assert!(cohort.answer(&all).is_empty());
        }
        cohort
    }
}
