use super::*;
use federation::round::refusal::Refusal;
use governor::clock::FakeRelativeClock;
use std::net::{IpAddr, Ipv4Addr};

fn limits(quotas: Quotas) -> (FakeRelativeClock, Limits<FakeRelativeClock>) {
    let clock = FakeRelativeClock::default();
    (clock.clone(), Limits::with_clock(quotas, clock))
}

fn address(number: u32) -> Address {
    IpAddr::V4(Ipv4Addr::from_bits(number)).into()
}

fn wait(outcome: Result<(), Failure>) -> Duration {
    match outcome {
        Err(Failure::TooMany(wait)) => wait,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_burst_then_the_rate() {
    let quotas = Quotas {
        address_requests_per_second: 2,
        ..Quotas::default()
    };
    let (clock, limits) = limits(quotas);
    for _ in 0..20 {
        limits.request(address(1)).unwrap();
    }
    assert_eq!(wait(limits.request(address(1))), Duration::from_millis(500));
    // Other addresses have their own buckets.
    limits.request(address(2)).unwrap();
    clock.advance(Duration::from_millis(499));
    wait(limits.request(address(1)));
    clock.advance(Duration::from_millis(1));
    limits.request(address(1)).unwrap();
    wait(limits.request(address(1)));
}

#[test]
fn participants_behind_one_address_have_their_own() {
    let quotas = Quotas {
        participant_requests_per_second: 1,
        ..Quotas::default()
    };
    let (_clock, limits) = limits(quotas);
    for _ in 0..10 {
        limits.participant("f", 1).unwrap();
    }
    wait(limits.participant("f", 1));
    limits.participant("f", 2).unwrap();
    limits.participant("g", 1).unwrap();
}

#[test]
fn who_fails_too_often_is_barred_until_the_next_try_is_due() {
    let quotas = Quotas {
        failures_per_minute: 3,
        ..Quotas::default()
    };
    let (clock, limits) = limits(quotas);
    let fail = |number| limits.failed(address(number), Refusal::Unauthorized.into());
    for _ in 0..3 {
        assert!(matches!(fail(1), Failure::Refused(Refusal::Unauthorized)));
        limits.not_barred(address(1)).unwrap();
    }
    assert_eq!(wait(Err(fail(1))), Duration::from_secs(20));
    assert_eq!(wait(limits.not_barred(address(1))), Duration::from_secs(20));
    limits.not_barred(address(2)).unwrap();
    clock.advance(Duration::from_secs(19));
    limits.sweep();
    assert_eq!(wait(limits.not_barred(address(1))), Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    limits.not_barred(address(1)).unwrap();
    assert!(matches!(fail(1), Failure::Refused(Refusal::Unauthorized)));
    wait(Err(fail(1)));
}

#[test]
fn zero_is_no_limit() {
    let (_clock, limits) = limits(Quotas::UNLIMITED);
    for _ in 0..100_000 {
        limits.request(address(1)).unwrap();
        limits.join(address(1)).unwrap();
        limits.participant("f", 1).unwrap();
    }
    let failed = limits.failed(address(1), Refusal::Unauthorized.into());
    assert!(matches!(failed, Failure::Refused(Refusal::Unauthorized)));
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let quotas = Quotas {
        joins_per_minute: 1,
        ..Quotas::default()
    };
    let (clock, limits) = limits(quotas);
    for number in 0..MOST_BUCKETS as u32 {
        limits.join(address(number)).unwrap();
    }
    // From here on newcomers share one bucket.
    limits.join(address(1 << 30)).unwrap();
    wait(limits.join(address(1 << 31)));
    let buckets = |limits: &Limits<_>| limits.joins.limiter.as_ref().unwrap().len();
    assert_eq!(buckets(&limits), MOST_BUCKETS + 1);
    limits.sweep();
    assert_eq!(buckets(&limits), MOST_BUCKETS + 1);
    // One period more than needed, because the limiter counts from the end of the first.
    clock.advance(Duration::from_secs(121));
    limits.sweep();
    assert_eq!(buckets(&limits), 0);
    limits.join(address(1 << 31)).unwrap();
}
