//! `client-throughput`: how much of a model API's capacity a page uses, over loopback and with
//! added delay.

use super::{Figure, browser};

pub const FIGURE: Figure = Figure {
    name: "client-throughput",
    summary: "queries per second of a page in a headless Chromium against the most that the same model API answers, with 0, 20 and 200 ms of added delay",
    run: |inputs| browser::measure("throughput", inputs),
};
