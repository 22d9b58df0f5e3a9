//! How several means become one: the mean, or a rule that a few bad ones cannot pull far away.
//!
//! `median` and `trimmed-mean` work coordinate by coordinate (Yin et al., ICML 2018). Under masks
//! nothing smaller than a group's sum is ever seen, so the rules are over groups: they hold as long
//! as more than half of the groups (more than the trimmed part) have no bad member.

use serde::{Deserialize, Serialize};

/// The rule of combination.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// Weighted by examples.
    Mean,
    /// Coordinate-wise, unweighted.
    Median,
    /// Coordinate-wise, unweighted, without this part of the values at each end.
    TrimmedMean(f32),
}

impl Combine {
    /// Combines several vectors of equal length, each with its weight. `None` if there are none.
    #[must_use]
    pub fn apply(&self, parts: &[(f64, Vec<f32>)]) -> Option<Vec<f32>> {
        let length = parts.iter().map(|(_, part)| part.len()).min()?;
        if *self == Self::Mean {
            let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
            return (total > 0.0).then(|| {
                (0..length)
                    .map(|i| {
                        let sum: f64 = parts.iter().map(|(w, part)| w * f64::from(part[i])).sum();
                        (sum / total) as f32
                    })
                    .collect()
            });
        }
        let mut column = Vec::with_capacity(parts.len());
        let trim = match self {
            Self::TrimmedMean(part) => (f64::from(*part) * parts.len() as f64) as usize,
            // Trims all but the middle one or two.
            _ => (parts.len() - 1) / 2,
        };
        let kept = trim..parts.len() - trim;
        Some(
            (0..length)
                .map(|i| {
                    column.clear();
                    column.extend(parts.iter().map(|(_, part)| part[i]));
                    column.sort_unstable_by(f32::total_cmp);
                    let sum: f64 = column[kept.clone()].iter().map(|x| f64::from(*x)).sum();
                    (sum / kept.len() as f64) as f32
                })
                .collect(),
        )
    }
}

/// Scales a vector to the norm `bound` if it is longer. Returns whether it was.
pub fn bound_norm(vector: &mut [f32], bound: f32) -> bool {
    let norm = vector
        .iter()
        .map(|x| f64::from(*x) * f64::from(*x))
        .sum::<f64>()
        .sqrt();
    let longer = norm > f64::from(bound);
    if longer {
        let factor = f64::from(bound) / norm;
        vector
            .iter_mut()
            .for_each(|x| *x = (f64::from(*x) * factor) as f32);
    }
    longer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(values: &[f32]) -> Vec<(f64, Vec<f32>)> {
        values.iter().map(|v| (1.0, vec![*v, -*v])).collect()
    }

    #[test]
    fn rules() {
        let weighted = [(3.0, vec![1.0]), (1.0, vec![-1.0])];
        assert_eq!(Combine::Mean.apply(&weighted), Some(vec![0.5]));
        assert_eq!(
            Combine::Median.apply(&parts(&[5.0, 1.0, 900.0])),
            Some(vec![5.0, -5.0])
        );
        assert_eq!(
            Combine::Median.apply(&parts(&[5.0, 1.0])),
            Some(vec![3.0, -3.0])
        );
        let trimmed = Combine::TrimmedMean(0.25).apply(&parts(&[-900.0, 1.0, 2.0, 900.0]));
        assert_eq!(trimmed, Some(vec![1.5, -1.5]));
        for rule in [Combine::Mean, Combine::Median, Combine::TrimmedMean(0.49)] {
            assert_eq!(rule.apply(&[]), None);
            assert_eq!(rule.apply(&parts(&[7.0])), Some(vec![7.0, -7.0]));
        }
    }

    #[test]
    fn norms_are_bounded() {
        let mut long = vec![3.0, 4.0];
        assert!(bound_norm(&mut long, 1.0));
        assert!((long[0] - 0.6).abs() < 1e-6 && (long[1] - 0.8).abs() < 1e-6);
        assert!(!bound_norm(&mut long, 1.1));
    }
}
