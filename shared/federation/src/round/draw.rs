//! Draws who trains, from public randomness before anything is asked, so that participants who are
//! not drawn spend no queries (after FedOne, ICML 2025: fewer active participants, fewer queries in
//! all).
//!
//! Every participant has a place in a line that depends on (seed, step, number) alone, and the
//! first ones train. Those who had joined when the training from this θ_t began are in line from
//! the start; anyone who joins later takes a place among all before them and displaces nobody (as
//! in reservoir sampling), so what a participant was told once holds as long as θ_t does. Anyone
//! can compute it.

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
    let seed = [seed as u32, (seed >> 32) as u32];
    let place = |n: u32| (derive_key(&[seed[0], seed[1], purpose::DRAW, step, n]), n);
    let mine = place(number);
    let before = (0..line).filter(|n| place(*n) < mine);
    before.take(size as usize).count() < size as usize
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
