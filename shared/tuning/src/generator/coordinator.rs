//! `coordinator`: BlackVIP's decoder (Oh et al., CVPR 2023), which turns the image's statistics
//! into a prompt of the image's size.
//!
//! z ++ trigger, read as 32 channels over the image's cells of 32×32 pixels, goes through five
//! transposed convolutions, each twice as large as the one before; x̃ = clip(x + ε·h, 0, 1). For
//! 224×224 pixels, layer by layer as released, 9,920 parameters (dw: depthwise, 2×2 with stride 2
//! and bias; pw: 1×1 without):
//!
//! | stage | layers | parameters |
//! |---|---|---|
//! | trigger | | 800 |
//! | 1 | dw 32→64, pw 64→64, norm, GELU | 320 + 4096 + 128 |
//! | 2 | dw 64→64, pw 64→32, norm, GELU | 320 + 2048 + 64 |
//! | 3 | dw 32→32, pw 32→32, norm, GELU | 160 + 1024 + 64 |
//! | 4 | dw 32→32, pw 32→16, norm, GELU | 160 + 512 + 32 |
//! | 5 | 16→3, 2×2 with stride 2, no bias | 192 |
//!
//! Two things differ from the released code. There z is the CLS token of a frozen ViT-MAE of 86
//! million parameters, more than a page can load; here z is the image itself, shrunk to k×k pixels
//! of three colours (16×16 for 224×224, which makes 768 numbers, as many as that token has). And
//! the release's batch norm keeps running averages outside of θ that differ from participant to
//! participant, so that nobody could recompute another's step; here the channels of each pixel are
//! normalised (layer norm), with as many parameters. A kernel of 2×2 with stride 2 does not
//! overlap, so the pixels of a cell depend on that cell alone, and the prompt is computed cell by
//! cell.
//!
//! `norm = "batch"` exists for comparison: it normalises each channel by its mean and variance over
//! the images that are asked together, as the released code does while training. What an image
//! becomes then depends on the others, in measurements too, where the release uses its running
//! averages.
//!
//! The order of θ: trigger, then the stages in order, each as dw (channel, row, column), its bias,
//! pw (to, from), scale, shift; the last stage as (colour, row, column, from).

use super::{Generator, ImageEntry, Kernel, Prepared, Scratch, Shape, Work, lanes, quantise};
use ground::fault::Reader;
use ground::form::About;
use ground::image::{Fit, Image};
use ground::rng::{Stream, purpose};

/// Side of a cell in pixels: five stages, each of which doubles it.
const CELL: usize = 32;
/// Number of channels of a cell before the first stage.
const SEED: usize = 32;
/// Added to a variance before it divides.
const NORM_EPSILON: f32 = 1e-5;

/// The numbers of channels of one stage.
struct Stage {
    input: usize,
    middle: usize,
    output: usize,
}

const STAGES: [Stage; 4] = [
    Stage::new(SEED, 64, 64),
    Stage::new(64, 64, 32),
    Stage::new(32, 32, 32),
    Stage::new(32, 32, LAST),
];
/// Number of channels before the last stage.
const LAST: usize = 16;
/// Number of parameters of the last stage.
const PIXELS: usize = LAST * 3 * 4;

impl Stage {
    const fn new(input: usize, middle: usize, output: usize) -> Self {
        Self {
            input,
            middle,
            output,
        }
    }

    /// Number of the stage's parameters that come before its 1×1 convolution.
    const fn depthwise(&self) -> usize {
        self.middle * 5
    }

    const fn parameters(&self) -> usize {
        self.depthwise() + self.middle * self.output + 2 * self.output
    }
}

/// The decoder for one image size.
#[derive(Clone, Debug)]
pub struct Coordinator {
    shape: Shape,
    /// Side in pixels of the shrunk image that serves as z.
    side: usize,
    epsilon: f32,
    /// Whether channels are normalised over the batch instead of in each pixel.
    by_batch: bool,
}

pub(super) const ENTRY: ImageEntry = ImageEntry {
    about: About::of("a pattern drawn by a small network").offered("drawn by a small network", &[]),
    build,
};

