//! Checks another implementation's secure sums (`shared/vectors/secure_sum.py`) natively;
//! `web/src/worker/vectors.wasm.test.ts` runs the same check inside wasm.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use secure_sum::vectors::check;

fn file() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/secure_sum.json");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn both_implementations_agree() {
    let cases = check(&file()).unwrap();
    assert!(cases > 80, "{cases}");
}

/// The file with one thing changed.
fn changed(pointer: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&file()).unwrap();
    change(value.pointer_mut(pointer).unwrap());
    check(&value.to_string()).unwrap_err()
}

/// Flips the last hexadecimal digit.
fn flip(value: &mut serde_json::Value) {
    let mut text = value.as_str().unwrap().to_owned();
    let last = text.pop().unwrap();
    text.push(if last == '0' { '1' } else { '0' });
    *value = text.into();
}

#[test]
fn a_wrong_answer_is_found() {
    for pointer in [
        "/keystreams/1/bytes",
        "/shamir/3/first/2",
        "/shamir/5/all",
        "/sums/0/digest",
        "/sums/0/roster_hash",
        "/sums/0/participants/0/keys/masking",
        "/sums/1/participants/3/shares",
        "/sums/0/participants/2/masked",
        "/sums/0/participants/2/unmask",
        "/sums/2/participants/0/seed",
    ] {
        let what = changed(pointer, flip);
        assert!(
            what.contains(" is ") || what.contains("refused"),
            "{pointer}: {what}"
        );
    }
    for pointer in [
        "/sums/0/sums/0/2",
        "/sums/1/groups/0/1",
        "/fixed_points/1/chosen/bits",
    ] {
        changed(pointer, |value| *value = 7.into());
    }
    // A valid message is not refused.
    let good: serde_json::Value = serde_json::from_str(&file()).unwrap();
    let roster = good.pointer("/sums/0/roster").unwrap().clone();
    let what = changed("/refused_by_participant/0/message", |value| *value = roster);
    assert!(what.contains("own key missing"), "{what}");
    let shares = good
        .pointer("/sums/0/participants/2/shares")
        .unwrap()
        .clone();
    let what = changed("/refused_by_aggregator/13/message", |value| *value = shares);
    assert!(what.contains("an envelope missing"), "{what}");
    // A file without cases, or no file at all, is refused, too.
    assert!(changed("/shamir_refused", |v| *v = serde_json::json!([])).contains("no case"));
    assert!(check("{}").is_err() && check("").is_err());
}
