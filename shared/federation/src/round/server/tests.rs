use super::*;
use crate::round::policy::{Limits, SecurePhases};
use proptest::prelude::*;

const OPEN: Limits = Limits {
    count_min: 2,
    count_max: 4,
    time_min_ms: 100,
    time_max_ms: 1_000,
};
const UPLOAD: Limits = Limits {
    count_min: 2,
    count_max: 4,
    time_min_ms: 50,
    time_max_ms: 500,
};
const POLICY: Policy = Policy {
    open: OPEN,
    upload: UPLOAD,
    secure: None,
    in_turns: false,
    active: 0,
    lease_ms: 10_000,
};

fn enrol(live: u32) -> Event {
    Event::Enrol {
        standing: Standing::Idle,
        live,
    }
}

fn deliver() -> Event {
    Event::Deliver {
        standing: Standing::InCohort,
        phase: Phase::Upload,
    }
}

/// A round whose cohort of `n` was frozen at time 0.
fn frozen(n: u32) -> Round {
    Round {
        phase: Phase::Upload,
        since: Some(0),
        enrolled: n,
        cohort: n,
        ..Round::open(7)
    }
}

#[test]
fn all_who_live_enrol_and_deliver() {
    let mut round = Round::open(0);
    assert_eq!(round.step(&POLICY, 10, enrol(2)), Ok(vec![Action::Enrol]));
    assert_eq!(
        round.step(&POLICY, 11, enrol(2)),
        Ok(vec![Action::Enrol, Action::Freeze])
    );
    assert_eq!(
        (round.phase, round.cohort, round.since),
        (Phase::Upload, 2, Some(11))
    );
    assert_eq!(round.step(&POLICY, 12, deliver()), Ok(vec![Action::Store]));
    assert_eq!(
        round.step(&POLICY, 13, deliver()),
        Ok(vec![Action::Store, Action::Aggregate])
    );
    assert_eq!(round.phase, Phase::Done);
}

#[test]
fn the_clock_stands_until_somebody_enrols_and_again_when_all_withdraw() {
    let mut round = Round::open(0);
    assert_eq!(
        round.step(&POLICY, 1 << 40, Event::Tick { live: 9 }),
        Ok(vec![])
    );
    assert_eq!(round.deadline(&POLICY), None);
    round.step(&POLICY, 500, enrol(9)).unwrap();
    assert_eq!(round.deadline(&POLICY), Some(1_500));
    assert_eq!(round.wake_at(&POLICY, 500), Some(600));
    assert_eq!(round.wake_at(&POLICY, 600), Some(1_500));
    let leave = Event::Leave {
        standing: Standing::Enrolled,
        live: 8,
    };
    assert_eq!(round.step(&POLICY, 600, leave), Ok(vec![Action::Withdraw]));
    assert_eq!(round, Round::open(0));
}

#[test]
fn time_freezes_or_aborts() {
    let mut round = Round::open(0);
    round.step(&POLICY, 0, enrol(9)).unwrap();
    let mut alone = round.clone();
    round.step(&POLICY, 0, enrol(9)).unwrap();
    assert_eq!(round.step(&POLICY, 99, Event::Tick { live: 9 }), Ok(vec![]));
    assert_eq!(
        round.step(&POLICY, 100, Event::Tick { live: 9 }),
        Ok(vec![Action::Freeze])
    );
    assert_eq!(
        alone.step(&POLICY, 999, Event::Tick { live: 9 }),
        Ok(vec![])
    );
    let abort = Action::Abort(AbortReason::TooFewEnrolled);
    assert_eq!(
        alone.step(&POLICY, 1_000, Event::Tick { live: 9 }),
        Ok(vec![abort])
    );
}

