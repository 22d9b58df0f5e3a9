//! A malicious server, or a malicious participant behind an honest server: what participants
//! refuse, and what a server gains by telling them different things.

use super::cohort::{Cohort, Last, complete, context};
use super::encoding::{Layout, Ring, RingVector};
use super::identity::Identity;
use super::messages::{
    Confirmation, Confirmations, Inbox, Member, Roster, RoundKeys, SecretKind, Survivors,
    commitment, hash_senders, hash_survivors,
};
use super::opening::OpenError;
use super::participant::{MEMBERS_MAX, NUMBERS_MAX, Participant, Suspicion};
use super::{Bytes32, Context, SumPolicy, graph, keys, shamir};
use std::collections::{BTreeMap, BTreeSet};

/// The participant who is attacked: neither the first nor the last.
const VICTIM: u32 = 16;
const OTHER: u32 = 13;
const N: u32 = 5;

/// Returns the suspicion, and checks that it left the participant unchanged.
fn refused<T: std::fmt::Debug>(
    cohort: &mut Cohort,
    ask: impl FnOnce(&mut Cohort) -> Result<T, Suspicion>,
) -> Suspicion {
    let before = cohort.participants[&VICTIM].clone();
    let suspicion = ask(cohort).unwrap_err();
    assert!(
        cohort.participants[&VICTIM] == before,
        "{suspicion} changed something"
    );
    suspicion
}

/// The victim's answer to a changed roster.
fn roster(change: impl FnOnce(&mut Cohort, &mut Roster)) -> Suspicion {
    let mut cohort = Cohort::new(N, complete());
    let mut roster = cohort.roster.clone();
    change(&mut cohort, &mut roster);
    refused(&mut cohort, |c| c.ask_shares(VICTIM, &roster))
}

/// The victim's answer to a changed inbox.
fn inbox(change: impl FnOnce(&mut Cohort, &mut Inbox)) -> Suspicion {
    let mut cohort = Cohort::at(N, complete(), Last::Shares);
    let mut inbox = cohort.inbox(VICTIM);
    change(&mut cohort, &mut inbox);
    refused(&mut cohort, |c| c.ask_masked(VICTIM, &inbox))
}

/// The victim's answer to changed survivors.
fn survivors(change: impl FnOnce(&mut Vec<u32>)) -> Suspicion {
    let mut cohort = Cohort::at(N, complete(), Last::Masked);
    let mut members = cohort.survivors.clone();
    change(&mut members);
    refused(&mut cohort, |c| c.ask_confirm(VICTIM, &members))
}

/// The victim's answer to survivors whose commitments were changed.
fn commitments(change: impl FnOnce(&mut Cohort, &mut Survivors)) -> Suspicion {
    let mut cohort = Cohort::at(N, complete(), Last::Masked);
    let mut survivors = cohort.survivors_of(&cohort.survivors);
    change(&mut cohort, &mut survivors);
    refused(&mut cohort, |c| {
        let participant = c.participants.get_mut(&VICTIM).unwrap();
        participant.confirm(&c.identities[&VICTIM], &survivors)
    })
}

/// The victim's answer to changed confirmations.
fn confirmations(change: impl FnOnce(&mut Cohort, &mut Confirmations)) -> Suspicion {
    let mut cohort = Cohort::at(N, complete(), Last::Confirm);
    let mut confirmed = cohort.confirmed();
    change(&mut cohort, &mut confirmed);
    refused(&mut cohort, |c| {
        let participant = c.participants.get_mut(&VICTIM).unwrap();
        participant.unmask(&confirmed)
    })
}

fn member(roster: &mut Roster, participant: u32) -> &mut Member {
    let mut members = roster.members.iter_mut();
    members.find(|m| m.participant == participant).unwrap()
}

/// Signs a member's keys with an identity that the server made up.
fn forge(member: &mut Member, context: &Context) {
    let identity = Identity::from_seed([0x66; 32]);
    let RoundKeys {
        encryption,
        masking,
        ..
    } = member.keys;
    let signed = RoundKeys::signed(&context.digest(), member.participant, &encryption, &masking);
    member.identity = identity.public();
    member.keys.signature = identity.signature(&signed);
}

