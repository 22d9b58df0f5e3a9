use governor::clock::FakeRelativeClock;
use serde_json::json;

use super::*;

fn spec() -> KeySpec {
    KeySpec {
        name: "clinic".into(),
        sha256: Sha256::digest(b"secret").into(),
        requests_per_minute: NonZeroU32::new(2),
        queries_per_minute: NonZeroU32::new(10),
        queries_per_day: Some(15),
        admin: false,
    }
}

const NOON: Duration = Duration::from_secs(20_000 * 86_400 + 43_200);

#[test]
fn pace_and_quota_are_kept_and_say_how_long_to_wait() {
    let clock = FakeRelativeClock::default();
    let key = Key::new(spec(), clock.clone());
    key.request().unwrap();
    key.request().unwrap();
    let Err(ApiError::TooFast { what, wait }) = key.request() else {
        panic!("a third request was let through")
    };
    assert_eq!((what, wait.as_secs()), ("requests", 30));

    key.query(10, NOON).unwrap();
    let refused = key.query(1, NOON).unwrap_err();
    assert!(matches!(refused, ApiError::TooFast { what: "queries", wait } if wait.as_secs() == 6));
    assert!(matches!(
        key.query(11, NOON),
        Err(ApiError::UsedUp { quota: 15, wait }) if wait.as_secs() == 43_200
    ));
    clock.advance(Duration::from_secs(60));
    // Refused queries were not counted, so five of today's are left.
    key.query(5, NOON).unwrap();
    assert!(matches!(key.query(1, NOON), Err(ApiError::UsedUp { .. })));
    assert!(matches!(key.may_ask(NOON), Err(ApiError::UsedUp { .. })));
    key.may_ask(NOON + DAY).unwrap();
    key.give_back(1);
    key.may_ask(NOON).unwrap();
    key.query(1, NOON).unwrap();
    clock.advance(Duration::from_secs(60));
    key.query(10, NOON + DAY).unwrap();
    // More than a minute's worth never fits.
    let mut wide = spec();
    wide.queries_per_day = None;
    let key = Key::new(wide, clock);
    assert!(matches!(
        key.query(11, NOON),
        Err(ApiError::TooMany {
            queries: 11,
            most: 10
        })
    ));
}

#[test]
fn what_cost_no_work_is_given_back() {
    let mut wide = spec();
    wide.queries_per_minute = None;
    let key = Arc::new(Key::new(wide, DefaultClock::default()));
    let caller = Caller::new(Some(Arc::clone(&key)), Arc::default());
    let used = || (key.lock().queries, caller.queries());
    drop(caller.charge(10).unwrap());
    assert_eq!(used(), (0, 0));
    let mut broken = caller.charge(10).unwrap();
    broken.earn();
    drop(broken);
    assert_eq!(used(), (1, 1));
    let mut unlucky = caller.charge(10).unwrap();
    unlucky.earn();
    unlucky.give_back();
    assert_eq!(used(), (1, 1));
    caller.charge(14).unwrap().keep();
    assert_eq!(used(), (15, 15));
    assert!(caller.may_ask().is_err() && caller.charge(1).is_err());
}

#[test]
fn keys_are_found_by_their_digest_and_keep_what_they_used() {
    let keys = Keys::new(vec![spec()], &Keys::default());
    assert!(keys.find(Some(b"Bearer secret")).is_some());
    assert!(keys.find(Some(b"bearer secret ")).is_some());
    for wrong in ["Bearer Secret", "Basic secret", "secret", "", "Bearer "] {
        assert!(keys.find(Some(wrong.as_bytes())).is_none(), "{wrong}");
    }
    assert!(keys.find(None).is_none());
    keys.find(Some(b"Bearer secret"))
        .unwrap()
        .query(9, NOON)
        .unwrap();
    let mut changed = spec();
    changed.queries_per_minute = None;
    let again = Keys::new(vec![changed], &keys);
    let key = again.find(Some(b"Bearer secret")).unwrap();
    key.query(6, NOON).unwrap();
    assert!(matches!(key.query(1, NOON), Err(ApiError::UsedUp { .. })));
}

#[test]
fn all_faults_of_a_file_are_named_and_no_key_is_shown() {
    let digest = "00".repeat(32);
    let value = json!({ "key": [
        { "name": "a", "sha256": digest, "queries_per_day": 5, "admin": true },
        { "name": "a", "sha256": "my-secret", "requests_per_minute": 0 },
        { "name": "a b", "sha256": digest, "typo": 1 },
        { },
    ], "other": 1 });
    let mut faults = Vec::new();
    let specs = parse(&value, &mut faults);
    assert!(specs[0].admin && specs[0].queries_per_day == Some(5));
    let all: Vec<String> = faults.iter().map(Fault::to_string).collect();
    let all = all.join("\n");
    for fault in [
        "other: is not",
        "key[1].name",
        "key[1].sha256: must be",
        "key[1].requests_per_minute",
        "key[2].name",
        "key[2].sha256: is another",
        "key[2].typo",
        "key[3].name: is missing",
        "key[3].sha256: is missing",
    ] {
        assert!(all.contains(fault), "{fault} is not in\n{all}");
    }
    assert!(!all.contains("my-secret"), "{all}");
    let mut none = Vec::new();
    assert!(parse(&json!({}), &mut none).is_empty());
    assert!(none[0].to_string().contains("[[key]]"));
}
