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

use crate::candidate::{Candidate, Domain, Space};
use crate::wording::{Prompt, Ranked, SoftShape, TextTask};
use ground::fault::{Faults, Reader, section};
use ground::form::About;
use ground::registry::Registry;
use serde_json::Value;

/// The shape of the model input that a generator works on: an image of H×W pixels in planar RGB,
/// one byte for each value.
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

/// What a generator needs to know about one image. It does not depend on θ, so it is computed once
/// for each image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The 3·H·W planar bytes that the prompt is added to. A frame that shrinks the image has
    /// shrunk it here already.
    pub image: Vec<u8>,
    /// The image's statistics z, [`Generator::statistics`] numbers.
    pub statistics: Vec<f32>,
}

/// How a WebGPU kernel's work is divided among its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The WGSL text computes single values, as `client-wasm/src/gpu/levels.wgsl` describes.
    Levels,
    /// The WGSL text computes a whole cell of `side`×`side` pixels in one workgroup: it defines `fn
    /// render_cell(lane: u32, cell: u32, slot: u32)`, as `client-wasm/src/gpu/cells.wgsl`
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
    /// WGSL source text.
    pub wgsl: &'static str,
    /// How the work is divided, which says what function the text must define.
    pub work: Work,
    /// Integers that the text reads as `shape_of(i)`.
    pub integers: Vec<u32>,
    /// Numbers that the text reads as `constants[i]`.
    pub constants: Vec<f32>,
}

/// Working memory of [`Generator::prompt`], reused between calls so that a step allocates nothing.
#[derive(Default, Debug)]
pub struct Scratch {
    /// Values that depend on θ alone; [`Generator::begin`] fills them.
    pub candidate: Vec<f32>,
    /// Values that depend on θ and on the image.
    pub grid: Vec<f32>,
    /// Values along rows of the image.
    pub rows: Vec<f32>,
    /// What is added to the image's node values ([`Generator::nodes`]); empty for nothing.
    pub nodes: Vec<f32>,
    /// The parameters of the generator inside a [`reparametrisation`].
    pub inner: Vec<f32>,
}

/// A prompt generator for images: θ ↦ prompted image, such as `clip(x + ε·h_θ(x), 0, 1)`.
pub trait Generator: Send + Sync {
    /// Number of parameters d.
    fn dim(&self) -> usize;

    /// Number of statistics of an image: the length of [`Prepared::statistics`].
    fn statistics(&self) -> usize;

    /// The initial parameters θ₀, `dim` numbers. Zero unless a generator has a reason for something
    /// else, so that training starts at the unprompted model.
    fn initial(&self) -> Vec<f32> {
        vec![0.0; self.dim()]
    }

    /// Returns whether prompted images differ in form from the originals whatever θ is, as those of
    /// a frame do, which shrinks the image. The model's answers to the originals then say little
    /// about its answers to prompted images.
    fn reshapes(&self) -> bool {
        false
    }

    /// Computes everything about an image (3·H·W planar bytes) that does not depend on θ.
    fn prepare(&self, image: &[u8]) -> Prepared;

    /// Computes what depends on a candidate θ but on no image. Called once for each candidate.
    fn begin(&self, _theta: &[f32], _scratch: &mut Scratch) {}

    /// Computes what depends on all images that are asked together, such as the moments of a batch
    /// norm. Called once for each candidate, after [`Generator::begin`].
    fn gather(&self, _theta: &[f32], _batch: &[&Prepared], _scratch: &mut Scratch) {}

    /// Writes the prompted image into `out`, as 3·H·W planar bytes.
    fn prompt(&self, theta: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]);

    /// The WebGPU kernel that computes the same prompted images, or `None` if there is none.
    fn kernel(&self) -> Option<Kernel>;

    /// Number of an image's node values: numbers that are linear in θ, and on which alone the
    /// prompted image depends. [`Generator::prompt`] adds [`Scratch::nodes`] to them. 0 if the
    /// generator has none.
    fn nodes(&self) -> usize {
        0
    }

    /// Writes an image's node values at `theta` into `out`.
    fn node_values(&self, _theta: &[f32], _prepared: &Prepared, out: &mut Vec<f32>) {
        out.clear();
    }

    /// Adds to `gradient` (`dim` numbers) what `slopes`, a loss's derivatives by the image's node
    /// values, amount to by θ: Jᵀ·`slopes`, where J is the derivative of the node values by θ.
    fn pull_back(&self, _prepared: &Prepared, _slopes: &[f32], _gradient: &mut [f32]) {}
}

