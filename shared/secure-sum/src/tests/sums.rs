//! Whole sums: exact whenever members drop out, or refused for the stated reason.

use super::cohort::{Cohort, Last, complete, context};
use super::encoding::{Layout, Ring, RingVector};
use super::graph::Graph;
use super::identity::Identity;
use super::keystream::Keystream;
use super::messages::SecretKind;
use super::opening::{self, OpenError};
use super::participant::{Participant, Suspicion};
use super::secret::Secret;
use super::{Bytes32, Context, SumPolicy};
use ground::wire::{decode, encode};
use proptest::prelude::*;
use zeroize::ZeroizeOnDrop;

/// Runs a sum in which participant i stops after `last[i]`, with a reload between any two steps,
/// and checks the result.
fn run(policy: SumPolicy, last: &[Last], layout: Layout) -> Result<(), OpenError> {
    let mut cohort = Cohort::new(last.len() as u32, policy);
    cohort.layout = layout;
    let all = cohort.numbers();
    let reaching = |stage: Last| -> Vec<u32> {
        let reaches = all.iter().zip(last).filter(|(_, last)| **last >= stage);
        reaches.map(|(p, _)| *p).collect()
    };
    let reload = |cohort: &mut Cohort| all.iter().for_each(|&p| cohort.reload(p));
    reload(&mut cohort);
    cohort.deal(&reaching(Last::Shares));
    reload(&mut cohort);
    let refused = cohort.send(&reaching(Last::Masked));
    reload(&mut cohort);
    let graph = Graph::new(&cohort.roster, &policy);
    let enough = |p: u32, list: &[u32]| {
        let group = &graph.groups()[graph.group_of(p).unwrap()];
        [graph.holders(p), group].iter().all(|members| {
            let present = members.iter().filter(|m| list.contains(m)).count();
            present >= policy.threshold_of(members.len())
        })
    };
    for p in reaching(Last::Masked) {
        assert_eq!(refused.contains(&p), !enough(p, &cohort.senders));
    }
    let survivors = cohort.survivors.clone();
    let surviving = |stage: Last| -> Vec<u32> {
        let mut reaching = reaching(stage);
        reaching.retain(|p| survivors.contains(p));
        reaching
    };
    let refused = cohort.confirm(&surviving(Last::Confirm));
    for p in surviving(Last::Confirm) {
        assert_eq!(refused.contains(&p), !enough(p, &survivors));
    }
    reload(&mut cohort);
    let mut wanted = surviving(Last::Unmask);
    wanted.retain(|p| !refused.contains(p));
    let refused = cohort.answer(&wanted);
    for p in wanted {
        let group = &graph.groups()[graph.group_of(p).unwrap()];
        let confirmed = group
            .iter()
            .filter(|m| cohort.confirmations.contains_key(m));
        let enough = confirmed.count() >= policy.threshold_of(group.len());
        assert_eq!(refused.contains(&p), !enough);
    }
    let answered: Vec<u32> = cohort.unmasks.iter().map(|(from, _)| *from).collect();
    let short = |of: u32| {
        let holders = graph.holders(of);
        let present = holders.iter().filter(|h| answered.contains(h)).count();
        present < policy.threshold_of(holders.len())
    };
    // Secrets that are needed: those of survivors, and of dropouts who left masks with a survivor.
    let needed = |of: u32| graph.holders(of).iter().any(|h| survivors.contains(h));
    let opened = cohort.open();
    match &opened {
        Ok(sums) => {
            assert_eq!(*sums, cohort.expected());
            assert!(!cohort.senders.iter().any(|&of| needed(of) && short(of)));
        }
        Err(OpenError::TooFewShares { of }) => assert!(needed(*of) && short(*of)),
        Err(other) => panic!("{other:?}"),
    }
    opened.map(|_| ())
}

fn layout(ring: Ring) -> Layout {
    Layout {
        ring,
        entries: 3,
        tail: 2,
    }
}

