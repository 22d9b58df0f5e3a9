//! Where a task comes from: a file, or one of the built-in tasks; and settings replaced on the command line.

use crate::simulate::SimulateError;
use federation::task::Task;
use serde_json::Value;

/// Tasks that need no file, by name.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("handwriting", include_str!("../tasks/handwriting.toml")),
    (
        "handwriting-on-device",
        include_str!("../tasks/handwriting-on-device.toml"),
    ),
    (
        "digits-light-on-dark",
        include_str!("../tasks/digits-light-on-dark.toml"),
    ),
    (
        "digits-dark-on-light",
        include_str!("../tasks/digits-dark-on-light.toml"),
    ),
];

/// The text of a built-in task, or of the file of that name.
pub fn text(name: &str) -> Result<String, SimulateError> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
        return Ok((*text).to_owned());
    }
    std::fs::read_to_string(name).map_err(|cause| {
        let known = BUILT_IN.map(|(n, _)| n).join(", ");
        SimulateError::NoTask(format!(
            "{name} is neither a file that can be read ({cause}) nor a built-in task ({known})"
        ))
    })
}

/// Loads a task and replaces settings (`path=value`, the value as JSON or as a plain text).
pub fn load(name: &str, overrides: &[String]) -> Result<Task, SimulateError> {
    let task = Task::from_toml(&text(name)?)?;
    if overrides.is_empty() {
        return Ok(task);
    }
    let mut source = task.source().clone();
    for item in overrides {
        let (path, value) = item.split_once('=').ok_or_else(|| {
            SimulateError::NoTask(format!(
                "--set {item}: write PATH=VALUE, such as optimizer.learning_rate=0.02"
            ))
        })?;
        let value: Value =
            serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut place = &mut source;
        for key in path.split('.') {
            // A table that is not there yet is made.
            if !place.is_object() && !place.is_null() {
                return Err(SimulateError::NoTask(format!(
                    "--set {item}: {path} is not a setting"
                )));
            }
            place = &mut place[key];
        }
        *place = value;
    }
    Ok(Task::from_value(source)?)
}
