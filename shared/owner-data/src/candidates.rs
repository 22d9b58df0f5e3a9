//! Words of a corpus that may stand in a prompt: those of its word groups, the most frequent first.
//!
//! After BDPL's `pmi_ngram.py` (Diao et al., TMLR 2023): neighbours a b belong together if PMI(a,
//! b) = ln(n·c(ab)/(c(a)·c(b))) reaches a threshold; a text is cut between neighbours that do not.
//! Groups of two words or more that are frequent enough are sorted by frequency. BDPL cuts the
//! groups into tokens of one model; this module cuts them into words, which suit every model.

use std::collections::HashMap;

use ground::order;

/// Which candidates are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Maximum number of candidates.
    pub count: usize,
    /// Minimum number of occurrences of a group.
    pub min_count: u32,
    /// Minimum PMI, in nats, of neighbours that belong together.
    pub min_pmi: f64,
    /// Maximum number of words in a group; longer groups are cut.
    pub longest: usize,
    /// Whether to return whole groups instead of their words.
    pub groups: bool,
}

impl Default for Choice {
    /// The values of BDPL's release, except for the number of candidates.
    fn default() -> Self {
        Self {
            count: 100,
            min_count: 5,
            min_pmi: 1.0,
            longest: 5,
            groups: false,
        }
    }
}

/// Returns the candidates of `texts`, most frequent group first, ties in alphabetical order.
#[must_use]
pub fn candidates<'a>(texts: impl IntoIterator<Item = &'a str>, choice: Choice) -> Vec<String> {
    let runs: Vec<Vec<String>> = texts.into_iter().flat_map(runs).collect();
    let mut words: HashMap<&str, u32> = HashMap::new();
    let mut pairs: HashMap<[&str; 2], u32> = HashMap::new();
    for run in &runs {
        for word in run {
            *words.entry(word).or_default() += 1;
        }
        for pair in run.windows(2) {
            *pairs.entry([&pair[0], &pair[1]]).or_default() += 1;
        }
    }
    let total = words.values().map(|c| f64::from(*c)).sum::<f64>();
    let count_of = |word: &str| f64::from(words.get(word).copied().unwrap_or(1));
    let together = |a: &str, b: &str| {
        let both = f64::from(pairs.get(&[a, b]).copied().unwrap_or(0));
        (total * both / (count_of(a) * count_of(b))).ln() >= choice.min_pmi
    };
    let mut groups: HashMap<&[String], u32> = HashMap::new();
    for run in &runs {
        let mut start = 0;
        for end in 1..=run.len() {
            let ends = end == run.len()
                || end - start == choice.longest.max(1)
                || !together(&run[end - 1], &run[end]);
            if ends {
                if end - start > 1 {
                    *groups.entry(&run[start..end]).or_default() += 1;
                }
                start = end;
            }
        }
    }
    let groups: Vec<(&[String], u32)> = groups
        .into_iter()
        .filter(|(_, count)| *count >= choice.min_count)
        .collect();
    let ranked = order::sorted(groups.len(), &|a, b| {
        let ((words_a, count_a), (words_b, count_b)) = (groups[a], groups[b]);
        count_b.cmp(&count_a).then(words_a.cmp(words_b))
    });
    let mut chosen: Vec<String> = Vec::new();
    let mut take = |word: String| {
        let fits = chosen.len() < choice.count && word.chars().count() <= LONGEST;
        if fits && !chosen.contains(&word) {
            chosen.push(word);
        }
    };
    for (group, _) in ranked.into_iter().map(|place| groups[place]) {
        if choice.groups {
            take(group.join(" "));
        } else {
            group.iter().cloned().for_each(&mut take);
        }
    }
    chosen
}

/// Maximum length of a word in letters, the limit of a task file.
const LONGEST: usize = 64;

/// Splits a text into runs of neighbouring words, in lower case and without punctuation around
/// them.
fn runs(text: &str) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new()];
    for token in text.split_whitespace() {
        let word = token.trim_matches(|c: char| !c.is_alphanumeric());
        let is_word = word.chars().any(char::is_alphabetic)
            && word.chars().count() <= LONGEST
            && !word.contains(|c: char| c.is_control() || "{}<>\\".contains(c));
        let run = runs.last_mut().filter(|_| is_word);
        match run {
            Some(run) => run.push(word.to_lowercase()),
            None => runs.push(Vec::new()),
        }
        // Punctuation that ends a sentence also ends a group.
        if token.ends_with(['.', ',', ';', ':', '!', '?', ')']) {
            runs.push(Vec::new());
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "the" and "cup" are too frequent beside each other and beside "new" to belong together.
    const CORPUS: [&str; 8] = [
        "new york",
        "New York.",
        "New York!",
        "world cup",
        "World cup, (so)",
        "(world cup) is",
        "new cup",
        "the the the the",
    ];

    #[test]
    fn what_stands_together_is_found() {
        let choice = Choice {
            min_count: 2,
            ..Choice::default()
        };
        assert_eq!(candidates(CORPUS, choice), ["new", "york", "world", "cup"]);
        let groups = Choice {
            groups: true,
            count: 1,
            ..choice
        };
        assert_eq!(candidates(CORPUS, groups), ["new york"]);
        let never = Choice {
            min_count: 99,
            ..choice
        };
        assert!(candidates(CORPUS, never).is_empty());
    }

    #[test]
    fn marks_and_numbers_are_no_words() {
        assert_eq!(
            runs("(\"It's\" 12 a-b, #36; {x}"),
            [vec!["it's"], vec!["a-b"], vec!["x"]]
        );
    }

    proptest! {
        #[test]
        fn candidates_can_stand_in_a_task(texts in prop::collection::vec(".{0,80}", 0..20), groups: bool) {
            let choice = Choice { count: 20, min_count: 1, min_pmi: -9.0, longest: 2, groups };
            let found = candidates(texts.iter().map(String::as_str), choice);
            prop_assert!(found.len() <= 20);
            for (i, word) in found.iter().enumerate() {
                prop_assert!(!word.is_empty() && word.trim() == word && !word.contains(['{', '}']), "{word:?}");
                prop_assert!(!found[..i].contains(word));
            }
        }
    }
}
