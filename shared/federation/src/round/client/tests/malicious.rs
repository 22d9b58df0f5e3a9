//! A malicious aggregator: whatever it answers, a participant stops and says why or sits the round
//! out, and nothing that would reveal an update leaves it.

use super::*;
use crate::record;
use crate::record::{Cohort, Entry, Line, RoundEntry};
use crate::round::messages::{SumInput, SumMessage};
use crate::round::phase::AbortReason;
use crate::round::rehearsal::{self, NOW, Rehearsal, identity, secure_task, task};
use crate::rules::advance::{GroupSum, Sums as Opened};
use secure_sum::Context;
use secure_sum::messages::{
    Confirmation, Inbox, Roster, Signature, Survivor, Survivors, hash_survivors,
};
use secure_sum::participant::Participant;
use serde_json::json;

/// A rehearsal with four participants.
fn cast() -> Rehearsal {
    Rehearsal::new(secure_task(json!({ "cohort_min": 3 })), 4)
}

/// Everybody has an update and waits in the first phase of round `round`.
fn in_keys(mut cast: Rehearsal, round: u32) -> Rehearsal {
    cast.play_to(round, Phase::Keys);
    cast
}

fn sums(cast: &Rehearsal, who: usize, round: u32) -> Vec<Phase> {
    let sent = cast.sent[who].iter().filter(|(r, _)| *r == round);
    sent.map(|(_, message)| message.phase()).collect()
}

fn stopped(cast: &Rehearsal, who: usize, action: &Action, why: &str) {
    assert_eq!(*action, Action::Stop(StopReason::Inconsistent));
    let suspicion = cast.clients[who].suspicion().unwrap();
    assert!(suspicion.contains(why), "{suspicion}");
}

/// An honest view of the round, changed by `change`, with a version that `who` has not seen.
fn shown(cast: &mut Rehearsal, who: usize, change: impl FnOnce(&mut RoundView)) -> Event {
    let mut view = cast.view(who);
    view.version += 1_000;
    change(&mut view);
    Event::View(view)
}

fn is_fetch(wanted: Phase) -> impl Fn(&Action) -> bool {
    move |action| matches!(action, Action::Fetch { phase, .. } if *phase == wanted)
}

/// `who` waits for the answer to its Fetch of a phase, and everybody else has delivered in all
/// phases before.
fn fetching(cast: &mut Rehearsal, who: usize, phase: Phase) {
    let round = cast.aggregator.round().number;
    cast.play_to(round, phase);
    cast.lead(who, is_fetch(phase));
}

/// The honest input that `who` gets once its last possible message is out.
fn input(cast: &mut Rehearsal, who: usize, phase: Phase) -> SumInput {
    let round = cast.aggregator.round().number;
    let Some(Event::Input(input)) = cast.answer(who, &Action::Fetch { round, phase }) else {
        panic!("no input for {phase:?}")
    };
    input
}

/// These survivors alone, in this order; who is not among them has signed nothing.
fn only(input: &SumInput, members: &[u32]) -> Survivors {
    let SumInput::Survivors(all) = input else {
        panic!()
    };
    let of = |&participant: &u32| {
        let known = all.members.iter().find(|s| s.participant == participant);
        known.cloned().unwrap_or(Survivor {
            participant,
            vector: [0; 32],
            signature: Signature([0; 64]),
        })
    };
    Survivors {
        members: members.iter().map(of).collect(),
    }
}

#[test]
fn an_honest_aggregator_is_followed_to_the_end() {
    let mut cast = cast();
    cast.play_out();
    for (who, client) in cast.clients.iter().enumerate() {
        assert_eq!(client.suspicion(), None);
        assert_eq!(client.delivered(), 4);
        for round in 0..4 {
            assert_eq!(
                sums(&cast, who, round),
                [
                    Phase::Keys,
                    Phase::Shares,
                    Phase::Masked,
                    Phase::Confirm,
                    Phase::Unmask
                ]
            );
        }
    }
}

#[test]
fn another_theta_than_the_records_is_never_trained_from_nor_summed_for() {
    let mut cast = in_keys(cast(), 1);
    let event = shown(&mut cast, 0, |view| view.theta = "1".repeat(64));
    let mut action = cast.tell(0, event.clone());
    for _ in 0..3 * MISMATCHES {
        action = match action {
            Action::Read { from } => {
                let lines = cast.aggregator.lines(from).to_vec();
                cast.tell(0, Event::Lines(lines))
            }
            Action::Sync { .. } => cast.tell(0, event.clone()),
            Action::Stop(_) => break,
            other => panic!("{other:?}"),
        };
    }
    stopped(&cast, 0, &action, "not the one that the record leads to");
    assert_eq!(sums(&cast, 0, 1), []);
}

