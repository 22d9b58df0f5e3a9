//! `fed-bbpt recipes`: the papers' data sets as task files.

use super::{say, say_json};
use crate::simulate::fraction;
use crate::{CliError, data};
use clap::Args;
use federation::task::Task;
use recipes::make::{Make, make};
use recipes::{Modality, Recipe, Recipes, describe, task_file};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The arguments of `fed-bbpt recipes`.
#[derive(Args)]
pub struct RecipesArgs {
    /// Name of a data set; without it all are listed.
    name: Option<String>,
    /// Print its task file.
    #[arg(long, requires = "name")]
    task: bool,
    /// Take the labels from the data in this folder.
    #[arg(long, value_name = "FOLDER", requires = "task")]
    data: Option<PathBuf>,
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
    /// Make the set (biased_mnist, loc_mnist_1_1, loc_mnist_1_4) in this new folder.
    #[arg(long, value_name = "FOLDER", requires_all = ["name", "from"], conflicts_with = "task")]
    make: Option<PathBuf>,
    /// Folder of MNIST's IDX files.
    #[arg(long, value_name = "FOLDER", requires = "make")]
    from: Option<PathBuf>,
    /// For biased_mnist: the share of each class's training images that have the class's own
    /// colour.
    #[arg(long, default_value_t = 0.8, value_parser = fraction)]
    rho: f64,
    /// For biased_mnist: the share of each class's test images that have the class's own colour
    /// [default: 1 - RHO].
    #[arg(long, value_parser = fraction)]
    test_rho: Option<f64>,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Lists, describes, prints or makes recipes.
pub fn run(args: &RecipesArgs) -> Result<(), CliError> {
    let recipes = Recipes::load().map_err(CliError::failed)?;
    let Some(name) = &args.name else {
        let json = || {
            recipes
                .all
                .iter()
                .map(|r| describe::to_json(&recipes, r))
                .collect()
        };
        let text = if args.json {
            pretty(&json())?
        } else {
            describe::table(&recipes)
        };
        say(&text);
        return Ok(());
    };
    let recipe = recipes.find(name).map_err(CliError::usage)?;
    if let (Some(into), Some(from)) = (&args.make, &args.from) {
        let rest = ((1.0 - args.rho) * 1e6).round() / 1e6;
        let rho = [args.rho, args.test_rho.unwrap_or(rest)];
        let seed = args.seed;
        let what = Make {
            recipe,
            into,
            from,
            rho,
            seed,
        };
        let [train, test] = make(&what).map_err(CliError::usage)?;
        if args.json {
            return say_json(&json!({ "folder": into, "train": train, "test": test }));
        }
        say(&format!(
            "{}: {train} pictures in train, {test} in test",
            into.display()
        ));
        return Ok(());
    }
    let text = match (args.task, args.json) {
        (true, json) => task(recipe, args, json)?,
        (false, true) => pretty(&describe::to_json(&recipes, recipe))?,
        (false, false) => describe::describe(&recipes, recipe),
    };
    say(text.trim_end());
    Ok(())
}

fn task(recipe: &Recipe, args: &RecipesArgs, json: bool) -> Result<String, CliError> {
    let found = match &args.data {
        // Refused below, whatever is in the folder.
        Some(_) if recipe.modality == Modality::Text => Some(Vec::new()),
        Some(path) => Some(data::classes(path).map_err(CliError::usage)?),
        None => None,
    };
    let text = task_file(recipe, found.as_deref()).map_err(CliError::usage)?;
    if let Some(found) = found.filter(|found| found.len() != recipe.classes) {
        eprintln!(
            "the data has {} classes, {} has {}: the task file has those of the data",
            found.len(),
            recipe.name,
            recipe.classes
        );
    }
    if json {
        return pretty(Task::from_toml(&text).map_err(CliError::failed)?.source());
    }
    Ok(text)
}

fn pretty(value: &Value) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map_err(CliError::failed)
}
