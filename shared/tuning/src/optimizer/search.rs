//! What CMA-ES knows of the landscape: mean, step size, covariance, and its two paths.
//!
//! The covariance C = A Aᵀ is kept as its Cholesky factor A, which is updated in place (Krause,
//! Arbonès and Igel, "CMA-ES with Optimal Covariance Update and Storage Complexity", NIPS 2016;
//! Suttorp, Hansen and Igel, 2009). So no eigenvectors are needed, only + − × ÷ √ in a fixed order
//! and `exp` of `libm`, and all machines have the same bits. Weights and rates are the defaults of
//! Hansen's tutorial (arXiv 1604.00772v1), without negative weights, so that C stays positive
//! definite.

use ground::packed::f64s;
use serde::{Deserialize, Serialize};

/// The state of a search: mean m, step size σ, the factor A of the covariance, and the two
/// evolution paths. A round trip through JSON keeps every bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The mean m, d numbers.
    #[serde(with = "f64s")]
    mean: Vec<f64>,
    /// The lower triangle of A, column by column, or only its diagonal.
    #[serde(with = "f64s")]
    factor: Vec<f64>,
    #[serde(with = "f64s")]
    path_c: Vec<f64>,
    #[serde(with = "f64s")]
    path_sigma: Vec<f64>,
    sigma: f64,
    /// Number of generations learnt so far.
    generation: u32,
}

/// Weights and rates, which follow from the dimension and the size of the population.
#[derive(Clone, Debug, PartialEq)]
struct Rates {
    /// Weights of the best μ points, best first; they add up to 1.
    weights: Vec<f64>,
    mu_eff: f64,
    sigma: f64,
    damping: f64,
    c: f64,
    one: f64,
    mu: f64,
    /// Mean length of a standard normal vector.
    length: f64,
}

impl Rates {
    /// Computes equations 49–58 of the tutorial, for the best half of `population`.
    fn new(dim: usize, population: usize, diagonal: bool) -> Self {
        let (d, lambda) = (dim.max(1) as f64, population.max(1) as f64);
        let mu = (population / 2).max(1);
        let raw: Vec<f64> = (1..=mu)
            .map(|i| libm::log((lambda + 1.0) / 2.0) - libm::log(i as f64))
            .collect();
        let sum: f64 = raw.iter().sum();
        // For a single point the weight is ln 1 = 0.
        let weights: Vec<f64> = if sum > 0.0 {
            raw.iter().map(|w| w / sum).collect()
        } else {
            vec![1.0]
        };
        let mu_eff = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
        let sigma = (mu_eff + 2.0) / (d + mu_eff + 5.0);
        let excess = ((mu_eff - 1.0) / (d + 1.0)).max(0.0).sqrt() - 1.0;
        // Ros and Hansen, PPSN 2008: d numbers are learnt faster than d²/2.
        let speed = if diagonal { (d + 2.0) / 3.0 } else { 1.0 };
        let one = (speed * 2.0 / ((d + 1.3) * (d + 1.3) + mu_eff)).min(1.0);
        let mu_rate = 2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((d + 2.0) * (d + 2.0) + mu_eff);
        Self {
            mu_eff,
            sigma,
            damping: 1.0 + 2.0 * excess.max(0.0) + sigma,
            c: (4.0 + mu_eff / d) / (d + 4.0 + 2.0 * mu_eff / d),
            one,
            mu: (speed * mu_rate).min(1.0 - one),
            length: d.sqrt() * (1.0 - 1.0 / (4.0 * d) + 1.0 / (21.0 * d * d)),
            weights,
        }
    }
}

impl Search {
    /// Starts a search around `mean` with C = I and the step size `sigma`.
    #[must_use]
    pub fn new(mean: &[f32], sigma: f64, diagonal: bool) -> Self {
        let d = mean.len();
        let factor = if diagonal {
            vec![1.0; d]
        } else {
            let column = |j: usize| std::iter::once(1.0).chain(std::iter::repeat_n(0.0, d - 1 - j));
            (0..d).flat_map(column).collect()
        };
        Self {
            mean: mean.iter().map(|m| f64::from(*m)).collect(),
            factor,
            path_c: vec![0.0; d],
            path_sigma: vec![0.0; d],
            sigma,
            generation: 0,
        }
    }

    /// The mean m, d numbers.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The mean m in the precision in which θ is published.
    #[must_use]
    pub fn theta(&self) -> Vec<f32> {
        self.mean.iter().map(|m| *m as f32).collect()
    }

