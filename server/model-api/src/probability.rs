//! Converts scores to probabilities, with which other APIs answer.

/// Computes `scores − ln Σ exp(scores)`.
pub(crate) fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = scores
        .iter()
        .map(|&score| (f64::from(score) - most).exp())
        .sum();
    let log_sum = most + sum.ln();
    scores
        .iter()
        .map(|&score| f64::from(score) - log_sum)
        .collect()
}

/// Indices of the `count` largest values, the largest first. Ties go to the lower index.
pub(crate) fn top(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let by = |a: &usize, b: &usize| values[*b].total_cmp(&values[*a]).then(a.cmp(b));
    if count < order.len() {
        if count > 0 {
            order.select_nth_unstable_by(count - 1, by);
        }
        order.truncate(count);
    }
    order.sort_unstable_by(by);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one_and_shifts_change_nothing() {
        let scores = [1.0, -2.0, 300.0, 299.0];
        let logs = log_softmax(&scores);
        let sum: f64 = logs.iter().map(|log| log.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let shifted = log_softmax(&scores.map(|score| score - 300.0));
        assert!(logs.iter().zip(&shifted).all(|(a, b)| (a - b).abs() < 1e-9));
        assert!((logs[2] - -(1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-9);
    }

    #[test]
    fn the_largest_come_first() {
        let values = [0.5, 2.0, -1.0, 2.0, 1.0];
        assert_eq!(top(&values, 3), [1, 3, 4]);
        assert_eq!(top(&values, 0), [0_usize; 0]);
        assert_eq!(top(&values, 9), [1, 3, 4, 0, 2]);
    }
}
