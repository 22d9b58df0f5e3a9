//! New secrets from the browser (`crypto.getRandomValues`).

use secure_sum::Bytes32;

use super::report::{Area, Trouble};

/// Draws 32 random bytes.
///
/// # Errors
/// The browser has no random numbers.
pub fn seed() -> Result<Bytes32, Trouble> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Trouble::new(
            Area::Open,
            "no_randomness",
            "This browser gives no random numbers",
            "Without them your numbers could not be hidden from anybody. Update the browser, or use another one.",
        )),
    }
}

/// Draws 32 random bytes in a browser that has given some before.
#[allow(clippy::expect_used)]
pub fn more() -> Bytes32 {
    // Unwrap safety: without random bytes nobody could have joined (`seed`), and the source does not run dry. Were
    // it to, ending the instance is right: a guessable secret would be sent.
    seed().expect("the browser gave random numbers before")
}
