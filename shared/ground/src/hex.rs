//! Bytes as hexadecimal text.

/// Writes bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .filter_map(|d| char::from_digit(d.into(), 16))
        .collect()
}

/// Reads exactly `N` bytes from hexadecimal text in upper or lower case; `None` for any other text.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex_all(text)?.try_into().ok()
}

/// Any number of bytes from hexadecimal text of either case; nothing unless every byte has its two digits.
#[must_use]
pub fn unhex_all(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pairs = digits.chunks_exact(2);
    Some(pairs.map(|pair| (16 * pair[0] + pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_exactly() {
        assert_eq!(unhex("0aFf"), Some([10, 255]));
        assert_eq!(unhex_all(&hex(&[0, 10, 255])), Some(vec![0, 10, 255]));
        assert_eq!(unhex_all(""), Some(Vec::new()));
        for bad in [
            "", "0", "0a", "0aff0", "0aff00", "0a+f", "0ag0", " aff", "é0",
        ] {
            assert_eq!(unhex::<2>(bad), None, "{bad}");
        }
    }
}
