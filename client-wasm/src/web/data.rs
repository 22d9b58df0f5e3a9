//! The session's data after a loader has made them: takes, saves and reports them.

use std::rc::Rc;

use federation::round::client::Part;
use owner_data::labels::Labels;
use serde_json::{Value, json};

use super::examples::Examples;
use super::notes::{Notes, sentence};
use super::owner::Owner;
use super::report::{self, Buffers};
use super::saved::record;

/// Number of examples that the page shows.
const SAMPLES: usize = 12;

/// Makes `examples` the session's data, saves them, and reports them to the page.
pub async fn take(owner: &Owner, examples: Examples, notes: &Notes) {
    let examples = Rc::new(examples);
    owner.take_examples(Rc::clone(&examples));
    owner.save(record::DATA, &examples.to_bytes()).await;
    post_report(owner, &examples, notes);
}

fn advice(owner: &Owner, examples: &Examples) -> Option<String> {
    let texts = (0..examples.len()).map(|i| &owner.task().labels[examples.label(i)][..]);
    let resolved = Labels::new(&owner.task().labels).resolve(texts).ok()?;
    resolved
        .warning
        .map(|warning| sentence(&warning.to_string()))
}

/// Posts a report on the session's data, after a reload too.
pub fn post_report(owner: &Owner, examples: &Examples, notes: &Notes) {
    let mut counts = vec![[0u32; 2]; owner.task().labels.len()];
    for (side, part) in [Part::Training, Part::Holdout].into_iter().enumerate() {
        examples
            .part(part)
            .iter()
            .for_each(|index| counts[examples.label(*index)][side] += 1);
    }
    let counts: Vec<Value> = owner
        .task()
        .labels
        .iter()
        .zip(&counts)
        .map(|(label, [training, holdout])| json!({ "label": label, "training": training, "holdout": holdout }))
        .collect();
    let mut warnings = notes.warnings();
    warnings.extend(advice(owner, examples));
    let mut buffers = Buffers::default();
    let shown = examples.len().min(SAMPLES);
    let samples: Vec<Value> = (0..shown)
        .map(|i| examples.sample(owner.task(), i * examples.len() / shown, &mut buffers))
        .collect();
    let mut report = json!({
        "counts": counts,
        "total": examples.len(),
        "skipped": notes.skipped(),
        "skippedTotal": notes.skipped_total(),
        "warnings": warnings,
        "samples": samples,
    });
    if let Some(bytes) = examples.mean_bytes(owner.task()) {
        report["bytesPerQuery"] = bytes.into();
    }
    report::post_with(
        &owner.host,
        &json!({ "type": "data-loaded", "report": report }),
        buffers,
    );
}
