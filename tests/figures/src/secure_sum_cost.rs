//! `secure-sum-cost`: bytes and milliseconds of one secure sum, compared with Flower's SecAgg+.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::number;
use super::{Figure, Inputs, measured};
use interop::python;
use xtask::run::{quietly, step};
use xtask::workspace::{cargo, root, target};
use xtask::{setup, wasm};

pub const FIGURE: Figure = Figure {
    name: "secure-sum-cost",
    summary: "bytes and milliseconds of a secure sum of 10, 100 and 300 participants, against Flower's SecAgg+ (an hour: theirs is slow)",
    run,
};

const PARTICIPANTS: [u32; 3] = [10, 100, 300];
const ENTRIES: [u32; 2] = [576, 9_920];

/// The version that was measured.
const FLOWER: &str = "flwr==1.41.0";

fn run(inputs: &Inputs) -> Result<Value> {
    setup::for_building()?;
    wasm::build_secure_sum()?;
    let python = python::environment("flower", &[FLOWER])?;
    step("cargo build secure_sum_cost (release)", || {
        let mut build = cargo();
        build.args(["build", "--release", "--package", "federation"]);
        quietly(build.args(["--example", "secure_sum_cost"]))
    })?;
    let native = target().join(format!(
        "release/examples/secure_sum_cost{}",
        std::env::consts::EXE_SUFFIX
    ));
    let sizes = PARTICIPANTS
        .iter()
        .take(if inputs.quick { 1 } else { 3 })
        .flat_map(|n| ENTRIES.map(|d| (*n, d)));
    let mut cells = Vec::new();
    for (n, d) in sizes {
        println!("n = {n}, d = {d}");
        cells.push(measure(&native, &python, n, d)?);
    }
    summarise(&cells)
}

struct Cell {
    n: u32,
    d: u32,
    ours: Value,
    wasm: Value,
    flower: Value,
}

fn measure(native: &Path, python: &Path, n: u32, d: u32) -> Result<Cell> {
    let arguments = [n.to_string(), d.to_string()];
    let script = root().join("tests/figures/secure_sum_flower.py");
    Ok(Cell {
        n,
        d,
        ours: measured(Command::new(native).args(&arguments))?,
        wasm: measured(
            Command::new("node")
                .arg("client-wasm/benches/secure_sum.mjs")
                .args(&arguments),
        )?,
        flower: measured(Command::new(python).arg(script).args(&arguments))?,
    })
}

fn summarise(cells: &[Cell]) -> Result<Value> {
    println!(
        "\n| n | d | KB up | KB down | client ms, wasm | server ms | Flower: KB up | KB down | client ms | server ms |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut result = Map::new();
    for cell in cells {
        let up = number(&cell.ours, "bytes_up")?;
        let down = number(&cell.ours, "bytes_down")?;
        let client = number(&cell.wasm, "client_ms_wasm")?;
        let server = number(&cell.ours, "server_ms")?;
        let theirs = |key| number(&cell.flower, key);
        println!(
            "| {} | {} | {:.1} | {:.1} | {client:.1} | {server:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
            cell.n,
            cell.d,
            up / 1e3,
            down / 1e3,
            theirs("bytes_up")? / 1e3,
            theirs("bytes_down")? / 1e3,
            theirs("client_ms")?,
            theirs("server_ms")?,
        );
        result.insert(
            format!("n{}_d{}", cell.n, cell.d),
            json!({
                "bytes_up": up as u64,
                "bytes_down": down as u64,
                "client_ms_wasm": round(client),
                "client_ms_native": round(number(&cell.ours, "client_ms_native")?),
                "server_ms": round(server),
                // Flower's divided by ours: above 1, ours costs less.
                "vs_flower": {
                    "bytes_up": round(theirs("bytes_up")? / up),
                    "bytes_down": round(theirs("bytes_down")? / down),
                    "client_ms": round(theirs("client_ms")? / client),
                    "server_ms": round(theirs("server_ms")? / server),
                },
            }),
        );
    }
    println!();
    Ok(Value::Object(result))
}

/// Rounds to two decimal places.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::{Cell, summarise};
    use serde_json::json;

    #[test]
    fn ratios_are_theirs_over_ours() {
        let cell = Cell {
            n: 10,
            d: 576,
            ours: json!({ "bytes_up": 1000, "bytes_down": 2000, "client_ms_native": 1.0, "server_ms": 2.0 }),
            wasm: json!({ "client_ms_wasm": 4.0 }),
            flower: json!({ "bytes_up": 3000, "bytes_down": 1000, "client_ms": 40.0, "server_ms": 400.0 }),
        };
        let line = summarise(&[cell]).unwrap();
        assert_eq!(line["n10_d576"]["vs_flower"]["bytes_up"], 3.0);
        assert_eq!(line["n10_d576"]["vs_flower"]["bytes_down"], 0.5);
        assert_eq!(line["n10_d576"]["vs_flower"]["client_ms"], 10.0);
        assert_eq!(line["n10_d576"]["client_ms_wasm"], 4.0);
    }
}