#[test]
fn who_waits_makes_the_clock_run_and_the_draw_widens() {
    let policy = Policy {
        active: 2,
        ..POLICY
    };
    let mut round = Round::open(3);
    let wait = Event::Wait { live: 5 };
    assert_eq!(round.step(&policy, 10, wait), Ok(vec![]));
    // Waiting again, or anyone enrolling and leaving, does not change that.
    assert_eq!(round.step(&policy, 20, wait), Ok(vec![]));
    round.step(&policy, 30, enrol(5)).unwrap();
    assert_eq!(round.since, Some(30));
    let leave = Event::Leave {
        standing: Standing::Enrolled,
        live: 5,
    };
    assert_eq!(round.step(&policy, 40, leave), Ok(vec![Action::Withdraw]));
    assert_eq!(round.since, Some(30));
    let abort = Action::Abort(AbortReason::TooFewEnrolled);
    let tick = Event::Tick { live: 5 };
    assert_eq!(round.step(&policy, 1_030, tick), Ok(vec![abort]));
    let mut round = round.next(7, false);
    assert_eq!((round.registered, round.attempt), (0, 1));
    assert_eq!(policy.drawn(round.attempt), Some(4));
    // As soon as all who were drawn have enrolled, nobody else is waited for.
    for _ in 0..3 {
        assert_eq!(
            round.step(&policy, 5_000, enrol(9)),
            Ok(vec![Action::Enrol])
        );
    }
    assert_eq!(
        round.step(&policy, 5_000, enrol(9)),
        Ok(vec![Action::Enrol, Action::Freeze])
    );
    assert_eq!(round.step(&policy, 5_000, wait), Err(Refusal::TooLate));
    let round = round.next(7, true);
    assert_eq!((round.number, round.registered, round.attempt), (5, 7, 0));
}

#[test]
fn as_many_are_drawn_as_a_round_needs() {
    assert_eq!(POLICY.drawn(0), None);
    let policy = Policy {
        active: 1,
        ..POLICY
    };
    assert_eq!(policy.drawn(0), Some(2));
    assert_eq!(policy.drawn(3), Some(16));
    assert_eq!(policy.drawn(u32::MAX), Some(u32::MAX));
}

#[test]
fn a_cohort_that_could_not_suffice_is_not_frozen() {
    let policy = Policy {
        open: Limits {
            count_min: 1,
            ..OPEN
        },
        ..POLICY
    };
    let mut round = Round::open(0);
    // All who are live, and enough for the phase; but two are needed in the next.
    assert_eq!(round.step(&policy, 0, enrol(1)), Ok(vec![Action::Enrol]));
    assert_eq!(
        round.step(&policy, 500, Event::Tick { live: 1 }),
        Ok(vec![])
    );
    assert_eq!(
        round.clone().step(&policy, 600, enrol(2)),
        Ok(vec![Action::Enrol, Action::Freeze])
    );
    let abort = Action::Abort(AbortReason::TooFewEnrolled);
    assert_eq!(
        round.step(&policy, 1_000, Event::Tick { live: 1 }),
        Ok(vec![abort])
    );
}

#[test]
fn nobody_waits_for_the_gone() {
    let leave = Event::Leave {
        standing: Standing::InCohort,
        live: 2,
    };
    let mut round = frozen(3);
    round.step(&POLICY, 1, deliver()).unwrap();
    round.step(&POLICY, 2, deliver()).unwrap();
    assert_eq!(round.step(&POLICY, 3, leave), Ok(vec![Action::Aggregate]));
    let mut round = frozen(3);
    round.step(&POLICY, 1, deliver()).unwrap();
    round.step(&POLICY, 2, leave).unwrap();
    let abort = Action::Abort(AbortReason::TooFewUpdates);
    assert_eq!(round.step(&POLICY, 3, leave), Ok(vec![abort]));
}

