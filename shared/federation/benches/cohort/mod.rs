//! A cohort for measuring secure sums: n participants, each with a vector of d entries modulo 2³²
//! and four counters; every tenth drops out after dealing its shares. Up to n = 101 the graph is
//! complete, above it each has 100 neighbours. Used by the benchmark, and by the figure
//! `secure-sum-cost` natively and in wasm.

#![allow(clippy::unwrap_used, clippy::expect_used)] // What measures may panic: its cohort is honest.
#![allow(dead_code)] // Each of those who use it needs a part of it.

use std::collections::BTreeMap;
use std::hint::black_box;

use federation::round::messages::{SumInput, SumMessage};
use ground::wire;
use secure_sum::encoding::{Layout, Ring, RingVector};
use secure_sum::graph::Graph;
use secure_sum::identity::Identity;
use secure_sum::messages::{
    Confirmation, Confirmations, Inbox, Masked, Member, Roster, Shares, Survivor, Survivors,
    Unmask, hash_vector,
};
use secure_sum::opening;
use secure_sum::participant::Participant;
use secure_sum::{Context, SumPolicy};

/// A cohort in which all have dealt shares.
pub struct Cohort {
    context: Context,
    policy: SumPolicy,
    identities: Vec<Identity>,
    participants: Vec<Participant>,
    roster: Roster,
    shares: BTreeMap<u32, Shares>,
    senders: Vec<u32>,
    survivors: Vec<u32>,
}

/// What the survivors sent in the last three phases, and what they were told.
pub struct Answers {
    masked: Vec<(u32, Masked)>,
    survivors: Survivors,
    confirmed: Vec<(u32, Confirmation)>,
    confirmations: Confirmations,
    unmasks: Vec<(u32, Unmask)>,
}

fn seed(participant: u32, of: u8) -> [u8; 32] {
    let mut seed = [of; 32];
    seed[..4].copy_from_slice(&participant.to_le_bytes());
    seed
}

fn layout(entries: usize) -> Layout {
    Layout {
        ring: Ring::U32,
        entries,
        tail: 4,
    }
}

/// The vector that every participant adds.
#[must_use]
pub fn vector(entries: usize) -> RingVector {
    let layout = layout(entries);
    let integers: Vec<i64> = (0..layout.len() as i64).collect();
    RingVector::from_integers(layout, &integers).unwrap()
}

impl Cohort {
    /// Makes the keys and shares of all `n`.
    #[must_use]
    pub fn new(n: u32) -> Self {
        let context = Context {
            federation: "bench".to_owned(),
            task: [1; 32],
            round: 1,
            theta: [2; 32],
            record: [3; 32],
        };
        let policy = SumPolicy::default();
        let identities: Vec<Identity> = (0..n).map(|p| Identity::from_seed(seed(p, 7))).collect();
        let new = |p| Participant::new(context.clone(), p, policy, seed(p, 9));
        let mut participants: Vec<Participant> = (0..n).map(new).collect();
        let members = participants.iter().zip(&identities).zip(0..);
        let members = members
            .map(|((participant, identity), number)| Member {
                participant: number,
                identity: identity.public(),
                keys: participant.keys(identity),
            })
            .collect();
        let roster = Roster { members };
        let mut shares = BTreeMap::new();
        for (number, participant) in (0..).zip(&mut participants) {
            let public = identities[number as usize].public();
            let dealt = participant.shares(&public, &roster, &BTreeMap::new());
            shares.insert(number, dealt.unwrap());
        }
        // Numbers 9, 19, … drop out.
        let survivors = (0..n).filter(|p| p % 10 != 9).collect();
        Self {
            context,
            policy,
            identities,
            participants,
            roster,
            shares,
            senders: (0..n).collect(),
            survivors,
        }
    }

    /// What participant `to` receives before it masks its vector.
    #[must_use]
    pub fn inbox(&self, to: u32) -> Inbox {
        opening::inbox(&self.senders, &self.shares, to)
    }

    /// Everything that participant 1 computes: keys, shares, masked vector, confirmation, revealed
    /// shares. `answers` are those to the same vectors.
    #[must_use]
    pub fn take_part(
        &self,
        inbox: &Inbox,
        vector: RingVector,
        answers: &Answers,
    ) -> [SumMessage; 5] {
        let identity = &self.identities[1];
        let mut participant = Participant::new(self.context.clone(), 1, self.policy, seed(1, 9));
        let keys = participant.keys(identity);
        let public = identity.public();
        let shares = participant.shares(&public, &self.roster, &BTreeMap::new());
        let masked = participant.masked(identity, inbox, vector).unwrap();
        let confirmation = participant.confirm(identity, &answers.survivors).unwrap();
        let unmask = participant.unmask(&answers.confirmations).unwrap();
        [
            SumMessage::Keys(keys),
            SumMessage::Shares(shares.unwrap()),
            SumMessage::Masked(masked),
            SumMessage::Confirmation(confirmation),
            SumMessage::Unmask(unmask),
        ]
    }

