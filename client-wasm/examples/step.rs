//! Times one optimiser step (224×224, K = 5 directions, both signs, B = 64, generator `statistic`) natively on
//! the CPU, and on a Vulkan device if there is a real one. Ends with one line of JSON:
//! `{"bytes", "cpu_ms", "vulkan_ms" or null, "adapter" or null}`.
//!
//! `cargo run --release -p client-wasm --example step`; inside wasm: `node client-wasm/benches/step.mjs`.

use std::time::Instant;

use client_wasm::gpu::Gpu;
use futures::executor::block_on;
use serde_json::json;
use shared::generator::{self, Generator, Prepared, Shape};
use shared::optimizer::Candidate;
use shared::rng::{Direction, Distribution, Stream};

const SHAPE: Shape = Shape {
    height: 224,
    width: 224,
};
const BATCH: usize = 64;
const RUNS: usize = 7;

struct Step {
    generator: Box<dyn Generator>,
    theta: Vec<f32>,
    candidates: Vec<Candidate>,
    prepared: Vec<Prepared>,
}

fn main() -> Result<(), String> {
    let step = step()?;
    let batch: Vec<&Prepared> = step.prepared.iter().collect();
    let mut out = Vec::new();
    let cpu_ms = median(|| {
        generator::render(
            &*step.generator,
            &step.theta,
            &step.candidates,
            &batch,
            &mut out,
        );
        Ok(())
    })?;
    let (vulkan_ms, adapter) = match on_vulkan(&step, &batch) {
        Ok((ms, adapter)) => (Some(ms), Some(adapter)),
        Err(why) => {
            eprintln!("no figure for Vulkan: {why}");
            (None, None)
        }
    };
    println!(
        "{}",
        json!({ "bytes": out.len(), "cpu_ms": cpu_ms, "vulkan_ms": vulkan_ms, "adapter": adapter })
    );
    Ok(())
}

fn step() -> Result<Step, String> {
    let generator = generator::build(&json!({ "kind": "statistic" }), SHAPE)
        .map_err(|faults| faults.to_string())?;
    let mut stream = Stream::with_key([1, 2]);
    let mut image = || {
        (0..SHAPE.bytes())
            .map(|_| stream.below(256) as u8)
            .collect::<Vec<_>>()
    };
    let prepared = (0..BATCH).map(|_| generator.prepare(&image())).collect();
    let theta = (0..generator.dim())
        .map(|_| 0.1 * stream.normal())
        .collect();
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
        generator,
        theta,
        candidates,
        prepared,
    })
}

fn on_vulkan(step: &Step, batch: &[&Prepared]) -> Result<(f64, String), String> {
    let gpu = block_on(Gpu::open()).map_err(|error| error.to_string())?;
    if gpu.software {
        return Err(format!("{} is software on the CPU", gpu.adapter));
    }
    let adapter = gpu.adapter.clone();
    let kernel = block_on(gpu.prepare(&*step.generator, SHAPE, step.candidates.len(), BATCH))
        .map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    let ms = median(|| {
        block_on(kernel.render(&step.theta, &step.candidates, batch, &mut out))
            .map_err(|e| e.to_string())
    })?;
    Ok((ms, adapter))
}

/// Milliseconds, after one run that warms up.
fn median(mut run: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    run()?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let before = Instant::now();
        run()?;
        times.push(before.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
