//! Data sets of the papers as ready-made task files.
//!
//! What is known of each stands in `recipes.toml`, with where it was read; this file holds its types. Nothing
//! is fetched, and what nobody published is said to be unpublished.

pub mod describe;
pub mod make;
mod task;

pub use task::task_file;

use serde::{Deserialize, Serialize};

const EMBEDDED: &str = include_str!("recipes.toml");

/// All recipes, and where they were read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipes {
    /// Papers and their code.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// The data sets.
    #[serde(rename = "recipe")]
    pub all: Vec<Recipe>,
}

/// Where something was read.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What recipes call it.
    pub key: String,
    /// What people call it.
    pub title: String,
    /// Which files.
    #[serde(rename = "where")]
    pub place: String,
    /// Read there line by line, and not from memory.
    pub confirmed: bool,
}

/// What the inputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Images.
    Image,
    /// Texts.
    Text,
}

/// Which model is asked, and so which generator and optimiser the task file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    /// CLIP ViT-B/16 over the labels in their template; BlackVIP's Coordinator and SPSA-GC.
    Clip,
    /// A masked language model, RoBERTa-large; BDPL's words and policy gradient.
    Masked,
    /// The embedded model.
    PrintedDigits,
    /// A classifier of CIFAR-10's own classes.
    #[serde(rename = "resnet8")]
    ResNet8,
    /// An ImageNet classifier of 1,001 classes.
    Mobilenet,
}

/// Where the labels of a large set come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelsFrom {
    /// The list beside the pictures.
    List,
    /// The pictures' folders.
    Folders,
}

/// One data set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// As the command line calls it.
    pub name: String,
    /// As people call it.
    pub title: String,
    /// What the inputs are.
    pub modality: Modality,
    /// Which model is asked.
    pub setup: Setup,
    /// Key of the paper that it is taken from.
    pub paper: String,
    /// How many classes.
    pub classes: usize,
    /// Their names, where the file holds them.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Where they come from otherwise.
    pub labels_from: Option<LabelsFrom>,
    /// Whether the names were read in a source.
    #[serde(default = "yes")]
    pub labels_confirmed: bool,
    /// Public addresses, for people.
    pub download: Vec<String>,
    /// Whether they were read in a source.
    pub download_confirmed: bool,
    /// How it must lie on disk.
    pub layout: String,
    /// Who cut it into parts, and how.
    pub split: String,
    /// The part to train on, for `--split`; empty if there are no parts.
    pub train: String,
    /// The part to measure with, for `--test-split`; empty if there are no parts.
    pub test: String,
    /// Examples of each class that the paper trains on.
    pub shots: Option<u32>,
    /// What else should be known.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What nobody published.
    #[serde(default)]
    pub unpublished: Vec<String>,
    /// How labels become text.
    pub template: Option<Template>,
    /// BlackVIP's hyper-parameters.
    pub blackvip: Option<BlackVip>,
    /// BDPL's hyper-parameters.
    pub bdpl: Option<Bdpl>,
    /// BBT's hyper-parameters.
    pub bbt: Option<Bbt>,
}

fn yes() -> bool {
    true
}

/// How labels become text.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Of an image set: the label's text, with `{}`.
    pub text: Option<String>,
    /// Of a set of texts: the model's input.
    pub input: Option<String>,
    /// Label words, in the labels' order.
    #[serde(default)]
    pub words: Vec<String>,
    /// Key of the source.
    pub source: String,
    /// Read there.
    pub confirmed: bool,
}

/// Published for BlackVIP: SPSA-GC over the Coordinator; 5 directions, o = 1, batches of 128.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BlackVip {
    /// Passes over the few-shot training data.
    pub epochs: u32,
    /// Momentum.
    pub beta: f64,
    /// c_t = c / t^γ.
    pub gamma: f64,
    /// c.
    pub c: f64,
    /// Strength of the prompt, in CLIP's normalised units.
    pub epsilon: f64,
    /// a_t = a / (t + o)^α.
    pub alpha: f64,
    /// a.
    pub a: f64,
}

/// Published for BDPL with RoBERTa-large: its `run.sh` and its code's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bdpl {
    /// AdamW's.
    pub learning_rate: f64,
    /// AdamW's.
    pub weight_decay: f64,
    /// Prompts a step, I.
    pub draws: u32,
    /// Words of a prompt, n.
    pub positions: u32,
    /// Words to choose from, N.
    pub candidates: u32,
    /// Passes over the training data.
    pub epochs: u32,
    /// Examples of a batch.
    pub batch: u32,
    /// Published for this very set: `run.sh` is for MRPC alone.
    pub confirmed: bool,
}

/// Published for BBT: CMA-ES over a soft prompt, which a model behind an API of texts does not take.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bbt {
    /// Calls.
    pub budget: u32,
    /// Of the subspace.
    pub dimension: u32,
    /// Of the soft prompt.
    pub tokens: u32,
    /// Of CMA-ES.
    pub population: u32,
}

/// What is wrong with a name, or with the embedded file.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Our own mistake; a test reads the file.
    #[error("the embedded recipes cannot be read: {0}")]
    Embedded(#[from] toml::de::Error),
    /// No such recipe.
    #[error("there is no recipe {name:?}; {hint}")]
    Unknown {
        /// Asked for.
        name: String,
        /// Names like it.
        hint: String,
    },
}

impl Recipes {
    /// The embedded ones.
    pub fn load() -> Result<Self, RecipeError> {
        Ok(toml::from_str(EMBEDDED)?)
    }

    /// By name, whatever its case, with `-` or `_`.
    pub fn find(&self, name: &str) -> Result<&Recipe, RecipeError> {
        let wanted = name.to_lowercase().replace('-', "_");
        self.all
            .iter()
            .find(|recipe| recipe.name == wanted)
            .ok_or_else(|| {
                let alike = |r: &&Recipe| r.name.contains(&wanted) || wanted.contains(&r.name);
                let found: Vec<&str> = self
                    .all
                    .iter()
                    .filter(alike)
                    .map(|r| r.name.as_str())
                    .collect();
                RecipeError::Unknown {
                    name: name.to_owned(),
                    hint: if found.is_empty() || wanted.is_empty() {
                        "`fed-bbpt recipes` lists them all".to_owned()
                    } else {
                        format!("is it {}?", found.join(", "))
                    },
                }
            })
    }

    /// Where something was read.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.key == key)
    }
}

impl Recipe {
    /// Of which method hyper-parameters were published for this set.
    pub fn methods(&self) -> Vec<&'static str> {
        let all = [
            ("BlackVIP", self.blackvip.is_some()),
            ("BDPL", self.bdpl.is_some_and(|b| b.confirmed)),
            ("BDPL (MRPC's)", self.bdpl.is_some_and(|b| !b.confirmed)),
            ("BBT", self.bbt.is_some()),
        ];
        all.into_iter().filter(|m| m.1).map(|m| m.0).collect()
    }
}

#[cfg(test)]
mod tests;
