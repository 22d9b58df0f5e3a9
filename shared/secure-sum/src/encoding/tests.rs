use super::*;
use proptest::prelude::*;

const LAYOUT: Layout = Layout {
    ring: Ring::U32,
    entries: 3,
    tail: 2,
};

fn wide_layout() -> Layout {
    Layout {
        ring: Ring::U64,
        ..LAYOUT
    }
}

#[test]
fn bytes_are_little_endian() {
    let vector = RingVector::from_integers(LAYOUT, &[1, -1, i64::from(i32::MIN), -2, 5]).unwrap();
    let mut expected = vec![1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 128, 254];
    expected.extend([255; 7]);
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(vector.to_bytes(), expected);
    assert_eq!(LAYOUT.bytes(), expected.len());
    assert_eq!(wide_layout().bytes(), 40);
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_eq!(
        RingVector::from_integers(LAYOUT, &[0; 4]),
        Err(EncodingError::Length {
            expected: 5,
            got: 4
        })
    );
    let mut integers = [0, i64::from(i32::MAX) + 1, 0, 0, 0];
    assert_eq!(
        RingVector::from_integers(LAYOUT, &integers),
        Err(EncodingError::OutOfRing(1))
    );
    assert!(RingVector::from_integers(wide_layout(), &integers).is_ok());
    integers[1] = i64::from(i32::MIN) - 1;
    assert!(RingVector::from_integers(LAYOUT, &integers).is_err());
    for length in [0, 27, 29] {
        assert!(RingVector::from_bytes(LAYOUT, &vec![0; length]).is_err());
    }
    let mut vector = RingVector::zero(LAYOUT);
    assert!(vector.add(&RingVector::zero(wide_layout())).is_err());
    assert!(
        vector
            .sub(&RingVector::zero(Layout { tail: 3, ..LAYOUT }))
            .is_err()
    );
    assert_eq!(vector, RingVector::zero(LAYOUT));
    // Absurd sizes are reported, not computed modulo the word size.
    let absurd = Layout {
        ring: Ring::U64,
        entries: usize::MAX,
        tail: usize::MAX,
    };
    assert_eq!((absurd.len(), absurd.bytes()), (usize::MAX, usize::MAX));
    assert!(RingVector::from_bytes(absurd, &[]).is_err());
}

#[test]
fn vectors_are_not_printed() {
    let vector = RingVector::from_integers(LAYOUT, &[173, 174, 175, 176, 177]).unwrap();
    let text = format!("{vector:?}");
    assert!(text.starts_with("RingVector(Layout"), "{text}");
    assert!((173..178).all(|n| !text.contains(&n.to_string())), "{text}");
}

#[test]
fn a_mask_is_the_stream_entry_by_entry() {
    // More than one chunk of 4096 bytes, and not a whole number of chunks.
    for ring in [Ring::U32, Ring::U64] {
        let layout = Layout {
            ring,
            entries: 1_500,
            tail: 3,
        };
        let mut vector = RingVector::zero(layout);
        vector.mask(&mut Keystream::new(&[1; 32], b"m"), true);
        let mut bytes = vec![0; layout.bytes()];
        Keystream::new(&[1; 32], b"m").fill(&mut bytes);
        assert_eq!(vector.to_bytes(), bytes);
        vector.mask(&mut Keystream::new(&[1; 32], b"m"), false);
        assert_eq!(vector, RingVector::zero(layout));
    }
}

#[test]
fn the_narrow_ring_is_used_as_long_as_it_leaves_16_bits() {
    let narrow = FixedPoint::choose(300, 1.0, 0).unwrap();
    // 300 · (2²² + 1) < 2³¹ ≤ 300 · (2²³ + 1)
    assert_eq!((narrow.ring, narrow.bits), (Ring::U32, 22));
    // 32,767 · (2¹⁶ + 1) < 2³¹ ≤ 32,768 · (2¹⁶ + 1)
    let last = FixedPoint::choose(32_767, 1.0, 0).unwrap();
    assert_eq!((last.ring, last.bits), (Ring::U32, 16));
    let wide = FixedPoint::choose(32_768, 1.0, 0).unwrap();
    assert_eq!((wide.ring, wide.bits), (Ring::U64, 24));
    // Noise takes room too, to the last integer.
    let room = (1_u64 << 31) - 300 * ((1 << 22) + 1);
    assert_eq!(FixedPoint::choose(300, 1.0, room - 1).unwrap().bits, 22);
    assert_eq!(FixedPoint::choose(300, 1.0, room).unwrap().bits, 21);
    assert_eq!(
        FixedPoint::choose(300, 1.0, 1 << 31).unwrap().ring,
        Ring::U64
    );
    // Noise that grows with the scale.
    let noisy = FixedPoint::choose_with(300, 1.0, |scale| (1_000.0 * scale) as u64).unwrap();
    assert_eq!((noisy.ring, noisy.bits), (Ring::U32, 20));
    assert_eq!(noisy.scale(), 1_048_576.0);
}

