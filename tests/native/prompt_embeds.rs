//! Soft prompts for a model API that takes whole prompts as embeddings: the files are fetched once,
//! the model is tried with them, and a federation is trained.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tests::alone::Alone;
use tests::http;
use tests::process::{Ended, create_task, run, show};
use tests::toy_embeddings::{self, HIDDEN, WORDS, read, table, tokenizer};
use tests::toy_language_model::KEY;

const TASK: &str = r#"
name = "Toy topics, softly"

[model]
dialect = "openai"
url = "http://127.0.0.1:1/v1"
name = "toy"
input = { kind = "text" }

[model.calls]
batch = 8

[data]
labels = ["1", "2", "3"]
holdout = 0.25

[text]
input = "{text} Topic:"
words = ["world", "sport", "money"]

[optimizer]
kind = "cma-es"
population = 6

[federation]
rule = "scalars"
rounds = 6
local_steps = 1
batch = 8
open = { count_min = 1, time_min_ms = 0 }
upload = { count_min = 1, time_min_ms = 0 }
"#;

/// A federation of one with the toy model, whose files have the hub's layout, and a counter of the
/// files that were fetched. `shift` is the table's.
fn federation(model: &str, shift: usize) -> (Alone, Arc<AtomicU32>) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    let (rows, other) = (table(shift), [1_u8; 8]);
    let tensors = [
        (
            "lm_head.weight",
            TensorView::new(Dtype::F32, vec![2], &other).unwrap(),
        ),
        (
            "model.embed_tokens.weight",
            TensorView::new(Dtype::F32, vec![WORDS.len(), HIDDEN], &rows).unwrap(),
        ),
    ];
    let whole = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(folder.join("model.safetensors"), whole).unwrap();
    let cut = home.path().join("cut");
    let said = run(&[
        "embeddings",
        "--model",
        text(&folder),
        "--output",
        text(&cut),
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let (files, fetched) = serve_files(&cut);
    // The lines that it prints are the rest of the task.
    let task = format!(
        "{TASK}\n{}\ntokens = 2\ndimensions = 6\n",
        said.out.replace("https://HOST/models/cut", &files)
    );
    std::fs::write(home.path().join("task.toml"), task).unwrap();
    let line = |i: usize| {
        format!(
            "{},Title {i} some {}\n",
            i % 3 + 1,
            ["world", "sport", "money"][i % 3]
        )
    };
    std::fs::write(
        home.path().join("texts.csv"),
        (0..32).map(line).collect::<String>(),
    )
    .unwrap();
    let task = home.path().join("task.toml");
    let alone = Alone::new(home, |server| create_task(server, text(&task), model, &[]));
    (alone, fetched)
}

fn join(federation: &Alone, state: &str) -> Ended {
    let data = federation.path("texts.csv");
    federation.join(state, &["--data", text(&data)], Some(KEY))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Serves a folder; returns its address, and a counter of what was fetched.
fn serve_files(folder: &Path) -> (String, Arc<AtomicU32>) {
    let (folder, counter) = (folder.to_owned(), Arc::new(AtomicU32::new(0)));
    let counts = Arc::clone(&counter);
    let url = http::listen(move |mut stream| {
        let asked = http::read(&stream)?;
        let name = asked.head.split(' ').nth(1).unwrap_or_default();
        counts.fetch_add(1, Ordering::SeqCst);
        match std::fs::read(folder.join(name.trim_start_matches('/'))) {
            Ok(bytes) => http::write(&mut stream, 200, "", &bytes),
            Err(_) => http::write(&mut stream, 404, "", b"not here"),
        }
    });
    (url, counter)
}

#[test]
fn a_soft_prompt_is_learnt_with_what_is_fetched_once() {
    let (url, heard) = toy_embeddings::start(true);
    let (federation, fetched) = federation(&format!("{url}/v1"), 0);
    let ended = join(&federation, "state.json");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for said in [
        "as embeddings, which can be read like texts",
        "prompt: [2 soft tokens] {text} Topic:",
    ] {
        assert!(ended.out.contains(said), "{ended:?}");
    }
    assert_eq!(
        show(&federation.server, &federation.id)["summary"]["status"],
        "finished"
    );
    let (mut plain, mut soft, mut bare) = (0, Vec::new(), 0);
    for body in heard.bodies() {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        match &asked["prompt_embeds"] {
            Value::Null => plain += 1,
            prompts => {
                assert_eq!(asked["prompt"], Value::Null);
                let one = std::slice::from_ref(prompts);
                let prompts = prompts.as_array().map_or(one, Vec::as_slice);
                for (tokens, words) in prompts.iter().map(|prompt| read(prompt.as_str().unwrap())) {
                    // The beginning of every text, and its end.
                    assert_eq!((words[0], &words[words.len() - 2..]), (1, &[6, 5][..]));
                    bare += usize::from(tokens.is_empty());
                    soft.extend((!tokens.is_empty()).then_some(tokens));
                }
            }
        }
    }
    // Words alone: the trial, and what is measured without a prompt. Embeddings alone: the trial.
    assert!(plain >= 2 && bare == 1, "{plain}, {bare}");
    assert!(soft.len() > 6 * 6 * 8, "{}", soft.len());
    assert!(soft.iter().all(|tokens| tokens.len() == 2));
    // What is measured last: the soft tokens have learnt to make the right word likelier.
    let more = |tokens: &Vec<[f32; HIDDEN]>| tokens.iter().map(|row| row[2]).sum::<f32>();
    assert!(more(soft.last().unwrap()) > 0.2, "{:?}", soft.last());
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
    // Another participant beside it finds the files there.
    let again = join(&federation, "other.json");
    assert_eq!(fetched.load(Ordering::SeqCst), 2, "{again:?}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_asked() {
    // The table is shifted, as if "Topic" were "world".
    let (url, heard) = toy_embeddings::start(true);
    let (other, _) = federation(&format!("{url}/v1"), 4);
    join(&other, "state.json").expect(
        1,
        &[
            "the embeddings are not this model's",
            "[model.openai.prompt_embeds]",
        ],
    );
    assert_eq!(heard.bodies().len(), 2);
    // Nobody waits for them.
    assert_eq!(show(&other.server, &other.id)["summary"]["live"], 0);
    let (url, heard) = toy_embeddings::start(false);
    let (without, _) = federation(&format!("{url}/v1"), 0);
    join(&without, "state.json").expect(1, &["start vLLM with --enable-prompt-embeds"]);
    assert_eq!(heard.bodies().len(), 2);
    // A participant who could not begin may try again, and what was paid is remembered.
    let paid = tally(&without);
    assert!(paid > 0);
    let (url, heard) = toy_embeddings::start(true);
    let data = without.path("texts.csv");
    let more = ["--data", text(&data), "--model-url", &format!("{url}/v1")];
    let ended = without.join("state.json", &more, Some(KEY));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(tally(&without), paid + heard.bodies().len() as u64);
}

/// Calls that the state file counts.
fn tally(federation: &Alone) -> u64 {
    let state = std::fs::read(federation.path("state.json")).unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    state["tally"]["calls"].as_u64().unwrap()
}
