//! `frame`: a learnt border around the shrunken image, one parameter for each channel of each border pixel.
//!
//! x̃ = shrunken x inside, sigmoid(θ) in the border: the reprogramming of BAR (Tsai et al., ICML 2020) and the
//! padding prompt of VP (Bahng et al., 2022). 3·(H·W − inner) parameters, too many for few queries; it is
//! here to compare with.

use super::{Generator, Kernel, Prepared, Scratch, Shape, Work, quantise};
use crate::fault::Reader;
use crate::image::{Fit, Image};

/// Where the image sits and how border pixels are numbered (row by row, skipping the inside).
#[derive(Clone, Debug)]
pub struct Frame {
    shape: Shape,
    fit: Fit,
    left: usize,
    top: usize,
}

/// Reads `inner`: the side of the square, in pixels, that the image keeps.
pub(super) fn build(reader: &mut Reader<'_>, shape: Shape) -> Box<dyn Generator> {
    let largest = shape.height.min(shape.width) as u64;
    let inner = reader.whole(
        "inner",
        1..=largest.saturating_sub(1).max(1),
        Some((largest * 3 / 4).max(1)),
    ) as usize;
    let fit = Fit {
        width: shape.width,
        height: shape.height,
        inner_width: inner,
        inner_height: inner,
        background: 0,
        invert: false,
        keep_aspect: false,
    };
    Box::new(Frame {
        shape,
        fit,
        left: (shape.width - inner) / 2,
        top: (shape.height - inner) / 2,
    })
}

impl Frame {
    fn border(&self) -> usize {
        self.shape.height * self.shape.width - self.fit.inner_width * self.fit.inner_height
    }
}

impl Generator for Frame {
    fn dim(&self) -> usize {
        3 * self.border()
    }

    fn statistics(&self) -> usize {
        0
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        let shrunken = Image::new(self.shape.width, self.shape.height, image.to_vec()).map_or_else(
            |_| image.to_vec(),
            |image| self.fit.apply(&image).bytes().to_vec(),
        );
        Prepared {
            image: shrunken,
            statistics: Vec::new(),
        }
    }

    fn begin(&self, theta: &[f32], scratch: &mut Scratch) {
        scratch.candidate.clear();
        scratch
            .candidate
            .extend(theta.iter().map(|t| 255.0 / (1.0 + libm::expf(-t))));
    }

    fn prompt(&self, _theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]) {
        let Shape { height, width } = self.shape;
        out.copy_from_slice(&prepared.image);
        let mut levels = scratch.candidate.iter();
        for c in 0..3 {
            for y in 0..height {
                let row = &mut out[(c * height + y) * width..][..width];
                let inside = (self.top..self.top + self.fit.inner_height).contains(&y);
                let gap = if inside {
                    self.left..self.left + self.fit.inner_width
                } else {
                    0..0
                };
                for (x, pixel) in row.iter_mut().enumerate() {
                    if !gap.contains(&x) {
                        *pixel = levels.next().map_or(0, |l| quantise(*l));
                    }
                }
            }
        }
    }

    fn kernel(&self) -> Option<Kernel> {
        Some(Kernel {
            wgsl: include_str!(concat!(env!("OUT_DIR"), "/frame.wgsl")),
            work: Work::Levels,
            integers: [
                self.left,
                self.top,
                self.fit.inner_width,
                self.fit.inner_height,
            ]
            .map(|v| v as u32)
            .to_vec(),
            constants: Vec::new(),
        })
    }
}
