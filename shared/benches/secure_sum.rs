//! One participant's whole work in a secure sum (keys, shares, masked vector, shares given away), and the
//! aggregator's opening of it when every tenth participant has dropped out after dealing shares; n participants,
//! vectors of d entries modulo 2³² and four counters. Up to n = 101 the graph is complete, at 300 everyone has 100
//! neighbours.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A benchmark may panic: its cohort is honest.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use shared::secure_sum::encoding::{Layout, Ring, RingVector};
use shared::secure_sum::identity::Identity;
use shared::secure_sum::messages::{Inbox, Member, Roster, Shares, Survivors, Unmask};
use shared::secure_sum::opening;
use shared::secure_sum::participant::Participant;
use shared::secure_sum::{Context, SumPolicy};

const COHORTS: [u32; 3] = [10, 100, 300];
const ENTRIES: [usize; 2] = [576, 9_920];

struct Cohort {
    context: Context,
    policy: SumPolicy,
    identities: Vec<Identity>,
    participants: Vec<Participant>,
    roster: Roster,
    shares: BTreeMap<u32, Shares>,
    senders: Vec<u32>,
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

fn vector(entries: usize) -> RingVector {
    let layout = layout(entries);
    let integers: Vec<i64> = (0..layout.len() as i64).collect();
    RingVector::from_integers(layout, &integers).unwrap()
}

impl Cohort {
    /// All have dealt shares.
    fn new(n: u32) -> Self {
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
        Self {
            context,
            policy,
            identities,
            participants,
            roster,
            shares,
            senders: (0..n).collect(),
        }
    }

    fn inbox(&self, to: u32) -> Inbox {
        opening::inbox(&self.senders, &self.shares, to)
    }

    /// Everything that participant 1 does.
    fn take_part(&self, inbox: &Inbox, vector: RingVector, survivors: &Survivors) -> Unmask {
        let identity = &self.identities[1];
        let mut participant = Participant::new(self.context.clone(), 1, self.policy, seed(1, 9));
        black_box(participant.keys(identity));
        let public = identity.public();
        let shares = participant.shares(&public, &self.roster, &BTreeMap::new());
        black_box(shares.unwrap());
        black_box(participant.masked(identity, inbox, vector).unwrap());
        participant.unmask(survivors).unwrap()
    }
}

fn secure_sum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("secure_sum");
    group.sample_size(10);
    for n in COHORTS {
        let cohort = Cohort::new(n);
        // Numbers 9, 19, … drop out.
        let members: Vec<u32> = (0..n).filter(|p| p % 10 != 9).collect();
        let survivors = Survivors { members };
        let inbox = cohort.inbox(1);
        for d in ENTRIES {
            let id = BenchmarkId::new("participant", format!("n={n}, d={d}"));
            let vector = vector(d);
            group.bench_function(id, |bencher| {
                bencher.iter(|| cohort.take_part(&inbox, vector.clone(), &survivors));
            });
        }
        for d in ENTRIES {
            let mut sum = RingVector::zero(layout(d));
            let mut unmasks = Vec::new();
            for &p in &survivors.members {
                let mut participant = cohort.participants[p as usize].clone();
                let identity = &cohort.identities[p as usize];
                let inbox = cohort.inbox(p);
                let masked = participant.masked(identity, &inbox, vector(d)).unwrap();
                sum.add(&RingVector::from_bytes(layout(d), &masked.vector).unwrap())
                    .unwrap();
                unmasks.push((p, participant.unmask(&survivors).unwrap()));
            }
            let open = |mut sums: [RingVector; 1]| {
                opening::open(
                    &cohort.context,
                    &cohort.policy,
                    &cohort.roster,
                    &cohort.senders,
                    &survivors.members,
                    layout(d),
                    &unmasks,
                    &mut sums,
                )
                .unwrap();
                sums
            };
            // What is measured is also right.
            let expected = survivors.members.len() as i64 * (d as i64 + 3);
            assert_eq!(open([sum.clone()])[0].integers().last(), Some(&expected));
            let id = BenchmarkId::new("opening", format!("n={n}, d={d}"));
            group.bench_function(id, |bencher| bencher.iter(|| open([sum.clone()])));
        }
    }
    group.finish();
}

criterion_group!(benches, secure_sum);
criterion_main!(benches);
