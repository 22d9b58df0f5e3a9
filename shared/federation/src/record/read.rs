//! A line, read by hand: derived readers of its parts are a tenth of the browser's module.

use super::{Cohort, Commitment, Entry, Line, RoundEntry};
use crate::round::messages::Metrics;
use crate::round::phase::AbortReason;
use crate::rules::advance::{GroupSum, Sums};
use ground::packed::{f32s, i64s};
use serde_json::Value;

/// Parses a line; nothing if it is none.
#[must_use]
pub fn read(text: &str) -> Option<Line> {
    let mut line: Value = serde_json::from_slice(text.as_bytes()).ok()?;
    Some(Line {
        previous: string(&line, "previous")?,
        entry: entry(line.get_mut("entry")?)?,
    })
}

fn entry(value: &mut Value) -> Option<Entry> {
    let only = value.as_object()?.len() == 1;
    if let Some(opened) = value.get_mut("opened") {
        return only
            .then(|| {
                Some(Entry::Opened {
                    format: whole(opened.get("format")?)?,
                    federation: string(opened, "federation")?,
                    theta: string(opened, "theta")?,
                    task: opened.get_mut("task")?.take(),
                })
            })
            .flatten();
    }
    let round = value.get("round").filter(|_| only)?;
    Some(Entry::Round(RoundEntry {
        round: whole(round.get("round")?)?,
        step: whole(round.get("step")?)?,
        aborted: optional(round, "aborted", |v| reason(v.as_str()?))?,
        cohort: optional(round, "cohort", cohort)?,
        sums: optional(round, "sums", sums)?,
        theta: string(round, "theta")?,
        epsilon: optional(round, "epsilon", Value::as_f64)?,
    }))
}

fn cohort(value: &Value) -> Option<Cohort> {
    Some(Cohort {
        roster: string(value, "roster")?,
        senders: list(value.get("senders")?, whole)?,
        contributors: list(value.get("contributors")?, |value| {
            Some(Commitment {
                participant: whole(value.get("participant")?)?,
                identity: string(value, "identity")?,
                vector: string(value, "vector")?,
                signature: string(value, "signature")?,
            })
        })?,
    })
}

fn sums(value: &Value) -> Option<Sums> {
    if value.as_object()?.len() != 1 {
        return None;
    }
    if let Some(plain) = value.get("plain") {
        return Some(Sums::Plain {
            mean: f32s::unpack(plain.get("mean")?.as_str()?)?,
            metrics: metrics(plain.get("metrics")?)?,
        });
    }
    if let Some(individual) = value.get("individual") {
        let updates = list(individual.get("updates")?, |value| {
            Some(tuning::optimizer::individual::Individual {
                examples: whole(value.get("examples")?)?,
                update: f32s::unpack(value.get("update")?.as_str()?)?,
            })
        });
        return Some(Sums::Individual {
            updates: updates?,
            metrics: metrics(individual.get("metrics")?)?,
        });
    }
    let groups = list(value.get("secure")?.get("groups")?, |value| {
        Some(GroupSum {
            members: list(value.get("members")?, whole)?,
            sum: i64s::unpack(value.get("sum")?.as_str()?)?,
        })
    });
    Some(Sums::Secure { groups: groups? })
}

fn metrics(value: &Value) -> Option<Metrics> {
    Some(Metrics {
        correct: whole(value.get("correct")?)?,
        total: whole(value.get("total")?)?,
        loss: value.get("loss")?.as_f64()?,
        queries: whole(value.get("queries")?)?,
        unprompted: optional(value, "unprompted", whole)?,
    })
}

fn reason(name: &str) -> Option<AbortReason> {
    Some(match name {
        "too-few-enrolled" => AbortReason::TooFewEnrolled,
        "too-few-updates" => AbortReason::TooFewUpdates,
        "too-few-keys" => AbortReason::TooFewKeys,
        "too-few-shares" => AbortReason::TooFewShares,
        "too-few-masked" => AbortReason::TooFewMasked,
        "too-few-unmasked" => AbortReason::TooFewUnmasked,
        "false-shares" => AbortReason::FalseShares,
        "overflow" => AbortReason::Overflow,
        "closed" => AbortReason::Closed,
        _ => return None,
    })
}

fn string(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(read).collect()
}

/// Nothing where there is none; no answer where it is there and does not parse.
#[allow(clippy::option_option)]
fn optional<T>(value: &Value, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match value.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

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
            assert_eq!(line, serde_json::from_str::<Line>(&text).unwrap());
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
    fn agrees_with_the_derived_reader_on_what_is_no_line() {
        let foreign = [
            json!(null),
            json!(-1),
            json!(1.5),
            json!("x"),
            json!("AAA="),
            json!([]),
            json!({}),
            json!({ "plain": 1, "secure": 2 }),
        ];
        let mut refused = 0;
        for entry in entries() {
            let text = super::super::write(&super::super::nothing(), entry);
            let line: Value = serde_json::from_str(&text).unwrap();
            let mut all = Vec::new();
            places(&line, "", &mut all);
            for place in all.iter().filter(|place| !place.contains("/task/")) {
                for other in &foreign {
                    let mut changed = line.clone();
                    *changed.pointer_mut(place).unwrap() = other.clone();
                    let changed = changed.to_string();
                    let derived = serde_json::from_str::<Line>(&changed).ok();
                    refused += u32::from(derived.is_none());
                    // A derived reader also takes lists for structures.
                    if *other != json!([]) {
                        assert_eq!(read(&changed), derived, "{place} {changed}");
                    }
                }
            }
        }
        assert!(refused > 100);
        for text in ["", "{", "[]", "{}", "null {}", "{\"previous\":\"\"}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
