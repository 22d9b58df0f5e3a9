//! `soft`: embeddings before the text or before the label template, for model APIs that take them.
//!
//! The prompt of Black-Box Tuning (Sun et al., ICML 2022): θ is z ∈ R^d, and the n tokens of H
//! numbers each are A·z. A has nH·d entries ±a with a = α σ_emb/(√d σ_z), whose signs come from the
//! federation's counter-based RNG. They have mean 0 and variance a² like BBT's normal entries, so
//! each number of the prompt has the deviation α σ_emb if z ~ N(0, σ_z² I). Random signs project as
//! well as normal numbers do (Achlioptas, JCSS 2003), and no table has to be kept: signs are drawn
//! when they are needed, the same on every machine.
//!
//! z = 0 gives n tokens whose word embedding is zero, which is not quite the same as no prompt.

use super::{TextEntry, TextGenerator};
use crate::candidate::Domain;
use crate::wording::{Prompt, SoftPrompt, SoftShape, TextTask};
use ground::fault::Reader;
use ground::form::About;
use ground::rng::{Direction, Distribution, derive_key, purpose};

/// Maximum number of values of a prompt, so that a mistyped size does not fill the memory.
const MOST: usize = 1 << 20;

/// A soft prompt: a fixed projection of θ to embeddings, and their place.
#[derive(Clone, Debug, PartialEq)]
pub struct Soft {
    dimensions: usize,
    shape: SoftShape,
    /// The scale a of the projection's entries.
    scale: f32,
    key: [u32; 2],
    before_label: bool,
}

/// The generator as the registry lists it.
pub(super) const ENTRY: TextEntry = TextEntry {
    about: About::of("embeddings, which need not be those of words"),
    embeddings: true,
    domain: Domain::Numbers,
    build,
};

/// Reads `tokens` n, `hidden` H, `dimensions` d, `deviation` σ_emb, `alpha` α, `sigma` σ_z, `seed`,
/// `place`.
fn build(reader: &mut Reader<'_>, text: &TextTask) -> Box<dyn TextGenerator> {
    let tokens = reader.whole("tokens", 1..=512, Some(5)) as usize;
    let hidden = reader.whole("hidden", 1..=65_536, None) as usize;
    if tokens.saturating_mul(hidden) > MOST {
        let message = format!("{tokens} tokens of {hidden} numbers are more than {MOST}");
        reader.fault("tokens", message);
    }
    let dimensions = reader.whole("dimensions", 1..=100_000, Some(500)) as usize;
    let deviation = reader.exact_number("deviation", 1e-9..=1e3, None);
    let alpha = reader.exact_number("alpha", 1e-6..=1e6, Some(1.0));
    let sigma = reader.exact_number("sigma", 1e-6..=1e6, Some(1.0));
    let seed = reader.whole("seed", 0..=u64::MAX, Some(0));
    let before_label = super::discrete::place(reader, text);
    Box::new(Soft {
        dimensions,
        shape: SoftShape { tokens, hidden },
        scale: (alpha * deviation / ((dimensions as f64).sqrt() * sigma)) as f32,
        key: derive_key(&[seed as u32, (seed >> 32) as u32, purpose::PROJECTION]),
        before_label,
    })
}

impl TextGenerator for Soft {
    fn dim(&self) -> usize {
        self.dimensions
    }

    fn soft(&self) -> Option<SoftShape> {
        Some(self.shape)
    }

    fn prompt(&self, point: &[f32]) -> Prompt {
        let mut embeddings = vec![0.0; self.shape.tokens * self.shape.hidden];
        for (column, z) in point.iter().enumerate() {
            let signs = Direction {
                key: self.key,
                counter: [column as u32, 0, 0],
                distribution: Distribution::Rademacher,
            };
            // The model would refuse a prompt with numbers that are not finite.
            let z = if z.is_finite() { z * self.scale } else { 0.0 };
            signs.for_each(embeddings.len(), |i, sign| embeddings[i] += sign * z);
        }
        let finite = |x: &mut f32| *x = x.clamp(-f32::MAX, f32::MAX);
        embeddings.iter_mut().for_each(finite);
        Prompt {
            soft: Some(SoftPrompt {
                shape: self.shape,
                embeddings,
                before_label: self.before_label,
            }),
            ..Prompt::default()
        }
    }
}
