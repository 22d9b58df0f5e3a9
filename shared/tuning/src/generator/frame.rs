//! `frame`: a learnt border, as in BAR (Tsai et al., ICML 2020) or VP (Bahng et al., 2022).
//!
//! `replace`: the shrunk image inside and sigmoid(θ) in the border, BAR's reprogramming. `pad`: the
//! image keeps its size and x̃ = clip(x + θ, 0, 1) in the border, VP's padding; θ is in units of
//! the pixel range, where VP uses CLIP's normalised units. Both begin at θ = 0, which is an even
//! grey for `replace` and the image itself for `pad`; the releases begin at random.
//!
//! One parameter for each channel of each border pixel makes 3·(H·W − inner²), too many to learn
//! from few queries. With a `grid` the border is drawn on g×g nodes and enlarged bilinearly, with 3
//! parameters for each node that touches it.

use super::statistic::nodes;
use super::{Generator, ImageEntry, Kernel, Prepared, Scratch, Shape, Work, quantise};
use ground::fault::Reader;
use ground::form::{About, FormField, FormKind};
use ground::image::{Fit, Image};

/// The place of the image, and how border pixels are numbered: row by row, skipping the inside.
#[derive(Clone, Debug)]
pub struct Frame {
    shape: Shape,
    fit: Fit,
    left: usize,
    top: usize,
    /// Whether the image keeps its size and the border is added to it, as in `form = "pad"`.
    pad: bool,
    grid: Option<Grid>,
}

pub(super) const ENTRY: ImageEntry = ImageEntry {
    about: About::of("a frame around the picture").offered(
        "a frame around the picture",
        &[FormField::new(
            "generator.inner",
            "Picture inside the frame, pixels",
            FormKind::Whole,
            "24",
        )],
    ),
    build,
};

/// Reads `form`, `inner` (the side, in pixels, of the square that the prompt leaves free) and
/// `grid`.
fn build(reader: &mut Reader<'_>, shape: Shape) -> Box<dyn Generator> {
    let pad = reader.choice("form", &["replace", "pad"], Some("replace")) == 1;
    let largest = shape.height.min(shape.width) as u64;
    // VP leaves 30 of 224 pixels on each side to the prompt.
    let usual = if pad {
        largest * 164 / 224
    } else {
        largest * 3 / 4
    };
    let inner = reader.whole(
        "inner",
        1..=largest.saturating_sub(1).max(1),
        Some(usual.max(1)),
    ) as usize;
    let nodes = reader
        .has("grid")
        .then(|| reader.whole("grid", 2..=largest.clamp(2, 64), None) as usize);
    let fit = Fit {
        width: shape.width,
        height: shape.height,
        inner_width: inner,
        inner_height: inner,
        background: 0,
        invert: false,
        keep_aspect: false,
    };
    let mut frame = Frame {
        shape,
        fit,
        left: shape.width.saturating_sub(inner) / 2,
        top: shape.height.saturating_sub(inner) / 2,
        pad,
        grid: None,
    };
    frame.grid = nodes.map(|side| Grid::new(&frame, side));
    Box::new(frame)
}

/// A border of low resolution, on side×side nodes.
#[derive(Clone, Debug)]
struct Grid {
    side: usize,
    /// The number of each of the side² nodes among the nodes that touch the border; `None` for a
    /// node that does not.
    numbers: Vec<Option<usize>>,
    count: usize,
    across: Vec<(usize, f32)>,
    down: Vec<(usize, f32)>,
}

impl Grid {
    fn new(frame: &Frame, side: usize) -> Self {
        let mut grid = Self {
            side,
            numbers: vec![None; side * side],
            count: 0,
            across: nodes(frame.shape.width, side),
            down: nodes(frame.shape.height, side),
        };
        let mut touched = vec![false; side * side];
        for (y, x) in frame.pixels() {
            for (node, weight) in grid.around(y, x) {
                touched[node] |= weight > 0.0;
            }
        }
        for (number, _) in grid.numbers.iter_mut().zip(touched).filter(|(_, t)| *t) {
            *number = Some(grid.count);
            grid.count += 1;
        }
        grid
    }

    /// The four nodes around a pixel, with their weights.
    fn around(&self, y: usize, x: usize) -> [(usize, f32); 4] {
        let ((row, below), (column, right)) = (self.down[y], self.across[x]);
        let first = row * self.side + column;
        [
            (first, (1.0 - below) * (1.0 - right)),
            (first + 1, (1.0 - below) * right),
            (first + self.side, below * (1.0 - right)),
            (first + self.side + 1, below * right),
        ]
    }

    /// The level of a pixel, interpolated from one channel's nodes.
    fn level(&self, nodes: &[f32], y: usize, x: usize) -> f32 {
        let around = self.around(y, x);
        around.iter().fold(0.0, |sum, (node, weight)| {
            sum + self.numbers[*node].map_or(0.0, |number| weight * nodes[number])
        })
    }
}

impl Frame {
    /// The columns of row `y` that the prompt leaves free.
    fn gap(&self, y: usize) -> std::ops::Range<usize> {
        if (self.top..self.top + self.fit.inner_height).contains(&y) {
            self.left..self.left + self.fit.inner_width
        } else {
            0..0
        }
    }

    /// The border's pixels as (row, column), row by row.
    fn pixels(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.shape.height).flat_map(move |y| {
            let gap = self.gap(y);
            (0..self.shape.width)
                .filter(move |x| !gap.contains(x))
                .map(move |x| (y, x))
        })
    }

    fn border(&self) -> usize {
        self.shape.height * self.shape.width - self.fit.inner_width * self.fit.inner_height
    }
}

impl Generator for Frame {
    fn dim(&self) -> usize {
        3 * self.grid.as_ref().map_or(self.border(), |grid| grid.count)
    }

