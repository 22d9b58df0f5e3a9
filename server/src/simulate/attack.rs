//! Participants who send bad updates, to see what a combination rule is worth.
//!
//! They train like the others and change what they send, as anyone with a client of their own
//! could: a plain update is multiplied; in a vector for a secure sum the entries are multiplied
//! modulo the ring, while the counters stay as they are (false counters are another attack).

use federation::round::messages::Update;
use ground::rng::{Stream, purpose};
use secure_sum::encoding::{Layout, Ring, RingVector};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What bad participants send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Sends −Δ in place of the update Δ.
    SignFlip,
    /// Sends this multiple of the update Δ.
    Scale(i32),
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = text.strip_prefix("scale:").map(str::parse);
        match (text, factor) {
            ("sign-flip", _) => Ok(Self::SignFlip),
            (_, Some(Ok(factor))) => Ok(Self::Scale(factor)),
            _ => Err(format!(
                "{text} is neither sign-flip nor scale:FACTOR with a whole number, such as scale:100"
            )),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignFlip => f.write_str("sign-flip"),
            Self::Scale(factor) => write!(f, "scale:{factor}"),
        }
    }
}

/// The attack of a simulation, for its report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackReport {
    /// What the bad participants send, such as `sign-flip`.
    pub attack: String,
    /// The numbers of the bad participants.
    pub participants: Vec<u32>,
}

/// Draws the bad participants with the seed: this share of all, rounded.
pub fn draw(fraction: f64, clients: usize, seed: u64) -> Vec<u32> {
    let mut all: Vec<u32> = (0..clients as u32).collect();
    Stream::new(seed, purpose::FAULT).shuffle(&mut all);
    all.truncate((fraction * clients as f64).round() as usize);
    all.sort_unstable();
    all
}

impl Attack {
    fn factor(self) -> i32 {
        match self {
            Self::SignFlip => -1,
            Self::Scale(factor) => factor,
        }
    }

    /// Changes a plain update.
    pub fn spoil_update(self, update: &mut Update) {
        let factor = self.factor() as f32;
        update.delta.iter_mut().for_each(|d| *d *= factor);
    }

    /// Changes the entries of a vector for a secure sum; `None` if the bytes are no such vector.
    pub fn spoil_vector(self, layout: Layout, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut integers = RingVector::from_bytes(layout, bytes).ok()?.integers();
        let (entries, _counters) = integers.split_at_mut_checked(layout.entries)?;
        for entry in entries {
            let product = entry.wrapping_mul(i64::from(self.factor()));
            *entry = match layout.ring {
                // The centred representative of the same class.
                Ring::U32 => i64::from(product as i32),
                Ring::U64 => product,
            };
        }
        let vector = RingVector::from_integers(layout, &integers).ok()?;
        Some(vector.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test may panic: that is how it fails.

    use super::*;

    #[test]
    fn names() {
        assert_eq!("sign-flip".parse(), Ok(Attack::SignFlip));
        assert_eq!("scale:-100".parse(), Ok(Attack::Scale(-100)));
        for bad in ["", "flip", "scale", "scale:", "scale:1.5", "scale:x"] {
            assert!(bad.parse::<Attack>().is_err(), "{bad}");
        }
        for attack in [Attack::SignFlip, Attack::Scale(7)] {
            assert_eq!(attack.to_string().parse(), Ok(attack));
        }
    }

    #[test]
    fn as_many_are_bad_as_asked_for() {
        assert!(draw(0.0, 10, 1).is_empty());
        assert_eq!(draw(0.3, 10, 1).len(), 3);
        assert_eq!(draw(1.0, 4, 1), [0, 1, 2, 3]);
        assert_eq!(draw(0.3, 10, 1), draw(0.3, 10, 1));
        assert_ne!(draw(0.3, 100, 1), draw(0.3, 100, 2));
    }

    #[test]
    fn entries_are_multiplied_in_their_ring_and_counters_are_not() {
        for (ring, wraps_to) in [(Ring::U32, -2), (Ring::U64, i64::from(u32::MAX) - 1)] {
            let layout = Layout {
                ring,
                entries: 2,
                tail: 1,
            };
            let vector = RingVector::from_integers(layout, &[5, i64::from(i32::MAX), 9]).unwrap();
            let spoilt = |attack: Attack| {
                let bytes = attack.spoil_vector(layout, &vector.to_bytes()).unwrap();
                RingVector::from_bytes(layout, &bytes).unwrap().integers()
            };
            assert_eq!(spoilt(Attack::SignFlip), [-5, -i64::from(i32::MAX), 9]);
            assert_eq!(spoilt(Attack::Scale(2)), [10, wraps_to, 9]);
            assert_eq!(Attack::SignFlip.spoil_vector(layout, &[1]), None);
        }
    }
}
