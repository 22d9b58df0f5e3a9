//! Recipes as people read them: the table of all, and the details of one.

use super::{Modality, Recipe, Recipes};
use serde_json::{Value, json};

/// Details that are unpublished for every set, as far as we could find.
pub const UNPUBLISHED: [&str; 3] = [
    "whether it is one of Fed-BBPT's 40 sets: the list is not public",
    "Fed-BBPT's clients, participation, rounds, local steps, batches and partitions",
    "Fed-BBPT's result on it",
];

/// A table with one line for each set.
pub fn table(recipes: &Recipes) -> String {
    let mut lines = vec![row(
        "name",
        "data",
        "classes",
        "from",
        "hyper-parameters of",
    )];
    for recipe in &recipes.all {
        let methods = recipe.methods().join(", ");
        lines.push(row(
            &recipe.name,
            modality(recipe.modality),
            &recipe.classes.to_string(),
            paper(recipes, &recipe.paper),
            if methods.is_empty() { "–" } else { &methods },
        ));
    }
    lines.push(format!(
        "{} sets; `fed-bbpt recipes NAME` says more, `fed-bbpt recipes NAME --task` prints a task file",
        recipes.all.len()
    ));
    lines.join("\n")
}

fn row(name: &str, data: &str, classes: &str, from: &str, methods: &str) -> String {
    format!("{name:<16} {data:<6} {classes:>7}  {from:<34} {methods}")
}

fn modality(modality: Modality) -> &'static str {
    match modality {
        Modality::Image => "images",
        Modality::Text => "texts",
    }
}

fn paper<'a>(recipes: &'a Recipes, key: &'a str) -> &'a str {
    recipes.source(key).map_or(key, |source| &source.title)
}

fn mark(confirmed: bool) -> &'static str {
    if confirmed {
        "confirmed"
    } else {
        "NOT confirmed"
    }
}

/// The details of one set, as text.
pub fn describe(recipes: &Recipes, recipe: &Recipe) -> String {
    let mut lines = vec![
        format!("{}: {}", recipe.name, recipe.title),
        format!(
            "{}, {} classes, from {}",
            modality(recipe.modality),
            recipe.classes,
            paper(recipes, &recipe.paper)
        ),
        format!(
            "\nDownload ({} addresses; nothing is fetched here)",
            mark(recipe.download_confirmed)
        ),
    ];
    lines.extend(recipe.download.iter().map(|d| format!("  {d}")));
    lines.push("\nOn disk".to_owned());
    lines.extend(recipe.layout.trim().lines().map(|line| format!("  {line}")));
    lines.push(format!("\nParts: {}", recipe.split));
    let shots = recipe
        .shots
        .map_or(String::new(), |s| format!(" --shots {s}"));
    let parts = if recipe.train.is_empty() {
        String::new()
    } else {
        format!(" --split {} --test-split {}", recipe.train, recipe.test)
    };
    lines.push(format!(
        "  fed-bbpt simulate --task FILE --data FOLDER{parts}{shots}"
    ));
    if recipe.labels.is_empty() {
        lines.push("\nClasses: from the data, with --task --data FOLDER".to_owned());
    } else {
        lines.push(format!("\nClasses ({})", mark(recipe.labels_confirmed)));
        lines.push(format!("  {}", recipe.labels.join(", ")));
    }
    if let Some(template) = &recipe.template {
        lines.push(format!(
            "\nTemplate ({}, {})",
            mark(template.confirmed),
            paper(recipes, &template.source)
        ));
        let text = template.text.iter().chain(&template.input);
        lines.extend(text.map(|text| format!("  {text:?}")));
        if !template.words.is_empty() {
            lines.push(format!("  words: {}", template.words.join(", ")));
        }
    }
    published(recipes, recipe, &mut lines);
    if !recipe.notes.is_empty() {
        lines.push("\nTo know".to_owned());
        lines.extend(recipe.notes.iter().map(|note| format!("  {note}")));
    }
    lines.push("\nNot published".to_owned());
    lines.extend(unpublished(recipe).map(|text| format!("  {text}")));
    lines.join("\n")
}

fn unpublished(recipe: &Recipe) -> impl Iterator<Item = &str> {
    let own = recipe.unpublished.iter().map(String::as_str);
    UNPUBLISHED.into_iter().chain(own)
}

fn published(recipes: &Recipes, recipe: &Recipe, lines: &mut Vec<String>) {
    let mut add = |key: &str, confirmed: bool, text: String| {
        let source = recipes.source(key);
        lines.push(format!(
            "\nHyper-parameters of {} ({})",
            paper(recipes, key),
            mark(confirmed && source.is_some_and(|s| s.confirmed))
        ));
        lines.push(format!("  {text}"));
        lines.extend(source.map(|source| format!("  read in {}", source.place)));
        if !confirmed {
            lines.push(
                "  there for MRPC alone; whether this set had the same is not published".to_owned(),
            );
        }
    };
    if let Some(b) = &recipe.blackvip {
        add(
            "blackvip",
            true,
            format!(
                "{} epochs, beta {}, gamma {}, c {}, epsilon {}, alpha {}, a {}, o 1, 5 directions, batch 128, CLIP ViT-B/16",
                b.epochs, b.beta, b.gamma, b.c, b.epsilon, b.alpha, b.a
            ),
        );
    }
    if let Some(b) = &recipe.bdpl {
        add(
            "bdpl",
            b.confirmed,
            format!(
                "{} epochs, learning rate {}, weight decay {}, {} draws, {} words of {} candidates, batch {}, RoBERTa-large",
                b.epochs,
                b.learning_rate,
                b.weight_decay,
                b.draws,
                b.positions,
                b.candidates,
                b.batch
            ),
        );
    }
    if let Some(b) = &recipe.bbt {
        add(
            "bbt",
            true,
            format!(
                "{} calls, {} dimensions, {} soft tokens, population {}, RoBERTa-large (a soft prompt: not for an API of texts, and not in the task file)",
                b.budget, b.dimension, b.tokens, b.population
            ),
        );
    }
}

/// The details of one set, as JSON.
pub fn to_json(recipes: &Recipes, recipe: &Recipe) -> Value {
    let mut value = serde_json::to_value(recipe).unwrap_or_default();
    value["methods"] = json!(recipe.methods());
    value["unpublished"] = unpublished(recipe).collect();
    let mut keys: Vec<&str> = vec![&recipe.paper];
    keys.extend(recipe.template.as_ref().map(|t| t.source.as_str()));
    keys.extend(recipe.bbt.map(|_| "bbt"));
    keys.sort_unstable();
    keys.dedup();
    let sources = keys.into_iter().filter_map(|key| recipes.source(key));
    value["sources"] = json!(sources.collect::<Vec<_>>());
    value
}
