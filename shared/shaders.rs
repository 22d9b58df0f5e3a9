//! For build scripts: shader texts without comments and indentation, as they travel in the browser's module.

use std::path::{Path, PathBuf};

/// Writes every `.wgsl` of `folder`, shortened, into `OUT_DIR`.
pub fn shorten_all(folder: &str) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rerun-if-changed={folder}");
    let entries = std::fs::read_dir(Path::new(folder))
        .into_iter()
        .flatten()
        .flatten();
    for path in entries.map(|entry| entry.path()) {
        let (Some("wgsl"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_name())
        else {
            continue;
        };
        let shorter = std::fs::read_to_string(&path).map(|text| shorten(&text));
        if let Err(error) = shorter.and_then(|text| std::fs::write(out.join(name), text)) {
            println!("cargo::error={}: {error}", path.display());
        }
    }
}

fn shorten(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}
