//! Faults that were found, in their shrunk form, kept so that they stay fixed.

use super::disk::File;
use super::ops::{Forgery, Moment, Op};
use super::scenario::Scenario;
use federation::engine::memory::Memory;

fn survive(scenario: &Scenario, ops: &[Op]) {
    super::survive::<Memory>(scenario, ops);
    super::survive::<File>(scenario, ops);
}

/// θ did not move, so the participant mistook the finished federation's θ for the one of its own
/// update, and waited for the next round for ever. With more rounds it would have sent the same
/// update in each.
#[test]
fn a_theta_that_does_not_move_ends_all_the_same() {
    let scenario = Scenario {
        seed: 0,
        participants: 1,
        rounds: 1,
        open: (1, 0, 100),
        upload: (1, 0, 100),
        deaf_model: true,
        holdout: false,
        ..Scenario::default()
    };
    survive(&scenario, &[]);
    survive(
        &Scenario {
            rounds: 4,
            ..scenario
        },
        &[],
    );
}

/// The update was taken and its round ended, but the answer came too late; the second try was refused, and
/// the participant reported the same queries once more with the next update: 22 were asked, 34 counted.
#[test]
fn queries_of_an_update_whose_answer_was_late() {
    let scenario = Scenario {
        seed: 12_048_227_474_971_223_513,
        participants: 4,
        rounds: 2,
        open: (1, 154, 254),
        upload: (1, 0, 2_601),
        ..Scenario::default()
    };
    let ops = [
        Op::Crash {
            who: 2,
            moment: Moment::Now,
        },
        Op::Leave { who: 6 },
        Op::Pass { ms: 55 },
        Op::Pass { ms: 548 },
        Op::Leave { who: 3 },
        Op::AggregatorCrash {
            moment: Moment::Now,
            down: 156,
        },
        Op::Network {
            loss: 0,
            duplicate: 0,
            delay: 1_911,
        },
        Op::Pass { ms: 48 },
        Op::Resume { who: 0 },
        Op::Pass { ms: 2_757 },
    ];
    survive(&scenario, &ops);
}

/// A finite sum of losses was taken although two of them add up to infinity, which JSON writes as null: the
/// record, and with it the whole dashboard, could not be read any more.
#[test]
fn a_loss_so_large_that_the_sum_overflows() {
    let scenario = Scenario {
        seed: 0,
        participants: 1,
        rounds: 1,
        open: (1, 0, 100),
        upload: (1, 0, 100),
        holdout: false,
        ..Scenario::default()
    };
    let ops = [
        Op::Network {
            loss: 0,
            duplicate: 0,
            delay: 32,
        },
        Op::Pass { ms: 200 },
        Op::Forge {
            who: 0,
            forgery: Forgery::HugeLoss,
        },
    ];
    survive(&scenario, &ops);
}

/// A cohort of one was frozen although two updates are needed: it was aborted as soon as that one had
/// delivered, enrolled again at once, and so on as fast as the network carried it.
#[test]
fn a_cohort_that_could_not_suffice() {
    let scenario = Scenario {
        seed: 0,
        participants: 1,
        rounds: 1,
        open: (1, 0, 5_000),
        upload: (2, 0, 5_000),
        holdout: false,
        ..Scenario::default()
    };
    survive(&scenario, &[]);
}
