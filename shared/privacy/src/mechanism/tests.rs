use super::*;
use crate::l2_clip;
use ground::rng::Stream;
use proptest::prelude::*;
use secure_sum::encoding::{FixedPoint, Layout, RingVector};
use secure_sum::keystream::Keystream;
use serde::Deserialize;

fn seeded(seed: u32) -> impl FnMut() -> u64 {
    let mut stream = Stream::with_key([seed, 0x6d65_6368]);
    move || u64::from(stream.next_u32()) << 32 | u64::from(stream.next_u32())
}

#[derive(Deserialize)]
struct KnownAnswer {
    clip: f64,
    scale: f64,
    dim: usize,
    contributors_min: u32,
    noise_multiplier: f64,
    share_variance: u64,
    norm_squared: u64,
    rho: f64,
}

#[derive(Deserialize)]
struct Vectors {
    mechanism: Vec<KnownAnswer>,
}

proptest! {
    /// What `for_difference` promises holds for the integers that are really sent, whatever rounding
    /// draws for either neighbour.
    #[test]
    fn neighbours_stay_as_near_as_is_promised(
        values in proptest::collection::vec(-0.2f32..0.2, 1..40), difference in 0.001f64..0.2,
        bits in 2i32..20, seeds in (any::<u32>(), any::<u32>()),
    ) {
        let scale = 2f64.powi(bits);
        let made = Mechanism::new(2.0, scale, values.len(), 3, 1.0).unwrap();
        let mechanism = made.for_difference(difference, 1.0);
        let mut other = values.clone();
        let mut stream = Stream::with_key([seeds.0, 1]);
        let mut step: Vec<f32> = (0..values.len()).map(|_| stream.normal()).collect();
        l2_clip(&mut step, difference as f32).unwrap();
        other.iter_mut().zip(&step).for_each(|(o, s)| *o += s * 0.999);
        let round = |values: &[f32], seed| {
            conditional_round(values, scale, made.norm_squared(), &mut seeded(seed)).unwrap()
        };
        let (a, b) = (round(&values, seeds.0), round(&other, seeds.1));
        let squared: f64 = a.iter().zip(&b).map(|(a, b)| ((a - b) as f64).powi(2)).sum();
        prop_assert!(squared <= mechanism.distance_squared, "{squared} {}", mechanism.distance_squared);
        // Slack only ever costs more.
        prop_assert!(made.for_difference(difference, 2.0).rho() >= mechanism.rho());
    }
}

#[test]
fn known_answers() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../../vectors/epsilon.json")).unwrap();
    assert!(vectors.mechanism.len() >= 10);
    for k in vectors.mechanism {
        let (dim, n) = (k.dim, k.contributors_min);
        let mechanism = Mechanism::new(k.clip, k.scale, dim, n, k.noise_multiplier).unwrap();
        assert_eq!(mechanism.share_variance(), k.share_variance);
        assert_eq!(mechanism.norm_squared(), k.norm_squared);
        assert!(
            (mechanism.rho() / k.rho - 1.0).abs() < 1e-12,
            "{mechanism:?}"
        );
    }
}