/// The point of order 2 on X25519's curve, in RFC 7748's encoding: u = 0.
const SMALL_ORDER: Bytes32 = [0; 32];

type Attack = (&'static str, Suspicion, fn() -> Suspicion);

/// Every attack on one participant, and the suspicion that it must raise.
fn attacks() -> Vec<Attack> {
    let on_rosters: Vec<Attack> = vec![
        ("own key missing", Suspicion::OwnKeyMissing, || {
            roster(|_, r| r.members.retain(|m| m.participant != VICTIM))
        }),
        (
            "own encryption key changed",
            Suspicion::OwnKeyChanged,
            || roster(|_, r| member(r, VICTIM).keys.encryption = keys::public_key(&[1; 32])),
        ),
        ("own masking key changed", Suspicion::OwnKeyChanged, || {
            roster(|_, r| member(r, VICTIM).keys.masking = keys::public_key(&[1; 32]))
        }),
        (
            "own keys signed by another identity",
            Suspicion::OwnKeyChanged,
            || roster(|c, r| forge(member(r, VICTIM), &c.context)),
        ),
        ("own signature damaged", Suspicion::OwnKeyChanged, || {
            roster(|_, r| member(r, VICTIM).keys.signature.0[40] ^= 1)
        }),
        ("one encryption key twice", Suspicion::DuplicateKey, || {
            roster(|c, r| {
                let copied = member(r, VICTIM).keys.encryption;
                member(r, OTHER).keys.encryption = copied;
                forge(member(r, OTHER), &c.context);
            })
        }),
        (
            "a masking key as another's encryption key",
            Suspicion::DuplicateKey,
            || {
                roster(|c, r| {
                    let copied = member(r, VICTIM).keys.masking;
                    member(r, OTHER).keys.encryption = copied;
                    forge(member(r, OTHER), &c.context);
                })
            },
        ),
        (
            "a copied key in another encoding",
            Suspicion::WeakKey,
            || {
                roster(|c, r| {
                    let mut copied = member(r, VICTIM).keys.masking;
                    copied[31] |= 0x80;
                    member(r, OTHER).keys.masking = copied;
                    forge(member(r, OTHER), &c.context);
                })
            },
        ),
        ("one participant twice", Suspicion::DuplicateMember, || {
            roster(|_, r| {
                let twice = r.members[1].clone();
                r.members.insert(1, twice);
            })
        }),
        (
            "one identity under two numbers",
            Suspicion::DuplicateMember,
            || {
                roster(|c, r| {
                    let identity = c.identities[&OTHER].clone();
                    let other = r.members.last_mut().unwrap();
                    let RoundKeys {
                        encryption,
                        masking,
                        ..
                    } = other.keys;
                    let digest = c.context.digest();
                    let signed =
                        RoundKeys::signed(&digest, other.participant, &encryption, &masking);
                    other.identity = identity.public();
                    other.keys.signature = identity.signature(&signed);
                })
            },
        ),
        ("members out of order", Suspicion::NotSorted, || {
            roster(|_, r| r.members.swap(0, 1))
        }),
        ("too few members", Suspicion::TooFewMembers, || {
            roster(|_, r| {
                r.members
                    .retain(|m| m.participant <= VICTIM && m.participant > 10)
            })
        }),
        ("a group of two", Suspicion::TooFewMembers, || {
            let policy = SumPolicy {
                groups: 2,
                ..complete()
            };
            let mut cohort = Cohort::new(N, policy);
            // Two of the five are in the smaller group.
            let roster = cohort.roster.clone();
            let numbers = cohort.numbers();
            let groups = graph::groups(&roster.hash(), &numbers, &policy);
            let lonely = groups[1][0];
            assert_eq!(groups[1].len(), 2);
            cohort.ask_shares(lonely, &roster).unwrap_err()
        }),
        (
            "a cohort below the agreed one",
            Suspicion::TooFewMembers,
            || {
                let mut cohort = Cohort::new(
                    N,
                    SumPolicy {
                        cohort_min: 6,
                        ..complete()
                    },
                );
                let roster = cohort.roster.clone();
                refused(&mut cohort, |c| c.ask_shares(VICTIM, &roster))
            },
        ),
        (
            "more members than anyone checks",
            Suspicion::TooLarge,
            || {
                roster(|_, r| {
                    let last = r.members.last().unwrap().clone();
                    r.members.resize(MEMBERS_MAX + 1, last);
                })
            },
        ),
        ("keys that nobody signed", Suspicion::BadSignature, || {
            roster(|_, r| member(r, OTHER).keys.masking = keys::public_key(&[1; 32]))
        }),
        (
            "two members' signatures swapped",
            Suspicion::BadSignature,
            || {
                roster(|_, r| {
                    let [a, b] = [0, 1].map(|i| r.members[i].keys.signature);
                    (r.members[0].keys.signature, r.members[1].keys.signature) = (b, a);
                })
            },
        ),
        ("two members' keys swapped", Suspicion::BadSignature, || {
            roster(|_, r| {
                let [a, b] = [0, 1].map(|i| r.members[i].keys.clone());
                (r.members[0].keys, r.members[1].keys) = (b, a);
            })
        }),
        ("keys of another round", Suspicion::BadSignature, || {
            foreign_keys(Context {
                round: 6,
                ..context()
            })
        }),
        (
            "keys of another federation",
            Suspicion::BadSignature,
            || {
                foreign_keys(Context {
                    federation: "other".to_owned(),
                    ..context()
                })
            },
        ),
        (
            "keys under another record head",
            Suspicion::BadSignature,
            || {
                foreign_keys(Context {
                    record: [0; 32],
                    ..context()
                })
            },
        ),
        ("keys for another θ", Suspicion::BadSignature, || {
            foreign_keys(Context {
                theta: [0; 32],
                ..context()
            })
        }),
        ("keys for another task", Suspicion::BadSignature, || {
            foreign_keys(Context {
                task: [0; 32],
                ..context()
            })
        }),
        ("a swapped identity", Suspicion::IdentityChanged, || {
            let mut cohort = Cohort::new(N, complete());
            let mut roster = cohort.roster.clone();
            let pins: BTreeMap<u32, Bytes32> = roster
                .members
                .iter()
                .map(|m| (m.participant, m.identity))
                .collect();
            // Correctly signed, by an identity of the server's.
            forge(member(&mut roster, OTHER), &cohort.context);
            let own = cohort.identities[&VICTIM].public();
            refused(&mut cohort, |c| {
                c.participants
                    .get_mut(&VICTIM)
                    .unwrap()
                    .shares(&own, &roster, &pins)
            })
        }),
        (
            "an encryption key of small order",
            Suspicion::WeakKey,
            || {
                roster(|c, r| {
                    member(r, OTHER).keys.encryption = SMALL_ORDER;
                    forge(member(r, OTHER), &c.context);
                })
            },
        ),
        ("a masking key of small order", Suspicion::WeakKey, || {
            roster(|c, r| {
                member(r, OTHER).keys.masking = SMALL_ORDER;
                forge(member(r, OTHER), &c.context);
            })
        }),
        ("an identity of small order", Suspicion::WeakKey, || {
            roster(|_, r| {
                // Under the neutral element (y = 1), R = neutral and s = 0 fit every message.
                let other = member(r, OTHER);
                other.identity = [0; 32];
                other.identity[0] = 1;
                other.keys.signature.0 = [0; 64];
                other.keys.signature.0[0] = 1;
            })
        }),
        (
            "a threshold that protects nothing",
            Suspicion::BadPolicy,
            || {
                let mut cohort = Cohort::new(
                    N,
                    SumPolicy {
                        threshold: 0.3,
                        ..complete()
                    },
                );
                let roster = cohort.roster.clone();
                refused(&mut cohort, |c| c.ask_shares(VICTIM, &roster))
            },
        ),
        ("a second roster", Suspicion::SecondRequest, || {
            let mut cohort = Cohort::at(N, complete(), Last::Shares);
            let mut roster = cohort.roster.clone();
            roster.members.pop();
            refused(&mut cohort, |c| c.ask_shares(VICTIM, &roster))
        }),
    ];
    let on_inboxes: Vec<Attack> = vec![
        ("an inbox before the roster", Suspicion::OutOfOrder, || {
            let mut cohort = Cohort::new(N, complete());
            let inbox = Inbox {
                senders: cohort.numbers(),
                envelopes: vec![],
            };
            refused(&mut cohort, |c| c.ask_masked(VICTIM, &inbox))
        }),
        ("left out of U2", Suspicion::Excluded, || {
            inbox(|_, i| i.senders.retain(|p| *p != VICTIM))
        }),
        (
            "a sender who is not in the roster",
            Suspicion::NotASubset,
            || inbox(|_, i| i.senders.push(1_000)),
        ),
        ("senders out of order", Suspicion::NotSorted, || {
            inbox(|_, i| i.senders.swap(0, 1))
        }),
        ("one sender twice", Suspicion::DuplicateMember, || {
            inbox(|_, i| i.senders.insert(0, i.senders[0]))
        }),
        ("fewer than t senders", Suspicion::TooFewMembers, || {
            inbox(|_, i| {
                i.senders.retain(|p| [VICTIM, OTHER, 10].contains(p));
                i.envelopes.retain(|e| [OTHER, 10].contains(&e.peer));
            })
        }),
        (
            "a sender's shares missing",
            Suspicion::SharesMissing,
            || {
                inbox(|_, i| {
                    i.envelopes.remove(1);
                })
            },
        ),
        (
            "shares of one who is no sender",
            Suspicion::Malformed,
            || inbox(|_, i| i.senders.retain(|p| *p != 10)),
        ),
        (
            "one sender's shares twice",
            Suspicion::DuplicateMember,
            || inbox(|_, i| i.envelopes.extend_from_within(3..)),
        ),
        ("envelopes out of order", Suspicion::NotSorted, || {
            inbox(|_, i| i.envelopes.swap(0, 1))
        }),
        ("a tampered envelope", Suspicion::BadEnvelope, || {
            inbox(|_, i| i.envelopes[2].sealed[40] ^= 1)
        }),
        ("a shortened envelope", Suspicion::BadEnvelope, || {
            inbox(|_, i| i.envelopes[2].sealed.truncate(79))
        }),
        ("an empty envelope", Suspicion::BadEnvelope, || {
            inbox(|_, i| i.envelopes[2].sealed.clear())
        }),
        ("two envelopes swapped", Suspicion::BadEnvelope, || {
            inbox(|_, i| {
                let [a, b] = [0, 1].map(|at| i.envelopes[at].sealed.clone());
                (i.envelopes[0].sealed, i.envelopes[1].sealed) = (b, a);
            })
        }),
        (
            "an envelope for somebody else",
            Suspicion::BadEnvelope,
            || {
                inbox(|c, i| {
                    let shares = &c.shares[&OTHER].envelopes;
                    i.envelopes[1].sealed =
                        shares.iter().find(|e| e.peer == 10).unwrap().sealed.clone();
                })
            },
        ),
        ("my own envelope sent back", Suspicion::BadEnvelope, || {
            inbox(|c, i| {
                let shares = &c.shares[&VICTIM].envelopes;
                i.envelopes[1].sealed = shares
                    .iter()
                    .find(|e| e.peer == OTHER)
                    .unwrap()
                    .sealed
                    .clone();
            })
        }),
        ("shares of another round", Suspicion::BadEnvelope, || {
            inbox(|_, i| {
                let mut earlier = Cohort::of(
                    Context {
                        round: 6,
                        ..context()
                    },
                    N,
                    complete(),
                );
                earlier.deal(&earlier.numbers());
                i.envelopes = earlier.inbox(VICTIM).envelopes;
            })
        }),
        (
            "another roster for the others",
            Suspicion::BadEnvelope,
            || {
                let mut cohort = Cohort::new(N, complete());
                let roster = cohort.roster.clone();
                let mut fewer = roster.clone();
                fewer.members.pop();
                // The victim sees everyone; the others do not see the last.
                for p in [10, OTHER, 19] {
                    let shares = cohort.ask_shares(p, &fewer).unwrap();
                    cohort.shares.insert(p, shares);
                }
                let shares = cohort.ask_shares(VICTIM, &roster).unwrap();
                cohort.shares.insert(VICTIM, shares);
                cohort.senders = vec![10, OTHER, VICTIM, 19];
                let inbox = cohort.inbox(VICTIM);
                refused(&mut cohort, |c| c.ask_masked(VICTIM, &inbox))
            },
        ),
        ("a second inbox", Suspicion::SecondRequest, || {
            let mut cohort = Cohort::at(N, complete(), Last::Masked);
            let mut inbox = cohort.inbox(VICTIM);
            inbox.senders.pop();
            inbox.envelopes.pop();
            refused(&mut cohort, |c| c.ask_masked(VICTIM, &inbox))
        }),
        ("a second vector", Suspicion::SecondRequest, || {
            let mut cohort = Cohort::at(N, complete(), Last::Masked);
            let inbox = cohort.inbox(VICTIM);
            refused(&mut cohort, |c| {
                let other = c.vector(OTHER);
                let identity = c.identities[&VICTIM].clone();
                c.participants
                    .get_mut(&VICTIM)
                    .unwrap()
                    .masked(&identity, &inbox, other)
            })
        }),
        ("a vector without end", Suspicion::TooLarge, || {
            let mut cohort = Cohort::at(N, complete(), Last::Shares);
            let inbox = cohort.inbox(VICTIM);
            let layout = Layout {
                ring: Ring::U32,
                entries: NUMBERS_MAX,
                tail: 1,
            };
            refused(&mut cohort, |c| {
                let identity = c.identities[&VICTIM].clone();
                let vector = RingVector::zero(layout);
                c.participants
                    .get_mut(&VICTIM)
                    .unwrap()
                    .masked(&identity, &inbox, vector)
            })
        }),
    ];
    let on_survivors: Vec<Attack> = vec![
        ("survivors before the roster", Suspicion::OutOfOrder, || {
            let mut cohort = Cohort::new(N, complete());
            let all = cohort.numbers();
            refused(&mut cohort, |c| c.ask_confirm(VICTIM, &all))
        }),
        ("survivors before the vector", Suspicion::OutOfOrder, || {
            let mut cohort = Cohort::at(N, complete(), Last::Shares);
            let all = cohort.numbers();
            refused(&mut cohort, |c| c.ask_confirm(VICTIM, &all))
        }),
        ("left out of U3", Suspicion::Excluded, || {
            survivors(|s| s.retain(|p| *p != VICTIM))
        }),
        (
            "a survivor who never dealt shares",
            Suspicion::NotASubset,
            || survivors(|s| s.push(1_000)),
        ),
        ("survivors out of order", Suspicion::NotSorted, || {
            survivors(|s| s.swap(0, 1))
        }),
        ("one survivor twice", Suspicion::DuplicateMember, || {
            survivors(|s| s.insert(0, s[0]))
        }),
        ("fewer than t survivors", Suspicion::TooFewSurvivors, || {
            survivors(|s| s.retain(|p| [VICTIM, OTHER, 10].contains(p)))
        }),
        ("nobody else survived", Suspicion::TooFewSurvivors, || {
            survivors(|s| *s = vec![VICTIM])
        }),
        (
            "enough neighbours, but too few of the group",
            Suspicion::TooFewSurvivors,
            || {
                let policy = SumPolicy {
                    degree: 4,
                    ..complete()
                };
                let mut cohort = Cohort::at(20, policy, Last::Masked);
                let group = &graph::groups(&cohort.roster.hash(), &cohort.numbers(), &policy)[0];
                let near = graph::holders(group, VICTIM, &policy);
                refused(&mut cohort, |c| c.ask_confirm(VICTIM, &near))
            },
        ),
        ("second survivors", Suspicion::SecondRequest, || {
            let mut cohort = Cohort::at(N, complete(), Last::Unmask);
            let mut fewer = cohort.survivors.clone();
            fewer.pop();
            refused(&mut cohort, |c| c.ask_confirm(VICTIM, &fewer))
        }),
        (
            "second survivors after a reload",
            Suspicion::SecondRequest,
            || {
                let mut cohort = Cohort::at(N, complete(), Last::Unmask);
                cohort.reload(VICTIM);
                let mut fewer = cohort.survivors.clone();
                fewer.remove(0);
                refused(&mut cohort, |c| c.ask_confirm(VICTIM, &fewer))
            },
        ),
    ];
    let on_commitments: Vec<Attack> = vec![
        (
            "a survivor's commitment damaged",
            Suspicion::OtherSenders,
            || commitments(|_, s| s.members[0].signature.0[9] ^= 1),
        ),
        (
            "another vector in a survivor's name",
            Suspicion::OtherSenders,
            || commitments(|_, s| s.members[0].vector[9] ^= 1),
        ),
        ("another vector in my name", Suspicion::OtherSenders, || {
            commitments(|c, s| {
                // Signed with my own key, elsewhere.
                let at = s
                    .members
                    .iter()
                    .position(|s| s.participant == VICTIM)
                    .unwrap();
                let senders = hash_senders(&c.senders);
                let digest = c.context.digest();
                let signed = commitment(&digest, VICTIM, &senders, &[7; 32]);
                s.members[at].vector = [7; 32];
                s.members[at].signature = c.identities[&VICTIM].signature(&signed);
            })
        }),
        (
            "a survivor who was shown other senders",
            Suspicion::OtherSenders,
            || {
                commitments(|c, s| {
                    let senders = hash_senders(&c.senders[..4]);
                    let vector = s.members[0].vector;
                    let digest = c.context.digest();
                    let signed = commitment(&digest, 10, &senders, &vector);
                    s.members[0].signature = c.identities[&10].signature(&signed);
                })
            },
        ),
    ];
    let on_confirmations: Vec<Attack> = vec![
        (
            "confirmations before the survivors",
            Suspicion::OutOfOrder,
            || {
                let mut cohort = Cohort::at(N, complete(), Last::Masked);
                refused(&mut cohort, |c| c.ask_unmask(VICTIM))
            },
        ),
        ("nobody confirms", Suspicion::TooFewConfirmed, || {
            confirmations(|_, c| c.members.clear())
        }),
        (
            "fewer than t confirmations",
            Suspicion::TooFewConfirmed,
            || confirmations(|_, c| c.members.truncate(3)),
        ),
        (
            "one confirmation instead of t",
            Suspicion::DuplicateMember,
            || confirmations(|_, c| c.members = vec![c.members[0]; 4]),
        ),
        ("confirmations out of order", Suspicion::NotSorted, || {
            confirmations(|_, c| c.members.swap(1, 2))
        }),
        ("a stranger confirms", Suspicion::NotASubset, || {
            confirmations(|_, c| c.members.push((1_000, c.members[0].1)))
        }),
        ("a confirmation damaged", Suspicion::OtherSurvivors, || {
            confirmations(|_, c| c.members[4].1.0[40] ^= 1)
        }),
        (
            "who confirms other survivors",
            Suspicion::OtherSurvivors,
            || {
                confirmations(|c, told| {
                    let identity = &c.identities[&10];
                    let parts = [&c.roster.hash(), &hash_senders(&c.senders)];
                    let other = hash_survivors(&c.survivors[..4]);
                    let digest = c.context.digest();
                    let signed = Confirmation::signed(&digest, 10, parts[0], parts[1], &other);
                    told.members[0].1 = identity.signature(&signed);
                })
            },
        ),
        (
            "a confirmation of another round",
            Suspicion::OtherSurvivors,
            || {
                confirmations(|_, told| {
                    let earlier = Context {
                        round: 6,
                        ..context()
                    };
                    let mut other = Cohort::of(earlier, N, complete());
                    let all = other.numbers();
                    other.deal(&all);
                    other.send(&all);
                    other.confirm(&all);
                    *told = other.confirmed();
                })
            },
        ),
    ];
    [
        on_rosters,
        on_inboxes,
        on_survivors,
        on_commitments,
        on_confirmations,
    ]
    .concat()
}

/// A member's keys that were signed for another sum.
fn foreign_keys(other: Context) -> Suspicion {
    roster(|_, r| {
        let foreign = Cohort::of(other, N, complete()).roster;
        let at = r
            .members
            .iter()
            .position(|m| m.participant == OTHER)
            .unwrap();
        r.members[at] = foreign.members[at].clone();
    })
}

#[test]
fn every_attack_is_refused_with_its_name() {
    for (name, expected, attack) in attacks() {
        assert_eq!(attack(), expected, "{name}");
    }
}

#[test]
fn every_suspicion_has_an_attack() {
    let provoked: BTreeSet<&str> = attacks().iter().map(|(_, s, _)| s.code()).collect();
    let all: BTreeSet<&str> = Suspicion::ALL.iter().map(|s| s.code()).collect();
    assert_eq!(provoked, all);
}

#[test]
fn an_honest_server_provokes_none() {
    let cohort = Cohort::at(N, complete(), Last::Unmask);
    assert_eq!(cohort.open(), Ok(cohort.expected()));
}

/// The shares of one secret that the server obtained, with x from the holder's index.
fn gathered(cohort: &Cohort, of: u32, kind: SecretKind) -> Vec<(u8, Bytes32)> {
    let holders = cohort.numbers();
    let x = |from: u32| holders.iter().position(|h| *h == from).unwrap() as u8 + 1;
    let all = cohort.unmasks.iter();
    all.flat_map(|(from, unmask)| {
        let shares = unmask.shares.iter();
        let of_it = shares.filter(|s| s.of == of && s.kind == kind);
        of_it.map(|s| (x(*from), s.share)).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn fewer_than_t_shares_give_another_secret() {
    let mut cohort = Cohort::at(N, complete(), Last::Masked);
    let all = cohort.numbers();
    cohort.confirm(&all);
    cohort.answer(&all[..3]);
    assert_eq!(cohort.open(), Err(OpenError::TooFewShares { of: all[0] }));
    // Combined as if they were enough, they give a secret that removes no mask.
    let shares = gathered(&cohort, VICTIM, SecretKind::SelfMask);
    let wrong = shamir::combine(&shares, 3).unwrap();
    cohort.answer(&all[3..]);
    let shares = gathered(&cohort, VICTIM, SecretKind::SelfMask);
    let right = shamir::combine(&shares, 4).unwrap();
    assert_ne!(wrong, right);
    assert!(
        cohort.participants[&VICTIM]
            .secrets_for_tests()
            .contains(&right.to_vec())
    );
}

#[test]
fn a_lost_state_is_not_made_anew_by_accident() {
    // The same seed in another round reveals nothing about this one: all keys and masks differ.
    let later = Context {
        round: 8,
        ..context()
    };
    let [one, other] = [context(), later].map(|context| {
        let participant = Participant::new(context, VICTIM, complete(), [5; 32]);
        participant.secrets_for_tests()
    });
    assert!(one.iter().zip(&other).all(|(a, b)| a != b));
}

#[test]
fn a_stored_state_that_was_tampered_with_does_not_panic() {
    use ground::wire::{decode, encode};
    let cohort = Cohort::at(N, complete(), Last::Unmask);
    let stored = encode(&cohort.participants[&VICTIM]);
    let survivors = cohort.survivors_of(&cohort.survivors);
    let confirmed = cohort.confirmed();
    let identity = &cohort.identities[&VICTIM];
    for at in 1..stored.len() {
        let mut other = stored.clone();
        other[at] ^= 0xff;
        // Decoded into another participant, or not at all; it must never panic.
        if let Ok(mut participant) = decode::<Participant>(&other) {
            let _ = participant.shares(&identity.public(), &cohort.roster, &BTreeMap::new());
            let _ = participant.confirm(identity, &survivors);
            let _ = participant.unmask(&confirmed);
            if at % 16 == 0 {
                let inbox = cohort.inbox(VICTIM);
                let _ = participant.masked(identity, &inbox, cohort.vector(VICTIM));
            }
        }
    }
}
