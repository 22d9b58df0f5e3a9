//! Philox4x32-10, the counter-based generator behind every random choice that two machines must
//! agree on.
//!
//! Source: J. K. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011; the known
//! answers are those of Random123. A counter-based generator has no state to carry along: block `c`
//! of key `k` is a pure function, so a GPU thread, a wasm client and a replaying auditor get the
//! same bits in any order.

use serde::{Deserialize, Serialize};

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Returns the 128 random bits of block `counter` under `key`.
#[must_use]
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let low = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let high = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
    }
    counter
}

/// Mixes any number of words into a key, so that streams with different names never share one.
#[must_use]
pub fn derive_key(words: &[u32]) -> [u32; 2] {
    let mut key = [words.len() as u32, 0x4642_4250];
    for chunk in words.chunks(4) {
        let mut counter = [0; 4];
        counter[..chunk.len()].copy_from_slice(chunk);
        let block = philox4x32(counter, key);
        key = [block[0] ^ key[0], block[1] ^ key[1]];
    }
    key
}

/// Purposes of a [`Stream`]. Streams of different purposes never share numbers, even under one
/// seed.
pub mod purpose {
    /// Choosing the examples of a batch.
    pub const BATCH: u32 = 1;
    /// Drawing perturbation directions.
    pub const DIRECTION: u32 = 2;
    /// Splitting a data set among participants.
    pub const PARTITION: u32 = 3;
    /// Holding examples out for measuring.
    pub const HOLDOUT: u32 = 4;
    /// Drawing the built-in handwriting.
    pub const HANDWRITING: u32 = 5;
    /// Drawing a generator's initial parameters.
    pub const INITIAL: u32 = 6;
    /// Injecting faults in tests.
    pub const FAULT: u32 = 7;
    /// Jitter between retries.
    pub const JITTER: u32 = 8;
    /// Drawing the random projection of soft prompts.
    pub const PROJECTION: u32 = 9;
    /// Choosing the examples from which a mapping is learnt.
    pub const COUNTS: u32 = 10;
    /// Choosing the instructions that are tried in a round.
    pub const ARMS: u32 = 11;
    /// Drawing the participants of a round.
    pub const DRAW: u32 = 12;
    /// Drawing the map from a few trained parameters to a generator's own.
    pub const REPARAMETRISATION: u32 = 13;
}

/// A sequence of random numbers read off consecutive Philox blocks.
///
/// The same bits come out natively and in wasm: only integer operations, IEEE arithmetic and `libm`
/// are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    key: [u32; 2],
    block: u64,
    buffer: [u32; 4],
    left: u8,
}

impl Stream {
    /// Starts the stream of `seed` for one [`purpose`].
    #[must_use]
    pub fn new(seed: u64, purpose: u32) -> Self {
        Self::with_key(derive_key(&[seed as u32, (seed >> 32) as u32, purpose]))
    }

    /// Starts a stream under a key of the caller's own; see [`derive_key`].
    #[must_use]
    pub fn with_key(key: [u32; 2]) -> Self {
        Self {
            key,
            block: 0,
            buffer: [0; 4],
            left: 0,
        }
    }

    /// Returns the next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.left == 0 {
            self.buffer = philox4x32(
                [self.block as u32, (self.block >> 32) as u32, 0, 0],
                self.key,
            );
            self.block += 1;
            self.left = 4;
        }
        self.left -= 1;
        self.buffer[3 - self.left as usize]
    }

    /// Returns a number uniform in [0, 1), a multiple of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Returns a whole number uniform in 0..n without bias (by rejection); 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        if n < 2 {
            return 0;
        }
        let limit = u32::MAX - u32::MAX % n;
        loop {
            let word = self.next_u32();
            if word < limit {
                return word % n;
            }
        }
    }

    /// Shuffles `items` (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }

    /// Returns a standard normal number (Box–Muller through `libm`, which gives the same bits
    /// everywhere, unlike the platform's own `ln` and `cos`).
    pub fn normal(&mut self) -> f32 {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.uniform()));
        radius * libm::cosf(core::f32::consts::TAU * self.uniform())
    }
}

/// How the entries of a direction are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// ±1: of all unbiased choices the one with the least variance, at one bit per entry.
    Rademacher,
    /// ±U\[½, 1), the "segmented uniform" of BlackVIP's released code.
    SegmentedUniform,
    /// Standard Gumbel noise G on logits θ. The largest of θ_j + G_j is a draw from softmax(θ) (E.
    /// J. Gumbel, 1954; the "Gumbel-max trick"), so that drawing categories is one more
    /// perturbation.
    Gumbel,
    /// Gumbel noise on ln θ, for a θ that consists of probabilities. [`Direction::perturb`] takes
    /// the logarithm.
    GumbelOfLog,
    /// A unit vector: 1 at the index that the counter's first word gives, 0 elsewhere. Nothing is
    /// drawn.
    Coordinate,
    /// ±1 for each node value of each picture of a batch, and nothing for θ itself:
    /// [`Direction::for_each_node`].
    Nodes,
}

