//! Texts that are typed or pasted: in each line a label, a separator, a text.

use super::super::DataError;
use super::super::csv::records;
use super::super::labels::Labels;
use super::{Columns, Form, Row, TextExample, columns, decode, lines, read_as};

/// Separators, besides blanks, that may stand between label and text; a colon only if a blank
/// follows, because TREC's labels hold colons.
const SEPARATORS: [char; 4] = [',', ';', '|', ':'];

/// Reads all examples of a pasted `content`: JSON lines, a table with a header or with quotation
/// marks, or lines of a label (one of `labels` or of `words`), a blank or one of `, ; | :`, and a
/// text; a tab separates the second text of a pair. If a line does not begin with such a label, its
/// first word is taken for one. `name` is the content's name in errors.
///
/// # Errors
/// Those of [`super::read`].
pub fn read_pasted(
    name: &str,
    content: &str,
    labels: &[String],
    words: &[String],
) -> Result<Vec<TextExample>, DataError> {
    let known = [Labels::new(labels), Labels::new(words)];
    let bytes = records::text(name, content.as_bytes())?;
    match form(bytes) {
        Form::Lines => {}
        form => return read_as(name, bytes, form, &known[0]),
    }
    let columns = Columns::of_pasted();
    let mut examples = Vec::new();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = decode(line.trim_ascii());
        if line.is_empty() {
            continue;
        }
        let (label, text) = cut(&line, &known);
        let (first, second) = text.split_once('\t').unwrap_or((text, ""));
        let row = Row {
            number: i + 1,
            cells: [label, first, second].map(str::to_owned).to_vec(),
        };
        examples.push(columns.example(name, &row, &known[0])?);
    }
    if examples.is_empty() {
        return Err(DataError::Empty {
            file: name.to_owned(),
        });
    }
    Ok(examples)
}

fn form(bytes: &[u8]) -> Form {
    let start = bytes.trim_ascii_start();
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let separator = records::separator(line);
    let cells = line.split(|b| *b == separator);
    let is_quoted = line.starts_with(b"\"") || line.windows(2).any(|w| w == [separator, b'"']);
    if matches!(start.first(), Some(b'{' | b'[')) {
        Form::Json
    } else if is_quoted || columns::is_header(cells.map(|cell| decode(cell.trim_ascii()))) {
        Form::Table(separator)
    } else {
        Form::Lines
    }
}

/// Finds the longest known label that the line begins with, and what follows its separator.
fn cut<'a>(line: &'a str, known: &[Labels; 2]) -> (&'a str, &'a str) {
    let is_known = |label: &str| known.iter().any(|k| k.find(label).is_some());
    let separates = |&(at, letter): &(usize, char)| match letter {
        ':' => line[at + 1..].starts_with(char::is_whitespace),
        _ => letter.is_whitespace() || SEPARATORS.contains(&letter),
    };
    let ends = line.char_indices().filter(separates).take(WORDS);
    let found = ends.filter(|(at, _)| is_known(&line[..*at])).last();
    let Some((at, _)) = found else {
        return lines::cut(line, &known[0]);
    };
    let (label, rest) = line.split_at(at);
    let rest = rest.trim_start();
    (
        label,
        rest.strip_prefix(SEPARATORS).unwrap_or(rest).trim_start(),
    )
}

/// Maximum number of words in a label.
const WORDS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pasted(content: &str, labels: &[&str], words: &[&str]) -> Vec<[String; 3]> {
        let owned = |list: &[&str]| list.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let examples = read_pasted("box", content, &owned(labels), &owned(words)).unwrap();
        let parts = |e: TextExample| [e.label, e.text.first, e.text.second];
        examples.into_iter().map(parts).collect()
    }

    #[test]
    fn every_separator() {
        for line in [
            "good, a b",
            "good; a b",
            "good | a b",
            "good: a b",
            "good\ta b",
            "good  a b",
            " good ,a b\r",
        ] {
            assert_eq!(
                pasted(line, &["good", "bad"], &[]),
                [["good", "a b", ""]],
                "{line:?}"
            );
        }
    }

    #[test]
    fn the_longest_label_counts_and_words_are_labels_too() {
        let labels = ["not", "not entailment"];
        let found = pasted("not entailment\ta, b\tc d\n\nnot so", &labels, &["x", "y"]);
        assert_eq!(
            found,
            [["not entailment", "a, b", "c d"], ["not", "so", ""]]
        );
        assert_eq!(
            pasted("Sci/Tech: the chip", &["1"], &["Sci/Tech"]),
            [["Sci/Tech", "the chip", ""]]
        );
        assert_eq!(
            pasted("DESC:manner How ?", &["DESC"], &["x"]),
            [["DESC", "How ?", ""]]
        );
        // Resolving the labels reports it as unknown, with its line.
        assert_eq!(
            pasted("what is this", &["1"], &["x"]),
            [["what", "is this", ""]]
        );
    }

    #[test]
    fn tables_and_json_may_be_pasted() {
        let expected = [["1", "a, b", ""], ["2", "c", ""]];
        for content in [
            "label,text\n1,\"a, b\"\n2,c\n",
            "1,\"a, b\"\n2,\"c\"\n",
            "{\"label\": 1, \"text\": \"a, b\"}\n{\"label\": 2, \"text\": \"c\"}",
        ] {
            assert_eq!(pasted(content, &["1", "2"], &[]), expected, "{content}");
        }
    }

    #[test]
    fn a_label_alone_is_named_with_its_line() {
        let fault = read_pasted("box", "1 a\n1 \n", &["1".to_owned()], &[]).unwrap_err();
        assert!(matches!(fault, DataError::NoText { row: 2, .. }), "{fault}");
        assert!(read_pasted("box", "  \n\n", &["1".to_owned()], &[]).is_err());
    }

    proptest! {
        #[test]
        fn anything_may_be_pasted(content in "\\PC{0,60}|[a1:,;\\t\\n\" {]{0,40}") {
            let labels = ["a".to_owned(), "1".to_owned()];
            if let Ok(examples) = read_pasted("box", &content, &labels, &[]) {
                prop_assert!(examples.iter().all(|e| !e.label.is_empty()));
            }
        }
    }
}