    /// The step size σ.
    #[must_use]
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Sets the step size σ.
    pub fn set_sigma(&mut self, sigma: f64) {
        self.sigma = sigma;
    }

    /// Whether every number is finite and their counts fit `dim` parameters.
    #[must_use]
    pub fn is_sound(&self, dim: usize) -> bool {
        let factor = self.factor.len();
        let lengths = [&self.mean, &self.path_c, &self.path_sigma];
        lengths.iter().all(|v| v.len() == dim)
            && (factor == dim || factor == dim * (dim + 1) / 2)
            && lengths
                .into_iter()
                .chain([&self.factor])
                .flatten()
                .all(|x| x.is_finite())
            && self.sigma.is_finite()
            && self.sigma > 0.0
    }

    fn is_diagonal(&self) -> bool {
        // With one parameter, full and diagonal are the same.
        self.factor.len() == self.mean.len()
    }

    /// The columns of A from the diagonal down.
    fn columns(&self) -> impl Iterator<Item = (usize, &[f64])> {
        let d = self.mean.len();
        let diagonal = self.is_diagonal();
        let mut rest = &self.factor[..];
        (0..d).map(move |j| {
            let (column, others) = rest.split_at(if diagonal { 1 } else { d - j });
            rest = others;
            (j, column)
        })
    }

    /// The point m + σ A n for the normal numbers n (d of them). Each entry is clipped to ±`bound`
    /// if `bound` is positive.
    #[must_use]
    pub fn point(&self, normal: &[f64], bound: f64) -> Vec<f64> {
        let mut step = vec![0.0; self.mean.len()];
        for ((j, column), n) in self.columns().zip(normal) {
            for (s, a) in step[j..].iter_mut().zip(column) {
                *s += a * n;
            }
        }
        let kept = |x: f64| {
            if bound > 0.0 {
                x.clamp(-bound, bound)
            } else {
                x
            }
        };
        let entries = self.mean.iter().zip(&step);
        entries.map(|(m, s)| kept(m + self.sigma * s)).collect()
    }

