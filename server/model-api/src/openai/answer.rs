//! The bodies of OpenAI's answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::endpoint::{Columns, Endpoint};
use crate::probability::{log_softmax, top};

/// The names of the columns of the scores.
pub(crate) enum Names {
    Labels(Vec<String>),
    /// The tokens of a masked language model.
    Vocabulary,
}

/// An answer of one token for each prompt.
pub(crate) struct Tokens {
    pub(super) names: Names,
    /// The classes of the labels; `None` if they are all of the model's, in order.
    pub(super) columns: Option<Columns>,
    /// Number of alternatives; `None` without log-probabilities.
    pub(super) top: Option<usize>,
    pub(super) prompt_tokens: usize,
}

/// A token, and the natural logarithm of its probability among all possible tokens.
type Token = (String, f64);

impl Tokens {
    pub(super) fn chat(&self, endpoint: &Endpoint, scores: &[f32]) -> Value {
        let entry = |(token, logprob): &Token| json!({ "token": token, "logprob": logprob, "bytes": token.as_bytes() });
        let choice = |(index, (chosen, others)): (usize, (Token, Vec<Token>))| {
            let logprobs = self.top.map(|_| {
                let mut content = entry(&chosen);
                content["top_logprobs"] = others.iter().map(entry).collect();
                json!({ "content": [content], "refusal": null })
            });
            json!({
                "index": index,
                "message": { "role": "assistant", "content": chosen.0, "refusal": null },
                "logprobs": logprobs,
                "finish_reason": "stop",
            })
        };
        self.whole(["chatcmpl", "chat.completion"], endpoint, scores, choice)
    }

    pub(super) fn completion(&self, endpoint: &Endpoint, scores: &[f32]) -> Value {
        let choice = |(index, (chosen, others)): (usize, (Token, Vec<Token>))| {
            let logprobs = self.top.map(|_| {
                let mut alternatives = Map::new();
                for (token, logprob) in &others {
                    // If tokens read alike, the likeliest one stands for all.
                    alternatives.entry(token).or_insert_with(|| json!(logprob));
                }
                json!({
                    "tokens": [chosen.0],
                    "token_logprobs": [chosen.1],
                    "top_logprobs": [alternatives],
                    "text_offset": [0],
                })
            });
            json!({
                "index": index,
                "text": chosen.0,
                "logprobs": logprobs,
                "finish_reason": "stop",
            })
        };
        self.whole(["cmpl", "text_completion"], endpoint, scores, choice)
    }

    /// The whole answer. The prefix of its id and the name of its object depend on the form.
    fn whole(
        &self,
        [prefix, object]: [&str; 2],
        endpoint: &Endpoint,
        scores: &[f32],
        choice: impl FnMut((usize, (Token, Vec<Token>))) -> Value,
    ) -> Value {
        let rows = self.rows(endpoint, scores).enumerate();
        let choices: Vec<Value> = rows.map(choice).collect();
        let (created, id) = (now(), id(prefix));
        let completion_tokens = choices.len();
        json!({
            "id": id,
            "object": object,
            "created": created,
            "model": endpoint.name(),
            "choices": choices,
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": self.prompt_tokens + completion_tokens,
            },
        })
    }

    /// For each row of scores, the likeliest token, and the likeliest alternatives including the
    /// token itself.
    fn rows<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        scores: &'a [f32],
    ) -> impl Iterator<Item = (Token, Vec<Token>)> + 'a {
        let width = match (&self.columns, &self.names, endpoint) {
            (Some((all, _)), ..) => *all,
            (None, Names::Labels(labels), _) => labels.len(),
            (None, Names::Vocabulary, Endpoint::Texts(texts)) => texts.model.width(),
            (None, Names::Vocabulary, Endpoint::Images(images)) => images.info.classes,
        };
        scores.chunks_exact(width.max(1)).map(move |row| {
            let chosen = self.columns.as_ref();
            let chosen = chosen.map(|(_, at)| at.iter().map(|&at| row[at]).collect::<Vec<f32>>());
            let logs = log_softmax(chosen.as_deref().unwrap_or(row));
            let token = |at: usize| (self.name(endpoint, at), logs[at]);
            let best = top(&logs, self.top.unwrap_or(0).max(1));
            let likeliest = best.first().copied().unwrap_or(0);
            let others = best.into_iter().take(self.top.unwrap_or(0));
            (token(likeliest), others.map(token).collect())
        })
    }

    fn name(&self, endpoint: &Endpoint, at: usize) -> String {
        match (&self.names, endpoint) {
            (Names::Labels(labels), _) => labels[at].clone(),
            (Names::Vocabulary, Endpoint::Texts(texts)) => texts.model.words().token_text(at),
            (Names::Vocabulary, Endpoint::Images(images)) => images.label(at),
        }
    }
}

/// The answer to `POST /v1/embeddings`.
pub(super) fn embeddings(
    model: &str,
    values: &[f32],
    width: usize,
    base64: bool,
    tokens: usize,
) -> Value {
    let entry = |(index, row): (usize, &[f32])| {
        let embedding = if base64 {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        } else {
            json!(row)
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    };
    let data: Vec<Value> = values
        .chunks_exact(width.max(1))
        .enumerate()
        .map(entry)
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": model,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// An id that is unique in one process, and almost certainly among several.
fn id(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = nanos.map_or(0, |now| now.as_nanos());
    format!("{prefix}-{nanos:x}{next:x}")
}