/// Reads `epsilon`, the strength of the prompt, and `norm`.
fn build(reader: &mut Reader<'_>, shape: Shape) -> Box<dyn Generator> {
    let epsilon = reader.number("epsilon", 1e-3..=10.0, Some(0.3));
    let by_batch = reader.choice("norm", &["layer", "batch"], Some("layer")) == 1;
    let Shape { height, width } = shape;
    if !height.is_multiple_of(CELL) || !width.is_multiple_of(CELL) || height == 0 || width == 0 {
        reader.fault(
            "kind",
            format!("\"coordinator\" doubles cells to {CELL} pixels: the model's {height}×{width} must be multiples of it"),
        );
    }
    // z makes up at most half of what is decoded.
    let cells = (height / CELL) * (width / CELL);
    let mut side = 1;
    while 6 * (side + 1) * (side + 1) <= SEED * cells {
        side += 1;
    }
    Box::new(Coordinator {
        shape,
        side,
        epsilon,
        by_batch,
    })
}

impl Coordinator {
    fn cells(&self) -> usize {
        (self.shape.height / CELL) * (self.shape.width / CELL)
    }

    fn trigger(&self) -> usize {
        (SEED * self.cells()).saturating_sub(self.statistics())
    }

    /// The input of a cell: the cell's part of z ++ trigger.
    fn seed(&self, prepared: &Prepared, trigger: &[f32], cell: usize) -> [f32; SEED] {
        core::array::from_fn(|channel| {
            let at = channel * self.cells() + cell;
            let z = prepared.statistics.get(at).copied();
            z.unwrap_or_else(|| trigger[at - prepared.statistics.len()])
        })
    }

    /// Runs a cell through all stages but the last, as `[row][column][channel]` in `from`. Returns
    /// the side in pixels and the weights that remain. `weights` is θ after the trigger, as
    /// [`Coordinator::begin`] leaves it. `moments` are the batch's, stage by stage; a stage without
    /// moments is not normalised.
    fn run_stages<'a>(
        &self,
        stages: &[Stage],
        weights: &'a [f32],
        moments: &[f32],
        from: &mut Vec<f32>,
        to: &mut Vec<f32>,
    ) -> (usize, &'a [f32]) {
        let (mut rest, mut moments, mut side) = (weights, moments, 1);
        for stage in stages {
            let (own, after) = rest.split_at(stage.parameters());
            let (stages, later) = moments.split_at(moments.len().min(2 * stage.output));
            stage.run(own, from, side, self.by_batch.then_some(stages), to);
            core::mem::swap(from, to);
            (rest, moments, side) = (after, later, 2 * side);
        }
        (side, rest)
    }

    /// Computes the prompt of one cell, `[row][column][colour]`, into `to`.
    fn decode(
        &self,
        seed: [f32; SEED],
        weights: &[f32],
        moments: &[f32],
        from: &mut Vec<f32>,
        to: &mut Vec<f32>,
    ) {
        from.clear();
        from.extend(seed);
        let (side, rest) = self.run_stages(&STAGES, weights, moments, from, to);
        to.clear();
        to.resize(CELL * CELL * 3, 0.0);
        for (at, pixel) in from.chunks_exact(LAST).enumerate() {
            let (y, x) = (2 * (at / side), 2 * (at % side));
            for (k, weights) in rest.chunks_exact(LAST).enumerate() {
                let (colour, dy, dx) = (k / 4, k / 2 % 2, k % 2);
                to[((y + dy) * CELL + x + dx) * 3 + colour] =
                    weights.iter().zip(pixel).fold(0.0, |s, (w, v)| s + w * v);
            }
        }
    }
}

