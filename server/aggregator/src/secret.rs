//! Tokens and invites: 32 random bytes in hexadecimal. The database keeps only their SHA-256, which
//! is enough because they are random, so that guessing is hopeless.

use subtle::ConstantTimeEq as _;

/// A text that no log shows. It cannot be compared with `==`, whose timing would reveal how much of
/// a guess is right.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Makes a new random secret.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        random_hex(32).map(Self)
    }

    /// Wraps a secret that came from outside.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The SHA-256 that the database keeps and looks up. The time of a look-up depends on the hash,
    /// which reveals nothing about the secret.
    #[must_use]
    pub fn hash(&self) -> String {
        ground::hash::sha256_hex(self.0.as_bytes())
    }

    /// Compares two secrets in a time that does not depend on where they differ. The hashes are
    /// compared, so that not even the length shows.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.hash().as_bytes().ct_eq(other.hash().as_bytes()).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Makes `bytes` random bytes, in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut buffer = vec![0; bytes];
    getrandom::fill(&mut buffer)?;
    Ok(ground::hex::hex(&buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_match_themselves_and_do_not_show() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(a.reveal().len(), 64);
        assert!(a.matches(&a.clone()) && !a.matches(&b));
        assert!(!format!("{a:?}").contains(a.reveal()));
        assert_ne!(a.hash(), a.reveal());
    }
}
