//! Maps the owner's label texts to the federation's labels.

use super::DataError;
use super::error::LISTED;

/// The federation's labels, in the order of its task file.
#[derive(Debug, Clone)]
pub struct Labels {
    known: Vec<String>,
    /// The labels without case, and as numbers: computed once for thousands of look-ups.
    folded: Vec<String>,
    numbers: Vec<Option<u64>>,
}

/// The classes of the examples, with advice if there is any.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Class of each example, as an index into the federation's labels.
    pub classes: Vec<usize>,
    /// [`DataError::OneClass`] where only one class is present.
    pub warning: Option<DataError>,
}

impl Labels {
    /// Takes the federation's labels.
    #[must_use]
    pub fn new(known: &[String]) -> Self {
        Self {
            known: known.to_vec(),
            folded: known.iter().map(|known| fold(known.trim())).collect(),
            numbers: known.iter().map(|known| whole(known.trim())).collect(),
        }
    }

    /// The federation's labels.
    #[must_use]
    pub fn known(&self) -> &[String] {
        &self.known
    }

    /// Index of the label that `text` means: an exact match; else one without regard to case and
    /// outer blanks; else the same whole number (`"00003"`, `"3"` and `"3.0"` are equal). `None` if
    /// unknown.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<usize> {
        let text = text.trim();
        let exact = self.known.iter().position(|known| known == text);
        exact
            .or_else(|| {
                let text = fold(text);
                self.folded.iter().position(|known| *known == text)
            })
            .or_else(|| {
                let number = Some(whole(text)?);
                self.numbers.iter().position(|known| *known == number)
            })
    }

    /// Finds the classes of all examples.
    ///
    /// # Errors
    /// [`DataError::UnknownLabels`] naming some of the labels that the federation does not know,
    /// [`DataError::Empty`] without examples.
    pub fn resolve<'a>(
        &self,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> Result<Resolved, DataError> {
        let mut classes = Vec::new();
        let mut unknown: Vec<&str> = Vec::new();
        let mut examples = 0;
        // Examples of one class mostly stand together, so the last answer is remembered.
        let mut last: Option<(&str, usize)> = None;
        for label in labels {
            match last
                .filter(|(text, _)| *text == label)
                .map(|(_, class)| class)
                .or_else(|| self.find(label))
            {
                Some(class) => {
                    last = Some((label, class));
                    classes.push(class);
                }
                None => {
                    examples += 1;
                    // A file with the wrong label column has thousands of "labels": beyond this
                    // number they are not told apart, because no message lists them.
                    if unknown.len() < 1000 && !unknown.contains(&label) {
                        unknown.push(label);
                    }
                }
            }
        }
        if examples > 0 {
            return Err(DataError::UnknownLabels {
                kinds: unknown.len(),
                unknown: unknown
                    .iter()
                    .take(LISTED)
                    .map(|&text| text.to_owned())
                    .collect(),
                examples,
                known: self.known.clone(),
            });
        }
        let Some(&first) = classes.first() else {
            return Err(DataError::Empty {
                file: "the chosen data".to_owned(),
            });
        };
        let warning = classes
            .iter()
            .all(|&class| class == first)
            .then(|| DataError::OneClass {
                label: self.known[first].clone(),
                examples: classes.len(),
            });
        Ok(Resolved { classes, warning })
    }
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The whole number that a text stands for, allowing leading zeros and zeros after the point.
fn whole(text: &str) -> Option<u64> {
    let text = match text.split_once('.') {
        Some((before, after)) if !after.is_empty() && after.bytes().all(|b| b == b'0') => before,
        Some(_) => return None,
        None => text,
    };
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(known: &[&str]) -> Labels {
        Labels::new(&known.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn spelling_is_forgiven_but_meaning_is_not() {
        let labels = labels(&["0", "3", "Cat", "cat food"]);
        assert_eq!(labels.find("3"), Some(1));
        assert_eq!(labels.find("00003"), Some(1));
        assert_eq!(labels.find(" 3.00 "), Some(1));
        assert_eq!(labels.find("cAT"), Some(2));
        assert_eq!(self::labels(&["Bär", "ЁЖ"]).find(" BÄR "), Some(0));
        assert_eq!(self::labels(&["Bär", "ЁЖ"]).find("ёж"), Some(1));
        for foreign in [
            "",
            ".",
            "3.",
            "3.5",
            "-3",
            "+3",
            "cats",
            "99999999999999999999999",
        ] {
            assert_eq!(labels.find(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn exact_spelling_wins() {
        assert_eq!(labels(&["a", "A"]).find("A"), Some(1));
    }

    #[test]
    fn all_unknown_labels_are_counted() {
        let fault = labels(&["0", "1"])
            .resolve(["0", "x", "y", "x"])
            .unwrap_err();
        assert_eq!(
            fault,
            DataError::UnknownLabels {
                unknown: vec!["x".into(), "y".into()],
                kinds: 2,
                examples: 3,
                known: vec!["0".into(), "1".into()],
            }
        );
    }

    #[test]
    fn one_class_is_a_warning_and_none_a_fault() {
        let labels = labels(&["0", "1"]);
        let one = labels.resolve(["1", "1"]).unwrap();
        assert_eq!(one.classes, [1, 1]);
        assert_eq!(
            one.warning,
            Some(DataError::OneClass {
                label: "1".into(),
                examples: 2
            })
        );
        let both = labels.resolve(["1", "0"]).unwrap();
        assert_eq!((both.classes, both.warning), (vec![1, 0], None));
        assert!(matches!(labels.resolve([]), Err(DataError::Empty { .. })));
    }
}
