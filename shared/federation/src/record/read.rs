//! A line of a record, read.

use super::Line;

/// Parses a line; nothing if it is none.
#[must_use]
pub fn read(text: &str) -> Option<Line> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Cohort, Commitment, Entry, RoundEntry};
    use super::*;
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
            let text = super::super::write(&super::super::nothing(), entry.clone());
            let line = read(&text).unwrap();
            assert_eq!(line.entry, entry);
        }
    }

    /// Every place of a document: paths that `Value::pointer` understands.
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
    fn what_is_no_line_is_refused() {
        // Values that stand nowhere in a line but where any value may: in the task.
        let foreign = [json!(-1.5), json!({}), json!({ "plain": 1, "secure": 2 })];
        for entry in entries() {
            let text = super::super::write(&super::super::nothing(), entry);
            let line: Value = serde_json::from_str(&text).unwrap();
            let mut all = Vec::new();
            places(&line, "", &mut all);
            for place in all.iter().filter(|place| !place.contains("/task")) {
                for other in &foreign {
                    let number = place.ends_with("/loss") || place.ends_with("/epsilon");
                    if number && other.is_number() {
                        continue;
                    }
                    let mut changed = line.clone();
                    *changed.pointer_mut(place).unwrap() = other.clone();
                    assert_eq!(read(&changed.to_string()), None, "{place} {changed}");
                }
            }
        }
        for text in ["", "{", "[]", "{}", "null {}", "{\"previous\":\"\"}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
