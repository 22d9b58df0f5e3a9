//! A built-in data owner: digits in a handwriting of its own.
//!
//! An owner's seed decides a [`Style`]: the shape chosen for each digit, slant, proportions, pen,
//! steadiness, and lasting habits in the shapes. Each drawing varies a little around that style, as
//! a person's handwriting does. The ink is light on a dark ground, as in MNIST.
//!
//! Native code and wasm draw the same bits: only `+ - * /`, `sqrt` (exact by IEEE 754) and the
//! crate `libm` are used, never the platform's own `sin`.

mod glyphs;
mod raster;

use core::f32::consts::TAU;

use glyphs::{Allograph, Point, allographs};
use raster::{Segment, rasterise};

use super::partition::dirichlet;
use ground::rng::{Stream, derive_key, purpose};

/// Pixels along each side of the drawings of [`owner`].
pub const SIZE: usize = 32;

/// How one person writes digits. Lengths are fractions of the picture's side unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Tangent of the angle by which the writing leans to the right.
    pub slant: f32,
    /// Width over height, relative to the shapes as designed.
    pub aspect: f32,
    /// Width of the pen's stroke.
    pub stroke: f32,
    /// Relative variation of the stroke's width along its way.
    pub pressure: f32,
    /// 0 draws straight lines from point to point, 1 smooth curves; more overshoots.
    pub roundness: f32,
    /// Amplitude of the slow tremor, as a fraction of the digit's height.
    pub wobble: f32,
    /// Height of the digit.
    pub size: f32,
    /// Standard deviation of the position, and (as a ratio) of the size, from drawing to drawing.
    pub jitter: f32,
    /// Mean rotation in radians.
    pub rotation: f32,
    /// Brightness of the ink, 0..1.
    pub ink: f32,
    /// Softness of the stroke's edge.
    pub edge: f32,
    /// How far the writer's habits move the shapes from the designed ones, in heights of the digit.
    pub habit: f32,
    /// The usual shape of each digit: an index into its allographs (modulo their number).
    pub allographs: [u8; 10],
    /// Philox key from which the habits are drawn.
    pub habit_key: [u32; 2],
}

impl Style {
    /// The style of the owner with this seed.
    #[must_use]
    pub fn of_owner(seed: u64) -> Self {
        let mut stream = Stream::new(seed, purpose::HANDWRITING);
        let mut between = |low: f32, high: f32| low + (high - low) * stream.uniform();
        // Ranges chosen so that the drawings look like a person's, are about as large and thick as
        // MNIST's (23 of 32 pixels high, 14% of them inked), and are as difficult for a model of
        // printed digits as real handwriting: `printed-digits` reads 81% of them dark on light and
        // 18% light on dark (150 owners with 100 drawings each; MNIST: 80% and 15%).
        let mut style = Self {
            slant: between(-0.2, 0.42),
            aspect: between(0.65, 1.05),
            stroke: between(0.06, 0.128),
            pressure: between(0.05, 0.3),
            roundness: between(0.65, 1.2),
            wobble: between(0.008, 0.03),
            size: between(0.54, 0.65),
            jitter: between(0.01, 0.03),
            rotation: between(-0.16, 0.16),
            ink: between(0.88, 1.0),
            edge: between(0.03, 0.038),
            habit: between(0.03, 0.055),
            allographs: [0; 10],
            habit_key: [0; 2],
        };
        for choice in &mut style.allographs {
            // 12 is a multiple of every number of allographs.
            *choice = stream.below(12) as u8;
        }
        style.habit_key = [stream.next_u32(), stream.next_u32()];
        style
    }

    /// The shape for one drawing: mostly the usual one, now and then another.
    fn shape(&self, digit: u8, stream: &mut Stream) -> Allograph {
        const SELDOM: f32 = 0.12;
        let shapes = allographs(digit);
        let habitual = usize::from(self.allographs[usize::from(digit.min(9))]);
        let other = stream.below(shapes.len() as u32) as usize;
        let choice = if stream.uniform() < SELDOM {
            other
        } else {
            habitual
        };
        shapes[choice % shapes.len()]
    }
}

