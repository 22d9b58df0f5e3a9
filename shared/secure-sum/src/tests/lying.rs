//! An aggregator that tells different participants different things, with colluders among them: what
//! it can open, computed from all that it got, against [`Bound`].

use super::bound::Bound;
use super::cohort::{Cohort, complete};
use super::messages::{Confirmation, SecretKind, hash_senders, hash_survivors};
use super::participant::Suspicion;
use super::{SumPolicy, THRESHOLD_MIN};
use ground::rng::Stream;
use std::collections::BTreeMap;

/// What one participant is told.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    senders: Vec<u32>,
    survivors: Vec<u32>,
}

/// One attack on one round: who colludes, and who is told what.
struct Attack {
    cohort: Cohort,
    colluders: Vec<u32>,
    told: BTreeMap<u32, Told>,
}

impl Attack {
    fn new(n: u32, policy: SumPolicy, colluders: usize) -> Self {
        let mut cohort = Cohort::new(n, policy);
        let all = cohort.numbers();
        cohort.deal(&all);
        let colluders = all[all.len() - colluders..].to_vec();
        Self {
            cohort,
            colluders,
            told: BTreeMap::new(),
        }
    }

    fn honest(&self) -> Vec<u32> {
        let mut honest = self.cohort.numbers();
        honest.retain(|p| !self.colluders.contains(p));
        honest
    }

    /// Tells everyone its part, lets colluders confirm whatever helps, and returns for each honest
    /// participant who revealed shares what it had been told.
    fn run(&mut self) -> BTreeMap<u32, Told> {
        let honest = self.honest();
        for &p in &honest {
            self.cohort.senders = self.told[&p].senders.clone();
            let inbox = self.cohort.inbox(p);
            if let Ok(masked) = self.cohort.ask_masked(p, &inbox) {
                self.cohort.masked.insert(p, masked);
            }
        }
        let mut confirmed: Vec<(u32, Confirmation)> = Vec::new();
        for &p in &honest {
            let told = self.told[&p].clone();
            self.collude(&told);
            if let Ok(confirmation) = self.cohort.ask_confirm(p, &told.survivors) {
                confirmed.push((p, confirmation));
            }
        }
        let mut revealed = BTreeMap::new();
        for &p in &honest {
            let told = self.told[&p].clone();
            // Everything that was signed for this view, by whomever.
            let same = |(who, _): &&(u32, Confirmation)| self.told[who] == told;
            self.cohort.confirmations = confirmed.iter().filter(same).cloned().collect();
            for &colluder in &self.colluders.clone() {
                if told.survivors.contains(&colluder) {
                    let confirmation = self.confirmation(colluder, &told);
                    self.cohort.confirmations.insert(colluder, confirmation);
                }
            }
            if let Ok(unmask) = self.cohort.ask_unmask(p) {
                self.cohort.unmasks.push((p, unmask));
                revealed.insert(p, told);
            }
        }
        revealed
    }

    /// Colluders commit themselves to any vector, under whatever senders it takes.
    fn collude(&mut self, told: &Told) {
        for &colluder in &self.colluders {
            let (senders, vector) = (hash_senders(&told.senders), vec![0; 8]);
            let digest = self.cohort.context.digest();
            let hash = super::messages::hash_vector(&vector);
            let signed = super::messages::commitment(&digest, colluder, &senders, &hash);
            let masked = super::messages::Masked {
                senders,
                signature: self.cohort.identities[&colluder].signature(&signed),
                vector,
            };
            self.cohort.masked.insert(colluder, masked);
        }
    }

    fn confirmation(&self, colluder: u32, told: &Told) -> Confirmation {
        let survivors = hash_survivors(&told.survivors);
        let (digest, roster) = (self.cohort.context.digest(), self.cohort.roster.hash());
        let senders = hash_senders(&told.senders);
        let signed = Confirmation::signed(&digest, colluder, &roster, &senders, &survivors);
        Confirmation {
            survivors,
            signature: self.cohort.identities[&colluder].signature(&signed),
        }
    }

