//! The frozen bytes of an update as it travels: `shared/vectors/update.json`.
//!
//! `WRITE_VECTORS=1 cargo test -p federation --test update_vectors` writes the file again. It is
//! frozen: a change to it means that an older page can no longer deliver, and needs another version
//! byte.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use federation::round::messages::{Metrics, Update};
use ground::hash::theta_hash;
use ground::hex::hex;
use ground::wire::{DecodeError, decode, encode};
use serde::{Deserialize, Serialize};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/update.json");

#[derive(Serialize, Deserialize)]
struct Vectors {
    /// Bytes that are exactly this message.
    positive: Vec<Positive>,
    /// Bytes that are not a message, and why.
    negative: Vec<Negative>,
}

#[derive(Serialize, Deserialize)]
struct Positive {
    bytes: String,
    message: Update,
}

#[derive(Serialize, Deserialize)]
struct Negative {
    bytes: String,
    error: String,
}

fn unhex(text: &str) -> Vec<u8> {
    ground::hex::unhex_all(text).unwrap()
}

fn anew() -> Vectors {
    let small = Update {
        round: 0,
        theta: theta_hash(&[]),
        examples: 1,
        delta: Vec::new(),
        metrics: Metrics::default(),
    };
    let usual = Update {
        round: 300,
        theta: theta_hash(&[0.5, -0.25]),
        examples: 160,
        delta: vec![0.5, -0.25, 0.0, 1e-3, -1e6],
        metrics: Metrics {
            correct: 31,
            total: 40,
            loss: 17.375,
            queries: 1_360,
            unprompted: Some(29),
        },
    };
    let large = Update {
        round: u32::MAX,
        examples: u32::MAX,
        delta: vec![f32::MIN_POSITIVE, f32::MAX, f32::MIN],
        metrics: Metrics {
            correct: u32::MAX,
            total: u32::MAX,
            loss: -0.5,
            queries: u32::MAX,
            unprompted: None,
        },
        ..usual.clone()
    };
    let bytes = encode(&usual);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        bytes
    };
    let negative = [
        Vec::new(),
        with(&|b| b[0] = 0),
        with(&|b| b[0] = 1),
        with(&|b| b.push(0)),
        with(&|b| b.extend_from_within(..)),
        with(&|b| b.truncate(1)),
        with(&|b| b.truncate(40)),
        with(&|b| b.truncate(b.len() - 1)),
        // A hash that is no UTF-8.
        with(&|b| b[4] = 0xff),
        // A number of more than 32 bits where 32 are allowed.
        with(&|b| b.splice(1..3, [0xff; 10]).for_each(drop)),
    ];
    Vectors {
        positive: [small, usual.clone(), large]
            .map(|message| Positive {
                bytes: hex(&encode(&message)),
                message,
            })
            .into(),
        negative: negative
            .map(|b| Negative {
                error: decode::<Update>(&b).unwrap_err().to_string(),
                bytes: hex(&b),
            })
            .into(),
    }
}

#[test]
fn the_vectors_are_what_this_code_writes() {
    let text = serde_json::to_string_pretty(&anew()).unwrap() + "\n";
    if std::env::var_os("WRITE_VECTORS").is_some() {
        std::fs::write(PATH, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(PATH).unwrap(), text);
}

#[test]
fn the_vectors_hold() {
    let vectors: Vectors = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    assert!(!vectors.positive.is_empty() && !vectors.negative.is_empty());
    for case in &vectors.positive {
        assert_eq!(
            decode::<Update>(&unhex(&case.bytes)).as_ref(),
            Ok(&case.message)
        );
        assert_eq!(hex(&encode(&case.message)), case.bytes);
    }
    for case in &vectors.negative {
        let error: DecodeError = decode::<Update>(&unhex(&case.bytes)).unwrap_err();
        assert_eq!(error.to_string(), case.error, "{}", case.bytes);
    }
}
