use super::*;
use proptest::prelude::*;

#[derive(Deserialize)]
struct KnownAnswer {
    noise_multiplier: f64,
    sums: u32,
    delta: f64,
    rdp: f64,
    pld: f64,
}

#[derive(Deserialize)]
struct Vectors {
    gaussian: Vec<KnownAnswer>,
}

#[test]
fn agrees_with_dp_accounting() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../../vectors/epsilon.json")).unwrap();
    assert!(vectors.gaussian.len() >= 50);
    for k in vectors.gaussian {
        let mut ledger = Ledger::new();
        for _ in 0..k.sums {
            ledger.compose(0.5 / k.noise_multiplier.powi(2)).unwrap();
        }
        let ours = ledger.epsilon(k.delta);
        let case = (k.noise_multiplier, k.sums, k.delta, ours, k.rdp, k.pld);
        assert!((ours / k.rdp - 1.0).abs() < 0.02, "{case:?}");
        assert!(ours >= k.pld, "{case:?}");
    }
}

#[test]
fn the_minimum_is_a_minimum() {
    for rho in [1e-6, 1e-3, 0.1, 1.0, 30.0] {
        for delta in [1e-12, 1e-5, 0.01] {
            let ours = epsilon_of(rho, delta);
            let others = (1..200_000).map(|i| {
                let alpha = 1.0 + 1e-4 * 1.0001_f64.powi(i);
                alpha * rho - (alpha * delta).ln() / (alpha - 1.0) + (-1.0 / alpha).ln_1p()
            });
            let least = others.fold(f64::INFINITY, f64::min).max(0.0);
            assert!(
                ours <= least + 1e-9 && ours >= least - 1e-6 * least,
                "{rho} {delta}: {ours} {least}"
            );
            // Bun and Steinke 2016, Proposition 1.3, is looser.
            assert!(ours < rho + 2.0 * (rho * (1.0 / delta).ln()).sqrt());
        }
    }
}

#[test]
fn extremes_end_and_promise_nothing_false() {
    assert_eq!(epsilon_of(0.0, 1e-5), 0.0);
    for rho in [1e-300, 1e-30, 1e30, 1e300, f64::MAX] {
        for delta in [1e-300, 1e-30, 0.5, 1.0 - 1e-16] {
            let epsilon = epsilon_of(rho, delta);
            assert!(
                epsilon >= 0.0 && (rho < 1.0 || epsilon >= rho),
                "{rho} {delta}"
            );
        }
    }
    for delta in [0.0, 1.0, -0.1, 2.0, f64::NAN] {
        assert_eq!(epsilon_of(0.1, delta), f64::INFINITY);
        assert!(Ledger::new().would_exceed(0.1, 100.0, delta));
    }
    for rho in [-1.0, f64::NAN] {
        assert_eq!(epsilon_of(rho, 0.1), f64::INFINITY);
    }
}

#[test]
fn what_cannot_be_counted_is_refused_and_blocks() {
    let mut ledger = Ledger::new();
    ledger.compose(0.25).unwrap();
    for rho in [-1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(ledger.compose(rho), Err(PrivacyError::Rho));
        assert!(ledger.would_exceed(rho, 1e9, 1e-5));
    }
    assert!(ledger.would_exceed(0.0, f64::NAN, 1e-5));
    ledger.compose(f64::MAX).unwrap();
    assert_eq!(ledger.compose(f64::MAX), Err(PrivacyError::Rho));
    assert_eq!(ledger.rho(), f64::MAX);
}

#[test]
fn a_round_is_blocked_before_the_budget_is_passed() {
    let (rho, budget, delta) = (0.01, 2.0, 1e-6);
    let mut ledger = Ledger::new();
    let mut rounds = 0;
    while !ledger.would_exceed(rho, budget, delta) {
        ledger.compose(rho).unwrap();
        rounds += 1;
    }
    assert!(ledger.epsilon(delta) <= budget);
    assert!(epsilon_of(ledger.rho() + rho, delta) > budget);
    assert!(rounds > 3, "{rounds}");
}

#[test]
fn is_stored_and_checked_when_read() {
    let mut ledger = Ledger::new();
    ledger.compose(0.3).unwrap();
    let text = serde_json::to_string(&ledger).unwrap();
    assert_eq!(text, r#"{"rho":0.3}"#);
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    for bad in [r#"{"rho":-1}"#, r#"{"rho":null}"#, "{}"] {
        assert!(serde_json::from_str::<Ledger>(bad).is_err(), "{bad}");
    }
    let stored = postcard::to_stdvec(&ledger).unwrap();
    assert_eq!(postcard::from_bytes::<Ledger>(&stored).unwrap(), ledger);
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let stored = postcard::to_stdvec(&bad).unwrap();
        assert!(postcard::from_bytes::<Ledger>(&stored).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn more_spent_is_a_larger_epsilon_and_more_delta_a_smaller(
        rho in 1e-6_f64..10.0, more in 1.001_f64..10.0, delta in 1e-12_f64..0.01, wider in 1.1_f64..10.0,
    ) {
        let epsilon = epsilon_of(rho, delta);
        prop_assert!(epsilon_of(rho * more, delta) >= epsilon);
        prop_assert!(epsilon_of(rho, delta * wider) <= epsilon);
        if epsilon > 0.0 {
            prop_assert!(epsilon_of(rho * more, delta) > epsilon);
        }
    }

    #[test]
    fn composition_adds_in_any_order(mut costs in prop::collection::vec(0.0_f64..1.0, 0..20)) {
        let total = |costs: &[f64]| {
            let mut ledger = Ledger::new();
            costs.iter().for_each(|rho| ledger.compose(*rho).unwrap());
            ledger.epsilon(1e-5)
        };
        let forwards = total(&costs);
        costs.reverse();
        prop_assert!((total(&costs) - forwards).abs() <= 1e-9 * (1.0 + forwards));
    }

    #[test]
    fn would_exceed_says_what_would_be(
        spent in 0.0_f64..5.0, next in 0.0_f64..1.0, budget in 0.0_f64..20.0, delta in 1e-9_f64..0.1,
    ) {
        let mut ledger = Ledger::new();
        ledger.compose(spent).unwrap();
        let blocked = ledger.would_exceed(next, budget, delta);
        prop_assert_eq!(ledger.rho(), spent);
        ledger.compose(next).unwrap();
        prop_assert_eq!(blocked, ledger.epsilon(delta) > budget);
    }
}