#[test]
fn clips_and_cohorts_without_a_scale_are_refused() {
    for clip in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MAX] {
        assert_eq!(FixedPoint::choose(10, clip, 0), Err(EncodingError::Clip));
    }
    assert_eq!(FixedPoint::choose(0, 1.0, 0), Err(EncodingError::NoRoom));
    assert_eq!(
        FixedPoint::choose(10, 1.0, u64::MAX),
        Err(EncodingError::NoRoom)
    );
    // The smallest and the largest clip that have a scale.
    let tiny = FixedPoint::choose(u32::MAX, f32::from_bits(1), 0).unwrap();
    assert_eq!((tiny.ring, tiny.bits), (Ring::U64, 173));
    let large = FixedPoint::choose(10, 1e8, 0).unwrap();
    assert_eq!((large.ring, large.bits), (Ring::U32, 1));
    assert_eq!(
        FixedPoint::choose(u32::MAX, 1e7, 0).unwrap().ring,
        Ring::U64
    );
}

#[test]
fn rounding_is_right_in_the_mean() {
    let point = FixedPoint {
        ring: Ring::U32,
        bits: 2,
        clip: 10.0,
    };
    let mut rng = Keystream::new(&[8; 32], b"rounding");
    for (value, below) in [(0.3, 1), (-0.3, -2), (9.9, 39), (0.0, 0), (-10.0, -40)] {
        let mut sum = 0;
        for _ in 0..20_000 {
            let integer = point.quantise(value, &mut rng).unwrap();
            assert!(
                integer == below || integer == below + 1,
                "{value} {integer}"
            );
            sum += integer;
        }
        let mean = point.decode(sum) / 20_000.0;
        // Five standard deviations of at most 1/2 · 1/4 each.
        assert!((mean - value).abs() < 5.0 * 0.125 / 141.0, "{value} {mean}");
    }
    // A value without a fraction is never moved.
    assert!((0..100).all(|_| point.quantise(2.5, &mut rng) == Ok(10)));
    for value in [10.000_001, -10.1, f64::NAN, f64::INFINITY] {
        assert_eq!(
            point.quantise(value, &mut rng),
            Err(EncodingError::OverClip)
        );
    }
}

#[test]
fn every_value_uses_one_number() {
    let point = FixedPoint::choose(10, 1.0, 0).unwrap();
    let mut rng = Keystream::new(&[8; 32], b"one");
    let mut other = Keystream::new(&[8; 32], b"one");
    for value in [0.0, 0.5, -0.123, 1e-300] {
        point.quantise(value, &mut rng).unwrap();
        other.next_u64();
    }
    assert_eq!(rng.next_u64(), other.next_u64());
}

proptest! {
    #[test]
    fn vectors_round_trip_and_add_up(
        wide in any::<bool>(),
        a in prop::collection::vec(any::<i32>(), 5),
        b in prop::collection::vec(any::<i32>(), 5),
    ) {
        let layout = if wide { wide_layout() } else { LAYOUT };
        let a: Vec<i64> = a.into_iter().map(i64::from).collect();
        let b: Vec<i64> = b.into_iter().map(i64::from).collect();
        let mut vector = RingVector::from_integers(layout, &a).unwrap();
        let other = RingVector::from_integers(layout, &b).unwrap();
        prop_assert_eq!(vector.integers(), a.clone());
        prop_assert_eq!(vector.layout(), layout);
        prop_assert_eq!(&RingVector::from_bytes(layout, &vector.to_bytes()).unwrap(), &vector);
        vector.add(&other).unwrap();
        for (i, sum) in vector.integers().into_iter().enumerate() {
            let exact = a[i] + b[i];
            // Entries of the narrow ring wrap around at 32 bits, all others do not.
            prop_assert_eq!(sum, if wide || i >= 3 { exact } else { i64::from(exact as i32) });
        }
        vector.sub(&other).unwrap();
        prop_assert_eq!(vector.integers(), a);
    }

    #[test]
    fn no_accepted_cohort_wraps_around(
        cohort in 1..100_000_u32,
        exponent in -30..24_i32,
        mantissa in 1.0..2.0_f32,
        noise in 0..1_u64 << 33,
        sign in any::<bool>(),
    ) {
        let clip = mantissa * libm::exp2f(exponent as f32);
        let Ok(point) = FixedPoint::choose(cohort, clip, noise) else {
            return Ok(());
        };
        // Everyone at the clip, rounded away from zero, and all noise on the same side.
        let most = (f64::from(clip) * point.scale()).ceil() as i128 + 1;
        let sum = i128::from(cohort) * most + i128::from(noise);
        let sum = if sign { sum } else { -sum };
        let wrapped = match point.ring {
            Ring::U32 => i128::from(sum as i32),
            Ring::U64 => i128::from(sum as i64),
        };
        prop_assert_eq!(wrapped, sum);
        let mut rng = Keystream::new(&[1; 32], b"limit");
        for value in [f64::from(clip), -f64::from(clip)] {
            prop_assert!(i128::from(point.quantise(value, &mut rng).unwrap()).abs() <= most);
        }
        let accuracy = f64::from(clip) * point.scale();
        match point.ring {
            Ring::U32 => prop_assert!(accuracy >= 65_536.0),
            Ring::U64 => prop_assert!(accuracy > 8_388_608.0 && accuracy <= 16_777_216.0),
        }
    }
}
