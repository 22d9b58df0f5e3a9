use super::*;
use crate::candidate::Candidate;
use crate::generator::{build as build_any, render};
use serde_json::json;

fn coordinator(height: usize, width: usize) -> Box<dyn Generator> {
    build_any(&json!({ "kind": "coordinator" }), Shape { height, width }).unwrap()
}

/// The image under the prompt of θ itself, as 3·H·W bytes.
fn rendered(generator: &dyn Generator, theta: &[f32], image: &[u8]) -> Vec<u8> {
    let (prepared, mut out) = (generator.prepare(image), Vec::new());
    render(generator, theta, &[Candidate::BASE], &[&prepared], &mut out);
    out
}

#[test]
fn has_the_released_number_of_parameters() {
    let generator = coordinator(224, 224);
    assert_eq!((generator.dim(), generator.statistics()), (9_920, 768));
    let theta = generator.initial();
    assert_eq!(theta.len(), 9_920);
    assert!(theta[..800].iter().all(|t| (0.0..0.1).contains(t)));
    // Smaller images have fewer cells and the same decoder.
    assert_eq!(coordinator(32, 32).dim(), 9_120 + 20);
    assert_eq!(coordinator(128, 64).dim(), 9_120 + 256 - 3 * 36);
}

#[test]
fn other_sizes_are_a_fault() {
    let wrong = Shape {
        height: 28,
        width: 32,
    };
    let Err(faults) = build_any(&json!({ "kind": "coordinator" }), wrong) else {
        panic!("accepted");
    };
    assert!(faults.to_string().contains("28×32"));
}

/// The network as the table describes it, over whole maps and without optimisations. With batch
/// norm, for a batch of this image alone.
fn plainly(
    theta: &[f32],
    z: &[f32],
    (cells_down, cells_across): (usize, usize),
    by_batch: bool,
) -> Vec<f32> {
    let cells = cells_down * cells_across;
    let trigger = SEED * cells - z.len();
    // [channel][row][column]
    let mut map: Vec<f32> = z.iter().chain(&theta[..trigger]).copied().collect();
    let (mut height, mut width, mut at) = (cells_down, cells_across, trigger);
    for stage in &STAGES {
        let pixels = 4 * height * width;
        let mut sums = vec![0f64; stage.output * pixels];
        let weight = |i: usize| theta[at + i];
        let first = stage.depthwise();
        for y in 0..2 * height {
            for x in 0..2 * width {
                let place = 2 * (y % 2) + x % 2;
                let below = (y / 2) * width + x / 2;
                let mixed: Vec<f32> = (0..stage.middle)
                    .map(|m| {
                        let from = m / (stage.middle / stage.input);
                        weight(4 * m + place) * map[from * height * width + below]
                            + weight(4 * stage.middle + m)
                    })
                    .collect();
                for o in 0..stage.output {
                    let row = first + o * stage.middle;
                    sums[o * pixels + y * 2 * width + x] = (0..stage.middle)
                        .map(|i| f64::from(weight(row + i)) * f64::from(mixed[i]))
                        .sum();
                }
            }
        }
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares = values.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
            (mean, squares / values.len() as f64)
        };
        let norm = first + stage.middle * stage.output;
        let next: Vec<f32> = (0..sums.len())
            .map(|i| {
                let (o, pixel) = (i / pixels, i % pixels);
                let (mean, variance) = if by_batch {
                    moments(&sums[o * pixels..][..pixels])
                } else {
                    let channels = (0..stage.output).map(|o| sums[o * pixels + pixel]);
                    moments(&channels.collect::<Vec<_>>())
                };
                let v = (sums[i] - mean) / (variance + 1e-5).sqrt() * f64::from(weight(norm + o))
                    + f64::from(weight(norm + stage.output + o));
                (0.5 * v * (1.0 + libm::erf(v / std::f64::consts::SQRT_2))) as f32
            })
            .collect();
        at += stage.parameters();
        (map, height, width) = (next, 2 * height, 2 * width);
    }
    let mut out = vec![0.0; 3 * 4 * height * width];
    for colour in 0..3 {
        for y in 0..2 * height {
            for x in 0..2 * width {
                let kernel = at + ((colour * 2 + y % 2) * 2 + x % 2) * LAST;
                out[(colour * 2 * height + y) * 2 * width + x] = (0..LAST)
                    .map(|i| theta[kernel + i] * map[(i * height + y / 2) * width + x / 2])
                    .sum();
            }
        }
    }
    out
}

#[test]
fn is_the_network_of_the_table() {
    let (height, width) = (64, 32);
    for norm in ["layer", "batch"] {
        let spec = json!({ "kind": "coordinator", "norm": norm });
        let generator = build_any(&spec, Shape { height, width }).unwrap();
        let mut stream = Stream::with_key([3, 1]);
        let theta: Vec<f32> = (0..generator.dim())
            .map(|_| 0.3 * stream.normal())
            .collect();
        let image: Vec<u8> = (0..3 * height * width)
            .map(|_| stream.below(256) as u8)
            .collect();
        let out = rendered(&*generator, &theta, &image);
        let statistics = generator.prepare(&image).statistics;
        let prompt = plainly(&theta, &statistics, (2, 1), norm == "batch");
        let mut moved = 0;
        for ((got, x), h) in out.iter().zip(&image).zip(prompt) {
            let expected = (f32::from(*x) + 255.0 * 0.3 * h).clamp(0.0, 255.0);
            assert!(
                (f32::from(*got) - expected).abs() < 0.51,
                "{norm}: {got} {expected}"
            );
            moved += usize::from(got != x);
        }
        assert!(moved > out.len() / 2);
    }
}

#[test]
fn by_batch_an_image_depends_on_the_others_and_not_by_layer() {
    let shape = Shape {
        height: 32,
        width: 32,
    };
    for (norm, depends) in [("layer", false), ("batch", true)] {
        let spec = json!({ "kind": "coordinator", "norm": norm });
        let generator = build_any(&spec, shape).unwrap();
        assert_eq!(generator.kernel().is_none(), depends);
        let theta = generator.initial();
        let mut stream = Stream::with_key([3, 1]);
        let mut prepared = || {
            let image: Vec<u8> = (0..shape.bytes())
                .map(|_| stream.below(256) as u8)
                .collect();
            generator.prepare(&image)
        };
        let (one, other, third) = (prepared(), prepared(), prepared());
        let first = |batch: &[&Prepared]| {
            let mut out = Vec::new();
            render(&*generator, &theta, &[Candidate::BASE], batch, &mut out);
            out.truncate(shape.bytes());
            out
        };
        let with_other = first(&[&one, &other]);
        assert_eq!(with_other != first(&[&one, &third]), depends, "{norm}");
        assert_eq!(with_other, first(&[&one, &other]));
    }
}

#[test]
fn gelu_is_what_it_is_called() {
    for x in [-6.0f32, -1.5, -0.1, 0.0, 0.3, 1.0, 4.0] {
        let exact = 0.5 * f64::from(x) * (1.0 + libm::erf(f64::from(x) / 2f64.sqrt()));
        assert!((f64::from(gelu(x)) - exact).abs() < 1e-6, "{x}");
    }
}

#[test]
fn without_its_last_layer_nothing_changes() {
    let generator = coordinator(32, 32);
    let mut theta = generator.initial();
    let cut = theta.len() - PIXELS;
    theta[cut..].fill(0.0);
    let image: Vec<u8> = (0..3 * 32 * 32).map(|i| (i % 256) as u8).collect();
    let out = rendered(&*generator, &theta, &image);
    assert_eq!(out, image);
}
