//! `fed-bbpt export`: θ as safetensors, with a JSON card beside it.

use super::block_on;
use crate::Failure;
use crate::participant::aggregator::Aggregator;
use clap::Args;
use serde_json::json;
use shared::task::{Task, sha256_hex, theta_from_bytes, theta_hash};
use std::path::PathBuf;

/// What `fed-bbpt export` takes.
#[derive(Args)]
pub struct ExportArgs {
    /// The aggregator.
    #[arg(long, default_value = "http://127.0.0.1:8700")]
    server: String,
    /// The federation.
    federation: String,
    /// Where to: FILE.safetensors; the card goes to FILE.json.
    #[arg(long, short)]
    output: PathBuf,
}

/// Downloads, checks, writes both files.
pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let (detail, bytes) = block_on(async {
        let aggregator = Aggregator::new(&args.server, None)?;
        Ok::<_, crate::participant::aggregator::ApiError>((
            aggregator.detail(&args.federation).await?,
            aggregator.theta(&args.federation).await?,
        ))
    })?
    .map_err(Failure::failed)?;
    let dim = detail.summary.dim as usize;
    let theta = theta_from_bytes(&bytes, dim).map_err(Failure::failed)?;
    if theta_hash(&theta) != detail.current.theta {
        return Err(Failure::failed(
            "θ moved on while it was being loaded; try again",
        ));
    }
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![dim], &bytes)
        .map_err(Failure::failed)?;
    let metadata = [
        ("format", "fed-bbpt prompt generator 1".to_owned()),
        ("task_hash", detail.summary.task_hash.clone()),
        ("theta_hash", detail.current.theta.clone()),
        ("generator", detail.task["generator"].to_string()),
    ];
    let metadata = metadata
        .map(|(k, v)| (k.to_owned(), v))
        .into_iter()
        .collect();
    let file =
        safetensors::serialize([("theta", view)], Some(metadata)).map_err(Failure::failed)?;
    let task = Task::from_value(detail.task.clone()).map_err(Failure::failed)?;
    let mut card = json!({
        "name": detail.summary.name,
        "description": detail.summary.description,
        "task": detail.task,
        "task_hash": detail.summary.task_hash,
        "theta_hash": detail.current.theta,
        "record": { "lines": detail.current.lines, "head": detail.current.record },
        "updates": detail.summary.step,
        "parameters": dim,
        "rounds": detail.rounds,
        "safetensors_sha256": sha256_hex(&file),
    });
    // Words are what a person wants of a prompt made of words.
    if let (Some(prompt), Some(text)) = (task.prompt(&theta), &task.text) {
        card["prompt"] = json!({
            "before_input": prompt.input,
            "before_label": prompt.label,
            "template": text.template(&prompt),
            "words": text.words,
        });
        println!("prompt: {}", text.shown(&prompt));
    }
    let ranking = task.ranking(&theta);
    if !ranking.is_empty() {
        card["instructions"] = json!(ranking);
    }
    let card_path = args.output.with_extension("json");
    let card = serde_json::to_vec_pretty(&card).map_err(Failure::failed)?;
    for (path, content) in [(&args.output, &file), (&card_path, &card)] {
        std::fs::write(path, content)
            .map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
    }
    println!(
        "{} ({dim} parameters after {} updates) and {}",
        args.output.display(),
        detail.summary.step,
        card_path.display()
    );
    Ok(())
}
