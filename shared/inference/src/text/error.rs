//! Why a text model cannot be used or a text cannot be scored, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

use crate::{LoadError, RunError};

/// Why a folder cannot be used as a text model as requested.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TextLoadError {
    /// A file is missing.
    #[error(
        "{} has no {file}; the folder must hold {layout}, as `optimum-cli export onnx` writes it or the hub's ONNX repositories have it", .dir.display()
    )]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// The file.
        file: String,
        /// All files that are needed.
        layout: &'static str,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {cause}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is not usable: {cause}; download or export it again", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The ONNX file cannot be loaded.
    #[error("{}: {cause}", .path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: LoadError,
    },
    /// An input of the network is unknown.
    #[error(
        "the model has an input `{0}` that is not known; text models have input_ids, attention_mask and token_type_ids: export an encoder without a decoder or past keys and values"
    )]
    Input(String),
    /// The network has no input for tokens.
    #[error("the model has no input for tokens (input_ids); its inputs are {}: this is no text model", .0.join(", "))]
    NoIds(Vec<String>),
    /// The model takes embeddings, and the table of them is missing.
    #[error(
        "the model takes inputs_embeds, whose table must stand beside it as {} (tokens in, [batch, tokens, hidden] out); export it too, or a model that takes input_ids", .0.display()
    )]
    NoTable(PathBuf),
    /// The model does not have the requested output.
    #[error("the model has no output {wanted}; it has {}: choose one with --tensor", .outputs.join(", "))]
    Output {
        /// The requested output.
        wanted: String,
        /// The model's outputs.
        outputs: Vec<String>,
    },
    /// The output's shape does not suit this kind of model.
    #[error(
        "the output `{name}` has the shape {shape:?} for one text, but {needs}; choose another with --tensor, or another --kind"
    )]
    OutputShape {
        /// The output's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The shape that it should have.
        needs: &'static str,
    },
    /// The folder holds another kind of model.
    #[error(
        "config.json says {architecture}, which is neither a sentence encoder nor a masked language model; say --kind if it is one all the same"
    )]
    Architecture {
        /// The first of config.json's `architectures`.
        architecture: String,
    },
    /// A masked language model was exported without its head.
    #[error(
        "config.json says {0}, but the model answers hidden states, not a logit for each token; export it with `--task fill-mask`, or say --kind sentence-encoder"
    )]
    NoHead(String),
    /// The tokenizer has no mask token.
    #[error(
        "the tokenizer has no mask token; a masked language model needs `mask_token` in tokenizer_config.json or a token <mask> or [MASK] in tokenizer.json"
    )]
    NoMask,
    /// The sentence encoder pools in a way that is not supported.
    #[error(
        "1_Pooling/config.json asks for {0}, but only the mean over all tokens and the first token (CLS) are known; export the model with its pooling (output `sentence_embedding`)"
    )]
    Pooling(String),
    /// The labels of a zero-shot classifier are missing or empty.
    #[error("{0}; name them in --labels FILE, one a line")]
    Labels(#[source] QueryError),
    /// The template of a zero-shot classifier has no place for the label.
    #[error("--template is `{0}`, but must have `{{}}` where the label belongs")]
    Template(String),
    /// The temperature is not a positive number.
    #[error("the temperature is {0}, but must be above 0")]
    Temperature(f32),
    /// The number of tokens is out of range.
    #[error(
        "{asked} tokens are not possible: this model takes from {least} to {most}; change --max-tokens"
    )]
    MaxTokens {
        /// The requested number.
        asked: usize,
        /// The minimum.
        least: usize,
        /// The maximum.
        most: usize,
    },
    /// The first run failed.
    #[error(
        "the model does not run on a text of {tokens} tokens: {cause}; try fewer --max-tokens, and check the model with onnxruntime"
    )]
    Trial {
        /// Length of the text that was tried, in tokens.
        tokens: usize,
        /// The cause.
        cause: RunError,
    },
}

/// Why texts, templates or labels cannot be scored by this model.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// There is no text.
    #[error("there must be at least one text")]
    NoTexts,
    /// There are fewer than two labels.
    #[error("{0} labels leave nothing to choose; send at least 2")]
    FewLabels(usize),
    /// A label is empty.
    #[error("label {0} is empty; each label must be a word or more")]
    EmptyLabel(usize),
    /// A template has no place for a label.
    #[error(
        "the template of text {text}, `{template}`, has no `{{}}`; put `{{}}` where the label belongs"
    )]
    NoPlace {
        /// Index of the text whose template it is.
        text: usize,
        /// The template, shortened.
        template: String,
    },
    /// A text does not have exactly one mask.
    #[error(
        "text {text} has {found} masks, but must have exactly one; write `{mask}` once, where the label word belongs"
    )]
    Masks {
        /// Index of the text.
        text: usize,
        /// Number of masks that it has.
        found: usize,
        /// The mask token.
        mask: String,
    },
    /// The mask is cut off.
    #[error(
        "the mask of text {text} comes after the {max_tokens} tokens that the model reads; shorten the text before it"
    )]
    MaskCut {
        /// Index of the text.
        text: usize,
        /// The model's limit in tokens.
        max_tokens: usize,
    },
    /// A label word is not a single token.
    #[error("the label word `{word}` is not one token of this model but {}; choose a word that is one token", show(.tokens))]
    Word {
        /// The word.
        word: String,
        /// The tokens that it becomes.
        tokens: Vec<String>,
    },
    /// This model takes no soft prompts.
    #[error("this model takes no soft prompts; its metadata have no `soft_prompts`")]
    NoSoftPrompts,
    /// A soft prompt's size does not suit the model.
    #[error(
        "the soft prompt of text {text} has {values} numbers, but must have {hidden} for each of 1 to {most} tokens"
    )]
    SoftPrompt {
        /// Index of the text.
        text: usize,
        /// Number of values of the soft prompt.
        values: usize,
        /// Number of values for each token.
        hidden: usize,
        /// Maximum number of tokens.
        most: usize,
    },
    /// A soft prompt holds NaN or infinity; the text's index.
    #[error("the soft prompt of text {0} holds a number that is not finite")]
    SoftNotFinite(usize),
    /// The tokenizer failed.
    #[error("text {text} cannot be split into tokens: {cause}")]
    Tokenizer {
        /// Index of the text.
        text: usize,
        /// The cause.
        cause: String,
    },
}

fn show(tokens: &[String]) -> String {
    match tokens {
        [] => "none at all".to_owned(),
        tokens => format!("{} (`{}`)", tokens.len(), tokens.join("` `")),
    }
}

/// Why texts could not be scored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// The request cannot be scored by this model.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The model failed.
    #[error(transparent)]
    Run(#[from] RunError),
}