/// The distribution of a sum of `n` discrete Gaussians, on −reach..=reach, by convolution.
fn summed(variance: f64, n: u32, reach: i32) -> Vec<f64> {
    let weights: Vec<f64> = (-reach..=reach)
        .map(|x| (-f64::from(x * x) / (2.0 * variance)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let one: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let mut sum = one.clone();
    for _ in 1..n {
        sum = (-reach..=reach)
            .map(|x| {
                (-reach..=reach)
                    .filter(|y| (x - y).abs() <= reach)
                    .map(|y| sum[(y + reach) as usize] * one[(x - y + reach) as usize])
                    .sum()
            })
            .collect();
    }
    sum
}

#[test]
fn rho_bounds_the_divergence_of_real_sums() {
    // One entry and small noise, for which a sum of discrete Gaussians differs most from a
    // discrete Gaussian.
    let mut most = 0.0_f64;
    for (share, n) in [(1, 1), (1, 2), (1, 3), (1, 6), (2, 2), (2, 5), (5, 3)] {
        let mechanism = Mechanism::with_share(1.5, 1.0, 1, n, share).unwrap();
        let shift = mechanism.norm_squared().isqrt() as i32;
        assert_eq!(shift, 2);
        let reach = 14 * (n as i32 * share as i32).isqrt() + 20;
        let noise = summed(share as f64, n, reach);
        for alpha in [1.01_f64, 1.5, 2.0, 4.0, 8.0] {
            let powers: f64 = (-reach + shift..=reach - shift)
                .map(|x| {
                    let p = noise[(x + reach) as usize];
                    let q = noise[(x + reach - shift) as usize];
                    // Probabilities that f64 cannot hold are far from where the sum gathers, at
                    // shift·(1 − α).
                    if p > 0.0 && q > 0.0 {
                        (alpha * p.ln() + (1.0 - alpha) * q.ln()).exp()
                    } else {
                        0.0
                    }
                })
                .sum();
            let divergence = powers.ln() / (alpha - 1.0);
            let used = divergence / (alpha * mechanism.rho());
            assert!(used <= 1.0 + 1e-9, "{share} {n} {alpha}: {used}");
            most = most.max(used);
        }
    }
    // The bound is not loose, either.
    assert!(most > 0.95, "{most}");
}

#[test]
fn tau_of_many_is_bounded_from_above() {
    let exact = |variance: f64, n: u32| -> f64 {
        let pi = core::f64::consts::PI;
        let terms = (1..n).map(|k| {
            let k = f64::from(k);
            (-2.0 * pi * pi * variance * k / (k + 1.0)).exp()
        });
        10.0 * terms.sum::<f64>()
    };
    assert_eq!(tau(1, 1), 0.0);
    for n in [2, 50, 1001] {
        assert!((tau(1, n) / exact(1.0, n) - 1.0).abs() < 1e-12, "{n}");
    }
    let many = tau(1, 50_000) / exact(1.0, 50_000);
    assert!((1.0..1.05).contains(&many), "{many}");
    assert!(tau(1, u32::MAX).is_finite());
    assert_eq!(tau(1 << 40, u32::MAX), 0.0);
}

#[test]
fn the_sum_has_the_stated_noise() {
    let (dim, n, clip, scale, z) = (500, 5, 0.5, 1024.0, 0.7);
    let mechanism = Mechanism::new(clip, scale, dim, n, z).unwrap();
    let mut words = seeded(1);
    let mut values: Vec<f32> = (0..dim).map(|i| (i as f32).sin()).collect();
    l2_clip(&mut values, clip as f32).unwrap();
    let runs = 100;
    let (mut squares, mut mean) = (0.0, 0.0);
    for _ in 0..runs {
        let mut sum = vec![0_i64; dim];
        for _ in 0..n {
            let share = mechanism.contribution(&values, &mut words).unwrap();
            sum.iter_mut().zip(share).for_each(|(s, x)| *s += x);
        }
        let noise = sum
            .iter()
            .zip(&values)
            .map(|(s, v)| *s as f64 / scale - f64::from(n) * f64::from(*v));
        noise.for_each(|e| {
            squares += e * e;
            mean += e;
        });
        assert!(sum.iter().all(|s| {
            s.unsigned_abs() <= mechanism.noise_bound(n) + (f64::from(n) * clip * scale) as u64 + 5
        }));
    }
    let count = f64::from(runs) * dim as f64;
    let sigma = (squares / count).sqrt();
    // Rounding adds at most a quarter of a unit² for each participant.
    assert!((sigma / (z * clip) - 1.0).abs() < 0.015, "{sigma}");
    assert!((mean / count).abs() < 5.0 * sigma / count.sqrt());
    assert!((mechanism.standard_deviation(n) / sigma - 1.0).abs() < 0.015);
}

#[test]
fn noise_from_a_keystream_fits_into_the_ring() {
    let (dim, clip, cohort_max) = (300, 0.5_f32, 20);
    let at = |scale| Mechanism::new(f64::from(clip), scale, dim, 5, 2.0).unwrap();
    let bound = |scale: f64| at(scale).noise_bound(cohort_max);
    let encoding = FixedPoint::choose_with(cohort_max, clip, bound).unwrap();
    let mechanism = at(encoding.scale());
    let layout = Layout {
        ring: encoding.ring,
        entries: dim,
        tail: 0,
    };
    let mut total = RingVector::zero(layout);
    let mut plain = vec![0_i64; dim];
    for participant in 0..cohort_max as u8 {
        let mut keystream = Keystream::new(&[participant; 32], b"noise");
        let mut words = || keystream.next_u64();
        // The longest vectors possible, all in one direction.
        let mut values = vec![0.0; dim];
        values[7] = clip;
        let integers = mechanism.contribution(&values, &mut words).unwrap();
        plain.iter_mut().zip(&integers).for_each(|(p, x)| *p += x);
        total
            .add(&RingVector::from_integers(layout, &integers).unwrap())
            .unwrap();
    }
    assert_eq!(total.integers(), plain);
    let mean = encoding.decode(plain[7]) / f64::from(cohort_max);
    let sigma = mechanism.standard_deviation(cohort_max) / f64::from(cohort_max);
    assert!((mean - f64::from(clip)).abs() < 5.0 * sigma, "{mean}");
}

#[test]
fn the_noise_bound_is_kept_and_not_generous() {
    let mechanism = Mechanism::new(1.0, 256.0, 1000, 3, 1.0).unwrap();
    let sigma = mechanism.standard_deviation(7) * 256.0;
    let bound = mechanism.noise_bound(7) as f64 / sigma;
    // 2·1000·exp(−b²/2) = 2⁻⁴⁰.
    let expected = (2.0 * (2000.0 * 2.0_f64.powi(40)).ln()).sqrt();
    assert!((bound - expected).abs() < 0.01, "{bound}");
    assert_eq!(mechanism.noise_bound(0), 0);
    let largest = DiscreteGaussian::VARIANCE_MAX;
    let largest = Mechanism::with_share(1.0, 1.0, u32::MAX as usize, 1, largest).unwrap();
    assert!(largest.noise_bound(u32::MAX) < 1 << 52);
    let mut words = seeded(2);
    let noise = mechanism.noise();
    for _ in 0..20_000 {
        let sum: i64 = (0..7).map(|_| noise.sample(&mut words)).sum();
        assert!(sum.unsigned_abs() <= mechanism.noise_bound(7));
    }
}

#[test]
fn settings_outside_their_range_are_refused() {
    let refused = |clip, scale, dim, n, z| Mechanism::new(clip, scale, dim, n, z).unwrap_err();
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(bad, 1.0, 1, 1, 1.0), PrivacyError::Clip);
        assert_eq!(refused(1.0, bad, 1, 1, 1.0), PrivacyError::Scale);
        assert_eq!(refused(1.0, 1.0, 1, 1, bad), PrivacyError::NoiseMultiplier);
    }
    assert_eq!(
        refused(2.0, 2.0_f64.powi(31), 1, 1, 1.0),
        PrivacyError::Scale
    );
    assert_eq!(refused(1e-200, 1e-200, 1, 1, 1.0), PrivacyError::Scale);
    assert_eq!(refused(1.0, 1.0, 0, 1, 1.0), PrivacyError::Dimension);
    assert_eq!(refused(1.0, 1.0, 1, 0, 1.0), PrivacyError::Contributors);
    for z in [1e20, 1e300, 2.0_f64.powi(32)] {
        assert_eq!(refused(1.0, 1.0, 1, 1, z), PrivacyError::Variance);
    }
    assert!(Mechanism::new(1.0, 1.0, 1, 1, 2.0_f64.powi(31)).is_ok());
    // The smallest possible noise, however little was asked for.
    let least = Mechanism::new(1.0, 1.0, 1, 1, 1e-200).unwrap();
    assert_eq!(least.share_variance(), 1);
}

