//! Finds out what kind of model a folder holds, and which of its outputs is read.

use std::fmt;

use super::error::TextLoadError;
use super::folder::Folder;
use super::network::Output;

/// What a text model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Answers a text's embedding.
    SentenceEncoder,
    /// Answers which tokens fit at a text's mask.
    MaskedLm,
}

impl TextKind {
    /// The kind's name in the metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SentenceEncoder => "sentence-encoder",
            Self::MaskedLm => "masked-lm",
        }
    }
}

impl fmt::Display for TextKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names that exporters give to embeddings of whole texts, the best first.
const EMBEDDINGS: [&str; 3] = ["sentence_embedding", "text_embeds", "last_hidden_state"];
/// BERT's "pooled" output, which was trained for something other than similarity.
const NO_EMBEDDING: &str = "pooler_output";
const LOGITS: &str = "logits";

/// The kind, and the output that is read.
pub(super) struct Found<'a> {
    pub kind: TextKind,
    pub output: &'a Output,
}

/// Decides by what was requested, else by `config.json` and the outputs' shapes.
///
/// `outputs` are those for one text of `tokens` tokens, `vocabulary` is the number of known tokens.
pub(super) fn find<'a>(
    folder: &Folder,
    outputs: &'a [Output],
    tokens: usize,
    vocabulary: usize,
    kind: Option<TextKind>,
    wanted: Option<&str>,
) -> Result<Found<'a>, TextLoadError> {
    let names = || outputs.iter().map(|output| output.name.clone()).collect();
    let candidates: Vec<&Output> = outputs
        .iter()
        .filter(|output| wanted.is_none_or(|wanted| wanted == output.name))
        .collect();
    let Some(&first) = candidates.first() else {
        return Err(TextLoadError::Output {
            wanted: wanted.unwrap_or("of floats").to_owned(),
            outputs: names(),
        });
    };
    let stated = folder.vocabulary();
    let is_logits = |output: &&&Output| {
        matches!(*output.shape, [_, length, width] if length == tokens
            && (output.name == LOGITS || Some(width) == stated || width == vocabulary))
    };
    let logits = candidates.iter().find(is_logits).copied();
    let architecture = folder.config["architectures"][0].as_str().unwrap_or("");
    let masked = architecture.contains("MaskedLM") || architecture.contains("ForPreTraining");
    let kind = match (kind, logits) {
        (Some(kind), _) => kind,
        (None, Some(_)) => TextKind::MaskedLm,
        (None, None) if masked => return Err(TextLoadError::NoHead(architecture.to_owned())),
        (None, None) if architecture.contains("For") => {
            return Err(TextLoadError::Architecture {
                architecture: architecture.to_owned(),
            });
        }
        (None, None) => TextKind::SentenceEncoder,
    };
    let wrong = |output: &Output, needs| TextLoadError::OutputShape {
        name: output.name.clone(),
        shape: output.shape.clone(),
        needs,
    };
    let output = match kind {
        TextKind::MaskedLm => logits.ok_or_else(|| {
            wrong(
                first,
                "a masked language model answers [1, tokens, vocabulary]",
            )
        })?,
        TextKind::SentenceEncoder => embedding(&candidates, tokens)
            .ok_or_else(|| wrong(first, "an encoder answers [1, width] or [1, tokens, width]"))?,
    };
    Ok(Found { kind, output })
}

/// The output that embeds a text best.
pub(crate) fn embedding<'a>(candidates: &[&'a Output], tokens: usize) -> Option<&'a Output> {
    let usable = |output: &Output| match *output.shape {
        [_, width] => width > 0,
        [_, length, width] => length == tokens && width > 0,
        _ => false,
    };
    let named = EMBEDDINGS
        .iter()
        .find_map(|name| candidates.iter().find(|output| output.name == **name));
    let pooled = candidates
        .iter()
        .find(|output| output.shape.len() == 2 && output.name != NO_EMBEDDING);
    named
        .or(pooled)
        .or_else(|| candidates.iter().find(|output| output.shape.len() == 3))
        .or_else(|| candidates.first())
        .copied()
        .filter(|output| usable(output))
}