    /// Whether the server has enough shares of a secret; colluders hold one of everyone's.
    fn is_open(&self, of: u32, kind: SecretKind) -> bool {
        let revealed = |unmask: &super::messages::Unmask| {
            let mut shares = unmask.shares.iter();
            shares.any(|share| share.of == of && share.kind == kind)
        };
        let holders = self.cohort.numbers().len();
        let from = self
            .cohort
            .unmasks
            .iter()
            .filter(|(_, u)| revealed(u))
            .count();
        from + self.colluders.len() >= self.cohort.policy.threshold_of(holders)
    }

    /// The smallest number of honest participants over whom the server can open a sum: their
    /// self-masks are known, and every pair mask that one of them added is known or cancels against
    /// one that another of them added. `None` if it can open none.
    fn smallest_sum(&self) -> Option<usize> {
        let honest = self.honest();
        let open = |kind| -> Vec<u32> {
            let all = honest.iter().copied();
            all.filter(|&of| self.is_open(of, kind)).collect()
        };
        let (unmasked, unpaired) = (open(SecretKind::SelfMask), open(SecretKind::MaskingKey));
        let can_be_summed = |members: &[u32]| {
            members.iter().all(|p| {
                let mine = &self.told[p].senders;
                let known = |peer: &u32| {
                    let cancels = members.contains(peer) && self.told[peer].senders == *mine;
                    peer == p
                        || self.colluders.contains(peer)
                        || unpaired.contains(peer)
                        || unpaired.contains(p)
                        || cancels
                };
                self.cohort.masked.contains_key(p) && unmasked.contains(p) && mine.iter().all(known)
            })
        };
        let subsets = 1..1_u32 << honest.len();
        let members = |set: u32| -> Vec<u32> {
            let numbered = honest.iter().enumerate();
            let inside = numbered.filter(|(i, _)| set >> i & 1 == 1);
            inside.map(|(_, p)| *p).collect()
        };
        let opened = subsets.map(members).filter(|m| can_be_summed(m));
        opened.map(|members| members.len()).min()
    }
}

/// A random subset that keeps `always` and drops others with one chance in `odds`.
fn some(from: &[u32], always: u32, odds: u32, stream: &mut Stream) -> Vec<u32> {
    let kept = |p: &u32| *p == always || stream.below(odds) > 0;
    from.iter().copied().filter(kept).collect()
}

/// Plays random lies about U2, U3 or both, and returns the smallest sum that any of them opened.
fn smallest_of(tries: u32, n: u32, policy: SumPolicy, colluders: usize) -> Option<usize> {
    let mut stream = Stream::new(u64::from(n), colluders as u32);
    let mut smallest: Option<usize> = None;
    for _ in 0..tries {
        let mut attack = Attack::new(n, policy, colluders);
        let (all, honest) = (attack.cohort.numbers(), attack.honest());
        // Up to three stories, told to random listeners.
        let lies = stream.below(3);
        let stories: Vec<Told> = (0..1 + stream.below(3))
            .map(|_| {
                let listener = honest[stream.below(honest.len() as u32) as usize];
                let mut senders = all.clone();
                if lies != 1 {
                    senders = some(&all, listener, 4, &mut stream);
                }
                let mut survivors = senders.clone();
                if lies != 0 {
                    survivors = some(&senders, listener, 4, &mut stream);
                }
                Told { senders, survivors }
            })
            .collect();
        for &p in &honest {
            let mut told = stories[stream.below(stories.len() as u32) as usize].clone();
            // Whoever is left out of a story would refuse it.
            for list in [&mut told.senders, &mut told.survivors] {
                if stream.below(3) > 0 && !list.contains(&p) {
                    list.push(p);
                    list.sort_unstable();
                }
            }
            attack.told.insert(p, told);
        }
        attack.run();
        let opened = attack.smallest_sum();
        smallest = smallest.into_iter().chain(opened).min();
    }
    smallest
}

#[test]
fn no_lie_opens_less_than_the_bound() {
    let mut opened = 0;
    for n in [4, 5, 7] {
        for threshold in [THRESHOLD_MIN, 0.8] {
            let policy = SumPolicy {
                threshold,
                ..complete()
            };
            let bound = Bound::of(&policy, n as usize).unwrap();
            for colluders in 0..=bound.colluders {
                let smallest = smallest_of(25, n, policy, colluders);
                let least = bound.survivors - colluders;
                opened += u32::from(smallest.is_some());
                assert!(
                    smallest.is_none_or(|s| s >= least),
                    "{n} {colluders} {smallest:?}"
                );
            }
        }
    }
    // Some of these stories are true enough for a sum to open.
    assert!(opened > 3, "{opened}");
}

