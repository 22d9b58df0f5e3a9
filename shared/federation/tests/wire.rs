//! Binary bodies: bytes that are not a message are reported, and never taken for one.

use federation::round::messages::{Metrics, Update};
use ground::wire::{DecodeError, decode, encode};
use proptest::prelude::*;

fn update() -> Update {
    let metrics = Metrics {
        correct: 3,
        total: 7,
        loss: 1.25,
        queries: 300,
        unprompted: Some(2),
    };
    Update {
        round: 2,
        theta: "ab".repeat(32),
        examples: 40,
        delta: vec![0.5, -1.0, f32::MIN_POSITIVE],
        metrics,
    }
}

#[test]
fn what_is_no_message_says_why() {
    let bytes = encode(&update());
    assert_eq!(decode::<Update>(&bytes), Ok(update()));
    assert_eq!(decode::<Update>(&[]), Err(DecodeError::Empty));
    assert_eq!(decode::<Update>(&[VERSION]), Err(DecodeError::Malformed));
    for version in [0, 1, 255] {
        let other: Vec<u8> = std::iter::once(version)
            .chain(bytes[1..].iter().copied())
            .collect();
        assert_eq!(decode::<Update>(&other), Err(DecodeError::Version(version)));
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0, 0, 0]).collect();
    assert_eq!(decode::<Update>(&longer), Err(DecodeError::Trailing(3)));
    // No prefix of a message is one.
    for end in 1..bytes.len() {
        assert_eq!(
            decode::<Update>(&bytes[..end]),
            Err(DecodeError::Malformed),
            "{end} bytes"
        );
    }
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    // Everything up to the number of entries, then 2⁶⁴ − 1 of them.
    let mut bytes = encode(&Update {
        delta: Vec::new(),
        ..update()
    });
    let tail = postcard::to_stdvec(&update().metrics).unwrap().len();
    bytes.truncate(bytes.len() - tail - 1);
    bytes.extend([0xff; 9]);
    bytes.push(1);
    assert_eq!(decode::<Update>(&bytes), Err(DecodeError::Malformed));
}

proptest! {
    #[test]
    fn decoding_is_total(mut bytes in prop::collection::vec(any::<u8>(), 0..400), ours in any::<bool>()) {
        if let (true, Some(first)) = (ours, bytes.first_mut()) {
            *first = VERSION;
        }
        if let Ok(update) = decode::<Update>(&bytes) {
            // Anything taken for a message is one, and can be checked.
            prop_assert_eq!(decode::<Update>(&encode(&update)).map(|u| u.round), Ok(update.round));
            let _ = update.validate(3);
        }
    }

    #[test]
    fn a_damaged_message_is_refused_or_is_another_message(at in 0..100_usize, bit in 0..8_u8) {
        let mut bytes = encode(&update());
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = decode::<Update>(&bytes) {
            prop_assert_ne!(encode(&other), encode(&update()));
        }
    }

    #[test]
    fn messages_round_trip(round in any::<u32>(), examples in any::<u32>(), delta in prop::collection::vec(-1e6_f32..1e6, 0..50), loss in -1e9_f64..1e9, queries in any::<u32>()) {
        let metrics = Metrics { correct: 1, total: 2, loss, queries, unprompted: (queries > 9).then_some(1) };
        let sent = Update { round, theta: "00".repeat(32), examples, delta, metrics };
        prop_assert_eq!(decode::<Update>(&encode(&sent)), Ok(sent));
    }
}

/// The version byte of every body.
const VERSION: u8 = 3;
