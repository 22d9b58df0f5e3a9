use super::*;
use proptest::prelude::*;

fn shares(secret: &Bytes32, t: u8, n: u8) -> Vec<(u8, Bytes32)> {
    let shares = split(secret, t, n, &mut Keystream::new(&[9; 32], b"shares")).unwrap();
    (1..=255).zip(shares).collect()
}

#[test]
fn the_field_is_that_of_aes() {
    // FIPS 197, section 4.2: {57} · {83} = {c1}, {57} · {13} = {fe}; 4.2.1: {57} · {02} = {ae}.
    assert_eq!(multiply(0x57, 0x83), 0xc1);
    assert_eq!(multiply(0x57, 0x13), 0xfe);
    assert_eq!(multiply(0x57, 0x02), 0xae);
    for a in 1..=255 {
        assert_eq!(multiply(a, invert(a)), 1, "{a}");
    }
    assert_eq!(invert(0), 0);
    let mut sum = 1;
    multiply_add(&mut sum, 0x8000_0000_0000_0057, 2);
    assert_eq!(sum, 0x1b00_0000_0000_00af);
}

#[test]
fn one_share_of_one_is_the_secret() {
    let secret = [0xa5; 32];
    assert_eq!(shares(&secret, 1, 3), [1, 2, 3].map(|x| (x, secret)));
    assert_eq!(combine(&[(2, secret)], 1), Ok(secret));
}

#[test]
fn impossible_thresholds_and_coordinates_are_refused() {
    let mut rng = Keystream::new(&[9; 32], b"shares");
    assert_eq!(split(&[1; 32], 0, 3, &mut rng), Err(ShamirError::Threshold));
    assert_eq!(split(&[1; 32], 4, 3, &mut rng), Err(ShamirError::Threshold));
    let all = shares(&[1; 32], 3, 5);
    assert_eq!(combine(&all, 0), Err(ShamirError::Threshold));
    assert_eq!(combine(&all[..2], 3), Err(ShamirError::TooFew));
    assert_eq!(combine(&[], 1), Err(ShamirError::TooFew));
    let zero = [all[0], (0, [1; 32]), all[1]];
    assert_eq!(combine(&zero, 3), Err(ShamirError::Coordinate));
    let twice = [all[0], all[1], all[0]];
    assert_eq!(combine(&twice, 3), Err(ShamirError::Coordinate));
}

#[test]
fn all_255_coordinates_serve() {
    let secret = [0x3c; 32];
    let all = shares(&secret, 255, 255);
    assert_eq!(combine(&all, 255), Ok(secret));
    let one_short = &all[1..];
    assert_eq!(combine(one_short, 255), Err(ShamirError::TooFew));
    assert_ne!(combine(one_short, 254), Ok(secret));
}

#[test]
fn coefficients_are_uniform_zero_included() {
    // With t = 2 a share at x = 1 is secret + coefficient: over many splits of one secret every
    // byte comes up as often as any other. 5σ of a binomial with 100 expected.
    let mut rng = Keystream::new(&[4; 32], b"uniform");
    let mut counts = [0; 256];
    for _ in 0..800 {
        for byte in split(&[0; 32], 2, 2, &mut rng).unwrap()[0] {
            counts[usize::from(byte)] += 1;
        }
    }
    assert!(counts.iter().all(|&c| (50..150).contains(&c)), "{counts:?}");
}

proptest! {
    #[test]
    fn any_t_of_n_give_the_secret_and_a_wrong_share_is_found(
        secret in any::<Bytes32>(),
        (n, t) in (1..=60_u8).prop_flat_map(|n| (Just(n), 1..=n)),
        order in any::<u64>(),
        (byte, change) in (0..32_usize, 1..=255_u8),
    ) {
        let mut all = shares(&secret, t, n);
        // Any t of them, in any order.
        let mut rng = ground::rng::Stream::new(order, 0);
        rng.shuffle(&mut all);
        let t_shares = usize::from(t);
        prop_assert_eq!(combine(&all[..t_shares], t), Ok(secret));
        prop_assert_eq!(combine(&all, t), Ok(secret));
        prop_assert_eq!(combine(&all[..t_shares - 1], t), Err(ShamirError::TooFew));
        all[0].1[byte] ^= change;
        if n > t {
            prop_assert_eq!(combine(&all, t), Err(ShamirError::Inconsistent));
        } else {
            prop_assert_ne!(combine(&all, t), Ok(secret));
        }
    }

    #[test]
    fn fewer_than_t_fit_every_secret(secret in any::<Bytes32>(), other in any::<Bytes32>(), t in 2..20_u8) {
        // To t − 1 shares and any other secret there is a polynomial: x = 0 is a point like the
        // others.
        let known = shares(&secret, t, 20);
        let points: Vec<(u8, Elements)> = known[..usize::from(t) - 1]
            .iter()
            .map(|(x, share)| (*x, elements(share)))
            .chain([(0, elements(&other))])
            .collect();
        let with_weights = |(x, y): &(u8, Elements)| {
            let others = points.iter().filter(|(o, _)| o != x);
            (*x, invert(others.fold(1, |p, (o, _)| multiply(p, x ^ o))), *y)
        };
        let polynomial = Points(points.iter().map(with_weights).collect());
        let mut completed = known[..usize::from(t) - 1].to_vec();
        completed.push((100, polynomial.at(100)));
        prop_assert_eq!(combine(&completed, t), Ok(other));
    }
}
