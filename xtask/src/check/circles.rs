//! Finds files of a crate that import one another in a circle, which can only be understood
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::source::{self, Kind, Mention, Module, Source};
use super::{packages, shown};

/// Maximum number of files in one circle.
const LARGEST: usize = 4;

/// Maximum number of modules that hand a name on to the next; more are a circle of `use`, which
/// does not compile.
const MOST_STEPS: usize = 8;

/// Checks every crate, and reports how many circles there are and how large.
pub fn check() -> Result<()> {
    let mut circles = Vec::new();
    for target in packages::all()?.iter().flat_map(|package| &package.roots) {
        circles.extend(
            Crate {
                modules: source::read_all(target)?,
            }
            .circles(),
        );
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    let sizes: Vec<String> = circles
        .iter()
        .map(|circle| circle.len().to_string())
        .collect();
    println!(
        "  {} import circles, of {} files",
        circles.len(),
        if sizes.is_empty() {
            "0".to_owned()
        } else {
            sizes.join(", ")
        }
    );
    refuse_large(&circles)
}

fn refuse_large(circles: &[Vec<PathBuf>]) -> Result<()> {
    let too_large: Vec<String> = circles
        .iter()
        .filter(|circle| circle.len() > LARGEST)
        .map(|circle| {
            circle
                .iter()
                .map(|file| shown(file))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    if !too_large.is_empty() {
        bail!(
            "in each of these circles more than {LARGEST} files import one another:\n{}",
            too_large.join("\n")
        );
    }
    Ok(())
}

/// The modules of one library or program.
struct Crate {
    modules: BTreeMap<Module, (PathBuf, Source)>,
}

impl Crate {
    /// The groups of files in which each imports every other, directly or indirectly.
    fn circles(&self) -> Vec<Vec<PathBuf>> {
        let imports: BTreeMap<&Module, BTreeSet<&Module>> = self
            .modules
            .iter()
            .map(|(module, (_, source))| (module, self.imports(module, source)))
            .collect();
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = imports
            .keys()
            .map(|module| (*module, reachable(module, &imports)))
            .collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reached {
            let circle: Vec<PathBuf> = others
                .iter()
                .filter(|other| reached[*other].contains(module))
                .map(|other| self.modules[*other].0.clone())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The other modules that define what this one mentions. Re-exporting a name is no use of it.
    /// What a module takes from its parents is not counted either: they hold what all their modules
    /// share, and call them.
    fn imports(&self, module: &Module, source: &Source) -> BTreeSet<&Module> {
        let mentions = source.mentions.iter();
        mentions
            .filter(|mention| mention.kind != Kind::ReExport)
            .filter_map(|mention| self.absolute(mention))
            .map(|path| self.defining(&path, 0).unwrap_or(self.nearest(&path)))
            .filter(|other| !module.starts_with(other))
            .collect()
    }

    /// The path from the crate's root, unless it is another crate's.
    fn absolute(&self, mention: &Mention) -> Option<Module> {
        let Mention { path, within, .. } = mention;
        if path[0] == "crate" {
            return Some(path[1..].to_vec());
        }
        let child = [&within[..], &path[..1]].concat();
        let own = self.modules.contains_key(&child);
        own.then(|| [&within[..], path].concat())
    }

    /// The innermost module on the way to `path` that has its own file.
    fn nearest(&self, path: &[String]) -> &Module {
        let mut lengths = (0..=path.len()).rev();
        let found = lengths.find_map(|length| self.modules.get_key_value(&path[..length]));
        // Unwrap safety: `read_all` puts in the crate's root, whose path is empty.
        #[allow(clippy::expect_used)]
        found.expect("the crate's root").0
    }

    /// The module that defines what `path` names, found through the modules that re-export it.
    fn defining(&self, path: &[String], steps: usize) -> Option<&Module> {
        let module = self.nearest(path);
        let source = &self.modules[module].1;
        let Some(name) = path.get(module.len()) else {
            return Some(module);
        };
        if source.defines.contains(name) {
            return Some(module);
        }
        let handed_on = source.mentions.iter().filter(|mention| {
            let last = mention.path.last();
            mention.kind != Kind::Use && last.is_some_and(|last| last == name || last == "*")
        });
        handed_on
            .filter(|_| steps < MOST_STEPS)
            .filter_map(|mention| {
                let mut from = self.absolute(mention)?;
                *from.last_mut()? = name.clone();
                self.defining(&from, steps + 1)
            })
            .next()
    }
}

fn reachable<'a>(
    from: &'a Module,
    imports: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(module) = waiting.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if reached.insert(*next) {
                waiting.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles in a crate of these files, by their names without the folder.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let modules = source::read_all(&folder.path().join("lib.rs")).unwrap();
        let read = Crate { modules };
        let name = |file: &PathBuf| {
            file.strip_prefix(folder.path())
                .unwrap()
                .display()
                .to_string()
        };
        let circles = read.circles();
        circles
            .iter()
            .map(|circle| circle.iter().map(name).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn files_that_import_one_another_are_a_circle() {
        assert_eq!(
            circles(&[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "use super::c; pub struct B;"),
                ("c.rs", "fn f() { crate::a::A; } use crate::d::D;"),
                (
                    "d.rs",
                    "#[cfg(test)] mod tests { use crate::a::A; } pub struct D;"
                ),
            ]),
            ["a.rs b.rs c.rs"]
        );
    }

    #[test]
    fn a_name_that_is_handed_on_is_its_own_file_s() {
        // `a` uses what `b/mod.rs` re-exports from `b/x.rs`, and `b/y.rs` uses `a`: no circle.
        let facade = |own: &str| {
            circles(&[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::X; pub struct A;"),
                (
                    "b/mod.rs",
                    &format!("mod x; mod y; pub use x::*; pub use self::y::Y; {own}"),
                ),
                ("b/x.rs", "pub struct X;"),
                ("b/y.rs", "use crate::a::A; pub struct Y;"),
            ])
        };
        assert_eq!(facade(""), Vec::<String>::new());
        assert_eq!(facade("use crate::a::A; pub struct X;"), ["a.rs b/mod.rs"]);
    }

    #[test]
    fn children_may_use_what_is_around_them() {
        assert!(
            circles(&[
                ("lib.rs", "mod a; struct Root; fn f() { a::b::g() }"),
                ("a.rs", "mod b; struct Shared; fn f() { b::g() }"),
                ("a/b.rs", "use super::Shared; use crate::Root; fn g() {}"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn five_files_are_too_many() {
        let files = |count: usize| vec![(0..count).map(|at| format!("{at}.rs").into()).collect()];
        assert!(refuse_large(&files(4)).is_ok());
        assert!(refuse_large(&files(5)).is_err());
    }
}
