//! FedAvg: the mean of the updates, weighted by examples (McMahan et al., AISTATS 2017).
//!
//! An update is Δ_i = θ_i − θ_t; the mean is Σ n_i Δ_i / Σ n_i over the participants who delivered.

/// A running weighted sum. If vectors are added in a fixed order (by participant), the result is
/// the same bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedMean {
    sum: Vec<f64>,
    weight: f64,
}

impl WeightedMean {
    /// Starts a mean of vectors with `dim` entries.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self {
            sum: vec![0.0; dim],
            weight: 0.0,
        }
    }

    /// Adds one update that stands for `examples` examples.
    pub fn add(&mut self, delta: &[f32], examples: u64) {
        let weight = examples as f64;
        self.sum
            .iter_mut()
            .zip(delta)
            .for_each(|(s, d)| *s += weight * f64::from(*d));
        self.weight += weight;
    }

    /// The mean; `None` if nobody contributed an example.
    #[must_use]
    pub fn mean(self) -> Option<Vec<f32>> {
        let weight = self.weight;
        (weight > 0.0).then(|| self.sum.into_iter().map(|s| (s / weight) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_examples() {
        let mut mean = WeightedMean::new(2);
        mean.add(&[1.0, 0.0], 3);
        mean.add(&[-1.0, 4.0], 1);
        assert_eq!(mean.mean(), Some(vec![0.5, 1.0]));
        assert_eq!(WeightedMean::new(2).mean(), None);
    }
}
