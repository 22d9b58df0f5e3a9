//! Times one optimiser step (K = 5 directions, both signs) natively: on one thread of the CPU, and
//! on a Vulkan device, if there is a real one, with upload and reading back; and compares their
//! bytes. Without arguments the generator is `statistic`, at 224×224 and B = 64, and it ends with
//! one line of JSON:
//! `{"bytes", "cpu_ms", "vulkan_ms" or null, "bytes_that_differ" (a share) or null, "adapter" or null}`.
//! With `all` that line has an object for each generator and size.
//!
//! `cargo run --release -p client-wasm --example step [all]`; inside wasm:
//! `node client-wasm/benches/step.mjs`.

use std::time::Instant;

use client_wasm::gpu::{Gpu, check};
use futures::executor::block_on;
use ground::rng::{Direction, Distribution, Stream};
use serde_json::{Map, Value, json};
use tuning::generator;
use tuning::generator::{Generator, Prepared, Shape};
use tuning::optimizer::Candidate;

const RUNS: usize = 7;
const THE_STEP: &str = "statistic_224";

/// The cases: name, the task file's `[generator]`, height and width, and images in the batch.
fn cases() -> [(&'static str, Value, usize, usize); 6] {
    [
        ("statistic_32", json!({ "kind": "statistic" }), 32, 64),
        ("statistic_224", json!({ "kind": "statistic" }), 224, 64),
        ("frame_32", json!({ "kind": "frame", "inner": 24 }), 32, 64),
        (
            "frame_224",
            json!({ "kind": "frame", "inner": 192 }),
            224,
            64,
        ),
        ("coordinator_32", json!({ "kind": "coordinator" }), 32, 64),
        ("coordinator_224", json!({ "kind": "coordinator" }), 224, 16),
    ]
}

struct Step {
    shape: Shape,
    generator: Box<dyn Generator>,
    theta: Vec<f32>,
    candidates: Vec<Candidate>,
    prepared: Vec<Prepared>,
}

fn main() -> Result<(), String> {
    let all = std::env::args().nth(1).is_some_and(|which| which == "all");
    let mut result = Map::new();
    for (name, spec, side, batch) in cases() {
        if !all && name != THE_STEP {
            continue;
        }
        let step = step(&spec, side, batch)?;
        let images: Vec<&Prepared> = step.prepared.iter().collect();
        let mut on_cpu = Vec::new();
        let cpu_ms = median(|| {
            let (generator, theta) = (&*step.generator, &step.theta);
            generator::render(generator, theta, &step.candidates, &images, &mut on_cpu);
            Ok(())
        })?;
        let mut line = json!({ "bytes": on_cpu.len(), "cpu_ms": cpu_ms, "vulkan_ms": null, "bytes_that_differ": null, "adapter": null });
        match on_vulkan(&step, &images, &on_cpu) {
            Ok((ms, differ, adapter)) => {
                line["vulkan_ms"] = json!(ms);
                line["bytes_that_differ"] = json!(differ);
                line["adapter"] = json!(adapter);
            }
            Err(why) => eprintln!("{name}: no figure for Vulkan: {why}"),
        }
        if !all {
            println!("{line}");
            return Ok(());
        }
        println!("{name}: {line}");
        result.insert(name.to_owned(), line);
    }
    println!("{}", Value::Object(result));
    Ok(())
}

fn step(spec: &Value, side: usize, batch: usize) -> Result<Step, String> {
    let shape = Shape {
        height: side,
        width: side,
    };
    let generator = generator::build(spec, shape).map_err(|faults| faults.to_string())?;
    let mut stream = Stream::with_key([1, 2]);
    let mut image = || {
        (0..shape.bytes())
            .map(|_| stream.below(256) as u8)
            .collect::<Vec<_>>()
    };
    let prepared = (0..batch).map(|_| generator.prepare(&image())).collect();
    let initial = generator.initial();
    let theta = initial.iter().map(|x| x + 0.1 * stream.normal()).collect();
    let candidates = (0..5)
        .flat_map(|index| {
            let direction = Some(Direction {
                key: [1, 2],
                counter: [index, 0, 0],
                distribution: Distribution::Rademacher,
            });
            [0.05, -0.05].map(|scale| Candidate { direction, scale })
        })
        .collect();
    Ok(Step {
        shape,
        generator,
        theta,
        candidates,
        prepared,
    })
}

/// The milliseconds, the share of bytes that differ from the CPU's, and the adapter.
fn on_vulkan(
    step: &Step,
    images: &[&Prepared],
    on_cpu: &[u8],
) -> Result<(f64, f64, String), String> {
    let gpu = block_on(Gpu::open()).map_err(|error| error.to_string())?;
    if gpu.software {
        return Err(format!("{} is software on the CPU", gpu.adapter));
    }
    let adapter = gpu.adapter.clone();
    let (generator, candidates) = (&*step.generator, step.candidates.len());
    let kernel = block_on(gpu.prepare(generator, step.shape, candidates, images.len()))
        .map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let ms = median(|| {
        block_on(kernel.render(&step.theta, &step.candidates, images, &mut out))
            .map_err(|error| error.to_string())
    })?;
    let differ = check::compare(&out, on_cpu).map_err(|error| error.to_string())?;
    Ok((ms, differ, adapter))
}

/// The median of several runs in milliseconds, after one to warm up.
fn median(mut run: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    run()?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let before = Instant::now();
        run()?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[RUNS / 2] * 1e3).round() / 1e3)
}
