//! What can be chosen by name in a task file: generators, optimisers, mappings, dialects.
//!
//! Each crate lists its own. A program that has one more puts it on top with [`Registry::with`],
//! and reads its tasks with that registry.

use crate::fault::Reader;

/// Named entries in the order in which error messages list them; never empty.
#[derive(Clone, Debug)]
pub struct Registry<T>(Vec<(&'static str, T)>);

impl<T: Copy> Registry<T> {
    /// A registry of at least one entry, which the compiler checks.
    #[must_use]
    pub fn new<const N: usize>(entries: [(&'static str, T); N]) -> Self {
        const { assert!(N > 0) };
        Self(entries.to_vec())
    }

    /// The same registry with one more entry; an entry that has the name already is replaced.
    #[must_use]
    pub fn with(mut self, name: &'static str, entry: T) -> Self {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = entry,
            None => self.0.push((name, entry)),
        }
        self
    }

    /// The names and entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, T)> {
        self.0.iter().copied()
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(|(name, _)| name).collect()
    }

    /// The entry that a task file gets without naming one.
    #[must_use]
    pub fn first(&self) -> T {
        self.0[0].1
    }

    /// The entry called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<T> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, t)| t)
    }

    /// Reads `key`, whose value must be one of the names: the name and its entry. Where `key` is
    /// missing, the first entry that `default` accepts, or else the first of all; where it is
    /// wrong, that is noted as a fault.
    pub fn choose<'a>(
        &self,
        reader: &mut Reader<'a>,
        key: &'a str,
        default: impl Fn(&T) -> bool,
    ) -> (&'static str, T) {
        let names = self.names();
        let usual = self.0.iter().position(|(_, t)| default(t)).unwrap_or(0);
        self.0[reader.choice(key, &names, Some(names[usual]))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::section;
    use serde_json::json;

    #[test]
    fn entries_are_chosen_replaced_and_listed() {
        let registry = Registry::new([("one", 1), ("two", 2)]).with("three", 3);
        let choose = |table| section("t", &table, |r| registry.choose(r, "kind", |n| *n == 2));
        assert_eq!(choose(json!({ "kind": "three" })), Ok(("three", 3)));
        assert_eq!(choose(json!({})), Ok(("two", 2)));
        let faults = choose(json!({ "kind": "four" })).unwrap_err().0;
        assert_eq!(faults[0].path, "t.kind");
        assert!(faults[0].message.contains("three"), "{faults:?}");
        assert_eq!(registry.with("one", 7).get("one"), Some(7));
    }
}