/// The attack that opened one of five participants' vectors when a majority was enough and nobody
/// compared what they had been told: the victim is told that it is in one sum with two others, who
/// are told that they dropped out of another.
fn isolate(policy: SumPolicy, colluders: usize) -> Attack {
    let mut attack = Attack::new(5, policy, colluders);
    let all = attack.cohort.numbers();
    let victim = all[0];
    let whole = Told {
        senders: all.clone(),
        survivors: all[1..].to_vec(),
    };
    let alone = Told {
        senders: all[..3].to_vec(),
        survivors: all[..3].to_vec(),
    };
    for &p in &all[1..] {
        attack.told.insert(p, whole.clone());
    }
    attack.told.insert(victim, alone);
    attack
}

#[test]
fn a_majority_is_not_enough() {
    let policy = SumPolicy {
        threshold: 0.5,
        ..complete()
    };
    let mut cohort = Cohort::new(5, policy);
    let roster = cohort.roster.clone();
    let victim = cohort.numbers()[0];
    assert_eq!(
        cohort.ask_shares(victim, &roster),
        Err(Suspicion::BadPolicy)
    );
}

#[test]
fn the_victim_of_two_stories_sends_nothing() {
    let mut attack = isolate(complete(), 0);
    let victim = attack.cohort.numbers()[0];
    let revealed = attack.run();
    // Three senders of five are too few for it, so that no vector of its exists.
    assert!(!attack.cohort.masked.contains_key(&victim));
    // The others open the sum of the four of them, as they would without the victim.
    assert_eq!(revealed.len(), 4);
    assert_eq!(attack.smallest_sum(), Some(4));
}

#[test]
fn who_is_said_to_be_in_a_sum_and_was_told_another_stops_it() {
    // The victim is told a list long enough for it, and the others that the victim is in their sum.
    let mut attack = isolate(complete(), 0);
    let all = attack.cohort.numbers();
    let victim = all[0];
    for told in attack.told.values_mut() {
        told.survivors.clone_from(&all);
    }
    let fewer = all[..4].to_vec();
    let lie = Told {
        senders: fewer.clone(),
        survivors: fewer,
    };
    attack.told.insert(victim, lie);
    attack.run();
    assert!(attack.cohort.masked.contains_key(&victim));
    for &p in &all {
        let told = attack.told[&p].survivors.clone();
        let expected = Err(Suspicion::OtherSenders);
        assert_eq!(attack.cohort.ask_confirm(p, &told), expected);
    }
    assert!(attack.cohort.unmasks.is_empty());
    assert_eq!(attack.smallest_sum(), None);
}

#[test]
fn two_sets_of_survivors_need_more_colluders_than_are_allowed() {
    // Half are told that the victim is in the sum, half that it dropped out.
    let n = 7;
    let bound = Bound::of(&complete(), n as usize).unwrap();
    for colluders in 0..=bound.colluders + 1 {
        let mut attack = Attack::new(n, complete(), colluders);
        let (all, honest) = (attack.cohort.numbers(), attack.honest());
        for (place, &p) in honest.iter().enumerate() {
            // Who is told that it is not in the sum would refuse: the victims are others' neighbours.
            let dropped = if place % 2 == 0 { honest[1] } else { honest[0] };
            let mut survivors = all.clone();
            survivors.retain(|s| *s != dropped);
            let senders = all.clone();
            attack.told.insert(p, Told { senders, survivors });
        }
        let revealed = attack.run();
        let mut views: Vec<&Told> = revealed.values().collect();
        views.dedup();
        let two = views.len() > 1;
        assert_eq!(two, colluders > bound.colluders, "{colluders}");
        if !two {
            let least = bound.survivors - colluders;
            assert!(attack.smallest_sum().is_none_or(|s| s >= least));
        }
    }
}

#[test]
fn the_search_finds_what_too_many_colluders_open() {
    let bound = Bound::of(&complete(), 5).unwrap();
    let smallest = smallest_of(40, 5, complete(), bound.colluders + 1);
    assert!(smallest.is_some_and(|s| s < bound.honest), "{smallest:?}");
}
