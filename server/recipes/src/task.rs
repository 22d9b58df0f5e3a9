//! A recipe as a task file: what was published, as far as a task file can hold it, with a comment
//! beside everything that was not published.

use super::{Bdpl, BlackVip, LabelsFrom, Recipe, Setup};
use federation::task::Task;
use ground::fault::Faults;
use owner_data::labels::Labels;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The standard deviation by which CLIP divides pixels, as the mean over the channels. The
/// Coordinator here adds to pixels from 0 to 1.
const CLIP_DEVIATION: f64 = 0.2686;

/// Common words to start from, as the domain's own are unknown here.
const CANDIDATES: [&str; 24] = [
    "",
    "the",
    "this",
    "that",
    "is",
    "it",
    "a",
    "of",
    "in",
    "about",
    "answer",
    "question",
    "text",
    "sentence",
    "true",
    "clearly",
    "really",
    "which",
    "what",
    "therefore",
    "because",
    "overall",
    "so",
    "means",
];

/// Why a recipe gives no task file.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The labels found in the data do not make a valid task file.
    #[error("the task file made from this data has faults:\n{0}")]
    Task(#[from] Faults),
    /// The labels of a set of texts are fixed, because each has its label word.
    #[error(
        "--data: the labels of {0} are fixed, for each has its word; only image sets take theirs from the data"
    )]
    FixedLabels(String),
}

/// Makes the checked task file. `found` are the classes of the data on disk, if they were looked
/// at.
///
/// # Errors
/// The task file has faults, or a set of texts, whose labels are fixed, was given other labels.
pub fn task_file(recipe: &Recipe, found: Option<&[String]>) -> Result<String, TaskError> {
    if found.is_some() && recipe.setup == Setup::Masked {
        return Err(TaskError::FixedLabels(recipe.name.clone()));
    }
    let text = match recipe.setup {
        Setup::Clip => clip(recipe, found),
        Setup::Masked => masked(recipe),
        Setup::PrintedDigits | Setup::ResNet8 | Setup::Mobilenet => own(recipe, found),
    };
    Task::from_toml(&text)?;
    Ok(text)
}

/// Writes a text as a TOML string, whose syntax is JSON's here.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn list(values: &[String]) -> String {
    let (mut text, mut column) = ("[\n   ".to_owned(), 3);
    for item in values.iter().map(|value| format!(" {},", quoted(value))) {
        if column + item.chars().count() > 110 {
            text.push_str("\n   ");
            column = 3;
        }
        column += item.chars().count();
        text.push_str(&item);
    }
    text.push_str("\n]");
    text
}

fn head(recipe: &Recipe) -> String {
    let mut text = format!("format = 1\nname = {}\n", quoted(&recipe.title));
    let _ = writeln!(
        text,
        "description = {}\n",
        quoted(&format!(
            "{}, as in `fed-bbpt recipes {}`.",
            recipe.title, recipe.name
        ))
    );
    text
}

/// The labels from the data, or from the recipe, or as numbers until the data are there; and a
/// comment about them.
fn labels(recipe: &Recipe, found: Option<&[String]>) -> (Vec<String>, &'static str) {
    match (found, recipe.labels_from) {
        // The same classes, in the order that the model has.
        (Some(found), None) if same(found, &recipe.labels) => (recipe.labels.clone(), ""),
        (Some(found), _) => (found.to_vec(), ""),
        (None, None) => (recipe.labels.clone(), ""),
        (None, Some(from)) => (
            (0..recipe.classes).map(|i| i.to_string()).collect(),
            match from {
                LabelsFrom::List => {
                    "# Numbers of the classes in the list beside the pictures; with --data FOLDER their names stand here.\n"
                }
                LabelsFrom::Folders => {
                    "# Placeholders: with --data FOLDER the names of the pictures' folders stand here.\n"
                }
            },
        ),
    }
}

fn same(found: &[String], known: &[String]) -> bool {
    let labels = Labels::new(known);
    let all: BTreeSet<usize> = found.iter().filter_map(|name| labels.find(name)).collect();
    found.len() == known.len() && all.len() == known.len()
}

fn clip(recipe: &Recipe, found: Option<&[String]>) -> String {
    let (labels, comment) = labels(recipe, found);
    let template = recipe
        .template
        .as_ref()
        .and_then(|t| t.text.as_deref())
        .unwrap_or("{}");
    let mut text = head(recipe);
    let _ = write!(
        text,
        "# The API must score CLIP ViT-B/16's zero-shot classifier: for each label, in this order, the text\n# {}, with blanks for underscores.\n[model]\nurl = \"http://127.0.0.1:8701\"\nname = {}\ninput = {{ height = 224, width = 224 }}\noutput = {{ classes = {} }}\n\n[data]\n{comment}labels = {}\n\n",
        quoted(template),
        quoted(&format!("clip-vit-b16-{}", recipe.name)),
        labels.len(),
        list(&labels),
    );
    if let Some(published) = &recipe.blackvip {
        text.push_str(&coordinator(published, recipe));
    }
    text
}

