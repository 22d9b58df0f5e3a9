//! What an optimiser remembers of the pictures that it asked about. It is kept with the participant's
//! state and never leaves the device: it tells about the pictures.

use ground::packed::f32s;
use serde::{Deserialize, Serialize};

/// The memory of one participant; empty at first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PictureMemory {
    /// The pictures that were asked, in the order of their first answers.
    pub pictures: Vec<Remembered>,
    /// Σ x xᵀ over all pairs: its lower triangle, row by row.
    #[serde(with = "f32s")]
    normal: Vec<f32>,
    /// Σ x eᵀ over all pairs: a row for each entry of x.
    #[serde(with = "f32s")]
    products: Vec<f32>,
}

/// What is remembered of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its index among the training examples.
    pub example: u32,
    /// Its node values when it was asked last.
    #[serde(with = "f32s")]
    pub nodes: Vec<f32>,
    /// The answer then: its centred label scores.
    #[serde(with = "f32s")]
    pub scores: Vec<f32>,
    /// By how much its slopes differ from those that all share, a row of node values for each label.
    #[serde(with = "f32s")]
    pub correction: Vec<f32>,
}

impl PictureMemory {
    /// What is remembered of an example.
    #[must_use]
    pub fn of(&self, example: u32) -> Option<&Remembered> {
        self.pictures.iter().find(|p| p.example == example)
    }

    /// What is remembered of an example, to be changed.
    pub fn of_mut(&mut self, example: u32) -> Option<&mut Remembered> {
        self.pictures.iter_mut().find(|p| p.example == example)
    }

    /// Takes a pair into the regression of e on x.
    pub fn learn(&mut self, x: &[f32], e: &[f32]) {
        self.normal.resize(x.len() * (x.len() + 1) / 2, 0.0);
        self.products.resize(x.len() * e.len(), 0.0);
        let mut triangle = self.normal.iter_mut();
        for (i, a) in x.iter().enumerate() {
            // Each row of the triangle ends at the diagonal.
            x[..=i]
                .iter()
                .zip(&mut triangle)
                .for_each(|(b, sum)| *sum += a * b);
        }
        for (row, a) in self.products.chunks_exact_mut(e.len().max(1)).zip(x) {
            row.iter_mut().zip(e).for_each(|(sum, e)| *sum += a * e);
        }
    }

    /// The ridge regression of e on x from all pairs: a row of `x.len()` numbers for each entry of
    /// e. Empty before the first pair.
    #[must_use]
    pub fn solve(&self, ridge: f32, entries: usize) -> Vec<f32> {
        let n = self.products.len() / entries.max(1);
        let Some(factor) = cholesky(&self.normal, n, f64::from(ridge)) else {
            return Vec::new();
        };
        let mut solved = vec![0.0; n * entries];
        let mut y = vec![0.0; n];
        for (entry, out) in solved.chunks_exact_mut(n.max(1)).enumerate() {
            // L y = b, then Lᵀ x = y.
            for i in 0..n {
                let row = &factor[i * (i + 1) / 2..][..=i];
                let known: f64 = row[..i].iter().zip(&y).map(|(l, y)| l * y).sum();
                y[i] = (f64::from(self.products[i * entries + entry]) - known) / row[i];
            }
            for i in (0..n).rev() {
                let row = &factor[i * (i + 1) / 2..][..=i];
                let x = y[i] / row[i];
                y[..i].iter_mut().zip(row).for_each(|(y, l)| *y -= l * x);
                out[i] = x as f32;
            }
        }
        solved
    }
}

/// The Cholesky factor L of a symmetric matrix plus `ridge` on its diagonal, both as lower triangles;
/// `None` if it is not positive, as sums that are not finite are.
fn cholesky(triangle: &[f32], n: usize, ridge: f64) -> Option<Vec<f64>> {
    let mut factor: Vec<f64> = triangle.iter().map(|t| f64::from(*t)).collect();
    for i in 0..n {
        let (before, row) = factor.split_at_mut(i * (i + 1) / 2);
        for j in 0..i {
            let other = &before[j * (j + 1) / 2..][..=j];
            let known: f64 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - known) / other[j];
        }
        let square = row[i] + ridge - row[..i].iter().map(|a| a * a).sum::<f64>();
        if square.is_nan() || square <= 0.0 {
            return None;
        }
        row[i] = square.sqrt();
    }
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ground::rng::Stream;

    #[test]
    fn a_linear_law_is_found() {
        let (n, entries) = (7, 3);
        let mut dice = Stream::with_key([1, 9]);
        let law: Vec<f32> = (0..n * entries).map(|_| dice.normal()).collect();
        let mut memory = PictureMemory::default();
        assert!(memory.solve(1.0, entries).is_empty());
        for _ in 0..200 {
            let x: Vec<f32> = (0..n).map(|_| dice.normal()).collect();
            let e: Vec<f32> = law
                .chunks_exact(n)
                .map(|row| row.iter().zip(&x).map(|(l, x)| l * x).sum())
                .collect();
            memory.learn(&x, &e);
        }
        let found = memory.solve(1e-4, entries);
        let off = found.iter().zip(&law).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-4);
        // A strong ridge pulls it to zero.
        assert!(memory.solve(1e9, entries).iter().all(|a| a.abs() < 1e-3));
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(
            serde_json::from_str::<PictureMemory>(&text).unwrap(),
            memory
        );
    }

    #[test]
    fn sums_that_are_not_finite_give_nothing() {
        let mut memory = PictureMemory::default();
        memory.learn(&[f32::NAN, 1.0], &[1.0]);
        assert!(memory.solve(1.0, 1).is_empty());
    }
}
