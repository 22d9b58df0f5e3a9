//! `fed-bbpt export`: θ as safetensors, with a JSON card beside it.
//!
//! Everything is computed from the federation's record: θ, the learnt mapping, and which θ is to be
//! kept.

use super::{block_on, say, say_json};
use crate::CliError;
use crate::native::transport::aggregator;
use clap::Args;
use federation::record::{Commitments, Replay};
use federation::task::Task;
use ground::hash::{sha256_hex, theta_bytes, theta_from_bytes, theta_hash};
use serde_json::json;
use std::path::PathBuf;

/// The arguments of `fed-bbpt export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Address of the aggregator.
    #[arg(long, default_value = "http://127.0.0.1:8700")]
    server: String,
    /// The federation's id.
    federation: String,
    /// File to write, FILE.safetensors; the card is written to FILE.json.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Export the last θ, even if the held-out examples chose another.
    #[arg(long)]
    last: bool,
    /// Print the card, which is also in FILE.json, as JSON.
    #[arg(long)]
    json: bool,
}

/// Downloads and checks the record, and writes both files.
pub fn run(args: &ExportArgs) -> Result<(), CliError> {
    let (detail, bytes, lines) = block_on(async {
        let aggregator = aggregator(&args.server, None)?;
        let detail = aggregator.detail(&args.federation).await?;
        let bytes = aggregator.theta(&args.federation).await?;
        let mut lines = Vec::new();
        loop {
            let more = aggregator.record(&args.federation, lines.len() as u32);
            let more = more.await?;
            if more.is_empty() {
                break;
            }
            lines.extend(more);
        }
        Ok::<_, participant::api::ApiError>((detail, bytes, lines))
    })?
    .map_err(CliError::failed)?;
    let dim = detail.summary.dim as usize;
    let last = theta_from_bytes(&bytes, dim).map_err(CliError::failed)?;
    let task = Task::from_value(detail.task.clone()).map_err(CliError::failed)?;
    let mut record = Replay::new(&task).map_err(CliError::failed)?;
    for line in &lines {
        record
            .take(&task, line, Commitments::Trust)
            .map_err(CliError::failed)?;
    }
    // A federation from before there were records has none.
    let recorded = record.lines() > 0;
    if theta_hash(&last) != detail.current.theta
        || (recorded && record.theta() != &detail.current.theta)
    {
        return Err(CliError::failed(
            "θ moved on while it was being loaded; try again",
        ));
    }
    let choice = record.choice();
    let kept = record.kept().filter(|_| recorded && !args.last);
    let theta = kept.map_or(last, <[f32]>::to_vec);
    let bytes = theta_bytes(&theta);
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![dim], &bytes)
        .map_err(CliError::failed)?;
    let metadata = [
        ("format", "fed-bbpt prompt generator 1".to_owned()),
        ("task_hash", detail.summary.task_hash.clone()),
        ("theta_hash", theta_hash(&theta)),
        ("generator", detail.task["generator"].to_string()),
    ];
    let metadata = metadata
        .map(|(k, v)| (k.to_owned(), v))
        .into_iter()
        .collect();
    let file =
        safetensors::serialize([("theta", view)], Some(metadata)).map_err(CliError::failed)?;
    let mut card = json!({
        "name": detail.summary.name,
        "description": detail.summary.description,
        "task": detail.task,
        "task_hash": detail.summary.task_hash,
        "theta_hash": theta_hash(&theta),
        "choice": choice,
        "mappings": record.mappings(&task),
        "record": { "lines": detail.current.lines, "head": detail.current.record },
        "updates": detail.summary.step,
        "parameters": dim,
        "rounds": detail.rounds,
        "safetensors_sha256": sha256_hex(&file),
    });
    let mut shown = None;
    // For a prompt of words, people want the words.
    if let (Some(prompt), Some(text)) = (task.prompt(&theta), task.inputs.texts()) {
        card["prompt"] = json!({
            "before_input": prompt.input,
            "before_label": prompt.label,
            "template": text.template(&prompt),
            "words": text.words,
        });
        shown = Some(text.shown(&prompt));
    }
    let ranking = task.ranking(&theta);
    if !ranking.is_empty() {
        card["instructions"] = json!(ranking);
    }
    let card_path = args.output.with_extension("json");
    let text = serde_json::to_vec_pretty(&card).map_err(CliError::failed)?;
    for (path, content) in [(&args.output, &file), (&card_path, &text)] {
        std::fs::write(path, content)
            .map_err(|e| CliError::failed(format!("cannot write {}: {e}", path.display())))?;
    }
    if args.json {
        return say_json(&card);
    }
    if let Some(shown) = shown {
        say(&format!("prompt: {shown}"));
    }
    if let Some(choice) = choice {
        say(&super::choice::words(&choice));
    }
    say(&format!(
        "{} ({dim} parameters after {} updates) and {}",
        args.output.display(),
        detail.summary.step,
        card_path.display()
    ));
    Ok(())
}
