//! `cargo xtask figures`: every figure that README and docs show, by name.
//!
//! One file per figure beside this one; each ends a run with one line of JSON. To add one, write
//! `NAME.rs` with a `pub const FIGURE: Figure` and put it into [`FIGURES`].

mod aggregator;
mod ask_ahead;
mod bound;
mod browser;
mod byzantine;
mod client_throughput;
mod coarse;
mod demo_secure;
mod dialects;
mod digits;
mod dropouts;
mod epsilon;
mod epsilon_examples;
mod federation_rules;
mod images;
mod instructions;
mod memory;
mod model_api_throughput;
mod norm;
mod optimisers;
mod plot;
mod population;
mod rloo_vs_bdpl;
mod secure_sum_cost;
mod simulation;
mod sizes;
mod soft;
mod spsa_gc;
mod step;
mod text;
mod text_data;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Parser as _;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::Value;

use xtask::build;
use xtask::run::show;
use xtask::workspace::{Profile, root};

/// The figures, in the order in which they are listed.
const FIGURES: &[Figure] = &[
    digits::LIGHT_ON_DARK,
    digits::DARK_ON_LIGHT,
    ask_ahead::FIGURE,
    optimisers::FIGURE,
    images::FIGURE,
    images::CLEAN_ALONE,
    norm::FIGURE,
    spsa_gc::FIGURE,
    federation_rules::FIGURE,
    demo_secure::FIGURE,
    instructions::FIGURE,
    epsilon::FIGURE,
    population::FEW,
    population::MANY,
    population::MOST,
    epsilon_examples::FIGURE,
    byzantine::FIGURE,
    bound::FIGURE,
    coarse::FIGURE,
    secure_sum_cost::FIGURE,
    dropouts::FIGURE,
    step::FIGURE,
    step::GENERATORS,
    text::FIGURE,
    text::KEPT,
    soft::FIGURE,
    rloo_vs_bdpl::FIGURE,
    aggregator::FIGURE,
    model_api_throughput::FIGURE,
    sizes::FIGURE,
    memory::FIGURE,
    dialects::FIGURE,
    client_throughput::FIGURE,
];

/// A figure that can be recomputed.
pub struct Figure {
    /// The figure's name: lower case, words joined with `-`.
    pub name: &'static str,
    /// What is measured, in one line.
    pub summary: &'static str,
    /// Measures the figure. The object that it returns is printed as the run's last line.
    pub run: fn(&Inputs) -> Result<Value>,
}

/// The inputs that a figure may need from the caller.
pub struct Inputs {
    data: Option<PathBuf>,
    models: Option<PathBuf>,
    /// Whether the run only shows that the figure works.
    quick: bool,
}

impl Inputs {
    /// The folder of the public data sets.
    ///
    /// # Errors
    /// Says where to get the data if `--data` is not given or has no folder `wanted`.
    pub fn data(&self, wanted: &str) -> Result<PathBuf> {
        let advice = match wanted {
            "digits" => {
                "the handwritten digits are public: scikit-learn's sklearn.datasets.load_digits (its file \
                 sklearn/datasets/data/digits.csv.gz will do as it is), originally UCI's optical recognition of \
                 handwritten digits, https://archive.ics.uci.edu/dataset/80; as CSV, each row is 64 values of \
                 0 to 16, then the label"
            }
            _ => "docs/figures.md and docs/figures-text.md say where it is from",
        };
        let Some(data) = &self.data else {
            bail!("this figure needs --data FOLDER, the folder that holds `{wanted}`; {advice}");
        };
        let folder = data.join(wanted);
        if !folder.exists() {
            bail!(
                "{} does not exist: --data must be the folder that holds `{wanted}`; {advice}",
                folder.display()
            );
        }
        Ok(folder)
    }

    /// The file or folder `wanted` among the pre-trained models.
    ///
    /// # Errors
    /// Says what is needed if `--models` is not given or does not have it.
    pub fn models(&self, wanted: &str) -> Result<PathBuf> {
        let Some(models) = &self.models else {
            bail!(
                "this figure needs --models FOLDER, the folder that holds `{wanted}`: docs/figures.md says where it is from"
            );
        };
        let path = models.join(wanted);
        if !path.exists() {
            bail!(
                "{} does not exist: --models must be the folder that holds `{wanted}`; docs/figures.md says where it is from",
                path.display()
            );
        }
        Ok(path)
    }
}

#[derive(clap::Parser)]
#[command(
    name = "cargo xtask figures",
    bin_name = "cargo xtask figures",
    about = "Recomputes a figure that README or docs show; lists the figures when none is named"
)]
struct Arguments {
    /// Name of the figure; without it the names are listed.
    #[arg(value_parser = names())]
    name: Option<String>,
    /// The folder that holds `digits`, for figures that need real data.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The folder that holds pre-trained models, for figures that need them.
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// Simulates only two rounds, to see that the figure runs: its numbers then mean nothing.
    #[arg(long)]
    quick: bool,
}

/// The figures' names, which `--help` then lists with what they measure.
fn names() -> PossibleValuesParser {
    FIGURES
        .iter()
        .map(|figure| PossibleValue::new(figure.name).help(figure.summary))
        .collect::<Vec<_>>()
        .into()
}

fn main() -> std::process::ExitCode {
    xtask::exit_code(command(&Arguments::parse()))
}

fn command(arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.name else {
        for figure in FIGURES {
            println!("{:<24} {}", figure.name, figure.summary);
        }
        return Ok(());
    };
    let figure = FIGURES
        .iter()
        .find(|figure| figure.name == name)
        .with_context(|| format!("there is no figure named {name}"))?;
    // Paths are relative to the caller's folder, and not to the root in which programs are run.
    let from_here = |path: &Option<PathBuf>| path.as_ref().map(std::path::absolute).transpose();
    let inputs = Inputs {
        data: from_here(&arguments.data)?,
        models: from_here(&arguments.models)?,
        quick: arguments.quick,
    };
    println!("{}", (figure.run)(&inputs)?);
    Ok(())
}

/// Builds `fed-bbpt` for measuring and returns its path.
fn build_release() -> Result<PathBuf> {
    build::binary(Profile::Release)
}

fn last_json_line(output: &str) -> Result<Value> {
    let line = output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .context("the program printed nothing")?;
    serde_json::from_str(line)
        .with_context(|| format!("the program's last line is not JSON: {line}"))
}

/// Runs `command` in the project's root and reads its last line; its stderr is shown.
fn measured(command: &mut Command) -> Result<Value> {
    let shown = show(command);
    let output = command
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    let line = last_json_line(&String::from_utf8_lossy(&output.stdout))?;
    println!("  {line}");
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FIGURES, last_json_line};

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
    }

    #[test]
    fn reads_the_last_line_that_is_not_blank() {
        assert_eq!(last_json_line("progress\n{\"a\": 1}\n\n").unwrap()["a"], 1);
        assert!(last_json_line("").is_err());
        assert!(last_json_line("{\"a\": 1}\ndone\n").is_err());
    }
}
