//! One optimiser step of a 224×224 task on this machine's CPU: K = 5 directions, both signs, B =
//! 64, generator `statistic`. The bytes counted are those that come out: 10 · 64 · 3 · 224².

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ground::rng::{Direction, Distribution, Stream};
use serde_json::json;
use tuning::generator;
use tuning::generator::Shape;
use tuning::optimizer::Candidate;

fn step(criterion: &mut Criterion) {
    let shape = Shape {
        height: 224,
        width: 224,
    };
    let Ok(generator) = generator::build(&json!({ "kind": "statistic" }), shape) else {
        return;
    };
    let mut stream = Stream::with_key([1, 2]);
    let prepared: Vec<_> = (0..64)
        .map(|_| {
            generator.prepare(
                &(0..shape.bytes())
                    .map(|_| stream.below(256) as u8)
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let batch: Vec<_> = prepared.iter().collect();
    let theta: Vec<f32> = (0..generator.dim())
        .map(|_| 0.1 * stream.normal())
        .collect();
    let candidates: Vec<Candidate> = (0..5)
        .flat_map(|index| {
            let direction = Some(Direction {
                key: [1, 2],
                counter: [index, 0, 0],
                distribution: Distribution::Rademacher,
            });
            [0.05, -0.05].map(|scale| Candidate { direction, scale })
        })
        .collect();
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Bytes(
        (candidates.len() * batch.len() * shape.bytes()) as u64,
    ));
    group.bench_function("statistic 224x224, B=64, K=5 two-sided, CPU", |bencher| {
        bencher.iter(|| generator::render(&*generator, &theta, &candidates, &batch, &mut out));
    });
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
