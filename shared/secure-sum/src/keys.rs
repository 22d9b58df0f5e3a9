//! Key agreement (X25519, RFC 7748) and what is derived from an agreed secret: sealed shares and
//! pair masks.
//!
//! Every derived key is bound, by HKDF's `info`, to the sum's [`super::Context`], to the hash of
//! the roster, to both participants and to both public keys. A participant who was shown a
//! different roster than its peer therefore cannot open the peer's envelopes. Masks are also bound
//! to U2, so that masks cancel only between participants who were shown the same U2.

use super::keystream::{Keystream, derive};
use super::{Bytes32, labelled};
use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _};
use subtle::ConstantTimeEq as _;
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// The sum that keys are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// [`super::Context::digest`].
    pub context: Bytes32,
    /// [`super::messages::Roster::hash`].
    pub roster: Bytes32,
}

/// A participant's number and one of its public keys.
pub type Party<'a> = (u32, &'a Bytes32);

/// The public key of a private key.
#[must_use]
pub fn public_key(private: &Bytes32) -> Bytes32 {
    x25519(*private, X25519_BASEPOINT_BYTES)
}

/// The u-coordinates of the points of small order: 0 and ±1, and two of order 8.
const SMALL_ORDER: [Bytes32; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
];

/// Returns whether a public key may be used. Refused are keys with which every agreed secret is
/// zero, and second encodings of a point, by which a copied key would pass for a new one.
#[must_use]
pub fn is_acceptable(public: &Bytes32) -> bool {
    // u < p = 2²⁵⁵ − 19, little-endian.
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    public.iter().rev().lt(p.iter().rev()) && !SMALL_ORDER.contains(public)
}

/// The secret on which two parties agree; `None` if it is zero, which a key of small order brings
/// about.
pub(crate) fn agree(private: &Bytes32, public: &Bytes32) -> Option<Zeroizing<Bytes32>> {
    let agreed = Zeroizing::new(x25519(*private, *public));
    (!bool::from(agreed.ct_eq(&[0; 32]))).then_some(agreed)
}

/// Bytes of two shares: that of the self-mask's seed, then that of the private masking key.
pub(crate) const CONTENT: usize = 64;
/// Length of an envelope in bytes.
pub const SEALED: usize = CONTENT + 16;

/// The cipher of one ordered pair, and the text that is authenticated with it.
///
/// The nonce is zero. That is sound because the key is used once: it is derived from the sum, the
/// roster and the ordered pair, and for these a participant's content is always the same.
fn envelope(
    private: &Bytes32,
    public: &Bytes32,
    binding: &Binding,
    from: Party<'_>,
    to: Party<'_>,
) -> Option<(ChaCha20Poly1305, Vec<u8>)> {
    let agreed = agree(private, public)?;
    let (from_number, to_number) = (from.0.to_le_bytes(), to.0.to_le_bytes());
    let Binding { context, roster } = binding;
    let info = labelled(
        "envelope",
        &[context, roster, &from_number, &to_number, from.1, to.1],
    );
    let key = derive(&agreed, &info);
    let aad = labelled("envelope", &[context, roster, &from_number, &to_number]);
    Some((ChaCha20Poly1305::new(&(*key).into()), aad))
}

/// Seals two shares with the sender's `private` key. `None` for a key of small order.
pub(crate) fn seal(
    private: &Bytes32,
    binding: &Binding,
    from: Party<'_>,
    to: Party<'_>,
    content: &[u8; CONTENT],
) -> Option<Vec<u8>> {
    let (cipher, aad) = envelope(private, to.1, binding, from, to)?;
    let mut sealed = content.to_vec();
    let tag = cipher
        .encrypt_inout_detached(&[0; 12].into(), &aad, sealed.as_mut_slice().into())
        .ok()?;
    sealed.extend_from_slice(&tag);
    Some(sealed)
}

/// Opens two shares with the addressee's `private` key. `None` unless `from` sealed them for `to`
/// in this sum.
pub(crate) fn unseal(
    private: &Bytes32,
    binding: &Binding,
    from: Party<'_>,
    to: Party<'_>,
    sealed: &[u8],
) -> Option<Zeroizing<[u8; CONTENT]>> {
    let (body, tag) = sealed.split_first_chunk::<CONTENT>()?;
    let tag: [u8; 16] = tag.try_into().ok()?;
    let (cipher, aad) = envelope(private, from.1, binding, from, to)?;
    let mut content = Zeroizing::new(*body);
    cipher
        .decrypt_inout_detached(
            &[0; 12].into(),
            &aad,
            content.as_mut_slice().into(),
            &tag.into(),
        )
        .ok()?;
    Some(content)
}

/// The pair mask of `mine`, whose private key is `private`, and `theirs`: the same on both sides.
/// `senders` is the hash of U2. `None` for a key of small order.
pub(crate) fn pair_mask(
    private: &Bytes32,
    binding: &Binding,
    senders: &Bytes32,
    mine: Party<'_>,
    theirs: Party<'_>,
) -> Option<Keystream> {
    let agreed = agree(private, theirs.1)?;
    let (low, high) = if mine.0 < theirs.0 {
        (mine, theirs)
    } else {
        (theirs, mine)
    };
    let Binding { context, roster } = binding;
    let (low_number, high_number) = (low.0.to_le_bytes(), high.0.to_le_bytes());
    let info = labelled(
        "pair mask",
        &[
            context,
            roster,
            senders,
            &low_number,
            &high_number,
            low.1,
            high.1,
        ],
    );
    Some(Keystream::new(&agreed, &info))
}

/// Returns whether `mine` adds the mask that it shares with `theirs`, who then subtracts it.
pub(crate) fn adds(mine: u32, theirs: u32) -> bool {
    mine < theirs
}

/// A participant's self-mask, from its seed.
pub(crate) fn self_mask(
    seed: &Bytes32,
    binding: &Binding,
    senders: &Bytes32,
    participant: u32,
) -> Keystream {
    let Binding { context, roster } = binding;
    let info = labelled(
        "self mask",
        &[context, roster, senders, &participant.to_le_bytes()],
    );
    Keystream::new(seed, &info)
}

#[cfg(test)]
mod tests;