    fn statistics(&self) -> usize {
        0
    }

    fn reshapes(&self) -> bool {
        !self.pad
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        if self.pad {
            return Prepared {
                image: image.to_vec(),
                statistics: Vec::new(),
            };
        }
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
        let Scratch {
            candidate, grid, ..
        } = scratch;
        let levels = if self.grid.is_some() {
            &mut *grid
        } else {
            &mut *candidate
        };
        levels.clear();
        levels.extend(theta.iter().map(|t| {
            if self.pad {
                255.0 * t
            } else {
                255.0 / (1.0 + libm::expf(-t))
            }
        }));
        if let Some(nodes) = &self.grid {
            candidate.clear();
            for channel in grid.chunks_exact(nodes.count.max(1)) {
                candidate.extend(self.pixels().map(|(y, x)| nodes.level(channel, y, x)));
            }
        }
    }

    fn prompt(&self, _theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]) {
        let Shape { height, width } = self.shape;
        out.copy_from_slice(&prepared.image);
        let mut levels = scratch.candidate.iter();
        for c in 0..3 {
            for y in 0..height {
                let row = &mut out[(c * height + y) * width..][..width];
                let gap = self.gap(y);
                for (x, pixel) in row.iter_mut().enumerate() {
                    if !gap.contains(&x) {
                        let below = if self.pad { f32::from(*pixel) } else { 0.0 };
                        *pixel = levels.next().map_or(0, |l| quantise(below + l));
                    }
                }
            }
        }
    }

    /// `None` with a grid: there is no kernel for it.
    fn kernel(&self) -> Option<Kernel> {
        self.grid.is_none().then(|| Kernel {
            wgsl: include_str!("frame.wgsl"),
            work: Work::Levels,
            integers: [
                self.left,
                self.top,
                self.fit.inner_width,
                self.fit.inner_height,
                usize::from(self.pad),
            ]
            .map(|v| v as u32)
            .to_vec(),
            constants: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candidate::Candidate;
    use crate::generator::{build as build_any, render};
    use serde_json::{Value, json};

    const SHAPE: Shape = Shape {
        height: 12,
        width: 16,
    };

    fn frame(settings: &Value) -> Box<dyn Generator> {
        let mut spec = settings.clone();
        spec["kind"] = json!("frame");
        build_any(&spec, SHAPE).unwrap()
    }

    fn image() -> Vec<u8> {
        (0..SHAPE.bytes()).map(|i| (i * 5 % 256) as u8).collect()
    }

    fn rendered(generator: &dyn Generator, theta: &[f32]) -> Vec<u8> {
        let (prepared, mut out) = (generator.prepare(&image()), Vec::new());
        render(generator, theta, &[Candidate::BASE], &[&prepared], &mut out);
        out
    }

    /// Whether pixel number `at` of a 6×6 square lies in the middle.
    fn inside(at: usize) -> bool {
        let (y, x) = (at / SHAPE.width % SHAPE.height, at % SHAPE.width);
        (3..9).contains(&y) && (5..11).contains(&x)
    }

    #[test]
    fn padding_adds_to_an_image_of_full_size() {
        let generator = frame(&json!({ "form": "pad", "inner": 6 }));
        assert_eq!(generator.dim(), 3 * (12 * 16 - 36));
        assert_eq!(rendered(&*generator, &generator.initial()), image());
        let out = rendered(&*generator, &vec![-0.2; generator.dim()]);
        for (at, (got, x)) in out.iter().zip(image()).enumerate() {
            let expected = if inside(at) { x } else { x.saturating_sub(51) };
            assert_eq!(*got, expected, "{at}");
        }
        // VP's 30 of 224 pixels on each side.
        let vp = Shape {
            height: 224,
            width: 224,
        };
        let generator = build_any(&json!({ "kind": "frame", "form": "pad" }), vp).unwrap();
        assert_eq!(generator.dim(), 3 * (224 * 224 - 164 * 164));
    }

    #[test]
    fn replacing_begins_at_an_even_grey() {
        let generator = frame(&json!({ "inner": 6 }));
        let out = rendered(&*generator, &generator.initial());
        for (at, level) in out.iter().enumerate() {
            assert!(inside(at) || *level == 128, "{at} {level}");
        }
    }

    #[test]
    fn a_grid_has_few_parameters_and_is_smooth() {
        for (form, even) in [("pad", 0.1), ("replace", 0.7)] {
            let settings = json!({ "form": form, "inner": 6, "grid": 8 });
            let (coarse, mut fine) = (frame(&settings), settings.clone());
            fine.as_object_mut().unwrap().remove("grid");
            let fine = frame(&fine);
            assert!(coarse.kernel().is_none() && fine.kernel().is_some());
            // The four nodes in the middle are within the square.
            assert_eq!(coarse.dim(), 3 * (64 - 4));
            let (few, many) = (vec![even; coarse.dim()], vec![even; fine.dim()]);
            let (few, many) = (rendered(&*coarse, &few), rendered(&*fine, &many));
            let off = few.iter().zip(&many).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(off <= Some(1), "{form}: {off:?}");
        }
        // A single node shows only around its own place: the first is the upper left corner's.
        let generator = frame(&json!({ "form": "pad", "inner": 6, "grid": 4 }));
        let mut theta = generator.initial();
        theta[0] = -1.0;
        let moved: Vec<usize> = rendered(&*generator, &theta)
            .iter()
            .zip(image())
            .enumerate()
            .filter_map(|(at, (got, x))| (*got != x).then_some(at))
            .collect();
        assert!(
            moved.contains(&1) && moved.iter().all(|at| at % 16 < 6 && at / 16 < 5),
            "{moved:?}"
        );
    }
}
