//! `step`: one client step on the CPU, in WebAssembly and on a GPU, compared with NumPy and with
//! copying memory.
//!
//! 224×224×3, B = 64, K = 5 directions with both signs, generator `statistic`: 10 · 64 images come
//! out. All figures are ratios of times of one run, in which the programs take turns; the CPU's and
//! NumPy's use one thread each.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::simulation::number;
use super::{Figure, Inputs, measured};
use interop::python;
use xtask::run::{quietly, step};
use xtask::workspace::{cargo, root, target};
use xtask::{setup, wasm};

pub const FIGURE: Figure = Figure {
    name: "step",
    summary: "one client step: CPU, WebAssembly and WebGPU against NumPy and the memory's bandwidth",
    run,
};

/// Without a graphics device it says only how long the CPU takes.
pub const GENERATORS: Figure = Figure {
    name: "step-generators",
    summary: "one client step of each generator on the CPU and on a Vulkan device of real hardware",
    run: |_| {
        setup::for_building()?;
        measured(Command::new(native()?).arg("all"))
    },
};

/// Number of turns of each program; in each it reports the median of several steps.
const TURNS: usize = 3;

/// The Python package for the NumPy script.
const NUMPY: &str = "numpy==2.3.5";

/// Bytes of the copy that measures the memory's bandwidth: far more than any cache holds.
const COPIED: usize = 256 << 20;

fn run(_: &Inputs) -> Result<Value> {
    setup::for_building()?;
    wasm::build_client()?;
    let python = python::environment("figures", &[NUMPY])?;
    let native = native()?;
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        println!("turn {} of {TURNS}", turn + 1);
        let ours = measured(&mut Command::new(&native))?;
        let script = root().join("tests/figures/step_numpy.py");
        let numpy = measured(
            Command::new(&python)
                .arg(script)
                // The same number of threads as our step has.
                .env("OMP_NUM_THREADS", "1")
                .env("OPENBLAS_NUM_THREADS", "1"),
        )?;
        let wasm = measured(Command::new("node").arg("client-wasm/benches/step.mjs"))?;
        for other in [&numpy, &wasm] {
            if other["bytes"] != ours["bytes"] {
                bail!("the programs do not do the same work: {ours}, {other}");
            }
        }
        turns.push(Turn {
            bytes: number(&ours, "bytes")?,
            cpu_ms: number(&ours, "cpu_ms")?,
            vulkan_ms: ours["vulkan_ms"].as_f64(),
            adapter: ours["adapter"].clone(),
            numpy_ms: number(&numpy, "numpy_ms")?,
            wasm_ms: number(&wasm, "wasm_cpu_ms")?,
            copy_ms: copy_ms(),
        });
    }
    summarise(&turns)
}

/// The milliseconds of each program in one turn.
struct Turn {
    bytes: f64,
    cpu_ms: f64,
    vulkan_ms: Option<f64>,
    adapter: Value,
    numpy_ms: f64,
    wasm_ms: f64,
    copy_ms: f64,
}

fn summarise(turns: &[Turn]) -> Result<Value> {
    let [first, ..] = turns else {
        bail!("nothing was run");
    };
    let of = |value: fn(&Turn) -> f64| median(turns.iter().map(value).collect());
    // Bytes of output per second, of the step and of a copy.
    let bandwidth = |turn: &Turn| (turn.bytes / turn.cpu_ms) / (COPIED as f64 / turn.copy_ms);
    let gpu: Vec<f64> = turns
        .iter()
        .filter_map(|turn| Some(turn.cpu_ms / turn.vulkan_ms?))
        .collect();
    let webgpu = (gpu.len() == turns.len()).then(|| median(gpu));
    Ok(json!({
        "cpu_vs_numpy": of(|turn| turn.numpy_ms / turn.cpu_ms),
        "cpu_bandwidth_fraction": median(turns.iter().map(bandwidth).collect()),
        "webgpu_vs_cpu": webgpu,
        "webgpu": if webgpu.is_some() { first.adapter.clone() } else { json!("this machine has no Vulkan driver of real hardware") },
        "wasm_vs_native": of(|turn| turn.wasm_ms / turn.cpu_ms),
        "cpu_ms": of(|turn| turn.cpu_ms),
        "numpy_ms": of(|turn| turn.numpy_ms),
        "wasm_ms": of(|turn| turn.wasm_ms),
        "copy_gb_per_second": of(|turn| COPIED as f64 / turn.copy_ms / 1e6),
        "bytes": first.bytes as u64,
    }))
}

/// The median, to about three significant places: more would be noise.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values[values.len() / 2];
    (middle * 1e3).round() / 1e3
}

/// Milliseconds to copy [`COPIED`] bytes, as the median of several copies.
fn copy_ms() -> f64 {
    let from = vec![1u8; COPIED];
    // Written once before, so that no page is touched for the first time while the clock runs.
    let mut to = vec![2u8; COPIED];
    let times = (0..7).map(|_| {
        let before = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&to);
        before.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}

/// Builds the native program and returns its path.
fn native() -> Result<PathBuf> {
    let arguments = [
        "build",
        "--release",
        "--package",
        "client-wasm",
        "--example",
        "step",
    ];
    step("cargo build step (release)", || {
        quietly(cargo().args(arguments))
    })?;
    let name = format!("release/examples/step{}", std::env::consts::EXE_SUFFIX);
    Ok(target().join(name))
}

#[cfg(test)]
mod tests {
    use super::{COPIED, Turn, median, summarise};
    use serde_json::Value;

    #[test]
    fn ratios_are_medians_of_the_turns() {
        let turn = |cpu_ms: f64, vulkan_ms: Option<f64>| Turn {
            bytes: COPIED as f64,
            cpu_ms,
            vulkan_ms,
            adapter: Value::Null,
            numpy_ms: 40.0,
            wasm_ms: 12.0,
            copy_ms: 5.0,
        };
        let line = summarise(&[
            turn(10.0, Some(2.0)),
            turn(10.0, Some(2.5)),
            turn(20.0, None),
        ])
        .unwrap();
        assert_eq!(line["cpu_vs_numpy"], 4.0);
        assert_eq!(line["cpu_bandwidth_fraction"], 0.5);
        assert_eq!(line["wasm_vs_native"], 1.2);
        // A GPU that answers in some turns only gives no figure.
        assert_eq!(line["webgpu_vs_cpu"], Value::Null);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
