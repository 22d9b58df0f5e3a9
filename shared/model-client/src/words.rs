//! The scores of label words from a language model's likeliest next tokens.

/// A log-probability up to this stands for an impossible token.
const IMPOSSIBLE: f64 = -1000.0;

/// For each word, the natural logarithm of the probability that the answer begins like it, from the
/// tokens that the API lists with their log-probabilities. Case is ignored, and so are spaces
/// before a token and the marks that stand for them in vocabularies. A token that is a word counts
/// for this word alone; a token that is only the beginning of words counts for each of them, and
/// cannot tell them apart.
///
/// A word for which nothing is listed gets `floor`, or the log-probability of the least likely
/// listed token if that is lower.
/// listed: it is no more likely than that.
#[must_use]
pub fn scores(words: &[String], listed: &[(String, f64)], floor: f64) -> Vec<f32> {
    let plain = |text: &str| {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == 'Ġ' || c == '▁');
        text.trim_end().to_lowercase()
    };
    let words: Vec<String> = words.iter().map(|word| plain(word)).collect();
    let mut sums = vec![0.0_f64; words.len()];
    let mut least = floor;
    for (token, log) in listed {
        // Servers write minus infinity, or a number that stands for it, for an impossible token.
        if *log > IMPOSSIBLE {
            least = least.min(*log);
        }
        let token = plain(token);
        if token.is_empty() {
            continue;
        }
        let exact = words.iter().position(|word| *word == token);
        for (at, word) in words.iter().enumerate() {
            if exact.map_or_else(|| word.starts_with(&token), |exact| exact == at) {
                sums[at] += libm::exp(*log);
            }
        }
    }
    let log = |sum: &f64| {
        if *sum > 0.0 {
            libm::log(*sum).max(IMPOSSIBLE)
        } else {
            least
        }
    };
    sums.iter().map(|sum| log(sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::scores;

    fn of(words: &[&str], listed: &[(&str, f64)]) -> Vec<f32> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let listed: Vec<(String, f64)> =
            listed.iter().map(|(t, l)| ((*t).to_owned(), *l)).collect();
        scores(&words, &listed, -15.0)
    }

    #[test]
    fn forms_of_a_word_are_summed() {
        let found = of(
            &["Sport", "World"],
            &[
                (" sport", -1.0),
                ("Sport", -2.0),
                ("▁Wor", -3.0),
                ("x", -4.0),
            ],
        );
        assert!((found[0] - ((-1.0_f64).exp() + (-2.0_f64).exp()).ln() as f32).abs() < 1e-6);
        assert_eq!(found[1], -3.0);
    }

    #[test]
    fn a_word_is_not_the_beginning_of_another() {
        assert_eq!(of(&["1", "10"], &[("1", -0.5), ("10", -1.5)]), [-0.5, -1.5]);
        // A shared beginning does not say which of the two it is.
        let shared = of(&["sport", "science"], &[("s", -0.1)]);
        assert_eq!(shared[0], shared[1]);
    }

    #[test]
    fn what_is_not_listed_is_never_likelier_than_what_is() {
        assert_eq!(of(&["a", "b"], &[("a", -0.1)]), [-0.1, -15.0]);
        assert_eq!(of(&["a", "b"], &[("a", -0.1), ("z", -20.0)]), [-0.1, -20.0]);
        assert_eq!(of(&["a", "b"], &[("", -0.1), ("  ", -0.2)]), [-15.0, -15.0]);
        // Minus infinity, as some servers list it, and what OpenAI lists instead.
        for impossible in [f64::NEG_INFINITY, -9999.0] {
            assert_eq!(
                of(
                    &["a", "b"],
                    &[("a", -0.1), ("b", impossible), ("z", impossible)]
                ),
                [-0.1, -15.0]
            );
        }
    }
}
