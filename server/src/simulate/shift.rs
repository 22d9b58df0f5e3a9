//! `--shift`: changes every image in the same way before anything else sees it, as owners' pictures
//! may differ from what the model knows.
//!
//! With pixels in [−1, 1], x' = clip(contrast·x + F): F is a field of 3×3 random ±amplitudes for each colour, enlarged
//! bilinearly to the image. One field for all owners and for the test data.

use federation::round::workbench::{Input, Labelled};
use ground::rng::{Stream, derive_key};
use std::str::FromStr;
use tuning::generator::Shape;

/// Number of the field's nodes in each direction.
const NODES: usize = 3;

/// A change that is the same for all images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    contrast: f32,
    /// Amplitude of the field.
    field: f32,
    seed: u32,
}

impl FromStr for Shift {
    type Err = String;

    /// Reads `contrast=0.6,field=0.6,seed=3`; the defaults are 1, 0 and 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut shift = Self {
            contrast: 1.0,
            field: 0.0,
            seed: 0,
        };
        for setting in text.split(',') {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let number = value.trim().parse::<f32>().ok();
            let number = number.filter(|n| (0.0..=4.0).contains(n));
            match (name.trim(), number) {
                ("contrast", Some(number)) => shift.contrast = number,
                ("field", Some(number)) => shift.field = number,
                ("seed", _) => {
                    shift.seed = value
                        .trim()
                        .parse()
                        .map_err(|_| format!("seed={value} is no whole number"))?;
                }
                _ => {
                    return Err(format!(
                        "`{setting}` is none of contrast=NUMBER, field=NUMBER (0 to 4), seed=NUMBER"
                    ));
                }
            }
        }
        Ok(shift)
    }
}

impl Shift {
    /// Changes the images among the examples; texts stay the same.
    pub fn apply(&self, examples: &mut [Labelled], shape: Shape) {
        let field = self.levels(shape);
        for example in examples {
            let Input::Image(image) = &mut example.input else {
                continue;
            };
            for (pixel, add) in image.iter_mut().zip(&field) {
                let x = f32::from(*pixel) / 127.5 - 1.0;
                let shifted = (self.contrast * x + add).clamp(-1.0, 1.0);
                *pixel = ((shifted + 1.0) * 127.5).round() as u8;
            }
        }
    }

    /// The field F for every pixel, planar.
    fn levels(&self, shape: Shape) -> Vec<f32> {
        let mut stream = Stream::with_key(derive_key(&[self.seed, 0x5348_4946]));
        let nodes: Vec<f32> = (0..3 * NODES * NODES)
            .map(|_| {
                if stream.below(2) == 0 {
                    self.field
                } else {
                    -self.field
                }
            })
            .collect();
        let mut field = Vec::with_capacity(shape.bytes());
        for plane in nodes.chunks_exact(NODES * NODES) {
            for y in 0..shape.height {
                let (i, down) = place(y, shape.height);
                for x in 0..shape.width {
                    let (j, across) = place(x, shape.width);
                    let row = |i: usize| {
                        let (left, right) = (plane[i * NODES + j], plane[i * NODES + j + 1]);
                        left + (right - left) * across
                    };
                    field.push(row(i) + (row(i + 1) - row(i)) * down);
                }
            }
        }
        field
    }
}

/// The node before a pixel and the weight of the node after it; both lie at the middles of their
/// cells.
fn place(pixel: usize, of: usize) -> (usize, f32) {
    let position = (pixel as f32 + 0.5) * NODES as f32 / of as f32 - 0.5;
    let position = position.clamp(0.0, (NODES - 1) as f32);
    let node = (position as usize).min(NODES - 2);
    (node, position - node as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        height: 6,
        width: 9,
    };

    fn shifted(text: &str, level: u8) -> Vec<u8> {
        let mut examples = vec![Labelled {
            input: Input::Image(vec![level; SHAPE.bytes()]),
            label: 0,
        }];
        text.parse::<Shift>().unwrap().apply(&mut examples, SHAPE);
        match examples.remove(0).input {
            Input::Image(image) => image,
            Input::Text(_) => panic!("it was an image"),
        }
    }

    #[test]
    fn contrast_draws_towards_the_middle() {
        assert!(shifted("contrast=0.5", 255).iter().all(|p| *p == 191));
        assert!(shifted("contrast=1,field=0", 17).iter().all(|p| *p == 17));
    }

    #[test]
    fn fields_are_smooth_and_follow_from_their_seed() {
        let field = shifted("field=0.4,seed=3", 128);
        assert_eq!(field, shifted("contrast=1.0,seed=3,field=0.4", 128));
        assert_ne!(field, shifted("field=0.4,seed=4", 128));
        let (low, high) = (field.iter().min().unwrap(), field.iter().max().unwrap());
        assert!(*low >= 76 && *high <= 180 && low < high, "{low} {high}");
        for row in field.chunks_exact(SHAPE.width) {
            assert!(row.windows(2).all(|p| p[0].abs_diff(p[1]) <= 36), "{row:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "contrast",
            "contrast=-1",
            "contrast=x",
            "field=9",
            "seed=-1",
            "colour=1",
            "field=NaN",
        ] {
            assert!(bad.parse::<Shift>().is_err(), "{bad}");
        }
    }
}