#[test]
fn another_head_of_the_record_than_the_one_read_is_a_contradiction() {
    let mut cast = in_keys(cast(), 1);
    let event = shown(&mut cast, 0, |view| view.record = "1".repeat(64));
    // The round keys would be bound to another record than the others'.
    for _ in 0..MISMATCHES {
        assert!(matches!(
            cast.tell(0, event.clone()),
            Action::Read { .. } | Action::Stop(_)
        ));
        cast.tell(0, Event::Lines(Vec::new()));
    }
    let action = cast.open(0);
    stopped(&cast, 0, &action, "");
    assert_eq!(sums(&cast, 0, 1), []);
}

/// The line of round 0 changed by `change`, with its hashes and all that follows recomputed.
fn altered(cast: &Rehearsal, change: impl FnOnce(&mut RoundEntry)) -> String {
    let [_, line] = cast.aggregator.lines(0) else {
        panic!("two lines")
    };
    let Line { previous, entry } = serde_json::from_str(line).unwrap();
    let Entry::Round(mut entry) = entry else {
        panic!("a round")
    };
    change(&mut entry);
    record::write(&previous, Entry::Round(entry))
}

/// The moment after round 0 when `who` is about to read about it.
fn reading(mut cast: Rehearsal) -> Rehearsal {
    cast.play_to(1, Phase::Open);
    let action = cast.lead(0, |action| matches!(action, Action::Read { .. }));
    assert_eq!(action, Action::Read { from: 1 });
    cast
}

fn groups(entry: &mut RoundEntry) -> &mut Vec<GroupSum> {
    let Some(Opened::Secure { groups }) = &mut entry.sums else {
        panic!("a sum")
    };
    groups
}

fn cohort(entry: &mut RoundEntry) -> &mut Cohort {
    entry.cohort.as_mut().unwrap()
}

#[test]
fn an_altered_line_stops_everybody_who_reads_it() {
    let original = reading(cast());
    type Change = fn(&mut RoundEntry);
    let changes: [(Change, &str); 9] = [
        (|e| e.round = 1, "round or step"),
        (|e| e.step = 1, "round or step"),
        (|e| e.theta = "0".repeat(64), "θ does not follow"),
        (|e| groups(e)[0].sum[0] += 1 << 20, "θ does not follow"),
        (|e| e.epsilon = Some(0.5), "ε"),
        (|e| e.aborted = Some(AbortReason::Overflow), "parse"),
        (|e| e.sums = None, "parse"),
        (
            |e| {
                groups(e)[0].members.pop();
            },
            "contributors",
        ),
        // An update that nobody has signed.
        (
            |e| {
                e.cohort = None;
                e.sums = Some(Opened::Plain {
                    mean: vec![1.0; 8],
                    metrics: Metrics::default(),
                });
            },
            "contributors",
        ),
    ];
    for (change, why) in changes {
        let mut cast = reading_again(&original);
        let line = altered(&cast, change);
        let action = cast.tell(0, Event::Lines(vec![line]));
        stopped(&cast, 0, &action, why);
        let suspicion = cast.clients[0].suspicion().unwrap();
        assert!(suspicion.contains("line 2"), "{suspicion}");
    }
    let mut cast = reading_again(&original);
    let line = cast.aggregator.lines(1)[0].replace("\"previous\":\"", "\"previous\":\"0");
    let action = cast.tell(0, Event::Lines(vec![line]));
    stopped(&cast, 0, &action, "does not follow the line before");
    // The unaltered one is fine.
    let mut cast = reading_again(&original);
    let line = altered(&cast, |_| {});
    assert_eq!(line, cast.aggregator.lines(1)[0]);
    let action = cast.tell(0, Event::Lines(vec![line]));
    assert!(matches!(action, Action::Evaluate(_)), "{action:?}");
}

/// A second run of the same; the first is not used up.
fn reading_again(like: &Rehearsal) -> Rehearsal {
    let mut again = cast();
    again.aggregator = like.aggregator.clone();
    again.clients = like.clients.clone();
    again.open(0);
    again
}

