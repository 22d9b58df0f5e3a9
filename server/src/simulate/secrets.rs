//! Keys and randomness of simulated participants. They follow from the seed, so that the same seed
//! gives the same report.

use federation::round::client::Secrets;
use secure_sum::Bytes32;
use secure_sum::identity::Identity;
use secure_sum::keystream::Keystream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The round in which the simulation is.
pub type Clock = Arc<AtomicU32>;

/// The secrets of one participant. All entropy of a round is the same 32 bytes: each use of it has
/// its own label, and an update is rounded in the same way with and without masks.
pub fn secrets(seed: u64, participant: u32, round: &Clock) -> Secrets {
    let round = round.clone();
    Secrets {
        identity: Identity::from_seed(bytes(b"simulated identity", seed, participant, 0)),
        entropy: Box::new(move || {
            let round = round.load(Ordering::Relaxed);
            bytes(b"simulated entropy", seed, participant, round)
        }),
    }
}

fn bytes(label: &[u8], seed: u64, participant: u32, round: u32) -> Bytes32 {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&participant.to_le_bytes());
    key[12..16].copy_from_slice(&round.to_le_bytes());
    let mut bytes = [0; 32];
    Keystream::new(&key, label).fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_and_every_round_has_others() {
        let clock = Clock::default();
        let draw = |seed, participant| (secrets(seed, participant, &clock).entropy)();
        let first = draw(1, 2);
        assert_eq!(first, draw(1, 2));
        assert_ne!(first, draw(1, 3));
        assert_ne!(first, draw(2, 2));
        let identity = |participant| secrets(1, participant, &clock).identity.public();
        let known = identity(2);
        clock.store(1, Ordering::Relaxed);
        assert_ne!(first, draw(1, 2));
        assert_eq!(known, identity(2));
        assert_ne!(known, identity(3));
    }
}
