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
mod tests {
    use super::*;

    const BINDING: Binding = Binding {
        context: [1; 32],
        roster: [2; 32],
    };

    fn pair() -> ([Bytes32; 2], [Bytes32; 2]) {
        let private = [[11; 32], [12; 32]];
        (private, private.map(|key| public_key(&key)))
    }

    #[test]
    fn known_answer_of_rfc_7748() {
        // Section 6.1: what Alice and Bob agree on.
        let unhex = |text: &str| -> Bytes32 {
            let byte = |i: usize| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let publics = [alice, bob].map(|private| public_key(&private));
        assert_eq!(
            publics,
            [
                unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
                unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
            ]
        );
        let agreed = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*agree(&alice, &publics[1]).unwrap(), agreed);
        assert_eq!(*agree(&bob, &publics[0]).unwrap(), agreed);
    }

    #[test]
    fn keys_of_small_order_agree_on_nothing() {
        for public in SMALL_ORDER {
            assert!(agree(&[11; 32], &public).is_none());
            assert!(!is_acceptable(&public));
            // The same point with the unused bit set.
            let mut twin = public;
            twin[31] |= 0x80;
            assert!(agree(&[11; 32], &twin).is_none());
            assert!(!is_acceptable(&twin));
        }
        // p, …, p + 18 are second encodings of 0, …, 18.
        for low in 0xed..=0xff {
            let mut public = [0xff; 32];
            (public[0], public[31]) = (low, 0x7f);
            assert!(!is_acceptable(&public));
        }
        // p − 2 and 2 are points like others.
        let mut large = [0xff; 32];
        (large[0], large[31]) = (0xeb, 0x7f);
        let mut two = [0; 32];
        two[0] = 2;
        for public in [large, two, pair().1[0]] {
            assert!(is_acceptable(&public));
            assert!(agree(&[11; 32], &public).is_some());
        }
    }

    #[test]
    fn envelopes_open_for_the_addressee_in_this_sum_only() {
        let (private, public) = pair();
        let (from, to) = ((3, &public[0]), (7, &public[1]));
        let content: [u8; CONTENT] = std::array::from_fn(|i| i as u8);
        let sealed = seal(&private[0], &BINDING, from, to, &content).unwrap();
        assert_eq!(sealed.len(), SEALED);
        let open = |binding: &Binding, from, to, sealed: &[u8]| {
            unseal(&private[1], binding, from, to, sealed).map(|content| *content)
        };
        assert_eq!(open(&BINDING, from, to, &sealed), Some(content));
        for byte in 0..SEALED {
            let mut tampered = sealed.clone();
            tampered[byte] ^= 1;
            assert_eq!(open(&BINDING, from, to, &tampered), None, "byte {byte}");
        }
        let foreign = [
            Binding {
                context: [0; 32],
                ..BINDING
            },
            Binding {
                roster: [0; 32],
                ..BINDING
            },
        ];
        assert!(foreign.iter().all(|b| open(b, from, to, &sealed).is_none()));
        assert_eq!(open(&BINDING, (4, from.1), to, &sealed), None);
        assert_eq!(open(&BINDING, from, (8, to.1), &sealed), None);
        // Returned to the sender, as if the addressee had sealed it.
        assert!(unseal(&private[0], &BINDING, to, from, &sealed).is_none());
        assert_eq!(open(&BINDING, from, to, &sealed[..SEALED - 1]), None);
        assert_eq!(open(&BINDING, from, to, &[]), None);
        let mut longer = sealed;
        longer.push(0);
        assert_eq!(open(&BINDING, from, to, &longer), None);
    }

    #[test]
    fn both_get_the_same_mask_of_this_sum() {
        let (private, public) = pair();
        let (one, other) = ((3, &public[0]), (7, &public[1]));
        let mask = |key: usize, binding: &Binding, senders: u8, mine, theirs| {
            let mut stream =
                pair_mask(&private[key], binding, &[senders; 32], mine, theirs).unwrap();
            stream.next_u64()
        };
        let usual = mask(0, &BINDING, 5, one, other);
        assert_eq!(mask(1, &BINDING, 5, other, one), usual);
        assert_ne!(mask(0, &BINDING, 6, one, other), usual);
        assert_ne!(mask(0, &BINDING, 5, (4, one.1), other), usual);
        assert_ne!(mask(0, &BINDING, 5, one, (6, other.1)), usual);
        let foreign = Binding {
            roster: [0; 32],
            ..BINDING
        };
        assert_ne!(mask(0, &foreign, 5, one, other), usual);
        assert!(adds(3, 7) && !adds(7, 3));
    }

    #[test]
    fn self_masks_are_of_one_participant_in_one_sum() {
        let first = |seed: u8, binding: &Binding, senders: u8, participant| {
            self_mask(&[seed; 32], binding, &[senders; 32], participant).next_u64()
        };
        let usual = first(1, &BINDING, 2, 3);
        assert_eq!(first(1, &BINDING, 2, 3), usual);
        let foreign = Binding {
            context: [0; 32],
            ..BINDING
        };
        for other in [
            first(2, &BINDING, 2, 3),
            first(1, &foreign, 2, 3),
            first(1, &BINDING, 1, 3),
            first(1, &BINDING, 2, 4),
        ] {
            assert_ne!(other, usual);
        }
    }
}
