//! `model-api-throughput`: queries per second and tail latency of `fed-bbpt model-api`, compared
//! with ONNX Runtime behind a plain FastAPI server that takes the same binary requests.
//!
//! Both servers are pinned to the same cores, have the same model, and take the same requests in
//! turns. The load comes from the remaining cores, or from all if none remains. Their answers are
//! compared before anything is measured.

mod load;
mod requests;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use self::load::{Load, ask};
use self::requests::{Images, Requests, Texts};
use super::{Figure, Inputs};
use interop::python;
use interop::server::{Server, free_address};
use xtask::build;
use xtask::run::{find_in_path, quietly};
use xtask::workspace::{Profile, root};

pub const FIGURE: Figure = Figure {
    name: "model-api-throughput",
    summary: "queries per second and tail latency of model-api on MobileNet and MiniLM, against ONNX Runtime behind FastAPI (needs --models)",
    run,
};

/// The Python packages of the other server.
const PACKAGES: [&str; 7] = [
    "onnxruntime==1.32.0",
    "fastapi==0.165.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
    "httptools==0.9.0",
    "numpy==2.4.6",
    "tokenizers==0.23.3",
];

/// Numbers of images or texts in one request.
const BATCHES: [usize; 3] = [1, 16, 64];
/// Numbers of requests under way at once.
const CONCURRENCIES: [usize; 3] = [1, 4, 16];
/// Seconds for one cell, including warming up.
const SECONDS: u64 = 5;
/// Maximum difference of the two servers' scores (cosines divided by 0.05): each rounds an int8
/// model in its own way.
const APART: f32 = 0.4;

/// A model, and how both servers are told to serve it.
struct Model {
    name: &'static str,
    path: PathBuf,
    /// Flags for `fed-bbpt model-api`.
    ours: Vec<String>,
    requests: Box<dyn Requests>,
}

fn models(inputs: &Inputs) -> Result<Vec<Model>> {
    let mobilenet = inputs.models("mobilenet_v1_0.25_128.onnx")?;
    let minilm = inputs.models("minilm")?;
    let flags = |words: &[&str], path: &Path| -> Vec<String> {
        let path = path.to_string_lossy();
        words
            .iter()
            .map(|word| word.replace("PATH", &path))
            .collect()
    };
    Ok(vec![
        Model {
            name: "mobilenet_v1_0.25_128",
            ours: flags(&["--model", "PATH", "--range", "-1:1"], &mobilenet),
            path: mobilenet,
            requests: Box::new(Images {
                model: "mobilenet_v1_0.25_128",
                input: "x",
                side: 128,
            }),
        },
        Model {
            name: "minilm",
            ours: flags(&["--model-folder", "PATH"], &minilm),
            path: minilm,
            requests: Box::new(Texts { model: "minilm" }),
        },
    ])
}

fn run(inputs: &Inputs) -> Result<Value> {
    if find_in_path("taskset").is_none() {
        bail!("taskset is missing (util-linux): without it no server can be held to one core");
    }
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        bail!("this figure needs two cores");
    }
    let models = models(inputs)?;
    // Numbers from an unoptimised server mean nothing, but it is enough to see that the figure
    // runs.
    let binary = build::binary(if inputs.quick {
        Profile::Dev
    } else {
        Profile::Release
    })?;
    let python = python::environment("figures-onnxruntime", &PACKAGES)?;
    let mut cells = Vec::new();
    for model in &models {
        for used in [1, 2] {
            let outcome = measure(model, &binary, &python, used, cores, inputs.quick);
            // Whatever happened, this process gets its cores back.
            pin_load(0..cores)?;
            cells.extend(outcome?);
        }
    }
    Ok(summarise(&cells))
}

/// One measurement of both servers.
struct Cell {
    model: &'static str,
    cores: usize,
    batch: usize,
    concurrency: usize,
    ours: Load,
    theirs: Load,
}

