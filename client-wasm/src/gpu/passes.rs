//! Cuts a step into passes whose output a device can bind, of whole candidates if possible.

/// The numbers from `start` up to, but not including, `end`. (`std::ops::Range` is not `Copy`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first number.
    pub start: usize,
    /// The number after the last.
    pub end: usize,
}

impl Range {
    /// How many numbers there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Iterates over the numbers.
    pub fn iter(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// One dispatch: these candidates on these images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The candidates of this pass.
    pub candidates: Range,
    /// The images of this pass.
    pub images: Range,
}

/// The limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes of one buffer binding.
    pub bytes: u64,
    /// Maximum workgroups in one dimension.
    pub groups: u32,
}

/// Numbers of images and candidates of the largest pass, for images of `image` bytes; each at least
/// 1.
fn extent(candidates: usize, images: usize, image: u64, limits: Limits) -> (usize, usize) {
    let slots = (limits.bytes / image.max(1)).max(1) as usize;
    let images = images.min(slots).min(limits.groups as usize).max(1);
    let candidates = candidates
        .min(slots / images)
        .min(limits.groups as usize)
        .max(1);
    (candidates, images)
}

/// Number of bytes that the largest pass writes.
#[must_use]
pub fn largest(candidates: usize, images: usize, image: u64, limits: Limits) -> u64 {
    let (candidates, images) = extent(candidates, images, image, limits);
    (candidates * images) as u64 * image
}

/// The passes of a step, each within the limits.
#[must_use]
pub fn plan(candidates: usize, images: usize, image: u64, limits: Limits) -> Vec<Pass> {
    let (most_candidates, most_images) = extent(candidates, images, image, limits);
    ranges(candidates, most_candidates)
        .flat_map(|candidates| {
            ranges(images, most_images).map(move |images| Pass { candidates, images })
        })
        .collect()
}

fn ranges(all: usize, most: usize) -> impl Iterator<Item = Range> {
    (0..all).step_by(most).map(move |start| Range {
        start,
        end: all.min(start + most),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(candidates: usize, images: usize, image: u64, limits: Limits) -> usize {
        let mut seen = vec![0; candidates * images];
        let passes = plan(candidates, images, image, limits);
        for pass in &passes {
            let bytes = (pass.candidates.len() * pass.images.len()) as u64 * image;
            assert!(bytes <= limits.bytes && bytes <= largest(candidates, images, image, limits));
            assert!(
                pass.images.len() <= limits.groups as usize
                    && pass.candidates.len() <= limits.groups as usize
            );
            for c in pass.candidates.iter() {
                pass.images.iter().for_each(|i| seen[c * images + i] += 1);
            }
        }
        assert!(seen.iter().all(|n| *n == 1), "{seen:?}");
        passes.len()
    }

    #[test]
    fn every_image_once_and_no_pass_too_large() {
        let wide = Limits {
            bytes: 128 << 20,
            groups: 65_535,
        };
        assert_eq!(covered(10, 64, 150_528, wide), 1);
        assert_eq!(
            covered(
                10,
                64,
                4,
                Limits {
                    bytes: 1000,
                    groups: 65_535
                }
            ),
            4
        );
        assert_eq!(
            covered(
                3,
                64,
                4,
                Limits {
                    bytes: 100,
                    groups: 65_535
                }
            ),
            9
        );
        assert_eq!(
            covered(
                5,
                7,
                4,
                Limits {
                    bytes: 4,
                    groups: 65_535
                }
            ),
            35
        );
        assert_eq!(
            covered(
                5,
                7,
                4,
                Limits {
                    bytes: 1000,
                    groups: 3
                }
            ),
            6
        );
        assert_eq!(covered(0, 7, 4, wide), 0);
    }
}
