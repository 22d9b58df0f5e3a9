//! Tasks whose prompts are sent as embeddings.

use federation::task::Task;
use model_client::prompt_embeds::{PromptEmbeds, text_bytes};
use serde_json::{Value, json};

fn task(own: Value) -> Result<Task, Vec<String>> {
    let source = json!({
        "name": "Films",
        "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
            "openai": own },
        "text": { "input": "{text}\nIt was" },
        "data": { "labels": ["great", "terrible"] },
        "generator": { "kind": "soft", "hidden": 64, "deviation": 1, "tokens": 3 },
        "optimizer": { "kind": "cma-es" },
    });
    Task::from_value(source).map_err(|faults| faults.0.into_iter().map(|f| f.path).collect())
}

fn own(api: &str) -> Value {
    json!({ "api": api, "prompt_embeds": { "url": "http://127.0.0.1:8700/models/tiny/",
        "tokenizer_sha256": "0".repeat(64), "table_sha256": "1".repeat(64) } })
}

#[test]
fn the_files_are_named_and_checked() {
    let task = task(own("completions")).unwrap();
    let found = task.prompt_embeds().unwrap();
    assert_eq!(found.url, "http://127.0.0.1:8700/models/tiny");
    assert_eq!(found.files[0].address, "tokenizer.json");
    assert_eq!(found.files[1].address, "embeddings.safetensors");
    assert_eq!(
        (found.tensor.as_str(), task.hidden()),
        ("model.embed_tokens.weight", 64)
    );
    assert_eq!(
        text_bytes(&task.model, task.inputs.texts()),
        Some(131 * 64 * 2 * 4 / 3)
    );
    assert_eq!(task.input_bytes(), 131 * 64 * 2 * 4 / 3);
    let json = serde_json::to_string(found).unwrap();
    assert_eq!(&serde_json::from_str::<PromptEmbeds>(&json).unwrap(), found);
}

#[test]
fn every_fault_is_told() {
    // Soft prompts need them, and only completions take them.
    let none = task(json!({ "api": "completions" }));
    assert_eq!(none.unwrap_err(), ["generator.kind"]);
    assert_eq!(
        task(own("chat")).unwrap_err(),
        ["model.openai.prompt_embeds"]
    );
    let mut wrong = own("completions");
    wrong["prompt_embeds"] = json!({ "url": "tiny", "table": "../x", "table_sha256": "x" });
    let keys = ["url", "tokenizer_sha256", "table", "table_sha256"];
    let paths = keys.map(|key| format!("model.openai.prompt_embeds.{key}"));
    assert_eq!(task(wrong).unwrap_err(), paths);
}

#[test]
fn words_are_fetched_nothing_for() {
    let mut source = task(own("completions")).unwrap().source().clone();
    source["generator"] = json!({ "candidates": ["", "a"] });
    source["optimizer"] = json!({});
    assert_eq!(Task::from_value(source).unwrap().prompt_embeds(), None);
}