#[test]
fn vectors_that_were_not_made_ready_are_refused() {
    let mechanism = Mechanism::new(1.0, 256.0, 2, 3, 1.0).unwrap();
    let mut words = seeded(3);
    let mut refused = |values: &[f32]| mechanism.contribution(values, &mut words).unwrap_err();
    assert_eq!(refused(&[0.1]), PrivacyError::Length);
    assert_eq!(refused(&[0.1; 3]), PrivacyError::Length);
    assert_eq!(refused(&[1.0, 1.0]), PrivacyError::Norm);
    assert_eq!(refused(&[f32::NAN, 0.0]), PrivacyError::NotFinite);
    assert_eq!(refused(&[f32::INFINITY, 0.0]), PrivacyError::NotFinite);
    assert!(mechanism.contribution(&[1.0, 0.0], &mut words).is_ok());
}

proptest! {
    #[test]
    fn any_least_cohort_reaches_the_stated_noise(
        clip in 0.01_f64..10.0, bits in 0_i32..24, dim in 1_usize..10_000, n in 1_u32..500, z in 0.01_f64..20.0,
    ) {
        let scale = 2.0_f64.powi(bits);
        let mechanism = Mechanism::new(clip, scale, dim, n, z).unwrap();
        let share = u128::from(mechanism.share_variance());
        let stated = (z * clip * scale).powi(2);
        prop_assert!((share * u128::from(n)) as f64 >= stated);
        // The share is less than one whole unit² above the smallest sufficient one.
        prop_assert!(share == 1 || ((share - 1) * u128::from(n)) as f64 <= stated.ceil() * (1.0 + 1e-12));
        // Never cheaper than the continuous mechanism with the noise that is really there.
        let least = (clip * scale).powi(2) / (2.0 * share as f64 * f64::from(n));
        prop_assert!(mechanism.rho() >= least * (1.0 - 1e-12) || mechanism.norm_squared() < 2);
    }

    #[test]
    fn more_noise_and_more_contributors_cost_less(
        clip in 0.1_f64..2.0, bits in 4_i32..20, dim in 1_usize..10_000, n in 1_u32..200, share in 1_u64..1 << 40,
    ) {
        let scale = 2.0_f64.powi(bits);
        let rho = |n, share| Mechanism::with_share(clip, scale, dim, n, share).unwrap().rho();
        prop_assert!(rho(n, share + 1) <= rho(n, share));
        // τ grows with n; from a share of 20 on, that is less than what the Gaussian term
        // loses.
        if share >= 20 {
            prop_assert!(rho(n + 1, share) <= rho(n, share));
        }
    }
}
