//! Figures that a headless Chromium measures: Playwright tests in `tests/figures/`, each of which writes one JSON file.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Inputs, build_release};
use xtask::run::aloud_or_fail;
use xtask::workspace::{node_tool, scratch, tests};
use xtask::{build, setup};

/// Runs `tests/figures/NAME.spec.ts` on the built page and a release build, and returns the JSON
/// that it writes.
pub fn measure(name: &str, inputs: &Inputs) -> Result<Value> {
    let chromium = setup::for_browser_tests()?;
    build::pages()?;
    let binary = build_release()?;
    let out = scratch()?.join(format!("{name}.json"));
    if out.exists() {
        std::fs::remove_file(&out)?;
    }
    let mut command = node_tool("npx", &tests());
    command
        .args(["--no-install", "playwright", "test"])
        .args(["--config", "figures.config.ts", name])
        .env("FIGURE_OUT", &out)
        .env("CHROMIUM", chromium)
        .env("FED_BBPT", binary);
    if inputs.quick {
        command.env("FIGURE_QUICK", "1");
    }
    aloud_or_fail(&mut command)?;
    let text = std::fs::read_to_string(&out)
        .with_context(|| format!("{} was not written", out.display()))?;
    Ok(serde_json::from_str(&text)?)
}
