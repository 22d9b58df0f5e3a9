//! What a data owner agrees to when taking part. It is stored with the owner's data, so that a later
//! run can tell what has changed and ask again before anything is sent.

use crate::task::Task;
use ground::hash::Hash;
use serde::{Deserialize, Serialize};

/// Where data and updates go, and what becomes of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
pub struct Agreement {
    /// Address of the model API that is asked about the owner's data.
    pub model: String,
    /// Hash of the task as the aggregator announces it.
    #[ts(type = "string")]
    pub task: Hash,
    /// Origin of the aggregator, which gets the updates.
    pub aggregator: String,
    /// Minimum number of participants in any sum that can be opened; `None` if the aggregator sees
    /// updates one by one.
    pub people: Option<u32>,
    /// ε that no participant exceeds; `None` if updates carry no noise.
    pub epsilon: Option<f64>,
    /// δ of that ε.
    pub delta: Option<f64>,
    /// Kind of the prompt generator, empty if the task names none and so has the default one.
    pub generator: String,
}

/// A term that is not what was agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What has changed, such as "the model's address".
    pub what: &'static str,
    /// The term as it was agreed to.
    pub before: String,
    /// The term now.
    pub now: String,
}

impl Agreement {
    /// The terms of `task` with an aggregator at the origin `aggregator`.
    #[must_use]
    pub fn of(task: &Task, aggregator: &str) -> Self {
        let federation = &task.federation;
        let kind = task.source()["generator"]["kind"].as_str();
        Self {
            model: task.model.url.clone(),
            task: task.hash(),
            aggregator: aggregator.to_owned(),
            people: federation.secure.map(|secure| secure.smallest_sum()),
            epsilon: federation.privacy.map(|privacy| privacy.epsilon),
            delta: federation.privacy.map(|privacy| privacy.delta),
            generator: kind.unwrap_or_default().to_owned(),
        }
    }

    /// The terms of `now` that differ from these, the weightiest first.
    #[must_use]
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let both = [self, now];
        let all = [
            ("the model's address", both.map(|a| a.model.clone())),
            ("the aggregator", both.map(|a| a.aggregator.clone())),
            ("who sees updates", both.map(Self::seen)),
            ("noise", both.map(Self::noise)),
            ("the prompt generator", both.map(Self::kind)),
            ("the task's hash", both.map(|a| a.task.to_string())),
        ];
        all.into_iter()
            .filter(|(_, [before, now])| before != now)
            .map(|(what, [before, now])| Change { what, before, now })
            .collect()
    }

    fn seen(&self) -> String {
        match self.people {
            Some(people) => format!("only sums over {people} participants or more"),
            None => "the organiser sees each update".to_owned(),
        }
    }

    fn noise(&self) -> String {
        match (self.epsilon, self.delta) {
            (Some(epsilon), Some(delta)) => format!("ε at most {epsilon}, at δ = {delta}"),
            _ => "none".to_owned(),
        }
    }

    fn kind(&self) -> String {
        match &self.generator[..] {
            "" => "the default one".to_owned(),
            kind => kind.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::rehearsal;
    use serde_json::{Value, json};

    fn agreed(federation: Value) -> Agreement {
        Agreement::of(&rehearsal::task(federation), "http://a.example")
    }

    #[test]
    fn nothing_has_changed_where_all_is_the_same() {
        let once = agreed(json!({ "clip": 1.0, "secure_sum": {} }));
        assert_eq!(once.people, Some(3));
        let stored = serde_json::to_string(&once).unwrap();
        let read: Agreement = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.changes(&once), []);
    }

    #[test]
    fn the_models_address_comes_first() {
        let task = rehearsal::task(json!({}));
        let moved = task.with_model_url("http://other.example/v1").unwrap();
        let before = Agreement::of(&task, "http://a.example");
        let now = Agreement::of(&moved, "http://b.example");
        // A model of the owner's own leaves the task as it was announced.
        let found: Vec<_> = before.changes(&now);
        let what: Vec<_> = found.iter().map(|change| change.what).collect();
        assert_eq!(what, ["the model's address", "the aggregator"]);
        assert_eq!(found[0].before, "http://127.0.0.1:1");
        assert_eq!(found[0].now, "http://other.example/v1");
    }

    #[test]
    fn every_promise_that_is_withdrawn_is_named() {
        let noisy = json!({
            "clip": 1.0, "secure_sum": { "cohort_min": 9 }, "privacy": { "epsilon": 4.0 },
        });
        let found = agreed(noisy).changes(&agreed(json!({ "secure_sum": false })));
        let of = |what: &str| found.iter().find(|change| change.what == what).unwrap();
        let seen = of("who sees updates");
        assert_eq!(seen.before, "only sums over 7 participants or more");
        assert_eq!(seen.now, "the organiser sees each update");
        assert_eq!(of("noise").before, "ε at most 4, at δ = 0.00001");
        assert_eq!(found.last().unwrap().what, "the task's hash");
    }
}