#[test]
fn refusals() {
    let cases = [
        (Round::open(0), enrol(1), None),
        (Round::open(0), deliver(), Some(Refusal::TooEarly)),
        (
            Round::open(0),
            Event::Enrol {
                standing: Standing::Enrolled,
                live: 1,
            },
            Some(Refusal::Duplicate),
        ),
        (frozen(2), enrol(1), Some(Refusal::TooLate)),
        (
            frozen(2),
            Event::Deliver {
                standing: Standing::Idle,
                phase: Phase::Upload,
            },
            Some(Refusal::NotInCohort),
        ),
        (
            frozen(2),
            Event::Deliver {
                standing: Standing::Delivered,
                phase: Phase::Upload,
            },
            Some(Refusal::Duplicate),
        ),
        (
            Round {
                phase: Phase::Done,
                ..frozen(2)
            },
            deliver(),
            Some(Refusal::TooLate),
        ),
        (
            Round {
                phase: Phase::Done,
                ..frozen(2)
            },
            Event::Close,
            Some(Refusal::FederationClosed),
        ),
        (
            Round {
                enrolled: 4,
                since: Some(0),
                ..Round::open(0)
            },
            enrol(9),
            Some(Refusal::CohortFull),
        ),
    ];
    for (mut round, event, refusal) in cases {
        assert_eq!(
            round.step(&POLICY, 1, event).err(),
            refusal,
            "{event:?} in {round:?}"
        );
    }
}

#[test]
fn a_refusal_leaves_even_the_clock_alone() {
    let mut round = Round {
        since: Some(500),
        ..frozen(2)
    };
    let before = round.clone();
    // The clock has jumped back.
    assert_eq!(round.step(&POLICY, 100, enrol(9)), Err(Refusal::TooLate));
    assert_eq!(round, before);
}

/// The machine's driver, in small: keeps standings and carries out actions.
struct Driver {
    round: Round,
    standings: Vec<Standing>,
    departed: Vec<bool>,
    stored: u32,
}

impl Driver {
    fn new(participants: usize) -> Self {
        let standings = vec![Standing::Idle; participants];
        Self {
            round: Round::open(0),
            standings,
            departed: vec![false; participants],
            stored: 0,
        }
    }

    fn live(&self) -> u32 {
        self.departed.iter().filter(|d| !**d).count() as u32
    }

    fn count(&self, standing: Standing) -> u32 {
        self.standings
            .iter()
            .zip(&self.departed)
            .filter(|(s, d)| **s == standing && !**d)
            .count() as u32
    }

    /// One event of participant `who`; checks everything that must always hold.
    fn event(
        &mut self,
        policy: &Policy,
        now: u64,
        who: usize,
        kind: u8,
    ) -> Result<(), TestCaseError> {
        let standing = self.standings[who];
        let event = match kind {
            0 | 1 => Event::Enrol {
                standing,
                live: self.live(),
            },
            2 | 3 => Event::Deliver {
                standing,
                phase: self.round.phase,
            },
            4 => {
                self.departed[who] = true;
                Event::Leave {
                    standing,
                    live: self.live(),
                }
            }
            5 => Event::Wait { live: self.live() },
            _ => Event::Tick { live: self.live() },
        };
        if kind < 4 && self.departed[who] {
            return Ok(());
        }
        self.step(policy, now, who, event)?;
        // Participants who left after a message are in the next phase's cohort, and missed
        // there.
        while let Some(gone) = (0..self.standings.len())
            .find(|p| self.departed[*p] && self.standings[*p] == Standing::InCohort)
        {
            let live = self.live();
            let standing = Standing::InCohort;
            self.step(policy, now, gone, Event::Leave { standing, live })?;
        }
        let round = &self.round;
        prop_assert_eq!(round.delivered, self.stored);
        prop_assert!(round.delivered + round.gone <= round.cohort);
        prop_assert!(round.enrolled <= policy.open.count_max);
        if round.phase == Phase::Open {
            prop_assert_eq!(round.enrolled, self.count(Standing::Enrolled));
            prop_assert_eq!(round.since.is_some(), round.enrolled > 0 || round.waiting);
        } else if round.phase.collects() {
            let waited_for = round.cohort - round.gone - round.delivered;
            prop_assert_eq!(waited_for, self.count(Standing::InCohort));
        }
        Ok(())
    }