/// The line that follows from the entry: a record that replays, with other content.
fn forged(cast: &Rehearsal, change: impl FnOnce(&mut RoundEntry)) -> String {
    let mut entry = None;
    altered(cast, |e| {
        change(e);
        entry = Some(e.clone());
    });
    let entry = entry.unwrap();
    let mut record = Replay::new(&cast.task).unwrap();
    record
        .take(&cast.task, &cast.aggregator.lines(0)[0], Commitments::Check)
        .unwrap();
    let outcome = entry.sums.ok_or(AbortReason::FalseShares);
    record.conclude(&cast.task, 0, outcome, entry.cohort).1
}

#[test]
fn an_update_that_was_replaced_or_left_out_is_missed() {
    let first = reading(cast());
    type Change = fn(&mut RoundEntry);
    let cases: [(Change, &str); 2] = [
        (
            |e| cohort(e).contributors[0].vector = "5".repeat(64),
            "another vector in our name",
        ),
        (
            |e| {
                cohort(e).contributors.remove(0);
                groups(e)[0].members.remove(0);
            },
            "leaves out an update of ours",
        ),
    ];
    for (change, why) in cases {
        let mut cast = reading_again(&first);
        let line = forged(&cast, change);
        let action = cast.tell(0, Event::Lines(vec![line.clone()]));
        stopped(&cast, 0, &action, why);
        // To the others it looks like any other record; each can only miss what it sent itself.
        let mut cast = reading_again(&first);
        cast.lead(1, |action| matches!(action, Action::Read { .. }));
        cast.tell(1, Event::Lines(vec![line]));
        assert_eq!(cast.clients[1].suspicion(), None);
    }
    // Nor may an aborted round leave it out: its sum could have been opened all the same.
    let mut cast = reading_again(&first);
    let line = forged(&cast, |e| {
        (e.sums, e.cohort) = (None, None);
        e.aborted = Some(AbortReason::TooFewMasked);
    });
    let action = cast.tell(0, Event::Lines(vec![line]));
    stopped(&cast, 0, &action, "leaves out an update of ours");
}

#[test]
fn members_of_one_cohort_have_seen_the_same_record() {
    // Participant 0 is shown a round 0 with a different end.
    let mut cast = reading(cast());
    let line = forged(&cast, |e| {
        e.sums = None;
        e.aborted = Some(AbortReason::TooFewMasked);
    });
    let mut fork = Replay::new(&cast.task).unwrap();
    for line in [&cast.aggregator.lines(0)[0], &line] {
        fork.take(&cast.task, line, Commitments::Check).unwrap();
    }
    cast.tell(0, Event::Lines(vec![line]));
    // Its update was sent once, so it makes another.
    cast.lead(0, |action| matches!(action, Action::Sync { .. }));
    let forked = |view: &mut RoundView| {
        view.theta = fork.theta().clone();
        (view.step, view.lines) = (fork.step(), fork.lines());
        view.record = fork.head().clone();
    };
    // All enrol, each on their own branch.
    let event = shown(&mut cast, 0, |view| {
        forked(view);
        (view.phase, view.standing) = (Phase::Open, Standing::Idle);
    });
    let action = cast.tell(0, event.clone());
    // Its update was sent once, so it makes another.
    assert!(matches!(action, Action::Evaluate(_)), "{action:?}");
    cast.lead(0, |action| matches!(action, Action::Sync { .. }));
    let action = cast.tell(0, event);
    assert!(
        matches!(action, Action::Enrol { round: 1, .. }),
        "{action:?}"
    );
    for who in 1..4 {
        cast.lead(who, |action| matches!(action, Action::Enrol { .. }));
        let keys = shown(&mut cast, who, |view| {
            (view.phase, view.standing) = (Phase::Keys, Standing::InCohort);
        });
        assert!(matches!(cast.tell(who, keys), Action::Send { .. }));
    }
    let keys = shown(&mut cast, 0, |view| {
        forked(view);
        (view.phase, view.standing) = (Phase::Keys, Standing::InCohort);
    });
    assert!(matches!(cast.tell(0, keys), Action::Send { .. }));
    let roster = |cast: &Rehearsal| Roster {
        members: (0..4)
            .map(|who| match cast.sent[who].last() {
                Some((1, SumMessage::Keys(keys))) => secure_sum::messages::Member {
                    participant: who as u32,
                    identity: identity(who).public(),
                    keys: keys.clone(),
                },
                other => panic!("{other:?}"),
            })
            .collect(),
    };
    let roster = roster(&cast);
    for who in 0..4 {
        let shares = shown(&mut cast, who, |view| {
            if who == 0 {
                forked(view);
            }
            (view.phase, view.standing) = (Phase::Shares, Standing::InCohort);
        });
        assert!(is_fetch(Phase::Shares)(&cast.tell(who, shares)));
        let action = cast.tell(who, Event::Input(SumInput::Roster(roster.clone())));
        stopped(&cast, who, &action, "not signed for this sum");
        assert_eq!(sums(&cast, who, 1), [Phase::Keys]);
    }
}

