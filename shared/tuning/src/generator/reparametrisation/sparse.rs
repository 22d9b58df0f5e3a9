//! `sparse`: a random share of the parameters is trained; the others stay where they began.
//!
//! The idea comes from SharpZO's second stage (NeurIPS 2025), which trains half of the parameters.
//! Its mask is chosen anew every 200 steps, by scores that need a first stage; this one follows
//! from the seed and never changes.

use super::{Dice, Reparametrisation};
use ground::fault::Reader;

struct Sparse {
    /// Indices of the trained entries of θ, ascending.
    places: Vec<u32>,
}

/// Reads `share`, the share of the parameters that is trained.
pub(super) fn build(reader: &mut Reader<'_>, dim: usize, dice: Dice) -> Box<dyn Reparametrisation> {
    let share = reader.exact_number("share", 1e-6..=1.0, Some(0.5));
    let count = ((share * dim as f64 + 0.5) as usize).clamp(1, dim.max(1));
    let mut places: Vec<u32> = (0..dim as u32).collect();
    dice.stream(0).shuffle(&mut places);
    places.truncate(count);
    places.sort_unstable();
    Box::new(Sparse { places })
}

impl Reparametrisation for Sparse {
    fn dim(&self) -> usize {
        self.places.len()
    }

    fn add(&self, phi: &[f32], _work: &mut Vec<f32>, theta: &mut [f32]) {
        for (place, x) in self.places.iter().zip(phi) {
            theta[*place as usize] += x;
        }
    }
}
