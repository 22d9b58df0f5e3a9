//! Files of a crate that import one another in a circle can only be understood together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::packages;
use super::source::{Kind, Mention, Source};
use xtask::workspace::root;

/// Files in one circle.
const LARGEST: usize = 4;

/// Modules that hand one name on to the next; more are a circle of `use`, which does not compile.
const MOST_STEPS: usize = 8;

/// Checks every crate and says how many circles there are, and how large.
pub fn check() -> Result<()> {
    let mut circles = Vec::new();
    for target in packages::all()?.iter().flat_map(|package| &package.roots) {
        circles.extend(Crate::read(target)?.circles());
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
    let too_large: Vec<String> = circles
        .iter()
        .filter(|circle| circle.len() > LARGEST)
        .map(|circle| shown(circle))
        .collect();
    if !too_large.is_empty() {
        bail!(
            "these circles have more than {LARGEST} files that import one another:\n{}",
            too_large.join("\n")
        );
    }
    Ok(())
}

/// `shared/ground/src: a.rs, b.rs`.
fn shown(circle: &[PathBuf]) -> String {
    let paths = circle.iter().map(|file| {
        file.strip_prefix(root())
            .unwrap_or(file)
            .display()
            .to_string()
    });
    paths.collect::<Vec<_>>().join(", ")
}

/// A module's path from the crate's root.
type Module = Vec<String>;

/// The modules of one library or program.
struct Crate {
    modules: BTreeMap<Module, (PathBuf, Source)>,
}

impl Crate {
    /// Reads the file `root` and those of its modules.
    fn read(root: &Path) -> Result<Self> {
        let folder = root.parent().context("a crate's root has no folder")?;
        let mut modules = BTreeMap::new();
        let mut waiting = vec![(Module::new(), root.to_path_buf())];
        while let Some((module, file)) = waiting.pop() {
            let text = std::fs::read_to_string(&file)?;
            let source =
                Source::read(&text, &module).with_context(|| file.display().to_string())?;
            for name in &source.defines {
                let child = [&module[..], std::slice::from_ref(name)].concat();
                let path = child.iter().collect::<PathBuf>();
                let files = [path.with_extension("rs"), path.join("mod.rs")];
                let file = files
                    .iter()
                    .map(|file| folder.join(file))
                    .find(|file| file.is_file());
                waiting.extend(file.map(|file| (child, file)));
            }
            modules.insert(module, (file, source));
        }
        Ok(Self { modules })
    }

    /// The groups of files each of which imports, over however many steps, every other.
    fn circles(&self) -> Vec<Vec<PathBuf>> {
        let imports: BTreeMap<&Path, BTreeSet<&Path>> = self
            .modules
            .values()
            .map(|(file, source)| (file.as_path(), self.imports(file, source)))
            .collect();
        let reached: BTreeMap<&Path, BTreeSet<&Path>> = imports
            .keys()
            .map(|file| (*file, reachable(file, &imports)))
            .collect();
        let mut circles = BTreeSet::new();
        for (file, others) in &reached {
            let circle: Vec<PathBuf> = others
                .iter()
                .filter(|other| reached[*other].contains(file))
                .map(|other| other.to_path_buf())
                .collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// The other files that define what this one mentions. Handing a name on is no use of it.
    fn imports(&self, file: &Path, source: &Source) -> BTreeSet<&Path> {
        let mentions = source.mentions.iter();
        mentions
            .filter(|mention| mention.kind != Kind::ReExport)
            .filter_map(|mention| self.absolute(mention))
            .map(|path| {
                let defining = self.defining(&path, 0);
                defining.unwrap_or_else(|| &self.nearest(&path).1.0)
            })
            .filter(|other| *other != file)
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

    /// The innermost module on the way to `path` that has a file, and how much of the path leads there.
    fn nearest(&self, path: &[String]) -> (usize, &(PathBuf, Source)) {
        let lengths = (0..=path.len()).rev();
        lengths
            .filter_map(|length| Some((length, self.modules.get(&path[..length])?)))
            .next()
            // Unwrap safety: `read` puts in the crate's root, whose path is empty.
            .unwrap_or_else(|| (0, &self.modules[&[][..]]))
    }

    /// The file that defines what `path` names, followed through modules that hand a name on.
    fn defining(&self, path: &[String], steps: usize) -> Option<&Path> {
        let (length, (file, source)) = self.nearest(path);
        let Some(name) = path.get(length) else {
            return Some(file);
        };
        if source.defines.contains(name) {
            return Some(file);
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
    from: &'a Path,
    imports: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(file) = waiting.pop() {
        for next in imports.get(file).into_iter().flatten() {
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

    /// The circles of a crate with these files, by their names without the folder.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let read = Crate::read(&folder.path().join("lib.rs")).unwrap();
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
        // `a` uses what `b/mod.rs` hands on from `b/x.rs`, and `b/y.rs` uses `a`: no circle.
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
        assert_eq!(
            facade("use crate::a::A; fn f(_: y::Y) {} pub struct X;"),
            ["a.rs b/mod.rs b/y.rs",]
        );
    }
}