    fn step(
        &mut self,
        policy: &Policy,
        now: u64,
        who: usize,
        event: Event,
    ) -> Result<(), TestCaseError> {
        let before = self.round.clone();
        let Ok(actions) = self.round.step(policy, now, event) else {
            prop_assert_eq!(&self.round, &before, "a refusal changed the round");
            return Ok(());
        };
        if let Event::Leave {
            standing: Standing::InCohort,
            ..
        } = event
        {
            self.standings[who] = Standing::Dropped;
        }
        for action in actions {
            match action {
                Action::Enrol => self.standings[who] = Standing::Enrolled,
                Action::Withdraw => self.standings[who] = Standing::Idle,
                Action::Freeze => self
                    .standings
                    .iter_mut()
                    .filter(|s| **s == Standing::Enrolled)
                    .for_each(|s| *s = Standing::InCohort),
                Action::Store => {
                    prop_assert_eq!(self.standings[who], Standing::InCohort);
                    self.standings[who] = Standing::Delivered;
                    self.stored += 1;
                }
                Action::Narrow => {
                    // Each set lies in the one before.
                    prop_assert_eq!(self.stored, self.round.cohort);
                    self.stored = 0;
                    for standing in &mut self.standings {
                        *standing = match *standing {
                            Standing::Delivered => Standing::InCohort,
                            Standing::InCohort => Standing::Dropped,
                            other => other,
                        };
                    }
                }
                Action::Aggregate => {
                    prop_assert_eq!(self.round.phase, Phase::Done);
                    let least = match &policy.secure {
                        Some(secure) => secure.needed(self.round.members),
                        None => policy.upload.count_min,
                    };
                    prop_assert!(self.stored >= least);
                }
                Action::Abort(_) => prop_assert_eq!(self.round.phase, Phase::Aborted),
            }
        }
        Ok(())
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..5_u32, 0..5_u32, 0..300_u64, 0..700_u64).prop_map(|(min, more, time_min_ms, longer)| {
        Limits {
            count_min: min,
            count_max: min + more,
            time_min_ms,
            time_max_ms: 100_u64.max(time_min_ms + longer),
        }
    })
}

proptest! {
    #[test]
    fn counts_agree_and_every_round_ends(
        open in limits(),
        upload in limits(),
        secure in prop::option::of((limits(), limits(), limits(), limits(), limits(), 0.67_f32..0.95)),
        active in 0..4_u32,
        participants in 1..8_usize,
        events in prop::collection::vec((0..8_usize, 0..7_u8, 0..200_u64, any::<bool>()), 0..100),
    ) {
        let secure = secure.map(|(keys, shares, masked, confirm, unmask, threshold)| SecurePhases {
            keys,
            shares,
            masked,
            confirm,
            unmask,
            threshold,
        });
        let policy = Policy { open, upload, secure, active, in_turns: false, lease_ms: 1_000 };
        let mut driver = Driver::new(participants);
        let mut now = 1_000_000;
        for (who, kind, time, back) in events {
            // The clock may jump either way.
            now = if back { now - time } else { now + time };
            driver.event(&policy, now, who % participants, kind)?;
        }
        // From here only time passes. Somebody enrols, or there is nobody.
        let someone = (0..participants).find(|p| !driver.departed[*p]);
        if let Some(who) = someone.filter(|_| driver.round.phase == Phase::Open) {
            driver.event(&policy, now, who, 0)?;
        }
        for _ in 0..5 {
            now += 1_500;
            driver.event(&policy, now, 0, 6)?;
        }
        let idle = driver.round.phase == Phase::Open && driver.round.since.is_none();
        prop_assert!(driver.round.phase.is_terminal() || idle, "{:?}", driver.round);
        // A round that is over stays over.
        let after = driver.round.clone();
        for who in 0..participants {
            for kind in 0..7 {
                driver.event(&policy, now, who, kind)?;
            }
        }
        if !idle {
            prop_assert_eq!(&driver.round, &after);
        }
    }
}