impl Distribution {
    /// Number of entries that one Philox block gives.
    fn per_block(self) -> usize {
        match self {
            Self::Rademacher | Self::Nodes => 128,
            Self::SegmentedUniform | Self::Gumbel | Self::GumbelOfLog | Self::Coordinate => 4,
        }
    }

    /// Entry `i` of the block that holds it.
    fn entry(self, block: [u32; 4], i: usize) -> f32 {
        match self {
            Self::Rademacher | Self::Nodes => sign_of(block[(i / 32) % 4] >> (i % 32)),
            Self::SegmentedUniform => segmented(block[i % 4]),
            Self::Gumbel | Self::GumbelOfLog => gumbel(block[i % 4]),
            // Not drawn from blocks: the direction itself knows the entry.
            Self::Coordinate => 0.0,
        }
    }
}

/// The name of one perturbation direction, from which its bits are computed. Only the name ever
/// travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direction {
    /// Philox key, derived from the federation's seed and the participant.
    pub key: [u32; 2],
    /// Counter words 1 to 3: index of the direction within its step, step, round. Word 0 counts
    /// blocks.
    pub counter: [u32; 3],
    /// Distribution of the entries.
    pub distribution: Distribution,
}

impl Direction {
    /// Computes entry `i` alone, as the GPU kernels do, once per parameter.
    #[must_use]
    pub fn entry(&self, i: usize) -> f32 {
        if self.distribution == Distribution::Coordinate {
            return if i == self.counter[0] as usize {
                1.0
            } else {
                0.0
            };
        }
        let [a, b, c] = self.counter;
        let block = (i / self.distribution.per_block()) as u32;
        self.distribution
            .entry(philox4x32([block, a, b, c], self.key), i)
    }

    /// Calls `visit(i, Δ_i)` for all `dim` entries in order.
    pub fn for_each(&self, dim: usize, mut visit: impl FnMut(usize, f32)) {
        if self.distribution == Distribution::Coordinate {
            return (0..dim).for_each(|i| visit(i, self.entry(i)));
        }
        let per_block = self.distribution.per_block();
        let [a, b, c] = self.counter;
        for start in (0..dim).step_by(per_block) {
            let words = philox4x32([(start / per_block) as u32, a, b, c], self.key);
            for i in start..dim.min(start + per_block) {
                visit(i, self.distribution.entry(words, i));
            }
        }
    }

    /// Calls `visit(i, ξ_i)` for the `nodes` node values of picture number `picture` of the batch, in
    /// order. Every picture begins with a block of its own.
    pub fn for_each_node(&self, picture: usize, nodes: usize, mut visit: impl FnMut(usize, f32)) {
        let first = picture * nodes.div_ceil(self.distribution.per_block());
        let [a, b, c] = self.counter;
        let mut words = [0; 4];
        for i in 0..nodes {
            if i % self.distribution.per_block() == 0 {
                let block = first + i / self.distribution.per_block();
                words = philox4x32([block as u32, a, b, c], self.key);
            }
            visit(i, self.distribution.entry(words, i));
        }
    }

    /// Writes θ + scale·Δ to `out` (same length as θ); for [`Distribution::Nodes`] θ itself. For
    /// [`Distribution::GumbelOfLog`], ln θ takes the place of θ, where an entry of θ that is not
    /// positive counts as 0 and can never be drawn.
    pub fn perturb(&self, theta: &[f32], scale: f32, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(theta);
        if self.distribution == Distribution::Nodes {
            return;
        }
        if self.distribution == Distribution::GumbelOfLog {
            out.iter_mut().for_each(|t| *t = libm::logf(t.max(0.0)));
        }
        self.for_each(theta.len(), |i, delta| out[i] += scale * delta);
    }
}

fn sign_of(word: u32) -> f32 {
    if word & 1 == 0 { 1.0 } else { -1.0 }
}

fn segmented(word: u32) -> f32 {
    let magnitude = 0.5 + ((word >> 8) & 0x007F_FFFF) as f32 * (1.0 / 16_777_216.0);
    if word >> 31 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// −ln(−ln u), where u = (k + ½)/2²³ for the upper 23 bits k: midpoints of equal intervals, exact
/// in f32 and never 0 or 1, so that the result is finite (−2.8 to 16.6). Computed by `libm`, for
/// the same bits everywhere. Not inlined, or every loop over a direction would hold a copy.
#[inline(never)]
fn gumbel(word: u32) -> f32 {
    let u = ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0);
    -libm::logf(-libm::logf(u))
}

#[cfg(test)]
mod tests;