#[test]
fn a_swapped_identity_is_known_by_the_one_seen_before() {
    let mut cast = in_keys(cast(), 1);
    fetching(&mut cast, 0, Phase::Shares);
    let SumInput::Roster(mut roster) = input(&mut cast, 0, Phase::Shares) else {
        panic!()
    };
    // The aggregator makes a member of its own, with good keys, in the place of another.
    let context = cast.aggregator.record().context(&cast.task, 1).unwrap();
    let policy = cast.task.federation.secure.unwrap().policy;
    let puppet = Participant::new(context, 2, policy, [77; 32]);
    roster.members[2].identity = identity(9).public();
    roster.members[2].keys = puppet.keys(&identity(9));
    let action = cast.tell(0, Event::Input(SumInput::Roster(roster)));
    stopped(&cast, 0, &action, "identity is not the one seen before");
    assert_eq!(sums(&cast, 0, 1), [Phase::Keys]);
}

#[test]
fn keys_of_our_own_that_we_did_not_make_are_noticed() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Shares);
    let SumInput::Roster(roster) = input(&mut cast, 0, Phase::Shares) else {
        panic!()
    };
    let start = cast.clients[0].clone();
    let context: Context = cast.aggregator.record().context(&cast.task, 0).unwrap();
    let policy = cast.task.federation.secure.unwrap().policy;
    let puppet = Participant::new(context, 0, policy, [77; 32]);
    let mut changed = roster.clone();
    changed.members[0].keys = puppet.keys(&identity(0));
    let mut missing = roster;
    missing.members.remove(0);
    for (roster, why) in [
        (changed, "keys were changed"),
        (missing, "keys are missing"),
    ] {
        cast.clients[0] = start.clone();
        let action = cast.tell(0, Event::Input(SumInput::Roster(roster)));
        stopped(&cast, 0, &action, why);
    }
    assert_eq!(sums(&cast, 0, 0), [Phase::Keys]);
}

#[test]
fn a_shrunken_cohort_is_sat_out() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Shares);
    let full = input(&mut cast, 0, Phase::Shares);
    let SumInput::Roster(roster) = &full else {
        panic!()
    };
    let two = Roster {
        members: roster.members[..2].to_vec(),
    };
    let action = cast.tell(0, Event::Input(SumInput::Roster(two)));
    assert!(matches!(action, Action::Sync { .. }), "{action:?}");
    // Nor does it return to this round, whatever is shown now; it takes part in the next one again.
    for phase in [
        Phase::Keys,
        Phase::Shares,
        Phase::Masked,
        Phase::Confirm,
        Phase::Unmask,
    ] {
        let event = shown(&mut cast, 0, |view| {
            (view.phase, view.standing) = (phase, Standing::InCohort);
        });
        assert!(matches!(cast.tell(0, event), Action::Sync { .. }));
        assert!(matches!(
            cast.tell(0, Event::Input(full.clone())),
            Action::Sync { .. }
        ));
    }
    assert_eq!(sums(&cast, 0, 0), [Phase::Keys]);
    assert_eq!(cast.clients[0].suspicion(), None);
}

#[test]
fn envelopes_that_do_not_open_are_sat_out() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Masked);
    let SumInput::Inbox(mut inbox) = input(&mut cast, 0, Phase::Masked) else {
        panic!()
    };
    inbox.envelopes[1].sealed[0] ^= 1;
    let action = cast.tell(0, Event::Input(SumInput::Inbox(inbox)));
    assert!(matches!(action, Action::Sync { .. }), "{action:?}");
    let again = input(&mut cast, 0, Phase::Masked);
    assert!(matches!(
        cast.tell(0, Event::Input(again)),
        Action::Sync { .. }
    ));
    assert_eq!(sums(&cast, 0, 0), [Phase::Keys, Phase::Shares]);
}

