//! The frozen vectors, natively; `web/src/worker/vectors.wasm.test.ts` runs the same checks inside
//! wasm.
//!
//! `WRITE_VECTORS=1 cargo test -p client-wasm --test vectors` writes `directions.json`,
//! `prompted.json` and `nodes.json` anew. They are frozen: a change that alters them breaks every federation that is
//! under way.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use std::path::PathBuf;

use client_wasm::vectors;

fn path(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "shared",
        "vectors",
        &format!("{name}.json"),
    ]
    .iter()
    .collect()
}

fn check(name: &str) {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let cases = vectors::check(name, &text).unwrap_or_else(|what| panic!("{name}: {what}"));
    assert!(cases > 0);
}

fn frozen(name: &str, anew: String) {
    if std::env::var_os("WRITE_VECTORS").is_some() {
        std::fs::write(path(name), &anew).unwrap();
    }
    check(name);
    assert_eq!(
        std::fs::read_to_string(path(name)).unwrap(),
        anew,
        "{name}.json is not what this code writes"
    );
}

#[test]
fn directions() {
    frozen("directions", vectors::write_directions().unwrap());
}

#[test]
fn prompted() {
    frozen("prompted", vectors::write_prompted().unwrap());
}

#[test]
fn nodes() {
    frozen("nodes", vectors::write_nodes().unwrap());
}

#[test]
fn the_others() {
    [
        "philox",
        "handwriting",
        "partition",
        "open_inference",
        "secure_sum",
    ]
    .into_iter()
    .for_each(check);
}

#[test]
fn a_wrong_answer_is_found() {
    let text = std::fs::read_to_string(path("philox")).unwrap();
    let wrong = text.replacen("\"answer\"", "\"counter\"", 1);
    assert!(vectors::check("philox", &wrong).is_err());
    assert!(vectors::check("philox", "[]").is_err());
    assert!(vectors::check("nothing", "[]").is_err());
    // Computed anew, because another test may be writing the file.
    let text = vectors::write_prompted().unwrap();
    let wrong = text.replacen("\"scale\": 0.25", "\"scale\": 0.75", 1);
    assert_ne!(text, wrong);
    assert!(
        vectors::check("prompted", &wrong)
            .unwrap_err()
            .contains("case 0")
    );
}

#[test]
fn epsilon() {
    check("epsilon");
}
