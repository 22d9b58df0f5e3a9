//! `fastfood`: d numbers spread over all D parameters by a fixed random rotation, without a D×d
//! matrix.
//!
//! R(φ) = H·G·Π·H·B·φ, cut to D entries: B random signs, H the Walsh–Hadamard matrix, Π a random
//! permutation, G standard normal numbers (Le, Sarlós and Smola, ICML 2013; the same as ZIP's
//! `projections/intrinsic.py`). It is divided by √(D·ΣG²), which keeps lengths on average: a step
//! of φ is as long as the step of θ that it makes.
//!
//! G is drawn by Box–Muller through `libm`, B and Π are decided by integers, and the rest is
//! additions, multiplications and one root in a fixed order: the same bits on every machine.

use super::{Dice, Reparametrisation};
use ground::fault::Reader;

/// The default number of dimensions d: ZIP's intrinsic dimension.
const DIMENSIONS: usize = 500;

/// One projection, from `from` numbers to `to` numbers.
#[derive(Clone, Debug)]
pub(super) struct Fastfood {
    from: usize,
    to: usize,
    /// Random signs B, one for each column of the first Hadamard matrix.
    signs: Vec<f32>,
    /// The permutation Π.
    order: Vec<u32>,
    /// The normal numbers G, divided by the factor that keeps lengths.
    weights: Vec<f32>,
}

/// Reads `dimensions`, the number d of trained parameters.
pub(super) fn build(reader: &mut Reader<'_>, dim: usize, dice: Dice) -> Box<dyn Reparametrisation> {
    let most = dim.max(1) as u64;
    let dimensions = reader.whole("dimensions", 1..=most, Some(most.min(DIMENSIONS as u64)));
    Box::new(Fastfood::new(dimensions as usize, dim, dice, 0))
}

impl Fastfood {
    /// Makes projection number `part` of those that one R needs. `from` must not exceed `to`.
    pub fn new(from: usize, to: usize, dice: Dice, part: u32) -> Self {
        let mut stream = dice.stream(part);
        let length = to.next_power_of_two();
        let signs = (0..length)
            .map(|_| if stream.below(2) == 0 { 1.0 } else { -1.0 })
            .collect();
        let mut order: Vec<u32> = (0..length as u32).collect();
        stream.shuffle(&mut order);
        let mut weights: Vec<f32> = (0..length).map(|_| stream.normal()).collect();
        let squares: f64 = weights.iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
        let divisor = (squares * to as f64).sqrt().max(f64::MIN_POSITIVE);
        weights
            .iter_mut()
            .for_each(|g| *g = (f64::from(*g) / divisor) as f32);
        Self {
            from,
            to,
            signs,
            order,
            weights,
        }
    }
}

impl Reparametrisation for Fastfood {
    fn dim(&self) -> usize {
        self.from
    }

    fn add(&self, phi: &[f32], work: &mut Vec<f32>, theta: &mut [f32]) {
        let length = self.signs.len();
        work.clear();
        work.extend(
            phi.iter()
                .take(self.from)
                .zip(&self.signs)
                .map(|(x, s)| x * s),
        );
        work.resize(2 * length, 0.0);
        let (first, second) = work.split_at_mut(length);
        hadamard(first);
        for ((y, from), weight) in second.iter_mut().zip(&self.order).zip(&self.weights) {
            *y = first[*from as usize] * weight;
        }
        hadamard(second);
        for (t, y) in theta.iter_mut().zip(&second[..self.to]) {
            *t += y;
        }
    }
}

/// The fast Walsh–Hadamard transform in place, unnormalised. The length is a power of two.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hadamard_by_hand_and_its_own_inverse() {
        let mut values = [1.0, 2.0, 3.0, 5.0];
        hadamard(&mut values);
        assert_eq!(values, [11.0, -3.0, -5.0, 1.0]);
        hadamard(&mut values);
        assert_eq!(values, [4.0, 8.0, 12.0, 20.0]);
    }

    /// The product of the matrices, written out as in the formula.
    fn plainly(map: &Fastfood, phi: &[f32]) -> Vec<f32> {
        let length = map.signs.len();
        let h = |row: usize, column: usize| {
            if (row & column).count_ones().is_multiple_of(2) {
                1.0
            } else {
                -1.0
            }
        };
        let times = |x: &[f64]| -> Vec<f64> {
            (0..length)
                .map(|r| (0..length).map(|c| h(r, c) * x[c]).sum())
                .collect()
        };
        let mut x = vec![0.0; length];
        for (i, p) in phi.iter().enumerate() {
            x[i] = f64::from(*p) * f64::from(map.signs[i]);
        }
        let x = times(&x);
        let x: Vec<f64> = (0..length)
            .map(|i| x[map.order[i] as usize] * f64::from(map.weights[i]))
            .collect();
        times(&x)[..map.to].iter().map(|v| *v as f32).collect()
    }

    #[test]
    fn is_the_product_of_its_matrices_and_keeps_lengths() {
        let map = Fastfood::new(20, 100, Dice { seed: 3 }, 0);
        let (mut squares, mut inputs) = (0.0, 0.0);
        for axis in 0..20 {
            let mut phi = vec![0.0; 20];
            phi[axis] = 1.0;
            phi[(axis + 7) % 20] = -0.5;
            let mut theta = vec![1.0; 100];
            // The memory's former content does not matter.
            map.add(&phi, &mut vec![9.0; 999], &mut theta);
            for (t, expected) in theta.iter().zip(plainly(&map, &phi)) {
                assert!((t - 1.0 - expected).abs() < 1e-5, "{t} {expected}");
                squares += (t - 1.0) * (t - 1.0);
            }
            inputs += 1.25;
        }
        assert!((squares / inputs - 1.0).abs() < 0.2, "{squares} {inputs}");
    }
}
