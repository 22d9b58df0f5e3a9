//! The data sets of the papers as ready-made task files.
//!
//! What is known of each set, and where it was read, is in `recipes.toml`; this file holds the
//! types for it. Nothing is fetched, and what nobody published is said to be unpublished.

pub mod describe;
pub mod make;
mod task;

pub use task::task_file;

use serde::{Deserialize, Serialize};

const EMBEDDED: &str = include_str!("recipes.toml");

/// All recipes, with their sources.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipes {
    /// The papers and their code.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// The data sets.
    #[serde(rename = "recipe")]
    pub all: Vec<Recipe>,
}

/// A paper or its code, from which details were taken.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The source's key in the recipes.
    pub key: String,
    /// The source's title for people.
    pub title: String,
    /// The files in which the details stand.
    #[serde(rename = "where")]
    pub place: String,
    /// Whether the details were read there line by line, and not recalled from memory.
    pub confirmed: bool,
}

/// The kind of a data set's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Images.
    Image,
    /// Texts.
    Text,
}

/// The kind of model that is asked, which decides the generator and the optimiser of the task file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setup {
    /// CLIP ViT-B/16 with the labels in their template; BlackVIP's Coordinator and SPSA-GC.
    Clip,
    /// The masked language model RoBERTa-large; BDPL's words and policy gradient.
    Masked,
    /// The embedded model of printed digits.
    PrintedDigits,
    /// A classifier of CIFAR-10's own ten classes.
    #[serde(rename = "resnet8")]
    ResNet8,
    /// An ImageNet classifier of 1,001 classes.
    Mobilenet,
}

/// Where the labels of a set with many classes are found on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelsFrom {
    /// The list beside the pictures.
    List,
    /// The folders of the pictures.
    Folders,
}

/// One data set and what was published about it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The recipe's name on the command line.
    pub name: String,
    /// The data set's name for people.
    pub title: String,
    /// What the inputs are.
    pub modality: Modality,
    /// The kind of model that is asked.
    pub setup: Setup,
    /// Key of the paper in which the set was used.
    pub paper: String,
    /// Number of classes.
    pub classes: usize,
    /// The names of the classes, if this file holds them; otherwise empty.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Where the names of the classes are found, if this file does not hold them.
    pub labels_from: Option<LabelsFrom>,
    /// Whether the names were read in a source.
    #[serde(default = "yes")]
    pub labels_confirmed: bool,
    /// Public addresses where people can download the set.
    pub download: Vec<String>,
    /// Whether the addresses were read in a source.
    pub download_confirmed: bool,
    /// The layout in which the set must lie on disk.
    pub layout: String,
    /// Who divided the set into parts, and how.
    pub split: String,
    /// The part to train on, for `--split`; empty if the set has no parts.
    pub train: String,
    /// The part to measure with, for `--test-split`; empty if the set has no parts.
    pub test: String,
    /// Number of examples of each class on which the paper trains; `None` for all.
    pub shots: Option<u32>,
    /// Other things to know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Details that nobody published.
    #[serde(default)]
    pub unpublished: Vec<String>,
    /// How the labels become texts.
    pub template: Option<Template>,
    /// BlackVIP's hyper-parameters for this set.
    pub blackvip: Option<BlackVip>,
    /// BDPL's hyper-parameters for this set.
    pub bdpl: Option<Bdpl>,
    /// BBT's hyper-parameters for this set.
    pub bbt: Option<Bbt>,
}

fn yes() -> bool {
    true
}

/// How labels, or texts, become what the model reads.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// For an image set: the label's text, with `{}` in the label's place.
    pub text: Option<String>,
    /// For a set of texts: the model's input.
    pub input: Option<String>,
    /// The label words, in the order of the labels.
    #[serde(default)]
    pub words: Vec<String>,
    /// Key of the source of the template.
    pub source: String,
    /// Whether it was read in the source.
    pub confirmed: bool,
}

/// BlackVIP's published hyper-parameters: SPSA-GC on the Coordinator, with 5 directions, o = 1 and
/// batches of 128.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BlackVip {
    /// Number of passes over the few-shot training data.
    pub epochs: u32,
    /// Momentum β.
    pub beta: f64,
    /// Exponent γ in c_t = c / t^γ.
    pub gamma: f64,
    /// Perturbation c.
    pub c: f64,
    /// Strength ε of the prompt, in CLIP's normalised units.
    pub epsilon: f64,
    /// Exponent α in a_t = a / (t + o)^α.
    pub alpha: f64,
    /// Learning rate a.
    pub a: f64,
}

/// BDPL's published hyper-parameters for RoBERTa-large, from its `run.sh` and its code's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bdpl {
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Number I of prompts drawn in a step.
    pub draws: u32,
    /// Number n of words in a prompt.
    pub positions: u32,
    /// Number N of words to choose from.
    pub candidates: u32,
    /// Number of passes over the training data.
    pub epochs: u32,
    /// Number of examples in a batch.
    pub batch: u32,
    /// Whether the numbers were published for this very set: `run.sh` is for MRPC alone.
    pub confirmed: bool,
}

/// BBT's published hyper-parameters: CMA-ES on a soft prompt, which an API that takes texts alone
/// cannot receive.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bbt {
    /// Number of calls of the model.
    pub budget: u32,
    /// Dimension of the subspace that is searched.
    pub dimension: u32,
    /// Number of tokens of the soft prompt.
    pub tokens: u32,
    /// Population of CMA-ES.
    pub population: u32,
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// A mistake of our own; a test reads the embedded file.
    #[error("the embedded recipes cannot be read: {0}")]
    Embedded(#[from] toml::de::Error),
    /// No recipe has that name.
    #[error("there is no recipe {name:?}; {hint}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Names that are similar, as a hint.
        hint: String,
    },
}

impl Recipes {
    /// Reads the recipes that are embedded in the program.
    ///
    /// # Errors
    /// [`RecipeError`] if the embedded file is wrong, which a test excludes.
    pub fn load() -> Result<Self, RecipeError> {
        Ok(toml::from_str(EMBEDDED)?)
    }

    /// Finds a recipe by its name, in any case, with `-` or `_`.
    ///
    /// # Errors
    /// [`RecipeError`] with similar names.
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

    /// The source with this key.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.key == key)
    }
}

impl Recipe {
    /// The methods for which hyper-parameters were published for this set.
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
