//! A cache of answers, so that the same input is never paid for twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sha2::{Digest as _, Sha256};

use crate::{ModelApiError, Scores, TextQueries};
use tuning::query::Queries;

/// The key of an answer: the first half of its input's SHA-256.
type Key = [u8; 16];

/// The newest answers, up to a maximum; the oldest go first.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    rows: BTreeMap<Key, Vec<f32>>,
    order: VecDeque<Key>,
    most: usize,
    /// Inputs that are being asked at the moment.
    under_way: BTreeSet<Key>,
}

/// A batch of queries, divided into what is known and what has to be asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The queries whose answers are not known, each one once; `None` if all are known.
    pub missing: Option<Queries>,
    keys: Vec<Key>,
    /// The keys of `missing`, in its order.
    asked: Vec<Key>,
    /// The answers that were known at the time of the division.
    known: BTreeMap<Key, Vec<f32>>,
}

/// The keys that a batch of queries has under way, with which to give them up.
#[derive(Clone, Debug)]
pub struct Ticket(Vec<Key>);

impl Asked {
    /// The keys under way, for [`Cache::give_up`].
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket(self.asked.clone())
    }
}

impl Cache {
    /// A cache of at most `most` answers; 0 keeps none.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Divides `queries` into what is known and what has to be asked. The latter is under way until
    /// [`Cache::join`] or [`Cache::give_up`]. Returns `None` if some of it is under way already;
    /// try again when that has ended.
    #[must_use]
    pub fn split(&mut self, queries: &Queries) -> Option<Asked> {
        let keys = keys_of(queries);
        let (mut asked, mut at, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (number, key) in keys.iter().enumerate() {
            if let Some(row) = self.rows.get(key) {
                known.insert(*key, row.clone());
            } else if self.under_way.contains(key) {
                return None;
            } else if !asked.contains(key) {
                asked.push(*key);
                at.push(number);
            }
        }
        self.under_way.extend(&asked);
        Some(Asked {
            missing: (!at.is_empty()).then(|| part(queries, &at)),
            keys,
            asked,
            known,
        })
    }

    /// Ends what was under way, because no answer came.
    pub fn give_up(&mut self, ticket: &Ticket) {
        for key in &ticket.0 {
            self.under_way.remove(key);
        }
    }

    /// Joins known rows with the answer to the missing ones, in the order of the queries that were
    /// split into `asked`, and keeps the new ones.
    ///
    /// # Errors
    /// [`ModelApiError::WrongShape`] if the answer does not have a row for each missing query.
    pub fn join(
        &mut self,
        asked: Asked,
        answer: Option<&Scores>,
        classes: usize,
    ) -> Result<Scores, ModelApiError> {
        self.give_up(&asked.ticket());
        let rows = answer.map_or(0, Scores::rows);
        let fits = rows == asked.asked.len() && answer.is_none_or(|a| a.classes() == classes);
        let wrong = || ModelApiError::WrongShape {
            expected: format!("[{}, {classes}]", asked.asked.len()),
            got: format!("[{rows}, {}]", answer.map_or(classes, Scores::classes)),
        };
        if !fits {
            return Err(wrong());
        }
        let mut known = asked.known;
        for (row, key) in asked.asked.iter().enumerate() {
            let values = answer
                .map(|answer| answer.row(row).to_vec())
                .unwrap_or_default();
            self.keep(*key, values.clone());
            known.insert(*key, values);
        }
        let all = asked.keys.iter().filter_map(|key| known.get(key)).flatten();
        Scores::new(classes, all.copied().collect())
    }

    fn keep(&mut self, key: Key, row: Vec<f32>) {
        if self.most == 0 || self.rows.insert(key, row).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
    }
}

fn keys_of(queries: &Queries) -> Vec<Key> {
    match queries {
        Queries::Images { bytes, count } => {
            let size = (bytes.len() / (*count).max(1)).max(1);
            bytes.chunks(size).map(|image| key(&[image])).collect()
        }
        Queries::Texts(queries) => (0..queries.texts.len())
            .map(|at| text_key(queries, at))
            .collect(),
    }
}

fn text_key(queries: &TextQueries, at: usize) -> Key {
    let text = queries.texts[at].as_bytes();
    let template = queries.templates.get(at).map_or(&[][..], |t| t.as_bytes());
    let soft: Vec<u8> = queries.soft.as_ref().map_or_else(Vec::new, |soft| {
        let mut bytes = vec![u8::from(soft.before_label)];
        bytes.extend(soft.prompt(at).iter().flat_map(|x| x.to_le_bytes()));
        bytes
    });
    key(&[text, template, &soft])
}

/// Hashes a list of parts. Each part has its length before it, so no two lists hash the same bytes.
fn key(parts: &[&[u8]]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    std::array::from_fn(|at| hash[at])
}

/// The queries at the given indices.
fn part(queries: &Queries, at: &[usize]) -> Queries {
    match queries {
        Queries::Images { bytes, count } => {
            let size = bytes.len() / (*count).max(1);
            Queries::Images {
                bytes: at
                    .iter()
                    .flat_map(|i| &bytes[i * size..(i + 1) * size])
                    .copied()
                    .collect(),
                count: at.len(),
            }
        }
        Queries::Texts(queries) => {
            let pick = |list: &[String]| {
                at.iter()
                    .filter_map(|i| list.get(*i).cloned())
                    .collect::<Vec<_>>()
            };
            let mut soft = queries.soft.clone();
            if let Some(soft) = &mut soft {
                soft.of_text = at
                    .iter()
                    .filter_map(|i| soft.of_text.get(*i).copied())
                    .collect();
            }
            Queries::Texts(TextQueries {
                texts: pick(&queries.texts),
                templates: pick(&queries.templates),
                soft,
            })
        }
    }
}

#[cfg(test)]
mod tests;
