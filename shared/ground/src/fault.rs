//! Reading a settings tree with all of its faults reported at once.
//!
//! serde stops at the first mistake. Someone who writes a task file wants the whole list.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::Short;

/// One mistake in a task file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ts_rs::TS)]
#[ts(export)]
#[derive(schemars::JsonSchema)]
pub struct Fault {
    /// Path of the entry, such as `model.input.width`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Every mistake of a task file, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

/// Reads one table of a settings tree: hands out its entries one by one, collects their faults, and
/// in [`Reader::finish`] reports the entries that nothing asked for (a misspelt key would otherwise
/// be ignored in silence).
pub struct Reader<'a> {
    path: String,
    /// The table; `None` if it is missing or the value is something else.
    table: Option<&'a Map<String, Value>>,
    /// Whether an entry that is missing counts as a fault. If the value is not a table at all, that
    /// is the only fault.
    is_table: bool,
    known: Vec<&'a str>,
    faults: &'a mut Vec<Fault>,
}

/// Reads the table `value`, found at `path`, with `read`.
///
/// # Errors
/// All faults of the table, at least one.
pub fn section<T>(
    path: &str,
    value: &Value,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> Result<T, Faults> {
    let mut faults = Vec::new();
    let mut reader = Reader::new(path, value, &mut faults);
    let result = read(&mut reader);
    reader.finish();
    if faults.is_empty() {
        Ok(result)
    } else {
        Err(Faults(faults))
    }
}

impl<'a> Reader<'a> {
    /// Starts to read `value`, found at `path`. Any value other than a table is a fault.
    pub fn new(path: &str, value: &'a Value, faults: &'a mut Vec<Fault>) -> Self {
        if !value.is_object() {
            faults.push(Fault {
                path: path.to_owned(),
                message: "must be a table".to_owned(),
            });
        }
        Self {
            path: path.to_owned(),
            table: value.as_object(),
            is_table: value.is_object(),
            known: Vec::new(),
            faults,
        }
    }

    /// Records a fault at `key` of this table.
    pub fn fault(&mut self, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.faults.push(Fault {
            path,
            message: message.into(),
        });
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            [&self.path, ".", key].concat()
        }
    }

    /// Returns whether the table has an entry `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|t| t.contains_key(key))
    }

    /// Returns the entry `key` unread, if there is one.
    pub fn raw(&mut self, key: &'a str) -> Option<&'a Value> {
        self.known.push(key);
        self.table.and_then(|t| t.get(key))
    }

    /// Reads the nested table `key`. If it is missing, `read` sees an empty table, so that its
    /// defaults apply.
    pub fn table<T>(&mut self, key: &'a str, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let mut inner = self.enter(key);
        let result = read(&mut inner);
        inner.finish();
        result
    }

    /// Does the work of [`Reader::table`] without its type parameter, so that it is compiled once.
    #[inline(never)]
    fn enter(&mut self, key: &'a str) -> Reader<'_> {
        let path = self.path_of(key);
        match self.raw(key) {
            Some(value) => Reader::new(&path, value, self.faults),
            None => Reader {
                path,
                table: None,
                is_table: true,
                known: Vec::new(),
                faults: self.faults,
            },
        }
    }

    fn typed<T>(
        &mut self,
        key: &'a str,
        default: Option<T>,
        what: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        match self.raw(key) {
            Some(value) => {
                let converted = convert(value);
                if converted.is_none() {
                    self.fault(key, format!("must be {what}, but is {}", shorten(value)));
                }
                converted
            }
            None => {
                if default.is_none() && self.is_table {
                    self.fault(key, format!("is missing: {what} is needed"));
                }
                default
            }
        }
    }

    /// Reads a string.
    pub fn text(&mut self, key: &'a str, default: Option<&str>) -> String {
        self.typed(key, default.map(str::to_owned), "a text", |v| {
            v.as_str().map(str::to_owned)
        })
        .unwrap_or_default()
    }

    /// Reads a string that must be one of `allowed`, and returns its index there.
    pub fn choice(&mut self, key: &'a str, allowed: &[&str], default: Option<&str>) -> usize {
        let list = allowed
            .iter()
            .map(|a| format!("\"{a}\""))
            .collect::<Vec<_>>()
            .join(" | ");
        let find = |text: &str| allowed.iter().position(|a| *a == text);
        self.typed(
            key,
            default.and_then(find),
            &format!("one of {list}"),
            |v| v.as_str().and_then(find),
        )
        .unwrap_or(0)
    }

    /// Reads a whole number within a range.
    pub fn whole(
        &mut self,
        key: &'a str,
        range: std::ops::RangeInclusive<u64>,
        default: Option<u64>,
    ) -> u64 {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        let start = *range.start();
        self.typed(key, default, &what, |v| {
            v.as_u64().filter(|n| range.contains(n))
        })
        .unwrap_or(start)
    }

    /// Reads a finite number within a range as f32.
    pub fn number(
        &mut self,
        key: &'a str,
        range: std::ops::RangeInclusive<f64>,
        default: Option<f64>,
    ) -> f32 {
        self.exact_number(key, range, default) as f32
    }

    /// Reads a finite number within a range as f64.
    pub fn exact_number(
        &mut self,
        key: &'a str,
        range: std::ops::RangeInclusive<f64>,
        default: Option<f64>,
    ) -> f64 {
        let what = format!(
            "a number from {} to {}",
            Short(*range.start()),
            Short(*range.end())
        );
        let start = *range.start();
        self.typed(key, default, &what, |v| {
            v.as_f64().filter(|n| n.is_finite() && range.contains(n))
        })
        .unwrap_or(start)
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, key: &'a str, default: bool) -> bool {
        self.typed(key, Some(default), "true or false", Value::as_bool)
            .unwrap_or(default)
    }

    /// Reads a list, converting its members one by one.
    pub fn list<T>(
        &mut self,
        key: &'a str,
        default: Option<Vec<T>>,
        what: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Vec<T> {
        self.typed(key, default, &format!("a list of {what}"), |v| {
            v.as_array()?
                .iter()
                .map(&convert)
                .collect::<Option<Vec<T>>>()
        })
        .unwrap_or_default()
    }

    /// Reports every entry that nothing asked for.
    pub fn finish(self) {
        let Self {
            path,
            table,
            known,
            faults,
            ..
        } = self;
        for key in table.into_iter().flat_map(Map::keys) {
            if !known.contains(&key.as_str()) {
                let full = if path.is_empty() {
                    key.clone()
                } else {
                    [&path, ".", &key[..]].concat()
                };
                let hint = if known.is_empty() {
                    String::new()
                } else {
                    format!("; known here: {}", known.join(", "))
                };
                faults.push(Fault {
                    path: full,
                    message: format!("is not a setting{hint}"),
                });
            }
        }
    }
}

pub(crate) fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 {
        format!("{}…", text.chars().take(57).collect::<String>())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_faults_at_once() {
        let value =
            json!({ "rounds": 0, "name": 3, "typo": 1, "inner": { "x": f64::MAX, "y": "b" } });
        let mut faults = Vec::new();
        let mut r = Reader::new("", &value, &mut faults);
        assert_eq!(r.whole("rounds", 1..=10, None), 1);
        r.text("name", None);
        r.text("missing", None);
        r.table("inner", |r| {
            r.number("x", 0.0..=1.0, None);
            assert_eq!(r.choice("y", &["a", "b"], None), 1);
        });
        r.finish();
        let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["rounds", "name", "missing", "inner.x", "typo"]);
    }
}
