//! The self-test: a device that does not give the known answers is not used.
//!
//! Drivers differ in what they get wrong (a transpose that returns zeros, 16-bit products that
//! overflow); a wrong prompt would silently poison every later step.

use ground::rng::{Direction, Distribution, Stream};
use serde_json::Value;
use tuning::generator;
use tuning::generator::{Generator, Shape};
use tuning::optimizer::Candidate;

use super::{GpuError, GpuStep, layout};

/// Number of questions that the buffers must hold.
pub const MOST_KNOWN_ANSWERS: usize = 16;

/// Maximum share of bytes that may differ between CPU and GPU, by one level, where they round a sum
/// differently.
pub const MOST_DIFFERENT: f64 = 0.01;

struct KnownAnswer {
    counter: [u32; 4],
    key: [u32; 2],
    answer: [u32; 4],
}

fn read_known() -> Option<Vec<KnownAnswer>> {
    let file: Value =
        serde_json::from_slice(include_bytes!("../../../shared/vectors/philox.json")).ok()?;
    let read = |case: &Value| {
        Some(KnownAnswer {
            counter: words(&case["counter"])?,
            key: words(&case["key"])?,
            answer: words(&case["answer"])?,
        })
    };
    file.as_array()?.iter().map(read).collect()
}

fn words<const N: usize>(value: &Value) -> Option<[u32; N]> {
    let words: Option<Vec<u32>> = value
        .as_array()?
        .iter()
        .map(|word| word.as_u64().map(|word| word as u32))
        .collect();
    words?.try_into().ok()
}

/// Checks that Philox gives Random123's known answers.
///
/// # Errors
/// [`GpuError::Wrong`], or a failure of the device.
pub async fn known_answers(step: &GpuStep) -> Result<(), GpuError> {
    let known = read_known()
        .ok_or_else(|| GpuError::Wrong("its known answers cannot be read".to_owned()))?;
    for some in known.chunks(MOST_KNOWN_ANSWERS) {
        let questions: Vec<u8> = some
            .iter()
            .flat_map(|k| layout::question(k.counter, k.key))
            .collect();
        step.gpu
            .queue
            .write_buffer(&step.buffers.candidates, 0, &questions);
        let bytes = some.len() as u64 * 16;
        let mapped = step
            .dispatch(
                &step.pipelines.known_answers,
                [some.len() as u32, 1, 1],
                bytes,
            )
            .await?;
        let view = mapped.view()?;
        let words: Vec<u32> = view
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        drop(view);
        if words
            .chunks_exact(4)
            .zip(some)
            .any(|(got, k)| got != k.answer)
        {
            return Err(GpuError::Wrong(
                "Philox differs from its known answers".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Checks that the task's own generator gives the CPU's pictures: no byte differs by more than one
/// level, and 99% are equal. Returns the share of bytes that differ.
///
/// # Errors
/// [`GpuError::Wrong`], or a failure of the device.
pub async fn same_as_cpu(
    step: &GpuStep,
    generator: &dyn Generator,
    shape: Shape,
) -> Result<f64, GpuError> {
    let (theta, candidates, images) = question(generator, shape, step.size.candidates);
    let prepared: Vec<_> = images
        .iter()
        .map(|image| generator.prepare(image))
        .collect();
    let batch: Vec<_> = prepared.iter().take(step.size.images).collect();
    let (mut on_gpu, mut on_cpu) = (Vec::new(), Vec::new());
    step.render(&theta, &candidates, &batch, &mut on_gpu)
        .await?;
    generator::render(generator, &theta, &candidates, &batch, &mut on_cpu);
    compare(&on_gpu, &on_cpu).map_err(GpuError::Wrong)
}

/// A step with candidates of every kind, on noise and on even pictures.
fn question(
    generator: &dyn Generator,
    shape: Shape,
    most: usize,
) -> (Vec<f32>, Vec<Candidate>, Vec<Vec<u8>>) {
    let mut stream = Stream::with_key([0x7E57, 1]);
    let theta = (0..generator.dim())
        .map(|_| 0.3 * stream.normal())
        .collect();
    let direction = |distribution| {
        Some(Direction {
            key: [11, 12],
            counter: [13, 14, 15],
            distribution,
        })
    };
    let mut candidates = vec![
        Candidate {
            direction: direction(Distribution::Rademacher),
            scale: 0.25,
        },
        Candidate {
            direction: direction(Distribution::SegmentedUniform),
            scale: -0.25,
        },
        Candidate::BASE,
        Candidate {
            direction: direction(Distribution::Nodes),
            scale: -0.25,
        },
    ];
    candidates.truncate(most);
    let noise = (0..shape.bytes())
        .map(|_| stream.below(256) as u8)
        .collect();
    let slope = (0..shape.bytes())
        .map(|i| (i % shape.width * 255 / shape.width) as u8)
        .collect();
    (theta, candidates, vec![noise, slope])
}

/// Returns the share of bytes that differ.
///
/// # Errors
/// Says where a byte differs too much, or that too many differ.
pub fn compare(on_gpu: &[u8], on_cpu: &[u8]) -> Result<f64, String> {
    if on_gpu.len() != on_cpu.len() {
        return Err(format!(
            "{} bytes instead of {}",
            on_gpu.len(),
            on_cpu.len()
        ));
    }
    if let Some(at) = on_gpu
        .iter()
        .zip(on_cpu)
        .position(|(a, b)| a.abs_diff(*b) > 1)
    {
        return Err(format!(
            "byte {at} is {} instead of {}",
            on_gpu[at], on_cpu[at]
        ));
    }
    let different = on_gpu.iter().zip(on_cpu).filter(|(a, b)| a != b).count();
    let share = different as f64 / on_cpu.len().max(1) as f64;
    if share > MOST_DIFFERENT {
        return Err(format!("{different} of {} bytes differ", on_cpu.len()));
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_in_a_hundred_bytes_is_tolerated() {
        let cpu = vec![100u8; 1000];
        let mut gpu = cpu.clone();
        gpu[3] = 101;
        assert_eq!(compare(&gpu, &cpu), Ok(0.001));
        gpu[3] = 102;
        assert!(compare(&gpu, &cpu).is_err());
        assert!(compare(&vec![101; 1000], &cpu).is_err());
        assert!(compare(&cpu[1..], &cpu).is_err());
    }
}
