//! Vectors of numbers as vectors over a finite ring, in which masks hide perfectly and cancel
//! exactly.
//!
//! A real number x becomes one of the two integers next to x·2^bits, chosen at random; integers are
//! added modulo 2³² or 2⁶⁴. [`FixedPoint::choose`] leaves enough room that no accepted cohort's sum
//! wraps around.

use super::keystream::Keystream;
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

/// Integers modulo a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ring {
    /// Modulo 2³².
    U32,
    /// Modulo 2⁶⁴.
    U64,
}

impl Ring {
    /// Number of bytes of one entry.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }
}

/// The length of a vector, and the ring of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The entries' ring.
    pub ring: Ring,
    /// Number of entries in `ring`: the update.
    pub entries: usize,
    /// Number of counters after the entries, always modulo 2⁶⁴.
    pub tail: usize,
}

impl Layout {
    /// Number of entries and counters together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.saturating_add(self.tail)
    }

    /// Returns whether there is nothing to add.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length in bytes of a vector as it travels.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entries = self.entries.saturating_mul(self.ring.bytes());
        entries.saturating_add(self.tail.saturating_mul(8))
    }
}

/// Why numbers do not fit into a vector, or bytes are not a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// The number of entries, or of bytes, differs from the layout's.
    #[error("{got} numbers or bytes are not the {expected} of the layout")]
    Length {
        /// What the layout requires.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// An integer does not fit into its ring; its index.
    #[error("number {0} is outside the ring")]
    OutOfRing(usize),
    /// A value is NaN or exceeds the clip.
    #[error("a value is not finite or exceeds the clip")]
    OverClip,
    /// The clip is not a positive number, or so large or small that no scale fits.
    #[error("the clip is not a positive number for which there is a scale")]
    Clip,
    /// The cohort has no members, or so many that even 64 bits cannot hold their sum.
    #[error("the sum of such a cohort, with its noise, fits into no ring")]
    NoRoom,
}

/// A vector over the ring. Wiped when dropped, because before it is masked it is private to a
/// participant. Never printed.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct RingVector {
    entries: Entries,
    tail: Vec<u64>,
}

#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
enum Entries {
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl std::fmt::Debug for RingVector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RingVector").field(&self.layout()).finish()
    }
}

impl RingVector {
    /// The zero vector.
    #[must_use]
    pub fn zero(layout: Layout) -> Self {
        Self {
            entries: match layout.ring {
                Ring::U32 => Entries::U32(vec![0; layout.entries]),
                Ring::U64 => Entries::U64(vec![0; layout.entries]),
            },
            tail: vec![0; layout.tail],
        }
    }

