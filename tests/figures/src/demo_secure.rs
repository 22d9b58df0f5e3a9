//! `demo-secure-sum`: how much longer the demonstration takes because its updates are summed under
//! masks.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use xtask::run::show;

use super::simulation::rounded;
use super::{Figure, Inputs, build_release};

pub const FIGURE: Figure = Figure {
    name: "demo-secure-sum",
    summary: "wall time of the demonstration with secure sums against the same without them",
    run,
};

/// Number of runs of each kind, which take turns.
const TURNS: usize = 3;

/// With secure sums, as the demonstration is, and without.
const WAYS: [&[&str]; 2] = [&[], &["--set", "federation.secure_sum=false"]];

fn run(inputs: &Inputs) -> Result<Value> {
    let binary = build_release()?;
    let turns = if inputs.quick { 1 } else { TURNS };
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..turns {
        for (way, taken) in WAYS.iter().zip(&mut seconds) {
            let mut command = Command::new(&binary);
            command.args(["demo", "--once", "--port", "0", "--model-port", "0"]);
            command
                .args(*way)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            println!("{}", show(&command));
            let started = Instant::now();
            let status = command.status().context("cannot start the demonstration")?;
            if !status.success() {
                bail!("the demonstration failed ({status})");
            }
            taken.push(started.elapsed().as_secs_f64());
        }
    }
    let [secure, plain] = seconds.map(median);
    println!("\nwith secure sums {secure:.1} s, without {plain:.1} s\n");
    Ok(json!({
        "secure_seconds": rounded(secure), "plain_seconds": rounded(plain),
        "ratio": rounded(secure / plain), "runs_each": turns,
    }))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