impl Stage {
    /// Maps side² pixels of `input` channels to (2·side)² pixels of `output` channels. `moments`
    /// holds each channel's mean and 1/deviation over the batch for a batch norm, and is empty
    /// while these are unknown. `None` normalises each pixel by itself.
    fn run(
        &self,
        weights: &[f32],
        from: &[f32],
        side: usize,
        moments: Option<&[f32]>,
        to: &mut Vec<f32>,
    ) {
        let (depthwise, rest) = weights.split_at(self.depthwise());
        let (kernels, bias) = depthwise.split_at(4 * self.middle);
        let (pointwise, norm) = rest.split_at(self.middle * self.output);
        let (scale, shift) = norm.split_at(self.output);
        let each = self.middle / self.input;
        to.clear();
        to.resize(4 * side * side * self.output, 0.0);
        for (at, pixel) in from.chunks_exact(self.input).enumerate() {
            for place in 0..4 {
                let (y, x) = (2 * (at / side) + place / 2, 2 * (at % side) + place % 2);
                let out = &mut to[(y * 2 * side + x) * self.output..][..self.output];
                for (i, row) in pointwise.chunks_exact(self.output).enumerate() {
                    lanes::add_scaled(out, row, kernels[4 * i + place] * pixel[i / each] + bias[i]);
                }
                match moments {
                    None => normalise(out, scale, shift),
                    Some(moments) => normalise_by(moments, out, scale, shift),
                }
            }
        }
    }
}

/// Applies layer norm, then GELU.
fn normalise(channels: &mut [f32], scale: &[f32], shift: &[f32]) {
    let count = channels.len() as f32;
    let mean = channels.iter().fold(0.0, |s, v| s + v) / count;
    let variance = channels
        .iter()
        .fold(0.0, |s, v| s + (v - mean) * (v - mean))
        / count;
    let factor = 1.0 / (variance + NORM_EPSILON).sqrt();
    for ((v, scale), shift) in channels.iter_mut().zip(scale).zip(shift) {
        *v = gelu((*v - mean) * factor * scale + shift);
    }
}

/// Applies batch norm with known moments, then GELU; does nothing if they are unknown.
fn normalise_by(moments: &[f32], channels: &mut [f32], scale: &[f32], shift: &[f32]) {
    let known = moments.chunks_exact(2).zip(scale).zip(shift);
    for (v, ((moments, scale), shift)) in channels.iter_mut().zip(known) {
        *v = gelu((*v - moments[0]) * moments[1] * scale + shift);
    }
}

/// GELU, x·Φ(x), with erf by Abramowitz and Stegun's 7.1.26, accurate to 1.5·10⁻⁷: the same few
/// operations work on a GPU, which has no erf.
fn gelu(x: f32) -> f32 {
    let z = x.abs() * core::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_8 + t * (-1.453_152 + t * 1.061_405_4))));
    let erf = 1.0 - series * libm::expf(-z * z);
    0.5 * x * (1.0 + if x < 0.0 { -erf } else { erf })
}

impl Generator for Coordinator {
    fn dim(&self) -> usize {
        self.trigger() + STAGES.iter().map(Stage::parameters).sum::<usize>() + PIXELS
    }

    fn statistics(&self) -> usize {
        3 * self.side * self.side
    }

    /// The start of the release: the trigger is uniform up to 0.1, convolutions are uniform within
    /// 1/√(inputs of a value, as PyTorch counts them), norms are neutral. The first prompt is
    /// therefore weak noise and not nothing.
    fn initial(&self) -> Vec<f32> {
        let mut stream = Stream::new(0, purpose::INITIAL);
        let mut theta = Vec::with_capacity(self.dim());
        theta.extend((0..self.trigger()).map(|_| 0.1 * stream.uniform()));
        let mut uniform = |theta: &mut Vec<f32>, count: usize, fan_in: usize| {
            let bound = 1.0 / (fan_in as f32).sqrt();
            theta.extend((0..count).map(|_| bound * (2.0 * stream.uniform() - 1.0)));
        };
        for stage in &STAGES {
            uniform(
                &mut theta,
                stage.depthwise(),
                4 * stage.middle / stage.input,
            );
            uniform(&mut theta, stage.middle * stage.output, stage.output);
            theta.extend(core::iter::repeat_n(1.0, stage.output));
            theta.extend(core::iter::repeat_n(0.0, stage.output));
        }
        uniform(&mut theta, PIXELS, 12);
        theta
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        let Shape { height, width } = self.shape;
        let fit = Fit {
            width: self.side,
            height: self.side,
            inner_width: self.side,
            inner_height: self.side,
            background: 0,
            invert: false,
            keep_aspect: false,
        };
        let statistics = Image::new(width, height, image.to_vec()).map_or_else(
            |_| vec![0.0; self.statistics()],
            |image| {
                let shrunk = fit.apply(&image);
                let bytes = shrunk.bytes().iter();
                bytes.map(|v| f32::from(*v) / 127.5 - 1.0).collect()
            },
        );
        Prepared {
            image: image.to_vec(),
            statistics,
        }
    }