    /// The vector's layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (ring, entries) = match &self.entries {
            Entries::U32(entries) => (Ring::U32, entries.len()),
            Entries::U64(entries) => (Ring::U64, entries.len()),
        };
        Layout {
            ring,
            entries,
            tail: self.tail.len(),
        }
    }

    /// Makes a vector from integers, entries first, then counters.
    ///
    /// # Errors
    /// [`EncodingError`], if their number differs from the layout's, or one is not a centred
    /// representative in its ring.
    pub fn from_integers(layout: Layout, integers: &[i64]) -> Result<Self, EncodingError> {
        if integers.len() != layout.len() {
            return Err(EncodingError::Length {
                expected: layout.len(),
                got: integers.len(),
            });
        }
        let (entries, tail) = integers.split_at(layout.entries);
        let mut vector = Self::zero(layout);
        match &mut vector.entries {
            Entries::U32(slots) => {
                for (at, (slot, &integer)) in slots.iter_mut().zip(entries).enumerate() {
                    let centred =
                        i32::try_from(integer).map_err(|_| EncodingError::OutOfRing(at))?;
                    *slot = centred as u32;
                }
            }
            Entries::U64(slots) => {
                for (slot, &integer) in slots.iter_mut().zip(entries) {
                    *slot = integer as u64;
                }
            }
        }
        for (slot, &integer) in vector.tail.iter_mut().zip(tail) {
            *slot = integer as u64;
        }
        Ok(vector)
    }

    /// The centred representatives, from −2³¹ or −2⁶³ up.
    #[must_use]
    pub fn integers(&self) -> Vec<i64> {
        let mut integers: Vec<i64> = match &self.entries {
            Entries::U32(entries) => entries.iter().map(|&e| i64::from(e as i32)).collect(),
            Entries::U64(entries) => entries.iter().map(|&e| e as i64).collect(),
        };
        integers.extend(self.tail.iter().map(|&e| e as i64));
        integers
    }

    /// Adds another vector.
    ///
    /// # Errors
    /// [`EncodingError`], if it has another layout; nothing is added then.
    pub fn add(&mut self, other: &Self) -> Result<(), EncodingError> {
        self.combine(other, u32::wrapping_add, u64::wrapping_add)
    }

    /// Subtracts another vector.
    ///
    /// # Errors
    /// [`EncodingError`], if it has another layout; nothing is subtracted then.
    pub fn sub(&mut self, other: &Self) -> Result<(), EncodingError> {
        self.combine(other, u32::wrapping_sub, u64::wrapping_sub)
    }

    fn combine(
        &mut self,
        other: &Self,
        narrow: fn(u32, u32) -> u32,
        wide: fn(u64, u64) -> u64,
    ) -> Result<(), EncodingError> {
        if self.layout() != other.layout() {
            return Err(EncodingError::Length {
                expected: self.layout().bytes(),
                got: other.layout().bytes(),
            });
        }
        match (&mut self.entries, &other.entries) {
            (Entries::U32(mine), Entries::U32(theirs)) => {
                mine.iter_mut()
                    .zip(theirs)
                    .for_each(|(a, &b)| *a = narrow(*a, b));
            }
            (Entries::U64(mine), Entries::U64(theirs)) => {
                mine.iter_mut()
                    .zip(theirs)
                    .for_each(|(a, &b)| *a = wide(*a, b));
            }
            // The layouts are the same.
            _ => {}
        }
        let tails = self.tail.iter_mut().zip(&other.tail);
        tails.for_each(|(a, &b)| *a = wide(*a, b));
        Ok(())
    }

    /// Adds (or subtracts) the next bytes of a stream, entry by entry.
    pub fn mask(&mut self, stream: &mut Keystream, add: bool) {
        // A few kilobytes at a time: a mask is never in memory as a whole.
        let mut bytes = zeroize::Zeroizing::new([0; 4096]);
        match &mut self.entries {
            Entries::U32(entries) => {
                for part in entries.chunks_mut(bytes.len() / 4) {
                    let bytes = &mut bytes[..4 * part.len()];
                    stream.fill(bytes);
                    for (slot, word) in part.iter_mut().zip(bytes.as_chunks().0) {
                        let word = u32::from_le_bytes(*word);
                        *slot = slot.wrapping_add(if add { word } else { word.wrapping_neg() });
                    }
                }
            }
            Entries::U64(entries) => mask_wide(entries, stream, add, &mut *bytes),
        }
        mask_wide(&mut self.tail, stream, add, &mut *bytes);
    }

    /// The bytes that travel: little-endian, [`Layout::bytes`] long.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.layout().bytes());
        match &self.entries {
            Entries::U32(entries) => {
                for entry in entries {
                    bytes.extend_from_slice(&entry.to_le_bytes());
                }
            }
            Entries::U64(entries) => write_wide(&mut bytes, entries),
        }
        write_wide(&mut bytes, &self.tail);
        bytes
    }

    /// Reads a vector from bytes. Any bytes of the right length are a vector.
    ///
    /// # Errors
    /// [`EncodingError`], if the length differs from the layout's.
    pub fn from_bytes(layout: Layout, bytes: &[u8]) -> Result<Self, EncodingError> {
        if bytes.len() != layout.bytes() {
            return Err(EncodingError::Length {
                expected: layout.bytes(),
                got: bytes.len(),
            });
        }
        let (entries, tail) = bytes.split_at(layout.entries * layout.ring.bytes());
        Ok(Self {
            entries: match layout.ring {
                Ring::U32 => {
                    let words = entries.as_chunks().0.iter();
                    Entries::U32(words.map(|w| u32::from_le_bytes(*w)).collect())
                }
                Ring::U64 => Entries::U64(wide(entries)),
            },
            tail: wide(tail),
        })
    }
}

fn wide(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.as_chunks().0.iter();
    words.map(|w| u64::from_le_bytes(*w)).collect()
}

fn write_wide(bytes: &mut Vec<u8>, entries: &[u64]) {
    for entry in entries {
        bytes.extend_from_slice(&entry.to_le_bytes());
    }
}

fn mask_wide(entries: &mut [u64], stream: &mut Keystream, add: bool, bytes: &mut [u8]) {
    for part in entries.chunks_mut(bytes.len() / 8) {
        let bytes = &mut bytes[..8 * part.len()];
        stream.fill(bytes);
        for (slot, word) in part.iter_mut().zip(bytes.as_chunks().0) {
            let word = u64::from_le_bytes(*word);
            *slot = slot.wrapping_add(if add { word } else { word.wrapping_neg() });
        }
    }
}

/// Minimum bits of clip · scale in the narrow ring.
const NARROW_BITS: u32 = 16;
/// Bits of clip · scale in the wide ring.
const WIDE_BITS: u32 = 24;
/// Maximum scale: 2^bits times a clip of the smallest positive f32 is still finite.
const BITS_MAX: u32 = 200;

