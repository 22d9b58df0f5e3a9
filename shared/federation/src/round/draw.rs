//! Draws who trains, from public randomness before anything is asked, so that participants who are
//! not drawn spend no queries (after FedOne, ICML 2025: fewer active participants, fewer queries in
//! all).
//!
//! Every participant has a place in a line that depends on (seed, step, number) alone, and the
//! first ones train. Those who had joined when the training from this θ_t began are in line from
//! the start; anyone who joins later takes a place among all before them and displaces nobody (as
//! in reservoir sampling), so what a participant was told once holds as long as θ_t does. Anyone
//! can compute it.
//!
//! Where the privacy of each participant pays for few sums (`privacy.participations`), they take
//! turns instead: a public permutation, another one each time all have had their turn, says who
//! trains in which round.

use crate::round::policy::Policy;
use ground::rng::{derive_key, purpose};

/// Returns whether participant `number` is to train from θ_`step`. `registered` and `attempt` are
/// the round's.
#[must_use]
pub fn is_drawn(
    policy: &Policy,
    seed: u64,
    step: u32,
    (registered, attempt): (u32, u32),
    number: u32,
) -> bool {
    let Some(size) = policy.drawn(attempt) else {
        return true;
    };
    let line = registered.max(number.saturating_add(1));
    if size >= line {
        return true;
    }
    if policy.in_turns {
        let each = policy.drawn(0).unwrap_or(size);
        return is_in_turn(seed, step, (each, size), line, number);
    }
    let seed = [seed as u32, (seed >> 32) as u32];
    let place = |n: u32| (derive_key(&[seed[0], seed[1], purpose::DRAW, step, n]), n);
    let mine = place(number);
    let before = (0..line).filter(|n| place(*n) < mine);
    before.take(size as usize).count() < size as usize
}

/// Returns whether it is the turn of participant `number` of `line`, of whom `each` train in a round
/// and `size` after aborted rounds.
fn is_in_turn(seed: u64, step: u32, (each, size): (u32, u32), line: u32, number: u32) -> bool {
    let rounds = (line / each).max(1);
    let (cycle, turn) = (step / rounds, step % rounds);
    let (line, number, turn) = if cycle > 0 {
        (line, number, turn)
    } else if turn == 0 {
        // Nobody had joined when the first θ was announced: the first who come train from it.
        return number < size;
    } else if number < each {
        return false;
    } else {
        (line - each, number - each, turn - 1)
    };
    // Wraps around: after the last come the first. In u64, because the numbers come from outside.
    let place = u64::from(permuted(seed, cycle, line, number));
    let (from, line) = (u64::from(turn) * u64::from(each), u64::from(line));
    (place + line - from) % line < u64::from(size)
}

/// The place of `number` in the permutation number `cycle` of 0 … `line` − 1: a Feistel network of
/// four rounds over the next even number of bits, walked until it falls into the range (Black and
/// Rogaway, CT-RSA 2002).
fn permuted(seed: u64, cycle: u32, line: u32, number: u32) -> u32 {
    let half = (32 - line.leading_zeros()).div_ceil(2).max(1);
    let mask = (1 << half) - 1;
    let mut place = number;
    loop {
        let (mut left, mut right) = (place >> half, place & mask);
        for round in 0..4 {
            let words = [
                seed as u32,
                (seed >> 32) as u32,
                purpose::DRAW,
                cycle,
                round,
                right,
            ];
            (left, right) = (right, left ^ (derive_key(&words)[0] & mask));
        }
        place = (left << half) | right;
        if place < line {
            return place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::rehearsal::task;
    use serde_json::json;

    fn drawn(step: u32, registered: u32, attempt: u32, of: u32) -> Vec<u32> {
        let task = task(json!({ "active": 3 }));
        let policy = task.federation.policy;
        let is = |n: &u32| is_drawn(&policy, task.seed, step, (registered, attempt), *n);
        (0..of).filter(is).collect()
    }

    #[test]
    fn so_many_are_drawn_and_others_each_time() {
        let mut times = [0_u32; 20];
        for step in 0..400 {
            let now = drawn(step, 20, 0, 20);
            assert_eq!(now.len(), 3);
            now.iter().for_each(|n| times[*n as usize] += 1);
        }
        // 60 expected; the standard deviation is 7.1.
        assert!(times.iter().all(|n| (30..=90).contains(n)), "{times:?}");
    }

    #[test]
    fn a_wider_draw_holds_the_narrower_one() {
        let (narrow, wide) = (drawn(5, 20, 0, 20), drawn(5, 20, 1, 20));
        assert_eq!(wide.len(), 6);
        assert!(narrow.iter().all(|n| wide.contains(n)));
        assert_eq!(drawn(5, 20, 3, 20).len(), 20);
    }

    fn turns(active: u32, of: u32, rounds: u32) -> Vec<u32> {
        let task = task(json!({
            "active": active, "clip": 1.0, "secure_sum": { "cohort_min": 3 },
            "privacy": { "epsilon": 8.0, "participations": 2 },
        }));
        let policy = task.federation.policy;
        let mut times = vec![0; of as usize];
        for step in 0..rounds {
            // When the first θ was announced, nobody had joined.
            let registered = if step == 0 { 0 } else { of };
            let is = |n: &u32| is_drawn(&policy, task.seed, step, (registered, 0), *n);
            let drawn: Vec<u32> = (0..of).filter(is).collect();
            assert_eq!(drawn.len(), active as usize);
            drawn.iter().for_each(|n| times[*n as usize] += 1);
            // After an aborted round, twice as many, and the same among them.
            let wide = |n: &u32| is_drawn(&policy, task.seed, step, (registered, 1), *n);
            assert!(drawn.iter().all(wide));
            assert_eq!((0..of).filter(wide).count(), 2 * active as usize);
        }
        times
    }

    #[test]
    fn in_turns_nobody_is_drawn_more_often_than_planned() {
        assert_eq!(turns(5, 20, 8), [2; 20]);
        // Three of 23 are left over each time, and not always the same.
        let times = turns(5, 23, 8);
        assert!(times.iter().all(|n| *n <= 2) && times.iter().sum::<u32>() == 40);
        assert!(times.iter().filter(|n| **n == 0).count() < 3);
    }

    #[test]
    fn whoever_joins_later_pushes_nobody_out() {
        let before = drawn(2, 10, 0, 10);
        let after = drawn(2, 10, 0, 40);
        assert_eq!(after[..3], before);
        assert!(after.len() < 15, "{after:?}");
        // Nobody had joined: the first are drawn, and ever fewer of those who follow.
        let from_none = drawn(0, 0, 0, 100);
        assert_eq!(from_none[..3], [0, 1, 2]);
        assert!((5..30).contains(&from_none.len()), "{from_none:?}");
    }
}
