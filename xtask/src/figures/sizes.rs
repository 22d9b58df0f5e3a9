//! `sizes`: what a visitor downloads, in gzipped bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Figure, Inputs};
use crate::workspace::{tests, web_dist};
use crate::{build, gzip, wasm};

pub const FIGURE: Figure = Figure {
    name: "sizes",
    summary: "gzipped bytes of the WebAssembly modules and of the heaviest first page load, time to the first query",
    run,
};

fn run(_: &Inputs) -> Result<Value> {
    build::page()?;
    let sizes = measure()?;
    Ok(json!({
        "wasm_gzip_bytes": sizes.wasm_gzip_bytes,
        "wasm_full_gzip_bytes": sizes.wasm_full_gzip_bytes,
        "wasm_any_gzip_bytes": sizes.wasm_any_gzip_bytes,
        "wasm_on_device_gzip_bytes": sizes.wasm_on_device_gzip_bytes,
        "page_gzip_bytes": sizes.page_gzip_bytes,
        "ms_to_first_query": ms_to_first_query(),
    }))
}

/// Milliseconds from opening the invite link to the first query, clicks in between, as the last browser test saw
/// it on this machine; `None` before any ran.
fn ms_to_first_query() -> Option<u64> {
    let list = std::fs::read_dir(tests().join("test-results")).ok()?;
    let newest = list
        .filter_map(|entry| Some(entry.ok()?.path().join("times.json")))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
        .max()?;
    let times: Value = serde_json::from_slice(&std::fs::read(newest.1).ok()?).ok()?;
    times["load_to_first_query_ms"].as_u64()
}

/// Sizes in bytes, gzipped.
pub struct Sizes {
    pub wasm_gzip_bytes: u64,
    /// The module that is loaded instead where a federation has secure sums, texts, or another than the default generator.
    pub wasm_full_gzip_bytes: u64,
    /// The same of the one that calls any model.
    pub wasm_any_gzip_bytes: u64,
    /// The module that is loaded besides where the model runs on the device.
    pub wasm_on_device_gzip_bytes: u64,
    /// Every file that the first load of the heaviest page fetches, the module among them.
    pub page_gzip_bytes: u64,
}

/// Measures the built pages.
pub fn measure() -> Result<Sizes> {
    let dist = web_dist();
    let files = file_names(&dist)?;
    let mut heaviest = 0;
    let mut module_is_reached = false;
    for page in pages(&dist)? {
        let fetched = first_load(&page, &files)?;
        module_is_reached |= fetched.iter().any(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        let sizes: Vec<u64> = fetched
            .iter()
            .map(|file| gzip::size(file))
            .collect::<Result<_>>()?;
        heaviest = heaviest.max(sizes.iter().sum());
    }
    if !module_is_reached {
        bail!(
            "no page in {} reaches a .wasm file: the figure would leave the module out",
            dist.display()
        );
    }
    Ok(Sizes {
        wasm_gzip_bytes: gzip::size(&wasm::module())?,
        wasm_full_gzip_bytes: gzip::size(&wasm::full_module())?,
        wasm_any_gzip_bytes: gzip::size(&wasm::any_module())?,
        wasm_on_device_gzip_bytes: gzip::size(&wasm::on_device_module())?,
        page_gzip_bytes: heaviest,
    })
}

/// The HTML files of the built page.
fn pages(dist: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(dist)
        .with_context(|| format!("cannot list {}: run `cargo xtask build`", dist.display()))?;
    Ok(list
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "html")
        })
        .collect())
}

/// The files that loading `page` fetches, found by following the `names` that each file mentions.
/// A file that is mentioned only in a dynamic `import()` is fetched later, if ever.
fn first_load(page: &Path, names: &BTreeMap<String, PathBuf>) -> Result<BTreeSet<PathBuf>> {
    let mut reached = BTreeSet::from([page.to_path_buf()]);
    let mut waiting = vec![page.to_path_buf()];
    while let Some(current) = waiting.pop() {
        let content = std::fs::read(&current)
            .with_context(|| format!("cannot read {}", current.display()))?;
        // Pictures and modules mention no files.
        let Ok(text) = String::from_utf8(content) else {
            continue;
        };
        let text = without_preload_lists(&text);
        for (name, path) in names {
            if !reached.contains(path) && mentions(&text, name) {
                reached.insert(path.clone());
                waiting.push(path.clone());
            }
        }
    }
    Ok(reached)
}

/// Every file below `dist` that a page can fetch as a part of itself, by its name. Other pages are
/// links, and source maps are fetched by developer tools alone.
fn file_names(dist: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut names = BTreeMap::new();
    let mut waiting = vec![dist.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                waiting.push(path);
            } else if !name.ends_with(".html") && !name.ends_with(".map") {
                names.insert(name, path);
            }
        }
    }
    Ok(names)
}

/// Whether `text` mentions `name` as the last part of a path, other than in `import("…")`.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = &text[..at];
        // `index.js` is not mentioned by `my-index.js`.
        let whole_name = before.ends_with(['/', '"', '\'', '`', '(', '=']);
        let path_start = before.rfind(['"', '\'', '`']).unwrap_or(0);
        whole_name && !before[..path_start].trim_end().ends_with("import(")
    })
}

/// Takes out Vite's lists of what dynamic imports would preload: `m.f=["assets/a.js",…]`.
fn without_preload_lists(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("m.f=[") {
        kept.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(']').map_or(rest.len(), |end| end + 1);
        rest = &rest[end..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::{mentions, without_preload_lists};

    #[test]
    fn static_references_are_mentions() {
        assert!(mentions(
            r#"<script type="module" src="/assets/index-ab.js">"#,
            "index-ab.js"
        ));
        assert!(mentions(
            r#"import{a as b}from"./chunk-1.js";"#,
            "chunk-1.js"
        ));
        assert!(mentions(
            r#"new URL("/assets/client_bg-9.wasm",import.meta.url)"#,
            "client_bg-9.wasm"
        ));
        assert!(mentions(
            "new URL(`worker-3.js`,import.meta.url)",
            "worker-3.js"
        ));
        assert!(mentions("background:url(/assets/a.svg)", "a.svg"));
    }

    #[test]
    fn dynamic_imports_and_longer_names_are_not() {
        assert!(!mentions(
            r#"x=()=>import("./organiser-7.js")"#,
            "organiser-7.js"
        ));
        assert!(!mentions(
            "x=()=>import(`./organiser-7.js`)",
            "organiser-7.js"
        ));
        assert!(!mentions(r#"from"./my-index.js""#, "index.js"));
    }

    #[test]
    fn preload_lists_are_left_out() {
        let text = r#"d=(m.f||(m.f=["assets/late.js","assets/late.css"])))=>i;import"./early.js""#;
        let kept = without_preload_lists(text);
        assert!(!mentions(&kept, "late.js"));
        assert!(mentions(&kept, "early.js"));
    }
}