fn coordinator(published: &BlackVip, recipe: &Recipe) -> String {
    let BlackVip {
        epochs,
        beta,
        gamma,
        c,
        epsilon,
        alpha,
        a,
    } = published;
    let shots = recipe.shots.unwrap_or(16) as usize;
    // The release drops an incomplete last batch.
    let steps = (*epochs as usize) * (shots * recipe.classes / 128).max(1);
    format!(
        "# Published: epsilon {epsilon} in units of CLIP's normalised pixels. Here it is in those of pixels from 0 to 1:\n# times {CLIP_DEVIATION}, CLIP's mean standard deviation. BlackVIP's encoder is a ViT-MAE; here it is the shrunken image.\n[generator]\nkind = \"coordinator\"\nepsilon = {:.4}\n\n# Published, all of it.\n[optimizer]\nkind = \"spsa-gc\"\ndirections = 5\no = 1.0\na = {a}\nc = {c}\nalpha = {alpha}\ngamma = {gamma}\nbeta = {beta}\n\n# The batch is published (no batch is larger than its owner's data), and so is the length for one owner: {epochs} epochs\n# of {shots} examples of each class, {steps} steps. How many owners, rounds and local steps Fed-BBPT takes is not\n# published: these are ours. SPSA-GC's momentum begins anew in each round.\n[federation]\nrounds = 200\nlocal_steps = 5\nbatch = 128\n",
        epsilon * CLIP_DEVIATION,
    )
}

fn masked(recipe: &Recipe) -> String {
    let (input, words) = match &recipe.template {
        Some(template) => (
            template.input.clone().unwrap_or_default(),
            template.words.clone(),
        ),
        None => (String::new(), Vec::new()),
    };
    let mut text = head(recipe);
    let _ = write!(
        text,
        "# A masked language model with the mask <mask> and the separator </s>, such as RoBERTa-large.\n[model]\nurl = \"http://127.0.0.1:8701\"\nname = \"roberta-large\"\ninput = {{ kind = \"text\" }}\n\n[data]\nlabels = {}\n\n[text]\ninput = {}\nwords = {}\n\n",
        list(&recipe.labels),
        quoted(&input),
        list(&words),
    );
    text.push_str(&match &recipe.bdpl {
        Some(published) => released(published),
        None => words_of_ours(),
    });
    text
}

fn candidates() -> String {
    list(&CANDIDATES.map(str::to_owned))
}

fn released(published: &Bdpl) -> String {
    let Bdpl {
        learning_rate,
        weight_decay,
        draws,
        positions,
        candidates: count,
        epochs,
        batch,
        confirmed,
    } = published;
    let whose = if *confirmed {
        ""
    } else {
        "# \"Published\" below means for MRPC: whether this set had the same settings is not published.\n\n"
    };
    format!(
        "{whose}# Published: {positions} words of {count} candidates, which are frequent in the training texts. The list is the data's, so\n# these few are placeholders of ours: `fed-bbpt candidates --data PUBLIC_TEXT --count {count}` prints a line for here.\n[generator]\nkind = \"discrete\"\npositions = {positions}\ncandidates = {}\n\n# Published, all of it. Without `form` and what follows it, this repository's own form learns faster.\n[optimizer]\nkind = \"policy-gradient\"\ndraws = {draws}\nform = \"released\"\nlearning_rate = {learning_rate}\nweight_decay = {weight_decay}\n\n# {epochs} epochs of one batch of {batch} or fewer are published, for one owner. How many owners, rounds and local steps\n# Fed-BBPT takes is not: one step in a round is ours.\n[federation]\nrounds = {epochs}\nlocal_steps = 1\nbatch = {batch}\n",
        candidates(),
    )
}

fn words_of_ours() -> String {
    format!(
        "# No prompt of words was published for this set: generator, optimiser and federation are ours. The candidates\n# are placeholders: `fed-bbpt candidates --data PUBLIC_TEXT --count 100` prints a line for here.\n[generator]\nkind = \"discrete\"\npositions = 4\ncandidates = {}\n\n[optimizer]\nkind = \"policy-gradient\"\ndraws = 20\n\n[federation]\nrounds = 30\nlocal_steps = 5\nbatch = 16\n",
        candidates(),
    )
}

fn own(recipe: &Recipe, found: Option<&[String]>) -> String {
    let (labels, comment) = labels(recipe, found);
    let (name, side, classes, mapping) = match recipe.setup {
        Setup::PrintedDigits => ("printed-digits", 32, 10, ""),
        Setup::ResNet8 => ("resnet8-cifar10", 32, 10, ""),
        _ => (
            "mobilenet-v1",
            128,
            1001,
            "# Which ImageNet classes answer to which label is learnt from the training part.\n[mapping]\nkind = \"frequency\"\nrank = \"lift\"\n\n",
        ),
    };
    let mut text = head(recipe);
    let _ = write!(
        text,
        "# No paper has settings for this set: all of them are ours.\n[model]\nurl = \"http://127.0.0.1:8701\"\nname = {}\ninput = {{ height = {side}, width = {side} }}\noutput = {{ classes = {classes} }}\n\n[data]\n{comment}labels = {}\n\n{mapping}",
        quoted(name),
        list(&labels),
    );
    let channels = if recipe.setup == Setup::PrintedDigits {
        1
    } else {
        3
    };
    let _ = write!(
        text,
        "[generator]\nkind = \"statistic\"\nepsilon = 1.0\ngrid = 5\nchannels = {channels}\nstatistics = 8\n\n[optimizer]\nkind = \"node-perturbation\"\ndirections = 3\nperturbation = 0.25\nlearning_rate = 0.02\n\n[federation]\nrounds = 100\nlocal_steps = 5\nbatch = 16\nserver = {{ kind = \"adam\", learning_rate = 0.04, beta1 = 0.8, beta2 = 0.95, decay = \"linear\" }}\n",
    );
    text
}
