//! Shamir's secret sharing of 32 bytes, byte by byte over GF(2⁸) with AES's polynomial x⁸ + x⁴ + x³
//! + x + 1.
//!
//! Source: A. Shamir, "How to share a secret", CACM 1979. All coefficients are uniform, including
//! zero: leaving zero out, as some libraries have done, tells t − 1 holders something about the
//! secret. There are no tables and no branches on secrets: multiplication runs over the bits of the
//! (public) factor, eight secret bytes at a time.

use super::Bytes32;
use super::keystream::Keystream;
use zeroize::Zeroizing;

/// Why shares cannot be made or combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShamirError {
    /// The threshold is 0 or exceeds the number of shares.
    #[error("the threshold is zero or exceeds the number of shares")]
    Threshold,
    /// There are fewer shares than the threshold.
    #[error("there are fewer shares than the threshold")]
    TooFew,
    /// A share has x = 0, which would be the secret itself, or two shares have the same x.
    #[error("two shares have the same x-coordinate, or one has zero")]
    Coordinate,
    /// More than t shares do not lie on one polynomial of degree t − 1: at least one of them is
    /// wrong.
    #[error("the shares contradict each other")]
    Inconsistent,
}

/// Four times eight elements.
type Elements = [u64; 4];

fn elements(bytes: &Bytes32) -> Elements {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn bytes(elements: &Elements) -> Bytes32 {
    let mut bytes = [0; 32];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(elements) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// Computes sum += factor · value for eight elements at once.
fn multiply_add(sum: &mut u64, mut value: u64, factor: u8) {
    for bit in 0..8 {
        *sum ^= value & u64::from((factor >> bit) & 1).wrapping_neg();
        let carries = (value >> 7) & 0x0101_0101_0101_0101;
        value = ((value & 0x7f7f_7f7f_7f7f_7f7f) << 1) ^ (carries * 0x1b);
    }
}

fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    multiply_add(&mut product, u64::from(a), b);
    product as u8
}

/// The inverse a⁻¹ = a²⁵⁴; zero stays zero.
fn invert(a: u8) -> u8 {
    // 254 = 2 + 4 + … + 128.
    let (mut power, mut product) = (a, 1);
    for _ in 0..7 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}

/// Makes n shares of a secret, at x = 1, …, n; any t of them recover it, and fewer reveal nothing
/// about it. Consumes 32·(t − 1) bytes of `rng`: the coefficients of x, of x², and so on.
///
/// # Errors
/// [`ShamirError`], if t = 0 or t > n.
pub fn split(
    secret: &Bytes32,
    t: u8,
    n: u8,
    rng: &mut Keystream,
) -> Result<Vec<Bytes32>, ShamirError> {
    if t == 0 || t > n {
        return Err(ShamirError::Threshold);
    }
    let mut polynomial = Zeroizing::new(vec![[0_u64; 4]; usize::from(t)]);
    let mut drawn = Zeroizing::new([0; 32]);
    for (power, coefficient) in polynomial.iter_mut().enumerate() {
        if power == 0 {
            drawn.copy_from_slice(secret);
        } else {
            rng.fill(&mut *drawn);
        }
        *coefficient = elements(&drawn);
    }
    let mut shares = Vec::with_capacity(usize::from(n));
    for x in 1..=n {
        // Horner's scheme, from the highest power.
        let mut value = [0; 4];
        for coefficient in polynomial.iter().rev() {
            let mut next = *coefficient;
            for (next, value) in next.iter_mut().zip(value) {
                multiply_add(next, value, x);
            }
            value = next;
        }
        shares.push(bytes(&value));
    }
    Ok(shares)
}

/// Recovers the secret from at least t shares (x, share). Shares beyond t must agree with the
/// others.
///
/// # Errors
/// [`ShamirError`], if there are too few, an x is zero or appears twice, or the shares contradict
/// each other.
pub fn combine(shares: &[(u8, Bytes32)], t: u8) -> Result<Bytes32, ShamirError> {
    if t == 0 {
        return Err(ShamirError::Threshold);
    }
    let mut seen = [false; 256];
    for &(x, _) in shares {
        let seen = &mut seen[usize::from(x)];
        if x == 0 || *seen {
            return Err(ShamirError::Coordinate);
        }
        *seen = true;
    }
    let (first, others) = shares
        .split_at_checked(usize::from(t))
        .ok_or(ShamirError::TooFew)?;
    let points = Points::new(first);
    if others.iter().any(|(x, share)| points.at(*x) != *share) {
        return Err(ShamirError::Inconsistent);
    }
    Ok(points.at(0))
}

/// A polynomial given by t points, in Lagrange's form: value(z) = Π(z − x_j) · Σ w_i·y_i / (z −
/// x_i) for a z that is none of the x, with w_i = Π_{j≠i} (x_i − x_j)⁻¹. Subtraction is exclusive
/// or.
struct Points(Vec<(u8, u8, Elements)>);

impl Points {
    fn new(shares: &[(u8, Bytes32)]) -> Self {
        let weight = |x: u8| {
            let others = shares.iter().filter(|(other, _)| *other != x);
            invert(others.fold(1, |product, (other, _)| multiply(product, x ^ other)))
        };
        Self(
            shares
                .iter()
                .map(|(x, share)| (*x, weight(*x), elements(share)))
                .collect(),
        )
    }

    fn at(&self, z: u8) -> Bytes32 {
        let product = self
            .0
            .iter()
            .fold(1, |product, (x, _, _)| multiply(product, z ^ x));
        let mut sum = [0; 4];
        for (x, weight, share) in &self.0 {
            let factor = multiply(multiply(product, *weight), invert(z ^ x));
            for (sum, share) in sum.iter_mut().zip(share) {
                multiply_add(sum, *share, factor);
            }
        }
        bytes(&sum)
    }
}

#[cfg(test)]
mod tests;
