//! Hides the key in what the upstream answers: some repeat it in their error messages.

/// Replaces every occurrence of a secret by stars, one for each byte, in a text that comes in
/// pieces. Between pieces it holds back only what may be the beginning of the secret.
pub struct Mask {
    secret: Vec<u8>,
    held: Vec<u8>,
}

impl Mask {
    /// A mask for `secret`; an empty one hides nothing.
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.as_bytes().to_vec(),
            held: Vec::new(),
        }
    }

    /// Takes a piece; returns what can be passed on after it.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.secret.is_empty() {
            return piece.to_vec();
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let length = self.secret.len();
        let mut at = 0;
        while at + length <= text.len() {
            if text[at..].starts_with(&self.secret) {
                text[at..at + length].fill(b'*');
                at += length;
            } else {
                at += 1;
            }
        }
        // The longest end with which the secret begins. Nothing overlaps the last star.
        let begin = (at..text.len())
            .find(|&begin| self.secret.starts_with(&text[begin..]))
            .unwrap_or(text.len());
        self.held = text.split_off(begin);
        text
    }

    /// Returns the rest, once there are no more pieces.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    fn masked(secret: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let mut mask = Mask::new(secret);
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| mask.push(piece)).collect();
        out.extend(mask.finish());
        out
    }

    #[test]
    fn hides_it_however_the_text_is_cut() {
        let text = b"a sk-abc, sk-absk-abc; sk-a sk-abcsk-abc sk-ab";
        let expected = b"a ******, sk-ab******; sk-a ************ sk-ab";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(masked("sk-abc", &pieces), expected, "{first} {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(masked("sk-abc", &bytes), expected);
    }

    #[test]
    fn repeats_itself_without_harm() {
        assert_eq!(masked("aab", &[b"aaab"]), b"a***");
        assert_eq!(masked("aab", &[b"aa", b"ab"]), b"a***");
        assert_eq!(masked("abab", &[b"abababab"]), b"********");
        assert_eq!(masked("", &[b"abc"]), b"abc");
    }

    #[test]
    fn passes_on_at_once_what_cannot_be_it() {
        let mut mask = Mask::new("sk-abc");
        assert_eq!(mask.push(b"data: x\n\n"), b"data: x\n\n");
        assert_eq!(mask.push(b"data: sk"), b"data: ");
        assert_eq!(mask.push(b"y"), b"sky");
    }
}
