//! `low-rank`: θ cut into m rows, each a mixture of the same r rows, as in ZIP (Park et al., ICLR
//! 2025).
//!
//! R(φ) = U·diag(s)·Vᵀ + 1·vᵀ with U (m×r), s (r), V (n×r) and v (n); v is common to all rows. If
//! there are fewer columns n than a row of θ has numbers, each row then goes through its own
//! projection ([`super::fastfood`]). ZIP's m = 8, r = 5 and n = 62 are the defaults, 417
//! parameters. Training begins with U = 0, s = 1, v = 0 and V standard normal, where R is zero.
//!
//! The order of φ: U row by row, s, V row by row, v.

use super::fastfood::Fastfood;
use super::{Dice, Reparametrisation};
use ground::fault::Reader;

/// The default numbers of rows, ranks and columns: ZIP's, for 8 tokens.
const ROWS: usize = 8;
const RANK: usize = 5;
const COLUMNS: usize = 62;

struct LowRank {
    rows: usize,
    rank: usize,
    columns: usize,
    /// Number of values of θ in a row; the last row may have fewer.
    width: usize,
    /// One projection for each row; empty if a row has as many values as there are columns.
    projections: Vec<Fastfood>,
    dice: Dice,
}

/// Reads `rows` m, `rank` r and `columns` n.
pub(super) fn build(reader: &mut Reader<'_>, dim: usize, dice: Dice) -> Box<dyn Reparametrisation> {
    let dim = dim.max(1);
    let or_less = |usual: usize, most: usize| Some(usual.min(most) as u64);
    let rows = reader.whole("rows", 1..=dim as u64, or_less(ROWS, dim)) as usize;
    let width = dim.div_ceil(rows);
    let columns = reader.whole("columns", 1..=width as u64, or_less(COLUMNS, width)) as usize;
    let most = rows.min(width);
    let rank = reader.whole("rank", 1..=most as u64, or_less(RANK, most)) as usize;
    // Part 0 of the random numbers belongs to V.
    let projections = (1..=rows as u32)
        .filter(|_| columns < width)
        .map(|part| Fastfood::new(columns, width, dice, part))
        .collect();
    Box::new(LowRank {
        rows,
        rank,
        columns,
        width,
        projections,
        dice,
    })
}

impl Reparametrisation for LowRank {
    fn dim(&self) -> usize {
        self.rows * self.rank + self.rank + self.columns * self.rank + self.columns
    }

    fn initial(&self) -> Vec<f32> {
        let mut phi = vec![0.0; self.rows * self.rank];
        phi.resize(phi.len() + self.rank, 1.0);
        let mut stream = self.dice.stream(0);
        phi.extend((0..self.columns * self.rank).map(|_| stream.normal()));
        phi.resize(self.dim(), 0.0);
        phi
    }

    fn add(&self, phi: &[f32], work: &mut Vec<f32>, theta: &mut [f32]) {
        let (u, rest) = phi.split_at(self.rows * self.rank);
        let (s, rest) = rest.split_at(self.rank);
        let (v, shared) = rest.split_at(self.columns * self.rank);
        let mut row = Vec::with_capacity(self.columns);
        let parts = theta.chunks_mut(self.width).zip(u.chunks_exact(self.rank));
        for (number, (part, u)) in parts.enumerate() {
            row.clear();
            row.extend(v.chunks_exact(self.rank).zip(shared).map(|(v, shared)| {
                let mixed = u.iter().zip(s).zip(v);
                mixed.fold(*shared, |sum, ((u, s), v)| sum + u * s * v)
            }));
            match self.projections.get(number) {
                Some(projection) => projection.add(&row, work, part),
                None => part.iter_mut().zip(&row).for_each(|(t, r)| *t += r),
            }
        }
    }
}
