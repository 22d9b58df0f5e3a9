//! CLEVR (Johnson et al., CVPR 2017) as a task of counting: the label is the number of objects in
//! `scenes/CLEVR_train_scenes.json` and `_val_`, the picture lies in `images/train/` or `images/val/`.

use super::{Item, List, ListFault, Split, of_splits};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
struct Raw {
    scenes: Vec<Scene>,
}

#[derive(Deserialize)]
struct Scene {
    image_filename: String,
    /// The objects are only counted: the training part's file has some hundred megabytes of them.
    objects: Vec<IgnoredAny>,
}

/// The files of scenes.
pub(super) fn files(names: &[&str]) -> Vec<(Option<Split>, String)> {
    let split_of = |name: &str| match name.rsplit('/').next()? {
        "CLEVR_train_scenes.json" => Some(Split::Train),
        "CLEVR_val_scenes.json" => Some(Split::Val),
        _ => None,
    };
    of_splits(names, |name| {
        split_of(name).filter(|_| name.contains("scenes/"))
    })
}

/// Adds the scenes of one file.
pub(super) fn read(
    list: &mut List,
    split: Option<Split>,
    _: &str,
    bytes: &[u8],
) -> Result<(), ListFault> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| ListFault::Json(e.to_string()))?;
    let split = split.unwrap_or(Split::Train);
    for scene in raw.scenes {
        let item = Item {
            path: format!("images/{split}/{}", scene.image_filename),
            class: scene.objects.len().to_string(),
            number: None,
        };
        list.add(split, item)?;
    }
    Ok(())
}
