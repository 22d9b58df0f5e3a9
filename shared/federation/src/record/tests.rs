//! Lines as text: what is written is read, and nothing else is.

use super::{Cohort, Commitment, Entry, Line, RoundEntry, nothing, read, write};
use crate::round::messages::Metrics;
use crate::round::phase::AbortReason;
use crate::rules::advance::{GroupSum, Sums};
use serde_json::{Value, json};

fn round(change: impl Fn(&mut RoundEntry)) -> Entry {
    let mut entry = RoundEntry {
        round: 3,
        step: 2,
        aborted: None,
        cohort: None,
        sums: None,
        theta: "ab".repeat(32),
        epsilon: None,
    };
    change(&mut entry);
    Entry::Round(entry)
}

fn cohort() -> Cohort {
    let commitment = |participant| Commitment {
        participant,
        identity: "01".repeat(32),
        vector: "02".repeat(32),
        signature: "03".repeat(64),
    };
    Cohort {
        roster: "04".repeat(32),
        senders: vec![1, 2, 5],
        contributors: vec![commitment(1), commitment(5)],
    }
}

fn entries() -> Vec<Entry> {
    let reasons = [
        AbortReason::TooFewEnrolled,
        AbortReason::TooFewUpdates,
        AbortReason::TooFewKeys,
        AbortReason::TooFewShares,
        AbortReason::TooFewMasked,
        AbortReason::TooFewUnmasked,
        AbortReason::FalseShares,
        AbortReason::Overflow,
        AbortReason::Closed,
    ];
    let mut entries: Vec<Entry> = reasons
        .into_iter()
        .map(|reason| round(|e| e.aborted = Some(reason)))
        .collect();
    entries.extend([
        Entry::Opened {
            format: 1,
            federation: "f\u{fc}\"".to_owned(),
            task: json!({ "name": "x", "rates": [0.1, -3, 1e-9] }),
            theta: "ab".repeat(32),
        },
        round(|e| {
            e.sums = Some(Sums::Plain {
                mean: vec![0.5, -1e-30, f32::MAX],
                metrics: Metrics {
                    correct: 3,
                    total: 4,
                    loss: 1.25,
                    queries: u32::MAX,
                    unprompted: Some(2),
                },
            });
        }),
        round(|e| {
            let update = |examples| tuning::optimizer::individual::Individual {
                examples,
                update: vec![0.5, f32::MIN_POSITIVE, -7.0],
            };
            e.sums = Some(Sums::Individual {
                updates: vec![update(3), update(u32::MAX)],
                metrics: Metrics::default(),
            });
        }),
        round(|e| {
            e.cohort = Some(cohort());
            e.epsilon = Some(1.234);
            let group = |members| GroupSum {
                members,
                sum: vec![i64::MIN, -1, 0, i64::MAX],
            };
            e.sums = Some(Sums::Secure {
                groups: vec![group(vec![1]), group(vec![5])],
            });
        }),
        round(|e| {
            e.cohort = Some(cohort());
            e.aborted = Some(AbortReason::TooFewUnmasked);
        }),
    ]);
    entries
}

#[test]
fn reads_what_is_written() {
    for entry in entries() {
        let line = Line {
            previous: nothing(),
            entry: entry.clone(),
        };
        assert_eq!(read(&write(&nothing(), entry)), Some(line));
    }
}

/// The paths of all places in a document, as `Value::pointer` takes them.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                places(inner, &format!("{at}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (number, inner) in items.iter().enumerate() {
                places(inner, &format!("{at}/{number}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn refuses_what_is_no_line() {
    let foreign = [
        json!(-1),
        json!(1.5),
        json!({}),
        json!({ "plain": 1, "secure": 2 }),
    ];
    let mut tried = 0;
    for entry in entries() {
        let line: Value = serde_json::from_str(&write(&nothing(), entry)).unwrap();
        let mut all = Vec::new();
        places(&line, "", &mut all);
        for place in all {
            if place.contains("/task") || place.ends_with("/loss") || place.ends_with("/epsilon") {
                continue;
            }
            for other in &foreign {
                let mut changed = line.clone();
                *changed.pointer_mut(&place).unwrap() = other.clone();
                assert_eq!(read(&changed.to_string()), None, "{place} {changed}");
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
    for text in ["", "{", "[]", "{}", "null {}", "{\"previous\":\"\"}"] {
        assert_eq!(read(text), None, "{text}");
    }
}