/// Draws one digit (a 9 for numbers above 9) light on dark; returns `size`×`size` grey values row
/// by row, where the value is the ink's intensity. The same style, digit, stream position and size
/// give the same bytes.
#[must_use]
pub fn draw(style: &Style, digit: u8, stream: &mut Stream, size: usize) -> Vec<u8> {
    let shape = style.shape(digit, stream);
    let mut habits = Stream::with_key(derive_key(&[
        style.habit_key[0],
        style.habit_key[1],
        digit.into(),
    ]));
    let waver = Waver::new(style.wobble, stream);
    let mut lines = Vec::new();
    for stroke in shape {
        let points = vary(stroke, style.habit, &mut habits, stream);
        let mut line = smooth(&points, style.roundness);
        line.iter_mut()
            .for_each(|point| *point = waver.apply(*point));
        lines.push(line);
    }
    place(&mut lines, style, stream);
    let segments = ink(&lines, style, stream, size);
    // An edge softer than less than one pixel would look jagged.
    rasterise(&segments, size, (style.edge * size as f32).max(1.0))
}

/// Draws a built-in owner's data: `count` drawings of [`SIZE`]×[`SIZE`] grey values with their
/// digits.
///
/// Digits are equally frequent (±1) and in random order. With `dirichlet_alpha` (above 0) their
/// frequencies are drawn from a symmetric Dirichlet distribution: this owner writes some digits
/// more than others.
#[must_use]
pub fn owner(seed: u64, count: usize, dirichlet_alpha: Option<f32>) -> Vec<(Vec<u8>, u8)> {
    let style = Style::of_owner(seed);
    let word =
        |part: u32| derive_key(&[seed as u32, (seed >> 32) as u32, purpose::HANDWRITING, part]);
    let mut stream = Stream::with_key(word(0));
    let digits: Vec<u8> = match dirichlet_alpha.filter(|alpha| alpha.is_finite() && *alpha > 0.0) {
        Some(alpha) => {
            let shares = dirichlet(alpha.into(), 10, &mut stream);
            (0..count)
                .map(|_| draw_class(&shares, &mut stream))
                .collect()
        }
        None => {
            let mut digits: Vec<u8> = (0..count).map(|index| (index % 10) as u8).collect();
            stream.shuffle(&mut digits);
            digits
        }
    };
    // Each drawing has its own stream: the way one was drawn has no influence on the next.
    let mut drawings = Stream::with_key(word(1));
    digits
        .into_iter()
        .map(|digit| {
            let mut own = Stream::with_key([drawings.next_u32(), drawings.next_u32()]);
            (draw(&style, digit, &mut own, SIZE), digit)
        })
        .collect()
}

fn draw_class(shares: &[f64], stream: &mut Stream) -> u8 {
    let mut left = f64::from(stream.uniform());
    let found = shares.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    // Rounding may leave a remainder: then the likeliest digit.
    let likeliest = || {
        shares
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(i, _)| i)
    };
    found.unwrap_or_else(likeliest) as u8
}

/// Moves a stroke's points by the owner's habit and by this drawing's own small variation. Two
/// points that make a corner stay together.
fn vary(stroke: &[Point], habit: f32, habits: &mut Stream, stream: &mut Stream) -> Vec<Point> {
    const OWN: f32 = 0.55;
    let mut before: Option<(Point, Point)> = None;
    stroke
        .iter()
        .map(|&point| {
            let moved = match before {
                Some((same, moved)) if same == point => moved,
                _ => {
                    let mut offset =
                        || habit * (habits.normal() + OWN * stream.normal()).clamp(-2.5, 2.5);
                    (point.0 + offset(), point.1 + offset())
                }
            };
            before = Some((point, moved));
            moved
        })
        .collect()
}

/// Catmull–Rom spline through the points, mixed with the straight lines between them.
fn smooth(points: &[Point], roundness: f32) -> Vec<Point> {
    const STEPS: usize = 8;
    let mut line = vec![points[0]];
    for i in 1..points.len() {
        let (a, b) = (points[i - 1], points[i]);
        if a == b {
            continue;
        }
        let before = points[i.saturating_sub(2)];
        let after = points[(i + 1).min(points.len() - 1)];
        for step in 1..=STEPS {
            let t = step as f32 / STEPS as f32;
            let round = |p0: f32, p1: f32, p2: f32, p3: f32| {
                let spline = 0.5
                    * (2.0 * p1
                        + t * ((p2 - p0)
                            + t * ((2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3)
                                + t * (3.0 * p1 - p0 - 3.0 * p2 + p3))));
                let straight = p1 + t * (p2 - p1);
                straight + roundness * (spline - straight)
            };
            line.push((
                round(before.0, a.0, b.0, after.0),
                round(before.1, a.1, b.1, after.1),
            ));
        }
    }
    line
}

