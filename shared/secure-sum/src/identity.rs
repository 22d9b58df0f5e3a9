//! Signatures: a long-term Ed25519 key of each participant (RFC 8032), made once from 32 random
//! bytes.

use super::Bytes32;
use super::messages::Signature;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

/// A participant's long-term key. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Makes the key from its seed (RFC 8032's private key).
    #[must_use]
    pub fn from_seed(seed: Bytes32) -> Self {
        Self(SigningKey::from_bytes(&zeroize::Zeroizing::new(seed)))
    }

    /// The seed, to be stored.
    #[must_use]
    pub fn seed(&self) -> Bytes32 {
        self.0.to_bytes()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> Bytes32 {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Signs a message, and returns the signature in the form in which it travels.
    #[must_use]
    pub fn signature(&self, message: &[u8]) -> Signature {
        Signature(self.sign(message))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Returns whether a public key may be used: it must be a point, and not one of small order.
#[must_use]
pub fn is_acceptable(public: &Bytes32) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| !key.is_weak())
}

/// Returns whether `signature` is a signature of `message` under this public key. Keys of small
/// order, under which one signature would fit many messages, and non-canonical signatures are
/// refused.
#[must_use]
pub fn verify(public: &Bytes32, message: &[u8], signature: &[u8; 64]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else {
        return false;
    };
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    !key.is_weak() && key.verify_strict(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        ground::hex::unhex(text).unwrap()
    }

    #[test]
    fn known_answer_of_rfc_8032() {
        // Section 7.1, TEST 2.
        let identity = Identity::from_seed(unhex(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        ));
        assert_eq!(
            identity.public(),
            unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        );
        let signature = identity.sign(&[0x72]);
        assert_eq!(
            signature,
            unhex(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            )
        );
        assert!(verify(&identity.public(), &[0x72], &signature));
        assert!(!verify(&identity.public(), &[0x73], &signature));
        assert!(!verify(
            &Identity::from_seed([1; 32]).public(),
            &[0x72],
            &signature
        ));
    }

    #[test]
    fn keys_of_small_order_verify_nothing() {
        // Under the neutral element, R = neutral and s = 0 satisfy the equation for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!verify(&neutral, b"anything", &signature));
        // Points of order 4 (y = 0) and 2 (y = −1).
        assert!(!verify(&[0; 32], b"anything", &signature));
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        assert!(!verify(&minus_one, b"anything", &signature));
        for weak in [neutral, [0; 32], minus_one] {
            assert!(!is_acceptable(&weak));
        }
        assert!(is_acceptable(&Identity::from_seed([1; 32]).public()));
    }

    #[test]
    fn what_is_no_point_verifies_nothing() {
        let signature = Identity::from_seed([7; 32]).sign(b"m");
        // y = 2 is not on the curve.
        let mut off = [0; 32];
        off[0] = 2;
        assert!(!verify(&off, b"m", &signature) && !is_acceptable(&off));
        assert!(!verify(&[0xff; 32], b"m", &signature));
    }

    #[test]
    fn a_changed_signature_is_none() {
        let identity = Identity::from_seed([9; 32]);
        let signature = identity.sign(b"m");
        for byte in 0..64 {
            let mut other = signature;
            other[byte] ^= 1;
            assert!(!verify(&identity.public(), b"m", &other), "byte {byte}");
        }
        assert_eq!(identity.seed(), [9; 32]);
    }
}
