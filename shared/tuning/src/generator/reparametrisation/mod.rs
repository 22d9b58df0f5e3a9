//! Fewer trained parameters for any image generator: θ = θ₀ + R(φ). φ is what is trained and sent;
//! θ are the generator's own parameters, and θ₀ is where they begin.
//!
//! The error of a zeroth-order step grows with the number of parameters, so a few well-spread ones
//! can be worth more than all (ZIP: Park et al., ICLR 2025; intrinsic dimension: Li et al., ICLR
//! 2018). R is fixed: its random numbers follow from `seed`, so nothing of it travels. R(φ₀) = 0,
//! so training starts where the generator's own would.
//!
//! To add one: write its file with a `build` function and put its name into the list in
//! [`registry`].

mod fastfood;
mod low_rank;
mod sparse;

use super::{Generator, Kernel, Prepared, Scratch};
use ground::fault::Reader;
use ground::rng::{Stream, derive_key, purpose};

/// A fixed map R from the trained parameters φ to what is added to θ₀.
pub trait Reparametrisation: Send + Sync {
    /// Number of entries of φ.
    fn dim(&self) -> usize;

    /// The initial φ₀, `dim` numbers, where R is zero.
    fn initial(&self) -> Vec<f32> {
        vec![0.0; self.dim()]
    }

    /// Adds R(φ) to `theta`. `work` is scratch memory with any content.
    fn add(&self, phi: &[f32], work: &mut Vec<f32>, theta: &mut [f32]);
}

/// Reads a kind's own settings and builds it, given the length of θ.
type Build = fn(&mut Reader<'_>, usize, Dice) -> Box<dyn Reparametrisation>;

/// The reparametrisations by their names in a task file, one line each.
#[must_use]
pub fn registry() -> &'static [(&'static str, Build)] {
    &[
        ("fastfood", fastfood::build),
        ("low-rank", low_rank::build),
        ("sparse", sparse::build),
    ]
}

/// The source of the random numbers of one R: one stream for each of its parts.
#[derive(Clone, Copy, Debug)]
pub struct Dice {
    seed: u64,
}

impl Dice {
    fn stream(self, part: u32) -> Stream {
        let (low, high) = (self.seed as u32, (self.seed >> 32) as u32);
        Stream::with_key(derive_key(&[low, high, purpose::REPARAMETRISATION, part]))
    }
}

/// Reads `[generator.reparametrisation]`, if there is one (`kind`, `seed`, and the kind's own
/// settings), and wraps the generator in it.
pub(super) fn wrap(reader: &mut Reader<'_>, inner: Box<dyn Generator>) -> Box<dyn Generator> {
    if !reader.has("reparametrisation") {
        return inner;
    }
    let dim = inner.dim();
    let map = reader.table("reparametrisation", |reader| {
        let names: Vec<_> = registry().iter().map(|(name, _)| *name).collect();
        let chosen = reader.choice("kind", &names, None);
        let seed = reader.whole("seed", 0..=u64::MAX, Some(0));
        registry()[chosen].1(reader, dim, Dice { seed })
    });
    let mut origin = inner.initial();
    // A generator with faulty settings may contradict itself about its length.
    origin.resize(dim, 0.0);
    Box::new(Reparametrised { inner, origin, map })
}

/// An image generator whose parameters are φ.
struct Reparametrised {
    inner: Box<dyn Generator>,
    /// The generator's initial θ₀.
    origin: Vec<f32>,
    map: Box<dyn Reparametrisation>,
}

impl Reparametrised {
    /// Computes θ in the memory of `scratch.inner`, which is taken out: the caller must put it
    /// back.
    fn expand(&self, phi: &[f32], scratch: &mut Scratch) -> Vec<f32> {
        let mut theta = std::mem::take(&mut scratch.inner);
        theta.clear();
        theta.extend_from_slice(&self.origin);
        self.map.add(phi, &mut scratch.grid, &mut theta);
        theta
    }
}

impl Generator for Reparametrised {
    fn dim(&self) -> usize {
        self.map.dim()
    }

    fn statistics(&self) -> usize {
        self.inner.statistics()
    }

    fn initial(&self) -> Vec<f32> {
        self.map.initial()
    }

    fn reshapes(&self) -> bool {
        self.inner.reshapes()
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        self.inner.prepare(image)
    }

    fn begin(&self, phi: &[f32], scratch: &mut Scratch) {
        let theta = self.expand(phi, scratch);
        self.inner.begin(&theta, scratch);
        scratch.inner = theta;
    }

    fn gather(&self, _phi: &[f32], batch: &[&Prepared], scratch: &mut Scratch) {
        let theta = std::mem::take(&mut scratch.inner);
        self.inner.gather(&theta, batch, scratch);
        scratch.inner = theta;
    }

    fn prompt(&self, _phi: &[f32], prepared: &Prepared, scratch: &mut Scratch, out: &mut [u8]) {
        let theta = std::mem::take(&mut scratch.inner);
        self.inner.prompt(&theta, prepared, scratch, out);
        scratch.inner = theta;
    }

    /// `None`: kernels read a generator's own parameters.
    fn kernel(&self) -> Option<Kernel> {
        None
    }
}

#[cfg(test)]
mod tests;