/// The slow tremor of the hand: a smooth field of small displacements over the paper.
struct Waver {
    /// Two waves for each axis: direction and frequency, phase, amplitude.
    waves: [[(Point, f32, f32); 2]; 2],
}

impl Waver {
    fn new(amplitude: f32, stream: &mut Stream) -> Self {
        let mut wave = |scale: f32| {
            // At most about three waves over the digit's height: faster ones would look like a
            // shaking machine.
            let mut frequency = || scale * 0.9 * stream.normal().clamp(-1.6, 1.6);
            let frequency = (frequency(), frequency());
            (frequency, stream.uniform(), amplitude / scale)
        };
        Self {
            waves: [[wave(1.0), wave(2.0)], [wave(1.0), wave(2.0)]],
        }
    }

    fn apply(&self, point: Point) -> Point {
        let shift = |waves: &[(Point, f32, f32); 2]| -> f32 {
            waves
                .iter()
                .map(|(f, phase, amplitude)| {
                    amplitude * libm::sinf(TAU * (f.0 * point.0 + f.1 * point.1 + phase))
                })
                .sum()
        };
        (
            point.0 + shift(&self.waves[0]),
            point.1 + shift(&self.waves[1]),
        )
    }
}

/// Slants, rotates and scales the lines, and puts the middle of their box near the middle of the
/// unit square.
fn place(lines: &mut [Vec<Point>], style: &Style, stream: &mut Stream) {
    /// Maximum share of the picture's side that drawing and pen fill.
    const MOST: f32 = 0.88;
    let angle = style.rotation + 0.06 * stream.normal();
    let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
    let slant = style.slant + 0.05 * stream.normal();
    let aspect = style.aspect * (1.0 + 2.0 * style.jitter * stream.normal());
    let height = style.size * (1.0 + style.jitter * stream.normal());
    for point in lines.iter_mut().flatten() {
        let (x, y) = (point.0 * aspect - slant * (point.1 - 0.5), point.1 - 0.5);
        *point = (height * (cos * x - sin * y), height * (sin * x + cos * y));
    }
    let edge = |pick: fn(&Point) -> f32, best: fn(f32, f32) -> f32| {
        lines.iter().flatten().map(pick).reduce(best).unwrap_or(0.0)
    };
    let (left, right) = (edge(|p| p.0, f32::min), edge(|p| p.0, f32::max));
    let (top, bottom) = (edge(|p| p.1, f32::min), edge(|p| p.1, f32::max));
    let extent = (right - left).max(bottom - top).max(1e-3);
    let shrink = ((MOST - style.stroke) / extent).min(1.0);
    // The room that is left limits how far off the middle the drawing may be.
    let room = (0.5 * (MOST - style.stroke - extent * shrink)).max(0.0);
    let mut off = || (style.jitter * stream.normal()).clamp(-room, room);
    let (x, y) = (0.5 + off(), 0.5 + off());
    for point in lines.iter_mut().flatten() {
        point.0 = x + shrink * (point.0 - 0.5 * (left + right));
        point.1 = y + shrink * (point.1 - 0.5 * (top + bottom));
    }
}

/// Lays the pen on the lines: width and brightness swell and fade along each stroke, and the pen
/// leaves the paper thinner than it touches down.
fn ink(lines: &[Vec<Point>], style: &Style, stream: &mut Stream, size: usize) -> Vec<Segment> {
    let scale = size as f32;
    let stroke = style.stroke * (1.0 + 0.06 * stream.normal()).clamp(0.8, 1.2);
    let mut segments = Vec::new();
    for line in lines {
        let (phase, waves) = (stream.uniform(), 0.6 + 0.9 * stream.uniform());
        let pieces = line.len().saturating_sub(1).max(1) as f32;
        for (i, pair) in line.windows(2).enumerate() {
            let t = i as f32 / pieces;
            let swell = libm::sinf(TAU * (waves * t + phase));
            let press = 1.0 + style.pressure * (0.6 * swell - 0.7 * t * t);
            segments.push(Segment {
                from: (pair[0].0 * scale, pair[0].1 * scale),
                to: (pair[1].0 * scale, pair[1].1 * scale),
                radius: 0.5 * stroke * scale * press,
                ink: (style.ink * (1.0 + 0.35 * style.pressure * swell)).clamp(0.0, 1.0),
            });
        }
    }
    segments
}

#[cfg(test)]
mod tests;