#[test]
fn one_masked_vector_and_no_other_leaves_in_a_round() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Masked);
    let honest = input(&mut cast, 0, Phase::Masked);
    let action = cast.tell(0, Event::Input(honest.clone()));
    let Action::Send { message, .. } = &action else {
        panic!("{action:?}")
    };
    assert!(matches!(message, SumMessage::Masked(_)));
    let before = cast.clients[0].clone();
    // The same request is answered with the same bytes, and costs nothing more.
    assert_eq!(cast.tell(0, Event::Input(honest.clone())), action);
    assert_eq!(cast.clients[0], before);
    // Another request is not answered.
    let SumInput::Inbox(Inbox { senders, envelopes }) = honest else {
        panic!()
    };
    let fewer = Inbox {
        senders: senders[..3].to_vec(),
        envelopes: envelopes[..2].to_vec(),
    };
    let stop = cast.tell(0, Event::Input(SumInput::Inbox(fewer)));
    stopped(&cast, 0, &stop, "second request");
    assert_eq!(
        sums(&cast, 0, 0),
        [Phase::Keys, Phase::Shares, Phase::Masked]
    );
}

#[test]
fn one_set_of_survivors_is_confirmed_and_no_other() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Confirm);
    let honest = input(&mut cast, 0, Phase::Confirm);
    let action = cast.tell(0, Event::Input(honest.clone()));
    assert!(
        matches!(
            &action,
            Action::Send {
                message: SumMessage::Confirmation(_),
                ..
            }
        ),
        "{action:?}"
    );
    // However the aggregator leads back to it, there is one answer.
    let refused = Event::Refused(Refusal::TooEarly);
    cast.tell(0, refused);
    for phase in [Phase::Masked, Phase::Shares, Phase::Confirm] {
        let event = shown(&mut cast, 0, |view| {
            (view.phase, view.standing) = (phase, Standing::InCohort);
        });
        cast.tell(0, event);
    }
    assert_eq!(cast.open(0), action);
    let event = shown(&mut cast, 0, |view| {
        (view.phase, view.standing) = (Phase::Confirm, Standing::InCohort);
    });
    assert_eq!(cast.tell(0, event), action);
    assert_eq!(cast.tell(0, Event::Input(honest.clone())), action);
    let others = only(&honest, &[0, 1, 2]);
    let stop = cast.tell(0, Event::Input(SumInput::Survivors(others)));
    stopped(&cast, 0, &stop, "second request");
    let confirmed = sums(&cast, 0, 0);
    assert_eq!(
        confirmed.iter().filter(|p| **p == Phase::Confirm).count(),
        1,
        "{confirmed:?}"
    );
    assert!(!confirmed.contains(&Phase::Unmask));
}

#[test]
fn no_share_leaves_before_enough_have_confirmed_the_same_survivors() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Unmask);
    let start = cast.clients[0].clone();
    let SumInput::Confirmations(honest) = input(&mut cast, 0, Phase::Unmask) else {
        panic!()
    };
    // Too few: others may have dropped out.
    let mut few = honest.clone();
    few.members.truncate(2);
    let action = cast.tell(0, Event::Input(SumInput::Confirmations(few)));
    assert!(matches!(action, Action::Sync { .. }), "{action:?}");
    // One who signed about other survivors: the aggregator lies to somebody.
    let mut other = honest;
    let context = cast.clients[0].record.as_ref().unwrap();
    let context = context.context(&cast.task, 0).unwrap();
    let nothing = hash_survivors(&[0, 1, 2]);
    let signed = Confirmation::signed(&context.digest(), 3, &nothing, &nothing, &nothing);
    other.members[3].1 = identity(3).signature(&signed);
    cast.clients[0] = start;
    let action = cast.tell(0, Event::Input(SumInput::Confirmations(other)));
    stopped(&cast, 0, &action, "other survivors");
    assert!(!sums(&cast, 0, 0).contains(&Phase::Unmask));
}

#[test]
fn too_few_survivors_are_not_opened() {
    // The threshold of four is three; the task says that all four carry the noise.
    let secure = json!({ "cohort_min": 4, "survivors_min": 4 });
    let mut cast = in_keys(Rehearsal::new(secure_task(secure), 4), 0);
    fetching(&mut cast, 0, Phase::Confirm);
    let start = cast.clients[0].clone();
    let all = input(&mut cast, 0, Phase::Confirm);
    for members in [vec![0, 1, 2], vec![0, 3], vec![0]] {
        cast.clients[0] = start.clone();
        let survivors = only(&all, &members);
        let action = cast.tell(0, Event::Input(SumInput::Survivors(survivors)));
        assert!(matches!(action, Action::Sync { .. }), "{action:?}");
        // Not even with all of them afterwards.
        let action = cast.tell(0, Event::Input(all.clone()));
        assert!(matches!(action, Action::Sync { .. }), "{action:?}");
    }
    assert_eq!(
        sums(&cast, 0, 0),
        [Phase::Keys, Phase::Shares, Phase::Masked]
    );
}

