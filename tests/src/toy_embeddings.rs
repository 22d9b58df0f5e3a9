//! A model API that takes whole prompts as embeddings, as vLLM does, with log-probabilities that a
//! person can follow: a label word in the prompt is likely, the more so the larger the third
//! numbers of the soft tokens are. Its vocabulary is a few words, and word number i has the
//! embedding (i, 1, 0, 0).

use crate::http;
use crate::toy_language_model::{Heard, serve};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The vocabulary; the label words come last.
pub const WORDS: [&str; 13] = [
    "<unk>", "<s>", "A", "text", ".", ":", "Topic", "some", "no", "Title", "world", "sport",
    "money",
];
/// Numbers in an embedding.
pub const HIDDEN: usize = 4;
/// Index of the first label word.
const LABELS: usize = 10;

/// Starts the server, whose thread ends with the test's process; returns its address and what it
/// hears. Without `takes` it behaves like vLLM without `--enable-prompt-embeds`.
#[must_use]
pub fn start(takes: bool) -> (String, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let route = "POST /v1/completions ";
    let url = http::listen(move |stream| {
        serve(stream, "toy", route, &hears, |asked| answer(asked, takes))
    });
    (url, heard)
}

/// The `tokenizer.json` of these words and punctuation marks, which adds `<s>` before a text.
#[must_use]
pub fn tokenizer() -> Vec<u8> {
    let vocabulary: Map<String, Value> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)))
        .collect();
    let begin = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    let (first, second) = (
        json!({ "Sequence": { "id": "A", "type_id": 0 } }),
        json!({ "Sequence": { "id": "B", "type_id": 1 } }),
    );
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "decoder": null,
        "pre_tokenizer": { "type": "Whitespace" },
        "post_processor": { "type": "TemplateProcessing", "single": [begin, first], "pair": [begin, first, second],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" },
    });
    tokenizer.to_string().into_bytes()
}

/// The numbers of the table, little-endian. With `shift`, each word has the numbers of the word
/// that many places before it.
#[must_use]
pub fn table(shift: usize) -> Vec<u8> {
    let row = |word: usize| [((word + shift) % WORDS.len()) as f32, 1.0, 0.0, 0.0];
    let numbers = (0..WORDS.len()).flat_map(row);
    numbers.flat_map(f32::to_le_bytes).collect()
}

/// Reads a prompt of embeddings: its soft tokens and its words.
///
/// # Panics
/// If it is no such prompt.
#[must_use]
#[allow(clippy::expect_used)] // So that the test fails.
pub fn read(prompt: &str) -> (Vec<[f32; HIDDEN]>, Vec<usize>) {
    let file = STANDARD.decode(prompt).expect("base64");
    let find = |what: &[u8]| file.windows(what.len()).position(|found| found == what);
    let begin = find(b"data/0").expect("a tensor's numbers") + 6;
    // The head of the next file, which is 30 bytes and its name.
    let end = find(b"prompt/version").expect("torch's version") - 30;
    let (numbers, _) = file[begin..end].as_chunks();
    let numbers: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
    let (rows, rest) = numbers.as_chunks::<HIDDEN>();
    assert!(rest.is_empty(), "rows of {HIDDEN} numbers");
    let (words, soft): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[1..] == [1.0, 0.0, 0.0]);
    (soft, words.iter().map(|row| row[0] as usize).collect())
}

fn answer(asked: &Value, takes: bool) -> (u16, Value) {
    let as_embeddings = !asked["prompt_embeds"].is_null();
    if as_embeddings && !takes {
        let message = "You must set `--enable-prompt-embeds` to input `prompt_embeds`. (parameter=prompt_embeds)";
        let error = json!({ "message": message, "type": "BadRequestError", "param": "prompt_embeds", "code": 400 });
        return (400, json!({ "error": error }));
    }
    let prompts = match (&asked["prompt_embeds"], &asked["prompt"]) {
        (Value::Null, Value::Array(several)) | (Value::Array(several), _) => several.clone(),
        (Value::Null, one) | (one, _) => vec![one.clone()],
    };
    let prompts = prompts.iter().filter_map(Value::as_str);
    let read = prompts.map(|prompt| match as_embeddings {
        true => read(prompt),
        false => (Vec::new(), tokens(prompt)),
    });
    let mut counted = 0;
    let choices: Vec<Value> = read
        .enumerate()
        .map(|(index, (soft, words))| {
            counted += soft.len() + words.len();
            json!({ "index": index, "text": "x", "logprobs": { "top_logprobs": [likely(&soft, &words)] } })
        })
        .collect();
    (
        200,
        json!({ "object": "text_completion", "choices": choices, "usage": { "prompt_tokens": counted, "completion_tokens": 1 } }),
    )
}

fn likely(soft: &[[f32; HIDDEN]], words: &[usize]) -> Map<String, Value> {
    let more: f32 = soft.iter().map(|row| row[2]).sum();
    let strength = f64::from(1.0 + more.clamp(-1.0, 5.0));
    let labels = LABELS..WORDS.len();
    let logits = labels
        .clone()
        .map(|id| if words.contains(&id) { strength } else { 0.0 });
    let sum: f64 = logits.clone().map(f64::exp).sum();
    labels
        .zip(logits)
        .map(|(id, logit)| (format!(" {}", WORDS[id]), json!(logit - sum.ln())))
        .collect()
}

/// The tokens of a text, as [`tokenizer`] makes them.
fn tokens(text: &str) -> Vec<usize> {
    let mut pieces: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in text.chars() {
        let kind = |c: char| (c.is_whitespace(), c.is_alphanumeric());
        match pieces.last_mut() {
            _ if letter.is_whitespace() => {}
            Some(piece) if kind(before) == kind(letter) => piece.push(letter),
            _ => pieces.push(letter.to_string()),
        }
        before = letter;
    }
    let id = |piece: &String| WORDS.iter().position(|word| word == piece).unwrap_or(0);
    std::iter::once(1).chain(pieces.iter().map(id)).collect()
}