/// Maps real numbers up to a clip to integers: x ↦ x·2^bits, rounded up or down at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedPoint {
    /// The ring in which the integers are added.
    pub ring: Ring,
    /// Base-2 logarithm of the scale: x·scale is exact in f64.
    pub bits: u32,
    /// The largest |x|.
    pub clip: f32,
}

impl FixedPoint {
    /// Chooses the largest scale with cohort_max · (clip·scale + 1) + noise_bound < 2³¹ (the 1 is
    /// the rounding) if it leaves clip·scale at least 16 bits; otherwise the ring modulo 2⁶⁴ with
    /// the largest clip·scale ≤ 2²⁴.
    ///
    /// `noise_bound` bounds |sum of all noise|, in integers.
    ///
    /// # Errors
    /// [`EncodingError`], if the clip is not a positive number for which there is a scale, or the
    /// cohort's sum fits into no ring.
    pub fn choose(cohort_max: u32, clip: f32, noise_bound: u64) -> Result<Self, EncodingError> {
        Self::choose_with(cohort_max, clip, |_| noise_bound)
    }

    /// Does what [`FixedPoint::choose`] does for noise whose size grows with the scale:
    /// `noise_bound(scale)`.
    ///
    /// # Errors
    /// As [`FixedPoint::choose`].
    pub fn choose_with(
        cohort_max: u32,
        clip: f32,
        noise_bound: impl Fn(f64) -> u64,
    ) -> Result<Self, EncodingError> {
        if !(clip.is_finite() && clip > 0.0) {
            return Err(EncodingError::Clip);
        }
        if cohort_max == 0 {
            return Err(EncodingError::NoRoom);
        }
        let mut chosen = None;
        for bits in 0..=BITS_MAX {
            let narrow = Self {
                ring: Ring::U32,
                bits,
                clip,
            };
            if narrow.largest() < f64::from(1_u32 << NARROW_BITS) {
                continue;
            }
            // With one bit more, clip · scale is twice as large.
            if !narrow.fits(cohort_max, noise_bound(narrow.scale())) {
                break;
            }
            chosen = Some(narrow);
        }
        if let Some(chosen) = chosen {
            return Ok(chosen);
        }
        for bits in 0..=BITS_MAX {
            let wide = Self {
                ring: Ring::U64,
                bits,
                clip,
            };
            if wide.largest() > f64::from(1_u32 << WIDE_BITS) {
                break;
            }
            chosen = Some(wide);
        }
        let chosen = chosen.ok_or(EncodingError::Clip)?;
        if !chosen.fits(cohort_max, noise_bound(chosen.scale())) {
            return Err(EncodingError::NoRoom);
        }
        Ok(chosen)
    }

    /// Returns whether the sum of `participants` numbers, each rounded up, and the noise fits.
    #[must_use]
    pub fn fits(&self, cohort_max: u32, noise_bound: u64) -> bool {
        let largest = libm::ceil(self.largest());
        // 2⁶² and more fit nowhere; below, the conversion is exact.
        if !(0.0..4_611_686_018_427_387_904.0).contains(&largest) {
            return false;
        }
        let limit = match self.ring {
            Ring::U32 => 1 << 31,
            Ring::U64 => 1 << 63,
        };
        let sum = u64::from(cohort_max).checked_mul(largest as u64 + 1);
        let sum = sum.and_then(|sum| sum.checked_add(noise_bound));
        sum.is_some_and(|sum| sum < limit)
    }

    /// The scale, 2^bits.
    #[must_use]
    pub fn scale(&self) -> f64 {
        libm::scalbn(1.0, self.bits.min(1_000) as i32)
    }

    /// clip · scale, exact.
    fn largest(&self) -> f64 {
        f64::from(self.clip) * self.scale()
    }

    /// Rounds a value to an integer: ⌊value·scale⌋, or one more with the probability of the
    /// fraction, so that the mean is right. Consumes one number of `rng`, whatever the value.
    ///
    /// # Errors
    /// [`EncodingError`], if the value is not within ± clip.
    pub fn quantise(&self, value: f64, rng: &mut Keystream) -> Result<i64, EncodingError> {
        // False for NaN, too.
        if value.abs() <= f64::from(self.clip) {
            let exact = value * self.scale();
            let below = libm::floor(exact);
            // 53 bits, the precision of the fraction.
            let chance = (rng.next_u64() >> 11) as f64 / 9_007_199_254_740_992.0;
            Ok(below as i64 + i64::from(chance < exact - below))
        } else {
            Err(EncodingError::OverClip)
        }
    }

    /// The sum of values that a sum of their integers stands for.
    #[must_use]
    pub fn decode(&self, sum: i64) -> f64 {
        sum as f64 / self.scale()
    }
}

#[cfg(test)]
mod tests;