    /// Bytes on the wire of participant 1's messages to the aggregator, and of the aggregator's to
    /// it.
    #[must_use]
    pub fn bytes(&self, d: usize) -> (usize, usize) {
        let answers = self.answers(d);
        let sent = self.take_part(&self.inbox(1), vector(d), &answers);
        let received = [
            SumInput::Roster(self.roster.clone()),
            SumInput::Inbox(self.inbox(1)),
            SumInput::Survivors(answers.survivors),
            SumInput::Confirmations(answers.confirmations),
        ];
        (
            sent.iter().map(|m| wire::encode(m).len()).sum(),
            received.iter().map(|m| wire::encode(m).len()).sum(),
        )
    }

    /// The answers of all survivors.
    #[must_use]
    pub fn answers(&self, d: usize) -> Answers {
        let mut participants = self.participants.clone();
        let (mut masked, mut members) = (Vec::new(), Vec::new());
        for &p in &self.survivors {
            let identity = &self.identities[p as usize];
            let participant = &mut participants[p as usize];
            let made = participant.masked(identity, &self.inbox(p), vector(d));
            let made = made.unwrap();
            members.push(Survivor {
                participant: p,
                vector: hash_vector(&made.vector),
                signature: made.signature,
            });
            masked.push((p, made));
        }
        let survivors = Survivors { members };
        let mut confirmed = Vec::new();
        for &p in &self.survivors {
            let identity = &self.identities[p as usize];
            let confirmation = participants[p as usize].confirm(identity, &survivors);
            confirmed.push((p, confirmation.unwrap()));
        }
        let signatures = confirmed.iter().map(|(p, c)| (*p, c.signature));
        let confirmations = Confirmations {
            members: signatures.collect(),
        };
        let mut unmasks = Vec::new();
        for &p in &self.survivors {
            let unmask = participants[p as usize].unmask(&confirmations);
            unmasks.push((p, unmask.unwrap()));
        }
        Answers {
            masked,
            survivors,
            confirmed,
            confirmations,
            unmasks,
        }
    }

    /// All of the aggregator's mathematics in one sum: every message checked, every inbox made, the
    /// vectors added, the sum opened.
    ///
    /// # Panics
    /// If the sum is not the survivors'.
    pub fn aggregate(&self, d: usize, answers: &Answers) {
        let graph = Graph::new(&self.roster, &self.policy);
        for member in &self.roster.members {
            assert!(opening::check_keys(&self.context, member));
        }
        for (&from, shares) in &self.shares {
            assert!(opening::check_shares_in(&graph, from, shares));
            black_box(self.inbox(from));
        }
        for (from, masked) in &answers.masked {
            let identity = self.identities[*from as usize].public();
            let (context, senders) = (&self.context, &self.senders);
            assert!(opening::check_masked(
                context,
                &identity,
                *from,
                senders,
                layout(d),
                masked
            ));
        }
        for (from, confirmation) in &answers.confirmed {
            assert!(opening::check_confirmation(
                &self.context,
                &self.roster,
                &self.senders,
                &self.survivors,
                *from,
                confirmation
            ));
        }
        for (from, unmask) in &answers.unmasks {
            let survivors = &self.survivors;
            assert!(opening::check_unmask_in(
                &graph,
                &self.senders,
                survivors,
                *from,
                unmask
            ));
        }
        let opened = self.open(d, answers, self.masked_sum(d, answers));
        let expected = self.survivors.len() as i64 * (d as i64 + 3);
        assert_eq!(opened.integers().last(), Some(&expected));
    }

    /// The sum of the survivors' masked vectors.
    #[must_use]
    pub fn masked_sum(&self, d: usize, answers: &Answers) -> RingVector {
        let mut sum = RingVector::zero(layout(d));
        for (_, masked) in &answers.masked {
            let vector = RingVector::from_bytes(layout(d), &masked.vector).unwrap();
            sum.add(&vector).unwrap();
        }
        sum
    }

    /// Removes the masks.
    #[must_use]
    pub fn open(&self, d: usize, answers: &Answers, sum: RingVector) -> RingVector {
        let mut sums = [sum];
        opening::open(
            &self.context,
            &self.policy,
            &self.roster,
            &self.senders,
            &self.survivors,
            layout(d),
            &answers.unmasks,
            &mut sums,
        )
        .unwrap();
        let [sum] = sums;
        sum
    }
}