    /// Solves A x = v.
    fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut rest = v.to_vec();
        for (j, column) in self.columns() {
            let x = rest[j] / column[0];
            rest[j] = x;
            for (r, a) in rest[j + 1..].iter_mut().zip(&column[1..]) {
                *r -= a * x;
            }
        }
        rest
    }

    /// Learns from points, sorted best first: moves m to the weighted mean of the better half, and
    /// adapts σ and C.
    pub fn learn(&mut self, sorted: &[&[f64]]) {
        let d = self.mean.len();
        let rates = Rates::new(d, sorted.len(), self.is_diagonal());
        let steps: Vec<Vec<f64>> = sorted
            .iter()
            .take(rates.weights.len())
            .map(|point| {
                let moved = point.iter().zip(&self.mean);
                moved.map(|(x, m)| (x - m) / self.sigma).collect()
            })
            .collect();
        let mut mean_step = vec![0.0; d];
        for (step, weight) in steps.iter().zip(&rates.weights) {
            for (sum, s) in mean_step.iter_mut().zip(step) {
                *sum += weight * s;
            }
        }
        let white = self.solve(&mean_step);
        for (m, s) in self.mean.iter_mut().zip(&mean_step) {
            *m += self.sigma * s;
        }
        let keep = 1.0 - rates.sigma;
        let add = (rates.sigma * (2.0 - rates.sigma) * rates.mu_eff).sqrt();
        for (p, w) in self.path_sigma.iter_mut().zip(&white) {
            *p = keep * *p + add * w;
        }
        let length = self.path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        self.generation = self.generation.saturating_add(1);
        let forgotten = libm::pow(keep, 2.0 * f64::from(self.generation));
        let limit = (1.4 + 2.0 / (d as f64 + 1.0)) * rates.length;
        // If σ jumps suddenly, the points say nothing about C.
        let steady = length / (1.0 - forgotten).sqrt() < limit;
        let add = (rates.c * (2.0 - rates.c) * rates.mu_eff).sqrt();
        for (p, s) in self.path_c.iter_mut().zip(&mean_step) {
            *p *= 1.0 - rates.c;
            if steady {
                *p += add * s;
            }
        }
        let missed = if steady {
            0.0
        } else {
            rates.c * (2.0 - rates.c)
        };
        let kept = 1.0 - rates.one - rates.mu + rates.one * missed;
        let path = self.path_c.clone();
        let weighted = steps.iter().zip(&rates.weights);
        if self.is_diagonal() {
            for (i, a) in self.factor.iter_mut().enumerate() {
                let mut c = kept * *a * *a + rates.one * path[i] * path[i];
                for (step, weight) in weighted.clone() {
                    c += rates.mu * weight * step[i] * step[i];
                }
                *a = c.sqrt();
            }
        } else {
            let scale = kept.sqrt();
            self.factor.iter_mut().for_each(|a| *a *= scale);
            self.add_outer(rates.one, path);
            for (step, weight) in weighted {
                self.add_outer(rates.mu * weight, step.clone());
            }
        }
        // As in the tutorial's code, at most by a factor of e in one generation.
        let change = (rates.sigma / rates.damping) * (length / rates.length - 1.0);
        self.sigma *= libm::exp(change.min(1.0));
    }

    /// Updates A so that A Aᵀ grows by β v vᵀ, β ≥ 0 (Krause et al., Algorithm 2).
    fn add_outer(&mut self, beta: f64, mut v: Vec<f64>) {
        let d = self.mean.len();
        let (mut rest, mut b) = (&mut self.factor[..], 1.0);
        for j in 0..d {
            let (column, others) = rest.split_at_mut(d - j);
            rest = others;
            let (old, a) = (column[0], v[j]);
            let new = (old * old + beta / b * a * a).sqrt();
            let gamma = old * old * b + beta * a * a;
            let (ratio, share) = (new / old, new * beta * a / gamma);
            column[0] = new;
            let along = a / old;
            for (entry, v) in column[1..].iter_mut().zip(&mut v[j + 1..]) {
                *v -= along * *entry;
                *entry = ratio * *entry + share * *v;
            }
            b += beta * a * a / (old * old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix C, row by row.
    fn covariance(search: &Search) -> Vec<Vec<f64>> {
        let d = search.mean.len();
        let mut a = vec![vec![0.0; d]; d];
        for (j, column) in search.columns() {
            for (i, value) in column.iter().enumerate() {
                a[j + i][j] = *value;
            }
        }
        let row = |i: &Vec<f64>| -> Vec<f64> {
            let entry = |j: &Vec<f64>| i.iter().zip(j).map(|(x, y)| x * y).sum();
            a.iter().map(entry).collect()
        };
        a.iter().map(row).collect()
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-10
    }

    #[test]
    fn a_rank_one_update_is_one() {
        let mut search = Search::new(&[0.0; 4], 1.0, false);
        search.add_outer(0.5, vec![1.0, -2.0, 0.0, 3.0]);
        search.add_outer(0.25, vec![0.5, 0.5, 4.0, -1.0]);
        let (u, v) = ([1.0, -2.0, 0.0, 3.0], [0.5, 0.5, 4.0, -1.0]);
        for (i, row) in covariance(&search).iter().enumerate() {
            for (j, entry) in row.iter().enumerate() {
                let one = f64::from(u32::from(i == j));
                let expected = one + 0.5 * u[i] * u[j] + 0.25 * v[i] * v[j];
                assert!(close(*entry, expected), "{i} {j} {entry} {expected}");
            }
        }
        let x = search.solve(&[1.0, 2.0, 3.0, 4.0]);
        let back = search.point(&x, 0.0);
        assert!(
            back.iter()
                .zip([1.0, 2.0, 3.0, 4.0])
                .all(|(a, b)| close(*a, b))
        );
    }

    #[test]
    fn rates_are_those_of_the_tutorial() {
        // The values of pycma 4 for N = 10 and popsize 20, without negative weights: mueff 5.939.
        let rates = Rates::new(10, 20, false);
        assert_eq!(rates.weights.len(), 10);
        assert!(close(rates.weights.iter().sum(), 1.0));
        assert!((rates.mu_eff - 5.938).abs() < 0.01, "{}", rates.mu_eff);
        assert!(rates.weights.is_sorted_by(|a, b| a > b));
        assert!(rates.one + rates.mu < 1.0 && rates.mu > 0.0);
        let alone = Rates::new(500, 1, false);
        assert_eq!(alone.weights, [1.0]);
        let diagonal = Rates::new(10, 20, true);
        assert!(close(diagonal.one, rates.one * 4.0));
    }

    #[test]
    fn json_keeps_every_bit() {
        let mut search = Search::new(&[0.1, -0.2, 0.3], 0.7, false);
        search.learn(&[&[0.5, 0.1, 0.9], &[1.0, 2.0, 3.0]]);
        assert!(search.is_sound(3));
        let text = serde_json::to_string(&search).unwrap();
        assert_eq!(serde_json::from_str::<Search>(&text).unwrap(), search);
    }
}
