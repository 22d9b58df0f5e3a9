//! `memory`: peak memory of a browser participant, for each prompt generator.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Figure, Inputs, build_release};
use crate::run::aloud_or_fail;
use crate::workspace::{node_tool, scratch, tests};
use crate::{build, setup};

pub const FIGURE: Figure = Figure {
    name: "memory",
    summary: "peak memory of a headless Chromium tab that takes part in four rounds, for each prompt generator",
    run,
};

fn run(_: &Inputs) -> Result<Value> {
    let chromium = setup::for_browser_tests()?;
    build::page()?;
    let binary = build_release()?;
    let out = scratch()?.join("memory.json");
    if out.exists() {
        std::fs::remove_file(&out)?;
    }
    aloud_or_fail(
        node_tool("npx", &tests())
            .args(["--no-install", "playwright", "test"])
            .args(["--config", "figures.config.ts"])
            .env("FIGURE_OUT", &out)
            .env("CHROMIUM", chromium)
            .env("FED_BBPT", binary),
    )?;
    let text = std::fs::read_to_string(&out)
        .with_context(|| format!("{} was not written", out.display()))?;
    Ok(serde_json::from_str(&text)?)
}
