//! Lines of a label, a blank, and a sentence.

use super::super::labels::Labels;
use super::{Columns, Row, decode};
use std::collections::BTreeSet;

/// Cuts the lines into label and text. Without known labels, lines whose first words vary as those
/// of sentences do are whole texts.
pub(super) fn read(bytes: &[u8], known: &Labels) -> (Vec<Row>, Columns) {
    let lines: Vec<(usize, String)> = bytes
        .split(|b| *b == b'\n')
        .enumerate()
        .map(|(i, line)| (i + 1, decode(line.trim_ascii())))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let labelled = !known.known().is_empty() || {
        let labels: BTreeSet<&str> = lines.iter().map(|(_, line)| cut(line, known).0).collect();
        4 * labels.len() <= lines.len()
    };
    let row = |(number, line): (usize, String)| {
        let cells = if labelled {
            let (label, text) = cut(&line, known);
            vec![label.to_owned(), text.to_owned()]
        } else {
            vec![line]
        };
        Row { number, cells }
    };
    (
        lines.into_iter().map(row).collect(),
        Columns::of_lines(labelled),
    )
}

/// Cuts off the label before the first blank; of TREC's `DESC:manner` only the part before the
/// colon, unless the whole is known.
pub(super) fn cut<'a>(line: &'a str, known: &Labels) -> (&'a str, &'a str) {
    let (label, text) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let coarse = label.split_once(':').map_or(label, |(coarse, _)| coarse);
    if known.find(label).is_none() && (known.known().is_empty() || known.find(coarse).is_some()) {
        (coarse, text)
    } else {
        (label, text)
    }
}
