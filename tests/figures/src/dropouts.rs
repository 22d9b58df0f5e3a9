//! `secure-sum-dropouts`: whether sums are exact when participants vanish.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Figure, Inputs, last_json_line};
use xtask::run::{aloud_or_fail, quietly, step};
use xtask::workspace::{cargo, target};

pub const FIGURE: Figure = Figure {
    name: "secure-sum-dropouts",
    summary: "300 participants under masks, 25% of whom vanish in every round: do rounds end, and are sums exact?",
    run,
};

fn run(inputs: &Inputs) -> Result<Value> {
    step("cargo build dropouts (release)", || {
        let mut build = cargo();
        build.args(["build", "--release", "--package", "federation"]);
        quietly(build.args(["--example", "dropouts"]))
    })?;
    let name = format!("release/examples/dropouts{}", std::env::consts::EXE_SUFFIX);
    let mut program = std::process::Command::new(target().join(name));
    program.args(if inputs.quick {
        ["12", "5"]
    } else {
        ["300", "50"]
    });
    let line = last_json_line(&aloud_or_fail(&mut program)?)?;
    for key in ["rounds", "ended", "exact"] {
        if line[key].is_null() {
            bail!("shared/federation/examples/dropouts.rs did not measure {key}");
        }
    }
    Ok(line)
}
