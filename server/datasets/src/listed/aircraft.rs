//! FGVC Aircraft (Maji et al., 2013): `images_variant_train.txt`, `_val`, `_trainval` and `_test` with lines such as
//! `1025794 707-320`, beside `images/1025794.jpg`.

use super::{Item, List, ListFault, Split, of_splits};

/// The list files, in the folder itself or in `data/`, as in the archive.
pub(super) fn files(names: &[&str]) -> Vec<(Option<Split>, String)> {
    let split_of = |name: &str| {
        let file = name.strip_prefix("data/").unwrap_or(name);
        match file.strip_prefix("images_variant_")?.strip_suffix(".txt")? {
            "train" => Some(Split::Train),
            "val" => Some(Split::Val),
            "trainval" => Some(Split::Trainval),
            "test" => Some(Split::Test),
            _ => None,
        }
    };
    of_splits(names, split_of)
}

/// Adds the lines of one list file.
pub(super) fn read(
    list: &mut List,
    split: Option<Split>,
    _: &str,
    bytes: &[u8],
) -> Result<(), ListFault> {
    let text = core::str::from_utf8(bytes).map_err(|_| ListFault::NotUtf8)?;
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (image, class) = line.trim().split_once(' ').ok_or(ListFault::Line(i + 1))?;
        let item = Item {
            path: format!("images/{image}.jpg"),
            class: class.trim().to_owned(),
            number: None,
        };
        list.add(split.unwrap_or(Split::Train), item)?;
    }
    Ok(())
}
