//! `aggregator`: durable updates per second, and memory against the number of participants.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Figure, Inputs, last_json_line};
use xtask::run::aloud_or_fail;
use xtask::workspace::cargo;

pub const FIGURE: Figure = Figure {
    name: "aggregator",
    summary: "durable updates per second (576 and 9,920 parameters) and memory against participants",
    run,
};

fn run(_: &Inputs) -> Result<Value> {
    let mut bench = cargo();
    bench.args(["bench", "--package", "aggregator", "--bench", "updates"]);
    let line = last_json_line(&aloud_or_fail(&mut bench)?)?;
    for key in [
        "updates_per_second_576",
        "updates_per_second_9920",
        "rss_kib_by_participants",
    ] {
        if line[key].is_null() {
            bail!("server/aggregator/benches/updates.rs did not measure {key}");
        }
    }
    Ok(line)
}