#[test]
fn a_list_without_us_or_with_strangers_stops_us() {
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Confirm);
    let start = cast.clients[0].clone();
    let all = input(&mut cast, 0, Phase::Confirm);
    for (members, why) in [
        (vec![1, 2, 3], "leaves this participant out"),
        (vec![0, 1, 2, 7], "names someone"),
        (vec![0, 2, 1], "not sorted"),
        (vec![0, 1, 1, 2], "twice"),
    ] {
        cast.clients[0] = start.clone();
        let survivors = only(&all, &members);
        let action = cast.tell(0, Event::Input(SumInput::Survivors(survivors)));
        stopped(&cast, 0, &action, why);
    }
    assert_eq!(
        sums(&cast, 0, 0),
        [Phase::Keys, Phase::Shares, Phase::Masked]
    );
}

#[test]
fn an_update_without_masks_is_not_to_be_had() {
    let mut cast = in_keys(cast(), 0);
    let start = cast.clients[0].clone();
    for phase in [Phase::Upload, Phase::Open, Phase::Done, Phase::Aborted] {
        cast.clients[0] = start.clone();
        let event = shown(&mut cast, 0, |view| {
            (view.phase, view.standing) = (phase, Standing::InCohort);
        });
        let action = cast.tell(0, event);
        if phase == Phase::Upload {
            stopped(&cast, 0, &action, "without the masks");
        } else {
            assert!(matches!(action, Action::Sync { .. }), "{action:?}");
        }
    }
    assert_eq!(sums(&cast, 0, 0), []);
}

#[test]
fn a_sum_is_not_joined_in_the_middle() {
    // With a lost state there are no keys; with a state from another device neither.
    let mut cast = in_keys(cast(), 0);
    let start = cast.clients[0].clone();
    for phase in [Phase::Shares, Phase::Masked, Phase::Confirm, Phase::Unmask] {
        cast.clients[0] = start.clone();
        let event = shown(&mut cast, 0, |view| {
            (view.phase, view.standing) = (phase, Standing::InCohort);
        });
        assert!(matches!(cast.tell(0, event), Action::Sync { .. }));
    }
    assert_eq!(sums(&cast, 0, 0), []);
}

#[test]
fn a_round_whose_end_is_not_told_has_no_successor() {
    let mut cast = in_keys(cast(), 1);
    let event = shown(&mut cast, 0, |view| {
        (view.round, view.phase, view.standing) = (2, Phase::Keys, Standing::InCohort);
    });
    let action = cast.tell(0, event);
    stopped(&cast, 0, &action, "does not tell how");
    assert_eq!(sums(&cast, 0, 2), []);
}

#[test]
fn a_claimed_cohort_spends_no_more_than_the_task_allows() {
    let source = json!({
        "clip": 1.0,
        "secure_sum": { "cohort_min": 3 },
        "privacy": { "epsilon": 3.0, "noise_multiplier": 2.0 },
    });
    let mut cast = Rehearsal::new(task(source), 4);
    // One sum was all that there was room for. The aggregator says that it goes on.
    cast.play(|r| r.aggregator.status() == FederationStatus::Finished);
    let goes_on = |phase, standing| {
        move |view: &mut RoundView| {
            (view.status, view.round) = (FederationStatus::Running, 1);
            (view.phase, view.standing) = (phase, standing);
        }
    };
    let event = shown(&mut cast, 0, goes_on(Phase::Open, Standing::Idle));
    cast.tell(0, event);
    cast.lead(0, |action| matches!(action, Action::Sync { .. }));
    let spent = cast.clients[0].privacy(&cast.task).unwrap();
    assert!(spent.epsilon > 0.0 && spent.epsilon <= spent.limit);
    let start = cast.clients[0].clone();
    for (phase, standing) in [
        (Phase::Open, Standing::Idle),
        (Phase::Keys, Standing::InCohort),
    ] {
        cast.clients[0] = start.clone();
        let event = shown(&mut cast, 0, goes_on(phase, standing));
        assert_eq!(cast.tell(0, event), Action::Stop(StopReason::PrivacySpent));
        assert_eq!(cast.clients[0].privacy(&cast.task), Some(spent));
    }
    assert_eq!(sums(&cast, 0, 1), []);
}

