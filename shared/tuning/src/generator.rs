//! Prompt generators: θ ↦ how an input is changed before the black box sees it.
//!
//! To add one: write its file with a `build` function and put its name into the list in
//! [`registry`], or, for texts, in [`text_registry`]. `docs/adding.md` walks through it. Any
//! generator for images can be trained in fewer parameters than it has: `reparametrisation/`.

mod basis;
pub mod coordinator;
pub mod discrete;
pub mod frame;
pub mod instruction;
mod lanes;
pub mod reparametrisation;
pub mod soft;
pub mod statistic;

use crate::optimizer::{Candidate, Domain, Space};
use crate::wording::{Prompt, Ranked, SoftShape, TextTask};
use ground::fault::{Faults, Reader, section};
use ground::form::About;
use ground::registry::Registry;
use serde_json::Value;

/// The model input that a generator works on: planar RGB u8, H×W.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

impl Shape {
    /// Number of bytes of one image: 3·H·W.
    #[must_use]
    pub fn bytes(&self) -> usize {
        3 * self.height * self.width
    }
}

/// What a generator needs of one image; computed once, because it does not depend on θ.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The 3·H·W planar bytes that the prompt is added to (shrunk already, for a frame).
    pub image: Vec<u8>,
    /// The image's statistics z; there are [`Generator::statistics`] of them.
    pub statistics: Vec<f32>,
}

/// How a kernel's work is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The text computes single values, as `client-wasm/src/gpu/levels.wgsl` describes.
    Levels,
    /// The text computes a whole cell of `side`×`side` pixels in one workgroup: it defines
    /// `fn render_cell(lane: u32, cell: u32, slot: u32)`, as `client-wasm/src/gpu/cells.wgsl`
    /// describes.
    Cells {
        /// Side of a cell in pixels; a multiple of 4 that divides height and width.
        side: u32,
    },
}

/// The part of the fused WebGPU kernel that belongs to one generator.
///
/// `client-wasm/src/gpu/step.wgsl` documents what the text may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// WGSL text.
    pub wgsl: &'static str,
    /// What the text must define.
    pub work: Work,
    /// Integers that the text reads as `shape_of(i)`.
    pub integers: Vec<u32>,
    /// Numbers that the text reads as `constants[i]`.
    pub constants: Vec<f32>,
}

/// Working memory of [`Generator::prompt`], reused between calls so that a step allocates nothing.
#[derive(Default, Debug)]
pub struct Scratch {
    /// Values that depend on θ alone, filled by [`Generator::begin`].
    pub candidate: Vec<f32>,
    /// Values that depend on θ and the image.
    pub grid: Vec<f32>,
    /// Values along rows.
    pub rows: Vec<f32>,
    /// The parameters of the generator inside a [`reparametrisation`].
    pub inner: Vec<f32>,
}

/// A prompt generator for images: θ ↦ prompted image, such as `clip(x + ε·h_θ(x), 0, 1)`.
pub trait Generator: Send + Sync {
    /// Number of parameters d.
    fn dim(&self) -> usize;

    /// Number of an image's statistics, the length of [`Prepared::statistics`].
    fn statistics(&self) -> usize;

    /// The initial θ₀. Zero unless a generator has a reason: training then starts at the unprompted
    /// model.
    fn initial(&self) -> Vec<f32> {
        vec![0.0; self.dim()]
    }

    /// Returns whether the prompted image has another form than the image for every θ, as in a
    /// frame that shrinks it. The model's answers to the original images then say little about
    /// those to prompted ones.
    fn reshapes(&self) -> bool {
        false
    }

    /// Computes everything about an image (3·H·W planar bytes) that does not depend on θ.
    fn prepare(&self, image: &[u8]) -> Prepared;

    /// Computes what depends on a candidate θ but not on the image. Called once for each candidate.
    fn begin(&self, _theta: &[f32], _scratch: &mut Scratch) {}

    /// Computes what depends on all images that are asked together. Called once for each candidate,
    /// after [`Generator::begin`].
    fn gather(&self, _theta: &[f32], _batch: &[&Prepared], _scratch: &mut Scratch) {}

    /// Writes the prompted image, quantised, into `out` (3·H·W planar bytes).
    fn prompt(&self, theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]);

    /// The kernel that computes the same on a GPU, if there is one.
    fn kernel(&self) -> Option<Kernel>;
}

/// A prompt generator for texts: θ ↦ words, or embeddings, that precede what is asked about a text.
pub trait TextGenerator: Send + Sync {
    /// Number of parameters d.
    fn dim(&self) -> usize;

    /// What θ's numbers mean, which decides which optimisers can train it. Its domain is that of
    /// the generator's [`TextEntry`].
    fn space(&self) -> Space {
        Space::NUMBERS
    }

