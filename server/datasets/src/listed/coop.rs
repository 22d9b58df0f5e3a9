//! CoOp's splits (Zhou et al., IJCV 2022): `{"train": [[path, number, class name], …], "val": […],
//! "test": […]}`. Paths start in the pictures' own folder, which has another name in each data set.

use super::{Item, List, ListFault, Split};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    train: Vec<(String, u32, String)>,
    #[serde(default)]
    val: Vec<(String, u32, String)>,
    #[serde(default)]
    test: Vec<(String, u32, String)>,
}

/// The split files in the folder itself: `split_zhou_*.json`, or `split_mlai_*.json` as BlackVIP's
/// code writes it.
pub(super) fn files(names: &[&str]) -> Vec<(Option<Split>, String)> {
    let is_split = |name: &&&str| {
        ["split_zhou_", "split_mlai_"]
            .iter()
            .any(|start| name.starts_with(start))
            && name.ends_with(".json")
    };
    let all = names.iter().filter(is_split);
    all.map(|name| (None, (*name).to_owned())).collect()
}

/// The folders in which paths may start: the folder itself, and each folder in it.
pub(super) fn roots(names: &[&str]) -> Vec<String> {
    let folders: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.split_once('/').map(|(folder, _)| folder))
        .collect();
    let within = folders.into_iter().map(|folder| format!("{folder}/"));
    [String::new()].into_iter().chain(within).collect()
}

/// Adds all three parts of a split file.
pub(super) fn read(
    list: &mut List,
    _: Option<Split>,
    file: &str,
    bytes: &[u8],
) -> Result<(), ListFault> {
    if list.file != file {
        return Err(ListFault::Several(list.file.clone()));
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| ListFault::Json(e.to_string()))?;
    for (split, entries) in [
        (Split::Train, raw.train),
        (Split::Val, raw.val),
        (Split::Test, raw.test),
    ] {
        for (path, number, class) in entries {
            let number = Some(number);
            list.add(
                split,
                Item {
                    path,
                    class,
                    number,
                },
            )?;
        }
    }
    Ok(())
}