#[test]
fn three_without_dropouts() {
    assert_eq!(
        run(complete(), &[Last::Unmask; 3], layout(Ring::U32)),
        Ok(())
    );
}

#[test]
fn one_of_four_may_drop_out_at_any_stage() {
    for stage in [Last::Keys, Last::Shares, Last::Masked] {
        for who in 0..4 {
            let mut last = [Last::Unmask; 4];
            last[who] = stage;
            assert_eq!(run(complete(), &last, layout(Ring::U64)), Ok(()));
        }
    }
}

#[test]
fn a_group_without_survivors_stays_zero() {
    let policy = SumPolicy {
        groups: 2,
        ..complete()
    };
    let cohort = Cohort::new(8, policy);
    let groups = opening::group_of(&cohort.roster, &policy);
    for stage in [Last::Keys, Last::Shares] {
        let stop = |p: &u32| if groups[p] == 0 { stage } else { Last::Unmask };
        let last: Vec<Last> = cohort.numbers().iter().map(stop).collect();
        assert_eq!(run(policy, &last, layout(Ring::U32)), Ok(()));
    }
}

#[test]
fn members_of_a_group_know_its_size() {
    let policy = SumPolicy {
        groups: 2,
        ..complete()
    };
    let mut cohort = Cohort::new(7, policy);
    let first = cohort.numbers()[0];
    assert_eq!(cohort.participants[&first].group_size(), None);
    cohort.deal(&cohort.numbers());
    let sizes: Vec<usize> = cohort
        .participants
        .values()
        .map(|p| p.group_size().unwrap())
        .collect();
    assert_eq!(sizes.iter().filter(|s| **s == 4).count(), 4);
    assert_eq!(sizes.iter().filter(|s| **s == 3).count(), 3);
}

#[test]
fn masks_hide_every_entry() {
    // The same vectors look unrelated in two rounds, and for two participants.
    let one = Cohort::at(5, complete(), Last::Masked);
    let mut other = Cohort::of(
        Context {
            round: 8,
            ..context()
        },
        5,
        complete(),
    );
    other.deal(&other.numbers());
    other.send(&other.numbers());
    for p in one.numbers() {
        let masked = RingVector::from_bytes(one.layout, &one.masked[&p].vector).unwrap();
        let again = RingVector::from_bytes(one.layout, &other.masked[&p].vector).unwrap();
        let plain = one.integers(p);
        for ((a, b), x) in masked.integers().iter().zip(again.integers()).zip(plain) {
            assert!(*a != b && *a != x && b != x);
        }
    }
    // Nor is the sum of all masked vectors the sum: it still has the self-masks.
    assert_ne!(one.sums(), one.expected());
}

#[test]
fn every_step_answers_the_same_again() {
    let mut cohort = Cohort::at(4, complete(), Last::Unmask);
    let roster = cohort.roster.clone();
    let survivors = cohort.survivors.clone();
    for p in cohort.numbers() {
        cohort.reload(p);
        assert_eq!(
            cohort.ask_shares(p, &roster).as_ref(),
            Ok(&cohort.shares[&p])
        );
        let inbox = cohort.inbox(p);
        assert_eq!(
            cohort.ask_masked(p, &inbox).as_ref(),
            Ok(&cohort.masked[&p])
        );
        let again = cohort.ask_confirm(p, &survivors).unwrap();
        assert_eq!(again, cohort.confirmations[&p]);
        let again = cohort.ask_unmask(p).unwrap();
        assert!(cohort.unmasks.contains(&(p, again)));
    }
    assert_eq!(cohort.open(), Ok(cohort.expected()));
}

