//! The WebGPU kernel on whatever Vulkan driver there is (Mesa's lavapipe in continuous
//! integration): the same pictures as on the CPU. Without a driver the tests say so and pass; the
//! browser tests run the same checks.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use std::time::Instant;

use client_wasm::gpu::{Gpu, GpuError, GpuStep, check};
use client_wasm::renderer::{self, Hint, Wish, Workload};
use futures::executor::block_on;
use ground::rng::{Direction, Distribution, Stream};
use serde_json::{Value, json};
use tuning::generator;
use tuning::generator::{Generator, Prepared, Shape};
use tuning::optimizer::Candidate;

fn open() -> Option<Gpu> {
    match block_on(Gpu::open()) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            println!("skipped: {error} (install a Vulkan driver, for example mesa-vulkan-drivers)");
            None
        }
    }
}

fn direction(index: u32, distribution: Distribution) -> Option<Direction> {
    Some(Direction {
        key: [1, 2],
        counter: [index, 3, 4],
        distribution,
    })
}

fn candidates() -> Vec<Candidate> {
    let mut all = vec![Candidate::BASE];
    for index in 0..3 {
        for scale in [0.2, -0.2] {
            all.push(Candidate {
                direction: direction(index, Distribution::Rademacher),
                scale,
            });
            all.push(Candidate {
                direction: direction(index, Distribution::SegmentedUniform),
                scale,
            });
            all.push(Candidate {
                direction: direction(index, Distribution::Nodes),
                scale,
            });
        }
    }
    all
}

struct Case {
    generator: Box<dyn Generator>,
    shape: Shape,
    prepared: Vec<Prepared>,
    theta: Vec<f32>,
}

fn case(spec: &Value, height: usize, width: usize, images: usize) -> Case {
    let shape = Shape { height, width };
    let generator = generator::build(spec, shape).unwrap();
    let mut stream = Stream::with_key([5, 6]);
    let prepared = (0..images)
        .map(|_| {
            generator.prepare(
                &(0..shape.bytes())
                    .map(|_| stream.below(256) as u8)
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let theta = (0..generator.dim())
        .map(|_| 0.3 * stream.normal())
        .collect();
    Case {
        generator,
        shape,
        prepared,
        theta,
    }
}

fn specs() -> Vec<(Value, usize, usize)> {
    vec![
        (json!({ "kind": "statistic" }), 32, 32),
        (
            json!({ "kind": "statistic", "statistics": 4, "output": "basis" }),
            32,
            32,
        ),
        (
            json!({ "kind": "statistic", "channels": 3, "grid": 5, "epsilon": 0.3 }),
            19,
            33,
        ),
        (json!({ "kind": "statistic", "statistics": 0 }), 224, 224),
        (json!({ "kind": "frame", "inner": 20 }), 32, 32),
        (
            json!({ "kind": "frame", "form": "pad", "inner": 20 }),
            32,
            32,
        ),
        (json!({ "kind": "coordinator" }), 64, 96),
        // 3·13·11 bytes fill no whole number of words.
        (json!({ "kind": "frame", "inner": 8 }), 13, 11),
    ]
}

fn step(case: &Case, gpu: Gpu, candidates: usize, images: usize) -> GpuStep {
    block_on(gpu.prepare(&*case.generator, case.shape, candidates, images)).unwrap()
}

#[test]
fn every_generator_gives_the_same_pictures_as_on_the_cpu() {
    for (spec, height, width) in specs() {
        let Some(gpu) = open() else { return };
        let case = case(&spec, height, width, 5);
        let all = candidates();
        let step = step(&case, gpu, all.len(), 5);
        block_on(check::known_answers(&step)).unwrap();
        let batch: Vec<_> = case.prepared.iter().collect();
        let (mut on_gpu, mut on_cpu) = (Vec::new(), Vec::new());
        generator::render(&*case.generator, &case.theta, &all, &batch, &mut on_cpu);
        // Twice: the second run reuses the buffers.
        for _ in 0..2 {
            block_on(step.render(&case.theta, &all, &batch, &mut on_gpu)).unwrap();
            let different =
                check::compare(&on_gpu, &on_cpu).unwrap_or_else(|e| panic!("{spec}: {e}"));
            println!(
                "{spec}: {:.4}% of bytes differ by one level",
                100.0 * different
            );
        }
        block_on(check::same_as_cpu(&step, &*case.generator, case.shape)).unwrap();
    }
}

#[test]
fn a_batch_larger_than_the_buffers_takes_several_passes() {
    let Some(gpu) = open() else { return };
    let case = case(&json!({}), 32, 32, 7);
    let all = candidates();
    let step = step(&case, gpu, all.len(), 3);
    let batch: Vec<_> = case.prepared.iter().collect();
    let (mut on_gpu, mut on_cpu) = (Vec::new(), Vec::new());
    block_on(step.render(&case.theta, &all, &batch, &mut on_gpu)).unwrap();
    generator::render(&*case.generator, &case.theta, &all, &batch, &mut on_cpu);
    check::compare(&on_gpu, &on_cpu).unwrap();
}

#[test]
fn a_lost_device_is_an_error_and_not_a_picture() {
    let Some(gpu) = open() else { return };
    let case = case(&json!({}), 32, 32, 2);
    let all = candidates();
    let step = step(&case, gpu, all.len(), 2);
    let batch: Vec<_> = case.prepared.iter().collect();
    let mut out = Vec::new();
    block_on(step.render(&case.theta, &all, &batch, &mut out)).unwrap();
    step.destroy();
    let lost = block_on(step.render(&case.theta, &all, &batch, &mut out));
    assert!(matches!(lost, Err(GpuError::Failed(_))), "{lost:?}");
}

#[test]
fn a_step_larger_than_planned_is_refused() {
    let Some(gpu) = open() else { return };
    let case = case(&json!({}), 32, 32, 1);
    let step = step(&case, gpu, 2, 1);
    let all = candidates();
    let refused = block_on(step.render(&case.theta, &all, &[&case.prepared[0]], &mut Vec::new()));
    assert!(matches!(refused, Err(GpuError::TooLarge(_))), "{refused:?}");
}

fn now() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

#[test]
fn software_counts_as_cpu_unless_the_gpu_is_forced() {
    let case = case(&json!({}), 32, 32, 1);
    let all = candidates();
    let work = Workload {
        generator: &*case.generator,
        shape: case.shape,
        candidates: &all,
        images: 4,
    };
    let (none, choice) = block_on(renderer::choose(Wish::Cpu, &Hint::default(), &work, now));
    assert!(none.is_none() && choice.name == "cpu");
    let Some(gpu) = open() else {
        let (none, choice) = block_on(renderer::choose(Wish::WebGpu, &Hint::default(), &work, now));
        assert!(
            none.is_none() && choice.name == "cpu" && choice.reason.contains("no WebGPU"),
            "{choice:?}"
        );
        return;
    };
    let (step, choice) = block_on(renderer::choose(Wish::Auto, &Hint::default(), &work, now));
    if gpu.software {
        assert!(
            step.is_none() && choice.reason.contains("software"),
            "{choice:?}"
        );
    }
    assert!(choice.cpu_ms.is_some());
    let (step, choice) = block_on(renderer::choose(Wish::WebGpu, &Hint::default(), &work, now));
    assert!(
        step.is_some() && choice.name == "webgpu" && choice.webgpu_ms.is_some(),
        "{choice:?}"
    );
}
