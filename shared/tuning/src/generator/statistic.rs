//! `statistic`: a smooth prompt that depends on a few low-frequency statistics of the image.
//!
//! z = q statistics of x; u = W z + b; h = upsample(tanh(grid(u))); x̃ = clip(x + ε·h, 0, 1).
//!
//! The ideas come from BlackVIP-SE (arXiv 2407.17491: statistics instead of a frozen encoder) and
//! ZIP (ICLR 2025: the error of a zeroth-order step grows with the number of parameters, so have
//! few). There are two outputs. `grid` gives each of the r×r·c cells its own row of W, (q+1)·r²·c
//! parameters. `basis` takes u as coordinates in the same q patterns from which the statistics are
//! read, (q+1)·q·c parameters. tanh comes before the upsampling, which needs r² instead of H·W
//! evaluations for each candidate and image.

use super::basis::Basis;
use super::{Generator, ImageEntry, Kernel, Prepared, Scratch, Shape, Work, lanes};
use ground::fault::Reader;
use ground::form::{About, FormField, FormKind};
use ground::image::grey_raster;

/// The `statistic` generator, with everything that depends on the task alone.
#[derive(Clone, Debug)]
pub struct Statistic {
    shape: Shape,
    epsilon: f32,
    grid: usize,
    channels: usize,
    count: usize,
    basis: Basis,
    /// The patterns as p·r² values, which turn u into the grid. Empty if u is the grid itself.
    patterns: Vec<f32>,
    across: Vec<(usize, f32)>,
    down: Vec<(usize, f32)>,
}

pub(super) const ENTRY: ImageEntry = ImageEntry {
    about: About::of("a smooth pattern that depends on a few statistics of each picture").offered(
        "smooth, depends on the picture",
        &[
            FormField {
                help: "0: one pattern for all pictures",
                ..FormField::new(
                    "generator.statistics",
                    "Statistics of the picture",
                    FormKind::Whole,
                    "8",
                )
            },
            FormField::new(
                "generator.grid",
                "Grid of the pattern",
                FormKind::Whole,
                "5",
            ),
        ],
    ),
    build,
};

/// Reads `epsilon`, `grid`, `channels`, `statistics`, `basis`, `output`.
fn build(reader: &mut Reader<'_>, shape: Shape) -> Box<dyn Generator> {
    let epsilon = reader.number("epsilon", 0.001..=4.0, Some(1.0));
    let grid = reader.whole("grid", 2..=32, Some(8)) as usize;
    let channels = if reader.whole("channels", 1..=3, Some(1)) == 3 {
        3
    } else {
        1
    };
    let count = reader.whole("statistics", 0..=64, Some(8)) as usize;
    let by_basis = reader.choice("output", &["grid", "basis"], Some("grid")) == 1;
    let basis = Basis::read(reader, count);
    if by_basis && count == 0 {
        reader.fault("output", "\"basis\" needs at least one statistic");
    }
    if channels * grid * grid > 1024 {
        reader.fault("grid", "grid²·channels may be at most 1024");
    }
    let patterns = if by_basis {
        basis.patterns(grid)
    } else {
        Vec::new()
    };
    Box::new(Statistic {
        across: nodes(shape.width, grid),
        down: nodes(shape.height, grid),
        shape,
        epsilon,
        grid,
        channels,
        count,
        basis,
        patterns,
    })
}

/// For each of `to` pixels, the grid node before it and the weight of the node after it (half-pixel
/// centres, clamped at the border).
pub(super) fn nodes(to: usize, grid: usize) -> Vec<(usize, f32)> {
    (0..to)
        .map(|i| {
            let middle = (i as f32 + 0.5) * grid as f32 / to as f32 - 0.5;
            let position = middle.clamp(0.0, (grid - 1) as f32);
            let first = (position as usize).min(grid - 2);
            (first, position - first as f32)
        })
        .collect()
}

impl Statistic {
    /// Number of rows of W: the grid cells, or patterns, of all channels.
    fn outputs(&self) -> usize {
        self.channels
            * if self.patterns.is_empty() {
                self.grid * self.grid
            } else {
                self.count
            }
    }

    /// Writes W z + b into `u`.
    fn affine(&self, theta: &[f32], z: &[f32], u: &mut Vec<f32>) {
        u.clear();
        u.extend(theta.chunks_exact(self.count + 1).map(|row| {
            let (weights, bias) = row.split_at(self.count);
            weights
                .iter()
                .zip(z)
                .fold(bias[0], |sum, (w, z)| sum + w * z)
        }));
    }