    /// What θ says about the prompts among which it chooses, the best first.
    fn ranking(&self, _theta: &[f32]) -> Vec<Ranked> {
        Vec::new()
    }

    /// The initial θ₀.
    fn initial(&self) -> Vec<f32> {
        vec![0.0; self.dim()]
    }

    /// The size of its prompts if they are embeddings and not words.
    fn soft(&self) -> Option<SoftShape> {
        None
    }

    /// The prompt at a point, which is θ itself or a candidate. Total: any numbers, NaN included,
    /// give a prompt.
    fn prompt(&self, point: &[f32]) -> Prompt;
}

/// Reads a generator's own settings and builds it, for images of a shape.
pub type Build = fn(&mut Reader<'_>, Shape) -> Box<dyn Generator>;

/// A generator for images as [`registry`] lists it.
#[derive(Clone, Copy, Debug)]
pub struct ImageEntry {
    /// What people are told about it.
    pub about: About,
    /// Reads its settings and builds it.
    pub build: Build,
}

/// The built-in generators for images by the names that a task file uses. One line each; the first
/// is the default.
#[must_use]
pub fn registry() -> Registry<ImageEntry> {
    Registry::new([
        ("statistic", statistic::ENTRY),
        ("frame", frame::ENTRY),
        ("coordinator", coordinator::ENTRY),
    ])
}

/// Builds what a task file's `[generator]` table asks for, out of the built-in ones.
///
/// # Errors
/// All faults of the table at once.
pub fn build(spec: &Value, shape: Shape) -> Result<Box<dyn Generator>, Faults> {
    build_from(&registry(), spec, shape)
}

/// Builds what a task file's `[generator]` table asks for from the generators of `registry`.
///
/// # Errors
/// All faults of the table at once.
pub fn build_from(
    registry: &Registry<ImageEntry>,
    spec: &Value,
    shape: Shape,
) -> Result<Box<dyn Generator>, Faults> {
    section("generator", spec, |reader| {
        let (_, entry) = registry.choose(reader, "kind", |_| true);
        let generator = (entry.build)(reader, shape);
        reparametrisation::wrap(reader, generator)
    })
}

/// A generator for texts as [`text_registry`] lists it.
#[derive(Clone, Copy, Debug)]
pub struct TextEntry {
    /// What people are told about it.
    pub about: About,
    /// Whether its prompts are embeddings, which only some dialects can send.
    pub embeddings: bool,
    /// What its parameters mean: known before its settings are read, so that faults of these and of
    /// the optimiser are reported together.
    pub domain: Domain,
    /// Reads its settings and builds it.
    pub build: fn(&mut Reader<'_>, &TextTask) -> Box<dyn TextGenerator>,
}

/// The built-in generators for texts by the names that a task file uses. One line each; the first
/// is the default.
#[must_use]
pub fn text_registry() -> Registry<TextEntry> {
    Registry::new([
        ("discrete", discrete::ENTRY),
        ("instruction", instruction::ENTRY),
        ("soft", soft::ENTRY),
    ])
}

/// Builds what a task file's `[generator]` table asks for in a task of texts, out of the generators
/// of `registry`.
///
/// # Errors
/// All faults of the table at once.
pub fn build_text_from(
    registry: &Registry<TextEntry>,
    spec: &Value,
    text: &TextTask,
) -> Result<Box<dyn TextGenerator>, Faults> {
    section("generator", spec, |reader| {
        let (_, entry) = registry.choose(reader, "kind", |_| true);
        (entry.build)(reader, text)
    })
}

/// Renders a whole step on the CPU: candidate by candidate, image by image, 3·H·W bytes each, in
/// the order in which the WebGPU kernel writes them.
pub fn render(
    generator: &dyn Generator,
    theta: &[f32],
    candidates: &[Candidate],
    batch: &[&Prepared],
    out: &mut Vec<u8>,
) {
    let bytes = batch.first().map_or(0, |p| p.image.len());
    out.resize(candidates.len() * batch.len() * bytes, 0);
    let mut scratch = Scratch::default();
    let mut perturbed = Vec::with_capacity(theta.len());
    let mut slots = out.chunks_exact_mut(bytes.max(1));
    for candidate in candidates {
        candidate.apply(theta, &mut perturbed);
        generator.begin(&perturbed, &mut scratch);
        generator.gather(&perturbed, batch, &mut scratch);
        for (prepared, slot) in batch.iter().zip(&mut slots) {
            generator.prompt(&perturbed, prepared, &mut scratch, slot);
        }
    }
}

/// A level 0..=255 from a real value on that scale: clipped, then rounded half up. NaN becomes 0.
#[inline]
#[must_use]
pub fn quantise(level: f32) -> u8 {
    (level.clamp(0.0, 255.0) + 0.5) as u8
}
