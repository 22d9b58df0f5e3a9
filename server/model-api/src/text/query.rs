//! What a text model is asked, checked.

use super::error::QueryError;

/// One text, and the template that its labels are put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextQuery<'a> {
    /// The whole input, prompt included; for a masked language model the mask token too.
    pub text: &'a str,
    /// For sentence encoders: `{}` stands for the label. [`TextQuery::LABEL_ALONE`] is the label
    /// without anything around it.
    pub template: &'a str,
}

impl TextQuery<'_> {
    /// The template that is nothing but its label.
    pub const LABEL_ALONE: &'static str = "{}";
}

/// Where labels go in a template.
const PLACE: &str = "{}";

/// Fewer labels leave nothing to choose.
const MIN_LABELS: usize = 2;

/// A request that the network can be run on.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// For a sentence encoder.
    Embed(Embed),
    /// For a masked language model.
    Fill(Fill),
}

/// Texts to embed and what to compare with what.
#[derive(Debug)]
pub(crate) struct Embed {
    /// Every different text of the request, and for each different template its prompts in the labels' order.
    pub strings: Vec<String>,
    /// For each text, where in `strings` it is, and where the prompts of its template begin.
    pub pairs: Vec<(usize, usize)>,
    pub labels: usize,
}

/// Tokens with one mask each, and the words that are tried there.
#[derive(Debug)]
pub(crate) struct Fill {
    pub texts: Vec<Vec<i32>>,
    /// For each text the position of its mask.
    pub masks: Vec<usize>,
    /// The labels' tokens.
    pub words: Vec<usize>,
}

/// What holds for every kind of model.
pub(super) fn check(queries: &[TextQuery<'_>], labels: &[&str]) -> Result<(), QueryError> {
    if queries.is_empty() {
        return Err(QueryError::NoTexts);
    }
    check_labels(labels)
}

/// What holds for labels.
pub(crate) fn check_labels(labels: &[&str]) -> Result<(), QueryError> {
    if labels.len() < MIN_LABELS {
        return Err(QueryError::FewLabels(labels.len()));
    }
    match labels.iter().position(|label| label.trim().is_empty()) {
        Some(at) => Err(QueryError::EmptyLabel(at)),
        None => Ok(()),
    }
}

/// `template` with each label, or `None` if it has no place for one.
pub(crate) fn prompts<'a>(
    template: &'a str,
    labels: &'a [&'a str],
) -> Option<impl Iterator<Item = String> + 'a> {
    template.contains(PLACE).then(|| {
        labels
            .iter()
            .map(move |label| template.replace(PLACE, label))
    })
}
