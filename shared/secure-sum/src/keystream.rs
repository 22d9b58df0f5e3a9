//! Secret random bytes from one 32-byte key: HKDF-SHA-256 (RFC 5869) binds the key to its purpose,
//! ChaCha20 (RFC 8439) expands it.

use super::Bytes32;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Derives 32 bytes for `info` by HKDF-SHA-256 without salt.
pub(crate) fn derive(key: &Bytes32, info: &[u8]) -> Zeroizing<Bytes32> {
    let mut derived = Zeroizing::new([0; 32]);
    // It fails only for more than 255 · 32 bytes.
    let expanded = Hkdf::<Sha256>::new(None, key).expand(info, &mut *derived);
    debug_assert!(expanded.is_ok());
    derived
}

/// A stream of secret bytes. Its state is wiped when it is dropped, and never printed.
pub struct Keystream(ChaCha20);

impl Keystream {
    /// Starts the stream of `key` for one purpose. Different labels give unrelated streams. The
    /// nonce is zero: the derived key serves this stream alone.
    #[must_use]
    pub fn new(key: &Bytes32, label: &[u8]) -> Self {
        let derived = derive(key, label);
        Self(ChaCha20::new(&(*derived).into(), &[0; 12].into()))
    }

    /// Fills `bytes` with the next bytes. A stream has 256 GiB; a layout has far less.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
        self.apply(bytes);
    }

    /// The next eight bytes as a little-endian number.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.apply(&mut bytes);
        let number = u64::from_le_bytes(bytes);
        bytes.zeroize();
        number
    }

    /// A number uniform in 0..n without bias (by rejection); 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n < 2 {
            return 0;
        }
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let number = self.next_u64();
            if number < limit {
                return number % n;
            }
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl std::fmt::Debug for Keystream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keystream(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_rfc_8439() {
        // Appendix A.1, test vector 1: key, nonce and counter zero.
        let mut stream = Keystream(ChaCha20::new(&[0; 32].into(), &[0; 12].into()));
        let mut bytes = [1; 16];
        stream.fill(&mut bytes);
        assert_eq!(
            bytes,
            [
                0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86,
                0xbd, 0x28
            ]
        );
    }

    #[test]
    fn pieces_make_the_same_stream() {
        let mut whole = [0; 200];
        Keystream::new(&[3; 32], b"label").fill(&mut whole);
        let mut stream = Keystream::new(&[3; 32], b"label");
        let mut pieces = [0; 200];
        for (start, end) in [(0, 1), (1, 64), (64, 130)] {
            stream.fill(&mut pieces[start..end]);
        }
        for i in 0..8 {
            pieces[130 + 8 * i..138 + 8 * i].copy_from_slice(&stream.next_u64().to_le_bytes());
        }
        assert_eq!(pieces[..194], whole[..194]);
    }

    #[test]
    fn keys_and_labels_separate() {
        let first = |key: u8, label: &[u8]| Keystream::new(&[key; 32], label).next_u64();
        assert_ne!(first(1, b"a"), first(1, b"b"));
        assert_ne!(first(1, b"a"), first(2, b"a"));
        assert_eq!(first(1, b"a"), first(1, b"a"));
    }

    #[test]
    fn below_is_below_and_even() {
        let mut stream = Keystream::new(&[5; 32], b"below");
        let mut counts = [0; 7];
        for _ in 0..7_000 {
            counts[stream.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&c| (850..1_150).contains(&c)),
            "{counts:?}"
        );
        assert_eq!((stream.below(0), stream.below(1)), (0, 0));
    }
}