/// A prompt generator for texts: θ ↦ words, or embeddings, that precede what is asked about a text.
pub trait TextGenerator: Send + Sync {
    /// Number of parameters d.
    fn dim(&self) -> usize;

    /// What θ's numbers mean, which decides which optimisers can train them. The domain must be
    /// that of the generator's [`TextEntry`].
    fn space(&self) -> Space {
        Space::NUMBERS
    }

    /// The instructions among which the generator chooses, the best first, with what θ says about
    /// each. Empty for a generator that does not choose among whole instructions.
    fn ranking(&self, _theta: &[f32]) -> Vec<Ranked> {
        Vec::new()
    }

    /// The initial parameters θ₀, `dim` numbers; zero unless a generator says otherwise.
    fn initial(&self) -> Vec<f32> {
        vec![0.0; self.dim()]
    }

    /// The size of the generator's prompts if they are embeddings; `None` if they are words.
    fn soft(&self) -> Option<SoftShape> {
        None
    }

    /// The prompt at `point`, which is θ itself or a candidate (`dim` numbers). Any numbers, NaN
    /// included, give a prompt.
    fn prompt(&self, point: &[f32]) -> Prompt;
}

/// Reads an image generator's own settings and builds it for images of the given shape.
pub type Build = fn(&mut Reader<'_>, Shape) -> Box<dyn Generator>;

/// A generator for images as [`registry`] lists it.
#[derive(Clone, Copy, Debug)]
pub struct ImageEntry {
    /// Texts for people about the generator.
    pub about: About,
    /// Reads its settings and builds it.
    pub build: Build,
}

/// The built-in image generators by their names in a task file, one line each. The first is the
/// default.
#[must_use]
pub fn registry() -> Registry<ImageEntry> {
    Registry::new([
        ("statistic", statistic::ENTRY),
        ("frame", frame::ENTRY),
        ("coordinator", coordinator::ENTRY),
    ])
}

/// Builds the image generator that a task file's `[generator]` table describes, out of the built-in
/// ones.
///
/// # Errors
/// All faults of the table at once.
pub fn build(spec: &Value, shape: Shape) -> Result<Box<dyn Generator>, Faults> {
    build_from(&registry(), spec, shape)
}

/// Builds the image generator that a task file's `[generator]` table describes, out of those in
/// `registry`.
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
    /// Texts for people about the generator.
    pub about: About,
    /// Whether its prompts are embeddings, which only some dialects can send.
    pub embeddings: bool,
    /// What the parameters mean. It is known before the generator's settings are read, so that
    /// faults in these settings and in the optimiser's are reported together.
    pub domain: Domain,
    /// Reads the generator's settings and builds it.
    pub build: fn(&mut Reader<'_>, &TextTask) -> Box<dyn TextGenerator>,
}

/// The built-in text generators by their names in a task file, one line each. The first is the
/// default.
#[must_use]
pub fn text_registry() -> Registry<TextEntry> {
    Registry::new([
        ("discrete", discrete::ENTRY),
        ("instruction", instruction::ENTRY),
        ("soft", soft::ENTRY),
    ])
}

/// Builds the text generator that a task file's `[generator]` table describes, out of those in
/// `registry`.
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

/// Renders the prompted images of a whole step on the CPU, 3·H·W bytes each: all images under the
/// first candidate, then all under the second, and so on, which is the WebGPU kernel's order.
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
        for (picture, (prepared, slot)) in batch.iter().zip(&mut slots).enumerate() {
            candidate.move_nodes(picture, generator.nodes(), &mut scratch.nodes);
            generator.prompt(&perturbed, prepared, &mut scratch, slot);
        }
    }
}

/// Quantises a value on the scale of 0 to 255 to a byte: clips it, then rounds half up. NaN becomes
/// 0.
#[inline]
#[must_use]
pub fn quantise(level: f32) -> u8 {
    (level.clamp(0.0, 255.0) + 0.5) as u8
}