#[test]
fn a_vector_that_was_made_is_counted_though_it_never_arrived() {
    let source = json!({
        "clip": 1.0,
        "secure_sum": { "cohort_min": 3 },
        "privacy": { "epsilon": 3.0, "noise_multiplier": 2.0 },
    });
    let mut cast = in_keys(Rehearsal::new(task(source), 4), 0);
    fetching(&mut cast, 0, Phase::Masked);
    let nothing = cast.clients[0].privacy(&cast.task).unwrap();
    assert_eq!(nothing.epsilon, 0.0);
    cast.turn(0);
    let once = cast.clients[0].privacy(&cast.task).unwrap();
    assert!(once.epsilon > 2.0);
    cast.turn(0);
    assert_eq!(cast.clients[0].privacy(&cast.task), Some(once));
}

/// Returns whether the stored state of `who` holds `seed`.
fn holds(cast: &Rehearsal, who: usize, seed: &[u8; 32]) -> bool {
    let stored = ground::wire::encode(&cast.clients[who]);
    stored.windows(32).any(|bytes| bytes == seed)
}

#[test]
fn no_seed_of_a_sum_is_stored_once_it_is_over() {
    let mut cast = in_keys(cast(), 0);
    // What participants drew: the first for the sum's keys and masks, the second for rounding.
    let drawn = |who: u8, number: u8| rehearsal::bytes(who, &[b'e', number]);
    cast.play_to(0, Phase::Masked);
    for who in 0..4 {
        assert!(holds(&cast, who, &drawn(who as u8, 0)) && holds(&cast, who, &drawn(who as u8, 1)));
    }
    cast.play_out();
    for who in 0..4 {
        assert_eq!(cast.clients[who].stopped(), Some(StopReason::Finished));
        for number in 0..8 {
            let seed = drawn(who as u8, number);
            assert!(!holds(&cast, who, &seed), "{who} keeps {number}");
        }
        assert!(cast.clients[who].sum.is_none());
    }
}

#[test]
fn who_stops_in_the_middle_of_a_sum_keeps_no_seed() {
    for event in [
        Event::Leave,
        Event::Refused(Refusal::FederationClosed),
        Event::Refused(Refusal::Unauthorized),
    ] {
        let mut cast = in_keys(cast(), 0);
        cast.play_to(0, Phase::Masked);
        let seed = rehearsal::bytes(0, &[b'e', 0]);
        assert!(holds(&cast, 0, &seed));
        assert!(matches!(cast.tell(0, event), Action::Stop(_)));
        assert!(!holds(&cast, 0, &seed) && cast.clients[0].sum.is_none());
    }
}

#[test]
fn an_aborted_sums_seed_is_dropped_when_its_end_is_read() {
    let mut cast = cast();
    lost(&mut cast, 0);
    let seed = rehearsal::bytes(0, &[b'e', 0]);
    assert!(holds(&cast, 0, &seed));
    cast.play_to(1, Phase::Keys);
    assert!(!holds(&cast, 0, &seed));
}

/// The masked round is over without a sum, as an aggregator that opened it in private would say: some
/// confirmed, and it claims that too few did.
fn lost(cast: &mut Rehearsal, round: u32) {
    cast.play_to(round, Phase::Confirm);
    let late = NOW + 1_000_000 * u64::from(round + 1);
    cast.aggregator.tick(late).unwrap();
    let last = cast.aggregator.records().last().unwrap().clone();
    assert_eq!((last.round, last.phase), (round, Phase::Aborted));
}

#[test]
fn an_update_that_was_in_one_sum_is_in_no_other() {
    let mut cast = cast();
    lost(&mut cast, 0);
    let before: Vec<Vec<f32>> = (0..4)
        .map(|who| cast.clients[who].work.clone().unwrap().delta.unwrap())
        .collect();
    // The next sum starts from the same θ, perhaps over other people.
    cast.play_to(1, Phase::Masked);
    for (who, old) in before.iter().enumerate() {
        let work = cast.clients[who].work.clone().unwrap();
        assert_eq!((work.renewed, work.step), (1, 0));
        assert_ne!(work.delta.as_ref(), Some(old), "participant {who}");
    }
    // Nothing that was measured at this θ is reported a second time.
    cast.play(|r| r.aggregator.round().number == 2);
    let last = cast.aggregator.records().last().unwrap();
    assert_eq!((last.phase, last.metrics.total), (Phase::Done, 0));
}

