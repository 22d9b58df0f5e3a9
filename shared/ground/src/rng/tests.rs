use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct KnownAnswer {
    counter: [u32; 4],
    key: [u32; 2],
    answer: [u32; 4],
}

#[test]
fn known_answers_of_random123() {
    let known: Vec<KnownAnswer> =
        serde_json::from_str(include_str!("../../../vectors/philox.json")).unwrap();
    assert!(known.len() >= 3);
    for k in known {
        assert_eq!(philox4x32(k.counter, k.key), k.answer);
    }
}

#[test]
fn entry_and_for_each_agree() {
    for (distribution, low, high) in [
        (Distribution::Rademacher, 0.5, 1.0),
        (Distribution::SegmentedUniform, 0.5, 1.0),
        (Distribution::Gumbel, 0.0, 16.7),
        (Distribution::GumbelOfLog, 0.0, 16.7),
    ] {
        let direction = Direction {
            key: [7, 9],
            counter: [1, 2, 3],
            distribution,
        };
        let mut seen = 0;
        direction.for_each(1000, |i, value| {
            assert_eq!(value, direction.entry(i));
            assert!((low..=high).contains(&value.abs()));
            seen += 1;
        });
        assert_eq!(seen, 1000);
    }
}

#[test]
fn a_coordinate_is_one_entry() {
    let direction = Direction {
        key: [0, 0],
        counter: [5, 0, 0],
        distribution: Distribution::Coordinate,
    };
    let mut point = Vec::new();
    direction.perturb(&[0.5; 7], 2.0, &mut point);
    assert_eq!(point, [0.5, 0.5, 0.5, 0.5, 0.5, 2.5, 0.5]);
    assert_eq!((direction.entry(5), direction.entry(6)), (1.0, 0.0));
    direction.perturb(&[0.5; 3], 2.0, &mut point);
    assert_eq!(point, [0.5; 3]);
}

#[test]
fn directions_are_balanced() {
    let direction = Direction {
        key: [1, 2],
        counter: [0, 0, 0],
        distribution: Distribution::Rademacher,
    };
    let mut sum = 0.0;
    direction.for_each(100_000, |_, v| sum += v);
    assert!(f32::abs(sum) < 1_500.0, "{sum}");
}

#[test]
fn gumbel_noise_is_finite_and_standard() {
    assert!(gumbel(0) > -2.82 && gumbel(u32::MAX) < 16.64);
    let direction = Direction {
        key: [1, 2],
        counter: [0, 0, 0],
        distribution: Distribution::Gumbel,
    };
    let (mut sum, mut squares) = (0.0, 0.0);
    direction.for_each(100_000, |_, v| {
        sum += f64::from(v);
        squares += f64::from(v) * f64::from(v);
    });
    let mean = sum / 1e5;
    // Euler's constant and π²/6.
    assert!((mean - 0.577_216).abs() < 0.02, "{mean}");
    let variance = squares / 1e5 - mean * mean;
    assert!((variance - 1.644_934).abs() < 0.05, "{variance}");
}

/// The largest of θ + G is a draw from softmax(θ), and the largest of ln p + G is one from p.
#[test]
fn the_largest_is_a_draw_from_the_softmax() {
    let logits = [0.0, 1.0, -1.0, 2.0f32];
    let sum: f32 = logits.iter().map(|t| t.exp()).sum();
    let p: Vec<f32> = logits.iter().map(|t| t.exp() / sum).collect();
    // A category of probability 0 is never drawn.
    let p_and_nothing = [&p[..], &[0.0]].concat();
    for (distribution, theta) in [
        (Distribution::Gumbel, &logits[..]),
        (Distribution::GumbelOfLog, &p_and_nothing),
    ] {
        let (mut counts, mut point) = ([0u32; 5], Vec::new());
        for draw in 0..20_000 {
            let direction = Direction {
                key: [3, 4],
                counter: [draw, 0, 0],
                distribution,
            };
            direction.perturb(theta, 1.0, &mut point);
            let largest = (0..point.len()).max_by(|a, b| point[*a].total_cmp(&point[*b]));
            counts[largest.unwrap()] += 1;
        }
        for (count, p) in counts.iter().zip(&p) {
            let share = *count as f32 / 20_000.0;
            assert!((share - p).abs() < 0.012, "{distribution:?} {counts:?}");
        }
        assert_eq!(counts[4], 0);
    }
}

#[test]
fn below_is_below_and_shuffle_permutes() {
    let mut stream = Stream::new(3, purpose::BATCH);
    let mut counts = [0; 7];
    for _ in 0..7000 {
        counts[stream.below(7) as usize] += 1;
    }
    assert!(
        counts.iter().all(|&c| (850..1150).contains(&c)),
        "{counts:?}"
    );
    let mut items: Vec<u32> = (0..100).collect();
    stream.shuffle(&mut items);
    assert_ne!(items, (0..100).collect::<Vec<_>>());
    items.sort_unstable();
    assert_eq!(items, (0..100).collect::<Vec<_>>());
}

#[test]
fn normal_has_unit_variance() {
    let mut stream = Stream::new(5, purpose::INITIAL);
    let values: Vec<f32> = (0..20_000).map(|_| stream.normal()).collect();
    let mean = values.iter().sum::<f32>() / 20_000.0;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0;
    assert!(
        mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
        "{mean} {variance}"
    );
}
