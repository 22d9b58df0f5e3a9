//! A file of several models.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ground::fault::{Fault, Reader};
use serde_json::Value;

use super::{ConfigFaults, KindArg, LayoutArg, ModelArgs};
use crate::ModelConfig;

/// Reads the models of the file `path`. Paths in it are relative to its folder.
///
/// # Errors
/// All faults at once, each with the model and the setting.
pub(crate) fn read(path: &Path) -> Result<Vec<ModelConfig>, ConfigFaults> {
    let value = toml_file("--config", path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    let entries = tables("model", &value, &mut faults);
    let mut texts = Vec::new();
    let mut models: Vec<ModelConfig> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let place = format!("model[{at}]");
        let before = faults.len();
        let mut reader = Reader::new(&place, entry, &mut faults);
        let args = model(&mut reader, base);
        reader.finish();
        match args.read() {
            // What could not be read is not reported twice.
            Err(more) if faults.len() == before => {
                texts.extend(more.faults.iter().map(|fault| as_setting(&place, fault)));
            }
            Err(_) => {}
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

/// Reads a TOML file as a tree.
pub(crate) fn toml_file(flag: &str, path: &Path) -> Result<Value, ConfigFaults> {
    let fault = |cause: String| ConfigFaults {
        faults: vec![format!("{flag}: {}: {cause}", path.display())],
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
    toml::from_str(&text).map_err(|error| fault(error.to_string()))
}

/// The tables `[[name]]` of a file that must hold nothing else, at least one.
pub(crate) fn tables<'a>(
    name: &'static str,
    value: &'a Value,
    faults: &mut Vec<Fault>,
) -> &'a [Value] {
    let entries = value.get(name).and_then(Value::as_array);
    let entries = entries.map_or(&[][..], Vec::as_slice);
    let mut reader = Reader::new("", value, faults);
    if reader.raw(name).is_none() || entries.is_empty() {
        reader.fault(
            name,
            format!("is missing: write a table [[{name}]] for each"),
        );
    }
    reader.finish();
    entries
}

fn model(reader: &mut Reader<'_>, base: &Path) -> ModelArgs {
    /// Any number: the range is checked, like the flags', once all settings are read.
    const ANY: std::ops::RangeInclusive<u64> = 0..=u64::MAX;
    fn text(reader: &mut Reader<'_>, key: &'static str) -> Option<String> {
        let given = reader.has(key);
        let text = reader.text(key, Some(""));
        given.then_some(text)
    }
    fn count(reader: &mut Reader<'_>, key: &'static str) -> Option<usize> {
        let given = reader.has(key);
        let count = reader.whole(key, ANY, Some(0));
        given.then(|| usize::try_from(count).unwrap_or(usize::MAX))
    }
    fn choice<T: ValueEnum>(reader: &mut Reader<'_>, key: &'static str) -> Option<T> {
        let all = T::value_variants();
        let names: Vec<String> = all
            .iter()
            .filter_map(|one| Some(one.to_possible_value()?.get_name().to_owned()))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let given = reader.has(key);
        let choice = reader.choice(key, &names, names.first().copied());
        given.then(|| all.get(choice).cloned()).flatten()
    }
    let path = |text: Option<String>| -> Option<PathBuf> { text.map(|text| base.join(text)) };
    ModelArgs {
        model: path(text(reader, "model")),
        model_dir: path(text(reader, "model_dir")),
        hub: text(reader, "hub"),
        revision: text(reader, "revision"),
        cache_dir: path(text(reader, "cache_dir")),
        kind: choice::<KindArg>(reader, "kind"),
        max_tokens: count(reader, "max_tokens"),
        temperature: reader
            .has("temperature")
            .then(|| reader.number("temperature", f64::MIN..=f64::MAX, None)),
        cache: count(reader, "cache"),
        template: text(reader, "template"),
        labels: path(text(reader, "labels")),
        name: text(reader, "name"),
        layout: choice::<LayoutArg>(reader, "layout"),
        range: text(reader, "range"),
        output: text(reader, "output"),
        size: text(reader, "size"),
        max_batch: count(reader, "max_batch"),
        max_request: count(reader, "max_request"),
        max_queue: count(reader, "max_queue"),
        max_delay_us: reader
            .has("max_delay_us")
            .then(|| reader.whole("max_delay_us", ANY, None)),
        threads: count(reader, "threads"),
    }
}

/// Rewrites a flag's fault as the setting's: `--max-batch is 0` becomes `model[1]: max_batch is 0`.
fn as_setting(place: &str, fault: &str) -> String {
    // Only whole words: a path may hold dashes, too.
    let setting = |word: &str| match word.strip_prefix("--") {
        Some(flag) => flag.replace('-', "_"),
        None => word.to_owned(),
    };
    let words: Vec<String> = fault.split(' ').map(setting).collect();
    format!("{place}: {}", words.join(" "))
}