#[test]
fn messages_travel() {
    let cohort = Cohort::at(4, complete(), Last::Unmask);
    let p = cohort.numbers()[1];
    assert_eq!(decode(&encode(&cohort.roster)), Ok(cohort.roster.clone()));
    let shares = cohort.shares[&p].clone();
    assert_eq!(decode(&encode(&shares)), Ok(shares));
    assert_eq!(decode(&encode(&cohort.inbox(p))), Ok(cohort.inbox(p)));
    let masked = cohort.masked[&p].clone();
    assert_eq!(decode(&encode(&masked)), Ok(masked));
    let survivors = cohort.survivors_of(&cohort.survivors);
    assert_eq!(decode(&encode(&survivors)), Ok(survivors));
    let confirmation = cohort.confirmations[&p].clone();
    assert_eq!(decode(&encode(&confirmation)), Ok(confirmation));
    let confirmed = cohort.confirmed();
    assert_eq!(decode(&encode(&confirmed)), Ok(confirmed));
    let unmask = cohort.unmasks[1].1.clone();
    assert_eq!(decode(&encode(&unmask)), Ok(unmask));
}

#[test]
fn wrong_shares_are_named() {
    let mut cohort = Cohort::at(5, complete(), Last::Masked);
    // The last member's vector never arrived.
    let dropout = cohort.survivors.pop().unwrap();
    let survivors = cohort.survivors.clone();
    cohort.confirm(&survivors);
    cohort.answer(&survivors);
    assert_eq!(cohort.open(), Ok(cohort.expected()));
    // Four of five answer and t is four: a wrong masking key does not match the public key.
    let at = |cohort: &Cohort, of: u32| {
        let shares = &cohort.unmasks[0].1.shares;
        shares.iter().position(|share| share.of == of).unwrap()
    };
    let place = at(&cohort, dropout);
    cohort.unmasks[0].1.shares[place].share[5] ^= 1;
    assert_eq!(cohort.open(), Err(OpenError::BadShares { of: dropout }));
    // Without it, one is missing.
    let mut fewer = Cohort::at(5, complete(), Last::Unmask);
    fewer.unmasks.truncate(3);
    let first = fewer.numbers()[0];
    assert_eq!(fewer.open(), Err(OpenError::TooFewShares { of: first }));
    // If there are more shares of a self-mask than needed, a wrong one contradicts the others.
    let mut more = Cohort::at(5, complete(), Last::Unmask);
    let of = more.numbers()[2];
    let place = at(&more, of);
    more.unmasks[0].1.shares[place].share[0] ^= 0x80;
    assert_eq!(more.open(), Err(OpenError::BadShares { of }));
}

#[test]
fn answers_that_do_not_belong_are_named() {
    let fresh = || Cohort::at(4, complete(), Last::Unmask);
    let [first, second] = [0, 1].map(|i| fresh().unmasks[i].0);
    let changes: [fn(&mut Cohort); 7] = [
        |c| c.unmasks[0].1.survivors[0] ^= 1,
        |c| c.unmasks[0].1.shares.truncate(3),
        |c| c.unmasks[0].1.shares[1].kind = SecretKind::MaskingKey,
        |c| c.unmasks[0].1.shares.swap(0, 1),
        |c| {
            let extra = c.unmasks[0].1.shares[3].clone();
            c.unmasks[0].1.shares.push(extra);
        },
        // Both secrets of one member.
        |c| {
            let mut extra = c.unmasks[0].1.shares[3].clone();
            extra.kind = SecretKind::MaskingKey;
            c.unmasks[0].1.shares.push(extra);
        },
        |c| c.unmasks[1].0 = c.unmasks[0].0,
    ];
    for change in changes {
        let mut cohort = fresh();
        change(&mut cohort);
        assert_eq!(cohort.open(), Err(OpenError::BadAnswer { from: first }));
    }
    // A share of a participant who is no survivor, or does not exist.
    let mut cohort = fresh();
    cohort.unmasks[0].0 = 1;
    assert_eq!(cohort.open(), Err(OpenError::BadAnswer { from: 1 }));
    let mut cohort = fresh();
    cohort.survivors.remove(1);
    let _ = second;
    assert!(matches!(cohort.open(), Err(OpenError::BadAnswer { .. })));
}