#[test]
fn a_state_that_was_lost_learns_from_the_record_what_was_sent() {
    let source = json!({
        "clip": 1.0,
        "secure_sum": { "cohort_min": 3 },
        "privacy": { "epsilon": 100.0, "noise_multiplier": 2.0 },
    });
    for mid_round in [false, true] {
        let mut cast = Rehearsal::new(task(source.clone()), 4);
        cast.play_to(0, Phase::Confirm);
        let old = cast.clients[1].work.clone().unwrap().delta;
        let spent = cast.clients[1].privacy(&cast.task).unwrap();
        assert!(old.is_some() && spent.epsilon > 0.0);
        if mid_round {
            // It has the same update again before the record tells of the first.
            cast.clients[1] = Client::new(1);
            cast.lead(1, |action| {
                matches!(action, Action::Sync { after: Some(_) })
            });
            assert_eq!(cast.clients[1].work.clone().unwrap().delta, old);
        }
        lost(&mut cast, 0);
        if !mid_round {
            cast.clients[1] = Client::new(1);
        }
        cast.play_to(1, Phase::Confirm);
        let work = cast.clients[1].work.clone().unwrap();
        assert_eq!((work.renewed, work.masked), (1, Some(1)));
        assert_ne!(work.delta, old);
        let twice = cast.clients[1].privacy(&cast.task).unwrap();
        assert_eq!(cast.clients[0].privacy(&cast.task), Some(twice));
        assert!(twice.epsilon > spent.epsilon);
    }
}

/// The first participant has one example, and a round begins as soon as three of the four have
/// enrolled, so that the others can go on without it.
fn one_with_one_example() -> Rehearsal {
    let mut cast = Rehearsal::new(
        task(json!({
            "clip": 1.0,
            "secure_sum": { "cohort_min": 3 },
            "open": { "count_min": 3, "time_min_ms": 0, "time_max_ms": 600_000 },
        })),
        4,
    );
    cast.kits[0].training = 1;
    cast
}

#[test]
fn a_lost_state_with_one_example_sits_out_until_theta_moves() {
    let mut cast = one_with_one_example();
    lost(&mut cast, 0);
    cast.clients[0] = Client::new(0);
    cast.play(|r| r.aggregator.round().number == 2);
    assert_eq!(sums(&cast, 0, 1), []);
    // It has yet to measure the unprompted model, so the others may begin without it once.
    cast.play(|r| (2..4).any(|round| sums(r, 0, round).contains(&Phase::Masked)));
    assert_eq!(cast.clients[0].suspicion(), None);
}

#[test]
fn who_has_one_example_sits_out_until_theta_moves() {
    let mut cast = one_with_one_example();
    lost(&mut cast, 0);
    assert!(sums(&cast, 0, 0).contains(&Phase::Masked));
    cast.play(|r| r.aggregator.round().number == 2);
    assert_eq!(cast.aggregator.records()[1].phase, Phase::Done);
    assert_eq!(sums(&cast, 0, 1), []);
    cast.play(|r| sums(r, 0, 2).contains(&Phase::Masked));
    assert_eq!(cast.clients[0].suspicion(), None);
}

#[test]
fn sums_from_one_theta_are_not_begun_without_end() {
    let mut cast = cast();
    // Enough examples for another update each time.
    cast.kits.iter_mut().for_each(|kit| kit.training = 9);
    for round in 0..MASKED_MAX {
        lost(&mut cast, round);
    }
    for who in 0..4 {
        let action = cast.lead(who, |action| matches!(action, Action::Stop(_)));
        stopped(&cast, who, &action, "from the same θ");
        let masked = cast.sent[who]
            .iter()
            .filter(|(_, m)| m.phase() == Phase::Masked);
        assert_eq!(masked.count(), MASKED_MAX as usize);
    }
}

#[test]
fn a_second_sum_is_refused_though_the_record_hides_the_first() {
    // The record is read before keys are sent; this is the last line behind it.
    let mut cast = in_keys(cast(), 0);
    fetching(&mut cast, 0, Phase::Masked);
    cast.clients[0].work.as_mut().unwrap().masked = Some(7);
    let honest = input(&mut cast, 0, Phase::Masked);
    let action = cast.tell(0, Event::Input(honest));
    stopped(&cast, 0, &action, "second request");
}