fn measure(
    model: &Model,
    binary: &Path,
    python: &Path,
    used: usize,
    cores: usize,
    quick: bool,
) -> Result<Vec<Cell>> {
    let threads = used.to_string();
    let ours = start(used, binary, |command, address| {
        command
            .args(["model-api", "--listen", address, "--name", model.name])
            .args(&model.ours)
            .args(["--threads", &threads])
            .env("RUST_LOG", "warn");
    })?;
    let script = root().join("tests/figures/onnxruntime_server.py");
    let theirs = start(used, python, |command, address| {
        command.arg(&script).args(["--listen", address]);
        command.args(["--name", model.name, "--threads", &threads]);
        command.arg(&model.path);
    })?;
    // A two-core machine has none left beside a server that uses both.
    pin_load(if used < cores { used..cores } else { 0..cores })?;
    compare(model, &ours, &theirs)?;
    let (batches, concurrencies) = match quick {
        true => (&BATCHES[1..2], &CONCURRENCIES[1..2]),
        false => (&BATCHES[..], &CONCURRENCIES[..]),
    };
    let duration = Duration::from_millis(if quick { 600 } else { 1000 * SECONDS });
    let mut cells = Vec::new();
    for &batch in batches {
        for &concurrency in concurrencies {
            let load = |server: &Server| {
                let make = |number| model.requests.request(number, batch);
                load::run(server.address(), &make, batch, concurrency, duration)
            };
            let cell = Cell {
                model: model.name,
                cores: used,
                batch,
                concurrency,
                ours: load(&ours).context("fed-bbpt model-api")?,
                theirs: load(&theirs).context("ONNX Runtime behind FastAPI")?,
            };
            println!("  {}", cell.row());
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// Starts a server on the first `used` cores.
fn start(
    used: usize,
    program: &Path,
    arguments: impl FnOnce(&mut Command, &str),
) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new("taskset");
    command.args(["-c", &list(0..used)]).arg(program);
    arguments(&mut command, &address.to_string());
    command.stdout(std::process::Stdio::null());
    Server::start(&mut command, address)
}

/// Pins this thread, and those that it will start, to these cores.
fn pin_load(cores: std::ops::Range<usize>) -> Result<()> {
    let own = std::process::id().to_string();
    quietly(Command::new("taskset").args(["-pc", &list(cores), &own])).map(drop)
}

/// The cores in the form that taskset takes, such as `0,1`.
fn list(cores: std::ops::Range<usize>) -> String {
    let numbers: Vec<String> = cores.map(|core| core.to_string()).collect();
    numbers.join(",")
}

/// Checks that both servers do the same work. It asks one input at a time, because an int8 model
/// rounds by what else is in its batch.
fn compare(model: &Model, ours: &Server, theirs: &Server) -> Result<()> {
    let mut most: f32 = 0.0;
    for number in 0..8 {
        let request = model.requests.request(number, 1);
        let ours = scores(&ask(ours.address(), &request)?)?;
        let theirs = scores(&ask(theirs.address(), &request)?)?;
        let pairs = ours.iter().zip(&theirs);
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let numbers = ours.iter().chain(&theirs).all(|score| score.is_finite());
        if ours.is_empty() || ours.len() != theirs.len() || !numbers || apart > APART {
            bail!(
                "the servers do not do the same work on {}: {} and {} scores, {apart} apart",
                model.name,
                ours.len(),
                theirs.len()
            );
        }
        most = most.max(apart);
    }
    println!("{}: scores at most {most} apart", model.name);
    Ok(())
}

/// The floats after the JSON of a binary answer.
fn scores(answer: &load::Answer) -> Result<Vec<f32>> {
    let json = answer
        .json_length
        .context("the answer holds no binary tensors")?;
    let bytes = answer.body.get(json..).unwrap_or_default();
    let (floats, _) = bytes.as_chunks::<4>();
    Ok(floats
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

impl Cell {
    fn row(&self) -> String {
        format!(
            "{} on {} core(s), batch {:>2}, {:>2} at once: {:>8.0} queries/s, p50 {:>7.1} ms, p99 {:>7.1} ms; onnxruntime {:>8.0}, {:>7.1}, {:>7.1}",
            self.model,
            self.cores,
            self.batch,
            self.concurrency,
            self.ours.per_second,
            self.ours.p50_ms,
            self.ours.p99_ms,
            self.theirs.per_second,
            self.theirs.p50_ms,
            self.theirs.p99_ms,
        )
    }
}

/// For each model and number of cores the ratio of the best rates, each server at the load that
/// suits it best.
fn summarise(cells: &[Cell]) -> Value {
    let mut ratios: Map<String, Value> = Map::new();
    for cell in cells {
        let same = |other: &&Cell| (other.model, other.cores) == (cell.model, cell.cores);
        let best = |rate: fn(&Cell) -> f64| cells.iter().filter(same).map(rate).fold(0.0, f64::max);
        let (ours, theirs) = (
            best(|cell| cell.ours.per_second),
            best(|cell| cell.theirs.per_second),
        );
        let key = if cell.cores == 1 {
            "one_core"
        } else {
            "two_cores"
        };
        ratios.entry(cell.model).or_insert_with(|| json!({}))[key] = json!({
            "ratio": rounded(ours / theirs),
            "ours": rounded(ours),
            "onnxruntime": rounded(theirs),
        });
    }
    let load = |load: &Load| json!({ "per_second": rounded(load.per_second), "p50_ms": rounded(load.p50_ms), "p99_ms": rounded(load.p99_ms) });
    let table: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({
                "model": cell.model, "cores": cell.cores, "batch": cell.batch, "concurrency": cell.concurrency,
                "ours": load(&cell.ours), "onnxruntime": load(&cell.theirs),
                "ratio": rounded(cell.ours.per_second / cell.theirs.per_second),
            })
        })
        .collect();
    json!({ "cells": table, "vs_onnxruntime": ratios })
}

/// Rounds to two decimal places.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::{Cell, Load, list, summarise};

    #[test]
    fn ratios_are_of_the_best_rates() {
        let load = |per_second| Load {
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
        };
        let cell = |cores, concurrency, ours, theirs| Cell {
            model: "m",
            cores,
            batch: 1,
            concurrency,
            ours: load(ours),
            theirs: load(theirs),
        };
        let line = summarise(&[
            cell(1, 1, 50.0, 100.0),
            cell(1, 4, 120.0, 80.0),
            cell(2, 1, 30.0, 10.0),
        ]);
        assert_eq!(line["vs_onnxruntime"]["m"]["one_core"]["ratio"], 1.2);
        assert_eq!(line["vs_onnxruntime"]["m"]["two_cores"]["ratio"], 3.0);
        assert_eq!(line["cells"].as_array().unwrap().len(), 3);
        assert_eq!(line["cells"][0]["ratio"], 0.5);
    }

    #[test]
    fn cores_are_written_as_taskset_takes_them() {
        assert_eq!(list(0..1), "0");
        assert_eq!(list(1..4), "1,2,3");
    }
}