#[test]
fn sets_and_sums_that_do_not_fit_are_refused() {
    let fresh = || Cohort::at(4, complete(), Last::Unmask);
    let changes: [fn(&mut Cohort); 6] = [
        |c| c.senders.swap(0, 1),
        |c| c.senders.push(1_000),
        |c| {
            c.senders.pop();
        },
        |c| c.roster.members.swap(0, 1),
        |c| {
            c.roster.members.pop();
        },
        |c| c.policy.threshold = 0.2,
    ];
    for change in changes {
        let mut cohort = fresh();
        let mut sums = cohort.sums();
        change(&mut cohort);
        let result = opening::open(
            &cohort.context,
            &cohort.policy,
            &cohort.roster,
            &cohort.senders,
            &cohort.survivors,
            cohort.layout,
            &cohort.unmasks,
            &mut sums,
        );
        assert_eq!(result, Err(OpenError::Malformed));
    }
    let cohort = fresh();
    let wide = RingVector::zero(layout(Ring::U64));
    for mut sums in [vec![], vec![wide], [cohort.sums(), cohort.sums()].concat()] {
        let result = opening::open(
            &cohort.context,
            &cohort.policy,
            &cohort.roster,
            &cohort.senders,
            &cohort.survivors,
            cohort.layout,
            &cohort.unmasks,
            &mut sums,
        );
        assert_eq!(result, Err(OpenError::Sums));
    }
}

#[test]
fn the_server_takes_only_what_belongs() {
    let cohort = Cohort::at(5, complete(), Last::Unmask);
    let Cohort {
        context,
        policy,
        roster,
        senders,
        survivors,
        ..
    } = &cohort;
    let p = cohort.numbers()[1];
    let check_shares =
        |from, shares: &_| opening::check_shares(context, policy, roster, from, shares);
    let shares = &cohort.shares[&p];
    assert!(check_shares(p, shares));
    assert!(!check_shares(cohort.numbers()[0], shares));
    assert!(!check_shares(1, shares));
    let changes: [fn(&mut super::messages::Shares); 6] = [
        |s| s.roster[0] ^= 1,
        |s| s.envelopes.truncate(3),
        |s| s.envelopes.swap(0, 1),
        |s| s.envelopes[0].peer += 1,
        |s| s.envelopes[0].sealed.push(0),
        |s| s.envelopes.extend_from_within(..1),
    ];
    for change in changes {
        let mut other = shares.clone();
        change(&mut other);
        assert!(!check_shares(p, &other));
    }
    let identity = cohort.identities[&p].public();
    let check_masked =
        |context: &Context, identity: &Bytes32, from, senders: &[u32], masked: &_| {
            opening::check_masked(context, identity, from, senders, cohort.layout, masked)
        };
    let masked = &cohort.masked[&p];
    assert!(check_masked(context, &identity, p, senders, masked));
    let elsewhere = Context {
        record: [9; 32],
        ..context.clone()
    };
    assert!(!check_masked(&elsewhere, &identity, p, senders, masked));
    let other = cohort.identities[&senders[0]].public();
    assert!(!check_masked(context, &other, p, senders, masked));
    assert!(!check_masked(
        context, &identity, senders[0], senders, masked
    ));
    assert!(!check_masked(context, &identity, p, &senders[..4], masked));
    let mut longer = masked.clone();
    longer.vector.push(0);
    assert!(!check_masked(context, &identity, p, senders, &longer));
    let mut changed = masked.clone();
    changed.vector[0] ^= 1;
    assert!(!check_masked(context, &identity, p, senders, &changed));
    let check_confirmation = |from, confirmation: &_| {
        opening::check_confirmation(context, roster, senders, survivors, from, confirmation)
    };
    let confirmation = &cohort.confirmations[&p];
    assert!(check_confirmation(p, confirmation));
    assert!(!check_confirmation(senders[0], confirmation));
    assert!(!check_confirmation(1, confirmation));
    let mut other = confirmation.clone();
    other.signature.0[3] ^= 1;
    assert!(!check_confirmation(p, &other));
    let mut other = confirmation.clone();
    other.survivors[3] ^= 1;
    assert!(!check_confirmation(p, &other));
    let check_unmask =
        |from, unmask: &_| opening::check_unmask(policy, roster, senders, survivors, from, unmask);
    assert!(check_unmask(p, &cohort.unmasks[1].1));
    assert!(!check_unmask(1, &cohort.unmasks[1].1));
    // In a complete graph all hold the same; elsewhere they do not.
    let sparse = Cohort::at(
        9,
        SumPolicy {
            degree: 4,
            ..complete()
        },
        Last::Unmask,
    );
    let (first, unmask) = &sparse.unmasks[0];
    for (from, _) in &sparse.unmasks[1..] {
        assert_eq!(
            opening::check_unmask(
                &sparse.policy,
                &sparse.roster,
                &sparse.senders,
                &sparse.survivors,
                *from,
                unmask
            ),
            from == first
        );
    }
    // Keys.
    let member = &roster.members[1];
    assert!(opening::check_keys(context, member));
    assert!(!opening::check_keys(&elsewhere, member));
    let mut same = member.clone();
    same.keys.masking = same.keys.encryption;
    assert!(!opening::check_keys(context, &same));
}

