//! `memory`: peak memory of a browser participant, for each prompt generator.

use super::{Figure, browser};

pub const FIGURE: Figure = Figure {
    name: "memory",
    summary: "peak memory of a headless Chromium tab that takes part in four rounds, for each prompt generator",
    run: |inputs| browser::measure("memory", inputs),
};
