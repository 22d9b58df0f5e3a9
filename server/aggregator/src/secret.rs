//! Tokens and invites: 32 random bytes in hexadecimal. The database keeps only their SHA-256, which suffices
//! because they are random: there is nothing to guess slowly.

use subtle::ConstantTimeEq as _;

/// A text that no log shows. It cannot be compared with `==`, which would tell by its time how much is right.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A fresh one.
    ///
    /// # Errors
    /// The operating system gave no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        random_hex(32).map(Self)
    }

    /// One that came from outside.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the database keeps, and looks for: how long that takes depends on the hash, which tells nothing
    /// about the secret.
    #[must_use]
    pub fn hash(&self) -> String {
        ground::hash::sha256_hex(self.0.as_bytes())
    }

    /// Compares in a time that does not tell where the two differ. The hashes are compared, so not even the
    /// length shows.
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

/// `bytes` random bytes in hexadecimal.
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
