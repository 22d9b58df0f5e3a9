use super::*;
use ground::rng::Stream;

fn seeded(seed: u32) -> impl FnMut() -> u64 {
    let mut stream = Stream::with_key([seed, 0x6469_7363]);
    move || u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32())
}

fn draws(variance: u64, count: usize, seed: u32) -> Vec<i64> {
    let noise = DiscreteGaussian::new(variance).unwrap();
    let mut words = seeded(seed);
    (0..count).map(|_| noise.sample(&mut words)).collect()
}

/// Σ (seen − expected)²/expected minus its mean, in its own standard deviations.
fn excess(seen: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(seen.len(), expected.len());
    let statistic: f64 = seen
        .iter()
        .zip(expected)
        .map(|(s, e)| (s - e).powi(2) / e)
        .sum();
    let freedom = (seen.len() - 1) as f64;
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

/// Compares draws with the probabilities exp(−x²/2σ²)/Z, one cell for each integer, one for
/// each tail.
fn against_pmf(values: &[i64], variance: f64) -> f64 {
    let weight = |x: i64| (-(x as f64).powi(2) / (2.0 * variance)).exp();
    let reach = (12.0 * variance.sqrt()) as i64 + 2;
    let total: f64 = (-reach..=reach).map(weight).sum();
    let count = values.len() as f64;
    // The last integer that is expected ten times.
    let last = (0..reach)
        .take_while(|x| count * weight(*x) / total >= 10.0)
        .last()
        .unwrap();
    let cells = 2 * last as usize + 3;
    let cell = |x: i64| (x.clamp(-last - 1, last + 1) + last + 1) as usize;
    let (mut seen, mut expected) = (vec![0.0; cells], vec![0.0; cells]);
    values.iter().for_each(|&x| seen[cell(x)] += 1.0);
    (-reach..=reach).for_each(|x| expected[cell(x)] += count * weight(x) / total);
    excess(&seen, &expected)
}

#[test]
fn draws_follow_the_probabilities() {
    // Multiples of the proposal's t, and others. At 9, a missing third coin would show as 27
    // standard deviations.
    let many = |variance: u64| if variance == 9 { 1_000_000 } else { 200_000 };
    for (seed, variance) in [1, 2, 3, 4, 7, 9, 15, 16, 50, 400, 1000]
        .into_iter()
        .enumerate()
    {
        let values = draws(variance, many(variance), seed as u32);
        let off = against_pmf(&values, variance as f64);
        assert!(off < 4.5, "σ² = {variance}: {off} standard deviations");
    }
}

#[test]
fn the_test_tells_a_wrong_distribution() {
    let values = draws(50, 200_000, 99);
    assert!(against_pmf(&values, 50.0) < 4.5);
    for wrong in [47.5, 52.5] {
        assert!(against_pmf(&values, wrong) > 4.5, "{wrong}");
    }
    // A rounded continuous Gaussian is not a discrete Gaussian: its variance is a twelfth too
    // large.
    let mut stream = Stream::with_key([1, 1]);
    let rounded: Vec<i64> = (0..200_000)
        .map(|_| stream.normal().round() as i64)
        .collect();
    assert!(against_pmf(&rounded, 1.0) > 10.0);
}

#[test]
fn large_variances_follow_the_normal_curve() {
    // Cells of σ/4 between ±3σ and two tails; here the products do not fit into 64 bits.
    for (seed, bits) in [20, 33, 45, 52, 62].into_iter().enumerate() {
        let variance = (1_u64 << bits) - u64::from(bits != 62) * 12345;
        let sigma = (variance as f64).sqrt();
        let values = draws(variance, 100_000, 200 + seed as u32);
        let mut seen = vec![0.0; 26];
        for x in values {
            seen[((x as f64 / sigma * 4.0).floor() + 13.0).clamp(0.0, 25.0) as usize] += 1.0;
        }
        let cumulative = |z: f64| 0.5 * libm::erfc(-z / 2.0_f64.sqrt());
        let edge = |i: i32| match i {
            0 => 0.0,
            26 => 1.0,
            i => cumulative(f64::from(i - 13) / 4.0),
        };
        let expected: Vec<f64> = (0..26)
            .map(|i| 100_000.0 * (edge(i + 1) - edge(i)))
            .collect();
        let off = excess(&seen, &expected);
        assert!(off < 4.5, "σ² = 2^{bits}: {off} standard deviations");
    }
}

#[test]
fn variance_and_symmetry() {
    for (seed, variance) in [1, 10, 10_000, 1 << 40].into_iter().enumerate() {
        let n = 200_000.0;
        let values = draws(variance, n as usize, 400 + seed as u32);
        let sigma = (variance as f64).sqrt();
        let scaled: Vec<f64> = values.iter().map(|&x| x as f64 / sigma).collect();
        let moment = |k: i32| scaled.iter().map(|z| z.powi(k)).sum::<f64>() / n;
        // Standard errors of the first three moments of a normal: √(1/n), √(2/n), √(15/n).
        assert!(moment(1).abs() < 5.0 * (1.0 / n).sqrt(), "{}", moment(1));
        let second = moment(2) - 1.0;
        assert!(second.abs() < 5.0 * (2.0 / n).sqrt(), "{second}");
        assert!(moment(3).abs() < 5.0 * (15.0 / n).sqrt(), "{}", moment(3));
        let positive = values.iter().filter(|x| **x > 0).count() as f64;
        let negative = values.iter().filter(|x| **x < 0).count() as f64;
        assert!((positive - negative).abs() < 5.0 * n.sqrt());
    }
}

#[test]
fn coins_have_their_probability() {
    let mut words = seeded(7);
    let big = u128::MAX / 8;
    for (p, q) in [
        (0, 1),
        (1, 1),
        (1, 3),
        (7, 2),
        (big / 3, big),
        (2 * big, big),
    ] {
        let n = 200_000.0;
        let seen = (0..n as u32).filter(|_| exp_coin(p, q, &mut words)).count() as f64;
        let expected = (-(p as f64) / q as f64).exp();
        let error = (expected * (1.0 - expected) / n).sqrt();
        assert!(
            (seen / n - expected).abs() <= 5.0 * error,
            "exp(-{p}/{q}): {seen}"
        );
    }
}

#[test]
fn below_is_uniform_below() {
    let mut words = seeded(8);
    for n in [
        1_u128,
        2,
        3,
        1 << 63,
        (1 << 64) - 1,
        1 << 64,
        (1 << 64) + 1,
        3 << 100,
    ] {
        let draws: Vec<u128> = (0..3000).map(|_| below(n, &mut words)).collect();
        assert!(draws.iter().all(|d| *d < n));
        if n > 2 {
            // A third of the draws in the upper third.
            let upper = draws.iter().filter(|d| **d >= n - n / 3).count();
            assert!((850..1150).contains(&upper), "{n}: {upper}");
        }
    }
}

#[test]
fn the_same_words_give_the_same_noise() {
    assert_eq!(draws(1000, 500, 3), draws(1000, 500, 3));
    assert_ne!(draws(1000, 500, 3), draws(1000, 500, 4));
}

#[test]
fn variances_outside_the_range_are_refused() {
    let too_large = DiscreteGaussian::VARIANCE_MAX + 1;
    for variance in [0, too_large, u64::MAX] {
        let refused = DiscreteGaussian::new(variance);
        assert_eq!(refused, Err(PrivacyError::Variance));
    }
    let largest = DiscreteGaussian::new(DiscreteGaussian::VARIANCE_MAX).unwrap();
    let mut words = seeded(9);
    assert!((0..1000).any(|_| largest.sample(&mut words).unsigned_abs() > 1 << 31));
}