/// Returns whether any run of four of these bytes is in the text, in decimal or hexadecimal.
fn shows(text: &str, secret: &[u8]) -> bool {
    secret.windows(4).any(|bytes| {
        let join =
            |f: fn(&u8) -> String, by: &str| bytes.iter().map(f).collect::<Vec<_>>().join(by);
        let forms = [
            join(u8::to_string, ", "),
            join(|b| format!("{b:02x}"), ""),
            join(|b| format!("{b:02x}"), ", "),
            join(|b| format!("{b:x}"), ", "),
            join(|b| format!("{b:02x}"), ":"),
        ];
        let text = text.to_lowercase().replace("0x", "");
        forms.iter().any(|form| text.contains(form))
    })
}

#[test]
fn nothing_secret_is_printed() {
    let mut seed = [0; 32];
    Keystream::new(&[1; 32], b"seed").fill(&mut seed);
    assert!(shows(&format!("{seed:?}"), &seed) && shows(&format!("{seed:x?}"), &seed));
    let mut secrets: Vec<Vec<u8>> = vec![seed.to_vec()];
    let mut texts = Vec::new();
    let mut show = |value: &dyn std::fmt::Debug| {
        texts.push(format!("{value:?}"));
        texts.push(format!("{value:#?}"));
        texts.push(format!("{value:x?}"));
    };
    show(&Identity::from_seed(seed));
    show(&Secret(seed));
    show(&Keystream::new(&seed, b"label"));
    let layout = Layout {
        ring: Ring::U32,
        entries: 8,
        tail: 0,
    };
    show(&RingVector::from_bytes(layout, &seed).unwrap());
    // A participant in every state, with all of its parts.
    let mut cohort = Cohort::new(4, complete());
    let p = cohort.numbers()[2];
    cohort
        .participants
        .insert(p, Participant::new(context(), p, complete(), seed));
    cohort.roster.members[2].keys = cohort.participants[&p].keys(&cohort.identities[&p]);
    secrets.extend(cohort.participants[&p].secrets_for_tests());
    show(&cohort.participants[&p]);
    cohort.deal(&cohort.numbers());
    show(&cohort.participants[&p]);
    cohort.send(&cohort.numbers());
    secrets.extend(cohort.participants[&p].secrets_for_tests());
    show(&cohort.participants[&p]);
    cohort.confirm(&cohort.numbers());
    cohort.answer(&cohort.numbers());
    show(&cohort.participants[&p]);
    for (_, unmask) in &cohort.unmasks {
        secrets.extend(unmask.shares.iter().map(|share| share.share.to_vec()));
        show(unmask);
        show(&unmask.shares[0]);
    }
    show(&cohort.participants);
    // Seed, three derived secrets twice, and two shares of four members; four times four revealed.
    assert_eq!(secrets.len(), 1 + 3 + 3 + 8 + 16);
    for text in &texts {
        for secret in &secrets {
            assert!(!shows(text, secret), "{text} shows {secret:?}");
        }
    }
}

