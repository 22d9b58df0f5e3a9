//! The input of `step.wgsl` as bytes: its `Params` and its `Candidate`s.

use ground::rng::Distribution;
use tuning::generator::Shape;
use tuning::optimizer::Candidate;

use super::passes::Pass;

/// Size of `Params` in bytes.
pub const PARAMS_BYTES: usize = 64;
/// Size of one `Candidate` in bytes.
pub const CANDIDATE_BYTES: usize = 32;
/// Maximum number of integers that a kernel takes.
const INTEGERS: usize = 8;

/// Writes the `Params` of one pass.
pub fn params(shape: Shape, pass: Pass, statistics: usize, integers: &[u32]) -> Vec<u8> {
    let mut words = vec![
        shape.height as u32,
        shape.width as u32,
        shape.bytes() as u32,
        shape.bytes().div_ceil(4) as u32,
        pass.images.len() as u32,
        pass.images.start as u32,
        pass.candidates.start as u32,
        statistics as u32,
    ];
    words.extend(
        integers
            .iter()
            .copied()
            .chain(std::iter::repeat(0))
            .take(INTEGERS),
    );
    bytemuck::cast_slice(&words).to_vec()
}

/// Writes all candidates of a step, for images of which the first is number `first` of the batch.
pub fn candidates(candidates: &[Candidate], first: usize) -> Vec<u8> {
    let words: Vec<u32> = candidates
        .iter()
        .flat_map(|candidate| match candidate.direction {
            Some(direction) => {
                let distribution = match direction.distribution {
                    Distribution::Rademacher => 1,
                    Distribution::SegmentedUniform => 2,
                    Distribution::Nodes => 3,
                    // Distributions of categories and arms, which no generator of images has: no
                    // kernel draws them.
                    Distribution::Gumbel | Distribution::GumbelOfLog | Distribution::Coordinate => {
                        0
                    }
                };
                candidate_words(
                    direction.key,
                    direction.counter,
                    distribution,
                    candidate.scale,
                    first as u32,
                )
            }
            None => candidate_words([0; 2], [0; 3], 0, 0.0, 0),
        })
        .collect();
    bytemuck::cast_slice(&words).to_vec()
}

/// Writes the question of a known answer in a candidate's place.
pub fn question(counter: [u32; 4], key: [u32; 2]) -> Vec<u8> {
    let [a, b, c, d] = counter;
    bytemuck::cast_slice(&candidate_words(key, [a, b, c], d, 0.0, 0)).to_vec()
}

fn candidate_words(
    key: [u32; 2],
    counter: [u32; 3],
    distribution: u32,
    scale: f32,
    first: u32,
) -> [u32; 8] {
    [
        key[0],
        key[1],
        counter[0],
        counter[1],
        counter[2],
        distribution,
        scale.to_bits(),
        first,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::passes::Range;

    #[test]
    fn sizes_are_those_of_the_kernel() {
        let pass = Pass {
            candidates: Range { start: 3, end: 4 },
            images: Range { start: 1, end: 7 },
        };
        let bytes = params(
            Shape {
                height: 5,
                width: 7,
            },
            pass,
            8,
            &[9],
        );
        assert_eq!(bytes.len(), PARAMS_BYTES);
        let words: &[u32] = bytemuck::cast_slice(&bytes);
        assert_eq!(words, [5, 7, 105, 27, 6, 1, 3, 8, 9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            candidates(&[Candidate::BASE; 3], 0).len(),
            3 * CANDIDATE_BYTES
        );
        assert_eq!(question([1, 2, 3, 4], [5, 6]).len(), CANDIDATE_BYTES);
    }
}
