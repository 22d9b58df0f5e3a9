//! The settings file: the server's settings, and models.

use std::path::Path;

use ground::fault::{Fault, Reader};
use ground::settings;
use serde_json::Value;

use super::ModelArgs;
use crate::ModelConfig;
use crate::faults::{ConfigFaults, tables, toml_file};

/// What stands in the file beside models, and whether it lists models. A file that cannot be read is
/// reported with its models.
pub(super) fn server(path: &Path) -> (settings::Table, bool) {
    let Ok(Value::Object(mut table)) = toml_file("--config", path) else {
        return (settings::Table::new(), true);
    };
    let models = table.remove("model");
    // Like the models' paths it is relative to the file's folder.
    if let Some(Value::String(keys)) = table.get_mut("keys")
        && let Some(below) = path.parent().unwrap_or(Path::new("")).join(&*keys).to_str()
    {
        *keys = below.to_owned();
    }
    (table, models.is_some())
}

/// Reads the models of the file `path`. Paths in it are relative to its folder.
///
/// # Errors
/// All faults at once, each with the model and the setting.
pub(crate) fn read(path: &Path) -> Result<Vec<ModelConfig>, ConfigFaults> {
    let mut value = toml_file("--config", path)?;
    if let Value::Object(table) = &mut value {
        // The others are the server's.
        table.retain(|key, _| key == "model");
    }
    let base = path.parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    let entries = tables("model", &value, &mut faults);
    let mut texts = Vec::new();
    let mut models: Vec<ModelConfig> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let place = format!("model[{at}]");
        let before = faults.len();
        let Value::Object(entry) = entry else {
            Reader::new(&place, entry, &mut faults).finish();
            continue;
        };
        let args = settings::read::<ModelArgs>(&place, entry, &mut faults).below(base);
        if faults.len() > before {
            // A model that could not be read is not reported twice.
            continue;
        }
        match args.read() {
            Err(more) => texts.extend(more.faults.iter().map(|fault| as_setting(&place, fault))),
            Ok(model) if models.iter().any(|known| known.name == model.name) => {
                texts.push(format!(
                    "{place}.name: there is another model named `{}`; give each a name of its own",
                    model.name
                ))
            }
            Ok(model) => models.push(model),
        }
    }
    let faults = faults.iter().map(Fault::to_string).chain(texts);
    let faults: Vec<String> = faults
        .map(|fault| format!("{}: {fault}", path.display()))
        .collect();
    if faults.is_empty() {
        Ok(models)
    } else {
        Err(ConfigFaults { faults })
    }
}

/// Rewrites a fault of a flag as a fault of a setting: `--max-batch is 0` becomes `model[1]:
/// max_batch is 0`.
fn as_setting(place: &str, fault: &str) -> String {
    // Only whole words, because a path may contain dashes too.
    let setting = |word: &str| match word.strip_prefix("--") {
        Some(flag) => flag.replace('-', "_"),
        None => word.to_owned(),
    };
    let words: Vec<String> = fault.split(' ').map(setting).collect();
    format!("{place}: {}", words.join(" "))
}