    /// Writes tanh(grid(W z + b)), c·r² values, into `scratch.grid`. The node values u = W z + b are
    /// moved by `scratch.nodes` first.
    fn fill_grid(&self, theta: &[f32], z: &[f32], scratch: &mut Scratch) {
        let Scratch {
            grid, rows, nodes, ..
        } = scratch;
        let cells = self.grid * self.grid;
        let u = if self.patterns.is_empty() {
            &mut *grid
        } else {
            &mut *rows
        };
        self.affine(theta, z, u);
        u.iter_mut().zip(&*nodes).for_each(|(u, moved)| *u += moved);
        if !self.patterns.is_empty() {
            grid.clear();
            grid.resize(self.channels * cells, 0.0);
            for (plane, coordinates) in grid
                .chunks_exact_mut(cells)
                .zip(rows.chunks_exact(self.count))
            {
                for (pattern, u) in self.patterns.chunks_exact(cells).zip(coordinates) {
                    for (g, p) in plane.iter_mut().zip(pattern) {
                        *g += u * p;
                    }
                }
            }
        }
        grid.iter_mut().for_each(|g| *g = libm::tanhf(*g));
    }
}

impl Generator for Statistic {
    fn dim(&self) -> usize {
        (self.count + 1) * self.outputs()
    }

    fn statistics(&self) -> usize {
        self.count
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        let raster = grey_raster(image, self.shape.width, self.shape.height, self.basis.size);
        Prepared {
            image: image.to_vec(),
            statistics: self.basis.statistics(&raster),
        }
    }

    fn prompt(&self, theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]) {
        self.fill_grid(theta, &prepared.statistics, scratch);
        let Shape { height, width } = self.shape;
        let (r, strength) = (self.grid, 255.0 * self.epsilon);
        let Scratch { grid, rows, .. } = scratch;
        // The grid's rows, stretched to the image's width and scaled to levels; then one row of
        // work.
        rows.clear();
        rows.resize((r + 1) * width, 0.0);
        let (stretched, row) = rows.split_at_mut(r * width);
        for plane in 0..self.channels {
            let cells = &grid[plane * r * r..][..r * r];
            for (line, values) in stretched.chunks_exact_mut(width).zip(cells.chunks_exact(r)) {
                for (v, &(i, w)) in line.iter_mut().zip(&self.across) {
                    *v = strength * (values[i] + (values[i + 1] - values[i]) * w);
                }
            }
            for (y, &(j, w)) in self.down.iter().enumerate() {
                let (above, below) = (
                    &stretched[j * width..][..width],
                    &stretched[(j + 1) * width..][..width],
                );
                lanes::blend(row, above, below, w);
                let planes = if self.channels == 1 {
                    0..3
                } else {
                    plane..plane + 1
                };
                for c in planes {
                    let at = (c * height + y) * width;
                    lanes::add_quantised(
                        &mut out[at..at + width],
                        &prepared.image[at..at + width],
                        row,
                    );
                }
            }
        }
    }

    fn nodes(&self) -> usize {
        self.outputs()
    }

    fn node_values(&self, theta: &[f32], prepared: &Prepared, out: &mut Vec<f32>) {
        self.affine(theta, &prepared.statistics, out);
    }

    /// ∂u_i/∂W_ij = z_j and ∂u_i/∂b_i = 1.
    fn pull_back(&self, prepared: &Prepared, slopes: &[f32], gradient: &mut [f32]) {
        for (row, slope) in gradient.chunks_exact_mut(self.count + 1).zip(slopes) {
            let with_one = prepared.statistics.iter().chain(&[1.0]);
            row.iter_mut()
                .zip(with_one)
                .for_each(|(g, z)| *g += slope * z);
        }
    }

    fn kernel(&self) -> Option<Kernel> {
        Some(Kernel {
            wgsl: include_str!("statistic.wgsl"),
            work: Work::Levels,
            integers: vec![
                self.grid as u32,
                self.channels as u32,
                self.count as u32,
                u32::from(!self.patterns.is_empty()),
                self.outputs() as u32,
            ],
            constants: std::iter::once(255.0 * self.epsilon)
                .chain(self.patterns.iter().copied())
                .collect(),
        })
    }
}