    /// Copies θ with the 1×1 convolutions reordered to (from, to), so that each input channel is
    /// added to all sums at once.
    fn begin(&self, theta: &[f32], scratch: &mut Scratch) {
        let turned = &mut scratch.candidate;
        turned.clear();
        turned.extend_from_slice(theta);
        let mut at = self.trigger();
        for stage in &STAGES {
            let first = at + stage.depthwise();
            for to in 0..stage.output {
                for from in 0..stage.middle {
                    turned[first + from * stage.output + to] =
                        theta[first + to * stage.middle + from];
                }
            }
            at += stage.parameters();
        }
    }

    /// Computes the batch's moments stage by stage, because the moments of a stage need the stages
    /// before it normalised. Cells are recomputed each time, so that no map of all images is kept.
    fn gather(&self, _theta: &[f32], batch: &[&Prepared], scratch: &mut Scratch) {
        if !self.by_batch {
            return;
        }
        let Scratch {
            candidate,
            grid,
            rows,
            ..
        } = scratch;
        let (trigger, weights) = candidate.split_at(self.trigger());
        let mut moments = Vec::new();
        for (last, stage) in STAGES.iter().enumerate() {
            let mut sums = vec![(0f64, 0f64); stage.output];
            let mut count = 0f64;
            for prepared in batch {
                for cell in 0..self.cells() {
                    grid.clear();
                    grid.extend(self.seed(prepared, trigger, cell));
                    self.run_stages(&STAGES[..=last], weights, &moments, grid, rows);
                    for pixel in grid.chunks_exact(stage.output) {
                        for ((sum, squares), v) in sums.iter_mut().zip(pixel) {
                            let v = f64::from(*v);
                            *sum += v;
                            *squares += v * v;
                        }
                        count += 1.0;
                    }
                }
            }
            for (sum, squares) in sums {
                let mean = sum / count.max(1.0);
                let variance = (squares / count.max(1.0) - mean * mean).max(0.0);
                let factor = 1.0 / (variance + f64::from(NORM_EPSILON)).sqrt();
                moments.extend([mean as f32, factor as f32]);
            }
        }
        candidate.extend(moments);
    }

    fn prompt(&self, _theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]) {
        let Shape { height, width } = self.shape;
        let Scratch {
            candidate,
            grid,
            rows,
            ..
        } = scratch;
        let (trigger, weights) = candidate.split_at(self.trigger());
        let (weights, moments) = weights.split_at(self.dim() - self.trigger());
        let across = width / CELL;
        let strength = 255.0 * self.epsilon;
        for cell in 0..self.cells() {
            let seed = self.seed(prepared, trigger, cell);
            self.decode(seed, weights, moments, grid, rows);
            let (top, left) = (cell / across * CELL, cell % across * CELL);
            for (y, row) in rows.chunks_exact(CELL * 3).enumerate() {
                for (x, pixel) in row.chunks_exact(3).enumerate() {
                    for (colour, level) in pixel.iter().enumerate() {
                        let at = (colour * height + top + y) * width + left + x;
                        out[at] = quantise(f32::from(prepared.image[at]) + strength * level);
                    }
                }
            }
        }
    }

    /// `None` with batch norm, where one cell would need all the others.
    fn kernel(&self) -> Option<Kernel> {
        (!self.by_batch).then(|| Kernel {
            wgsl: include_str!("coordinator.wgsl"),
            work: Work::Cells { side: CELL as u32 },
            integers: vec![self.cells() as u32, self.trigger() as u32],
            constants: vec![255.0 * self.epsilon],
        })
    }
}

#[cfg(test)]
mod tests;
