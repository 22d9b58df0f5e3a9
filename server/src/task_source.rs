//! The source of a task: a file or a built-in task, with settings that the command line replaces.

use federation::task::Task;
use ground::fault::Faults;
use serde_json::Value;

/// Why a task cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The task's settings have faults.
    #[error("the task has faults:\n{0}")]
    Faults(#[from] Faults),
    /// There is neither such a file nor such a built-in task.
    #[error(
        "{name} is neither a file that can be read ({cause}) nor a built-in task ({})",
        BUILT_IN.map(|(name, _)| name).join(", ")
    )]
    NotFound {
        /// The name that was given.
        name: String,
        /// Why it cannot be read as a file.
        cause: std::io::Error,
    },
    /// `--set` without a value.
    #[error("--set {0}: write PATH=VALUE, such as optimizer.learning_rate=0.02")]
    NoValue(String),
    /// `--set` below something that is no table.
    #[error("--set {item}: {path} is not a setting")]
    NoSetting {
        /// The argument as it was given.
        item: String,
        /// The path before its `=`.
        path: String,
    },
}

/// The built-in tasks by their names, which need no file.
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

/// The text of the built-in task or the file of that name.
pub fn text(name: &str) -> Result<String, TaskError> {
    if let Some((_, text)) = BUILT_IN.iter().find(|(n, _)| *n == name) {
        return Ok((*text).to_owned());
    }
    std::fs::read_to_string(name).map_err(|cause| TaskError::NotFound {
        name: name.to_owned(),
        cause,
    })
}

/// Loads a task and replaces settings (`path=value`, with the value as JSON or as plain text).
pub fn load(name: &str, overrides: &[String]) -> Result<Task, TaskError> {
    let task = Task::from_toml(&text(name)?)?;
    if overrides.is_empty() {
        return Ok(task);
    }
    let mut source = task.source().clone();
    for item in overrides {
        let (path, value) = item
            .split_once('=')
            .ok_or_else(|| TaskError::NoValue(item.clone()))?;
        let value: Value =
            serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut place = &mut source;
        for key in path.split('.') {
            // A missing table is added.
            if !place.is_object() && !place.is_null() {
                return Err(TaskError::NoSetting {
                    item: item.clone(),
                    path: path.to_owned(),
                });
            }
            place = &mut place[key];
        }
        *place = value;
    }
    Ok(Task::from_value(source)?)
}