#[test]
fn secrets_are_wiped() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Secret>();
    wiped::<Participant>();
    wiped::<RingVector>();
    wiped::<ed25519_dalek::SigningKey>();
    // ChaCha20's other half is block-buffer's, wiped by the feature of sha2 that the last line is
    // about.
    wiped::<chacha20::ChaChaCore<chacha20::R20, chacha20::variants::Ietf>>();
    wiped::<chacha20poly1305::ChaCha20Poly1305>();
    wiped::<sha2::Sha256>();
}

#[test]
fn a_seed_that_is_used_again_gives_other_keys() {
    let keys = |context: Context, me| {
        let identity = Identity::from_seed([1; 32]);
        let participant = Participant::new(context, me, complete(), [5; 32]);
        let keys = participant.keys(&identity);
        [keys.encryption, keys.masking]
    };
    let usual = keys(context(), 3);
    assert_ne!(usual[0], usual[1]);
    let next = keys(
        Context {
            round: 8,
            ..context()
        },
        3,
    );
    let other = keys(context(), 4);
    for i in 0..2 {
        assert!(usual[i] != next[i] && usual[i] != other[i]);
    }
}

#[test]
fn codes_are_what_is_serialised() {
    for suspicion in Suspicion::ALL {
        let json = serde_json::to_value(suspicion).unwrap();
        assert_eq!(json, suspicion.code());
    }
    for (number, suspicion) in Suspicion::ALL.into_iter().enumerate() {
        assert_eq!(suspicion as usize, number);
    }
    // If one were forgotten, it would be the last.
    assert_eq!(Suspicion::ALL.len(), Suspicion::WeakKey as usize + 1);
}

fn last() -> impl Strategy<Value = Last> {
    // Most take every step, or hardly any sum would open.
    prop_oneof![
        1 => Just(Last::Keys),
        1 => Just(Last::Shares),
        1 => Just(Last::Masked),
        1 => Just(Last::Confirm),
        9 => Just(Last::Unmask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn sums_are_exact_or_refused_for_the_stated_reason(
        last in prop::collection::vec(last(), 3..40),
        degree in prop_oneof![Just(100_u32), Just(4), 2..12_u32],
        groups in 1..4_u32,
        threshold in crate::THRESHOLD_MIN..0.95_f32,
        wide in any::<bool>(),
    ) {
        let groups = groups.min(last.len() as u32 / 3);
        let policy = SumPolicy { degree, groups, threshold, ..SumPolicy::default() };
        let ring = if wide { Ring::U64 } else { Ring::U32 };
        let _ = run(policy, &last, layout(ring));
    }
}

proptest! {
    // Each case is two whole sums.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_complete_sum_opens_as_long_as_t_answer(
        n in 3..40_usize,
        threshold in crate::THRESHOLD_MIN..0.95_f32,
        seed in any::<u64>(),
    ) {
        let policy = SumPolicy { threshold, ..SumPolicy::default() };
        let t = policy.threshold_of(n);
        // Exactly t answer; the others stop anywhere before.
        let mut stream = ground::rng::Stream::new(seed, 0);
        let mut last = vec![Last::Unmask; n];
        for stop in &mut last[t..] {
            *stop = [Last::Keys, Last::Shares, Last::Masked][stream.below(3) as usize];
        }
        stream.shuffle(&mut last);
        prop_assert_eq!(run(policy, &last, layout(Ring::U32)), Ok(()));
        // With one fewer, it does not open.
        let answering = last.iter().position(|l| *l == Last::Unmask).unwrap();
        last[answering] = Last::Masked;
        prop_assert!(run(policy, &last, layout(Ring::U32)).is_err());
    }
}
