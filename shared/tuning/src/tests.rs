use ground::hash::canonical;
use serde_json::{Value, json};

use crate::generator::{registry, text_registry};
use crate::optimizer;

fn lines(entries: impl Iterator<Item = Value>) -> String {
    let line = |entry: Value| {
        let mut text = String::from("  ");
        canonical(&entry, &mut text);
        text
    };
    entries.map(line).collect::<Vec<_>>().join(",\n")
}

/// What the pages know of generators and optimisers: no list of them is kept by hand there. `cargo
/// xtask generate` runs the tests of this name and takes what they write.
#[test]
fn export_bindings_methods() {
    let images = registry();
    let images = images.iter().map(|(name, entry)| {
        json!({ "name": name, "about": entry.about, "domain": "numbers", "embeddings": false })
    });
    let texts = text_registry();
    let texts = texts.iter().map(|(name, entry)| {
        let domain = format!("{:?}", entry.domain).to_lowercase();
        json!({ "name": name, "about": entry.about, "domain": domain, "embeddings": entry.embeddings })
    });
    let optimizers = optimizer::registry();
    let optimizers = optimizers.iter().map(|(name, entry)| {
        let domain = format!("{:?}", entry.needs.domain).to_lowercase();
        let tries = &entry.tries;
        let tries = json!({ "setting": tries.setting, "usual": tries.usual, "what": tries.what });
        json!({ "name": name, "about": entry.about, "domain": domain, "tries": tries })
    });
    let text = format!(
        r"// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
import type {{ FormField }} from './FormField';

/** What people are told: see `About` in `shared/ground/src/form.rs`. */
export interface About {{
  words: string;
  choice: string | null;
  fields: readonly FormField[];
}}

/** What θ means. */
export type Domain = 'numbers' | 'categories' | 'arms';

/** A prompt generator: see `ImageEntry` and `TextEntry` there. */
export interface Generator {{
  name: string;
  about: About;
  domain: Domain;
  embeddings: boolean;
}}

/** An optimiser: see `Entry` and `Tries` there. */
export interface Optimizer {{
  name: string;
  about: About;
  domain: Domain;
  tries: {{ setting: string; usual: number | null; what: string }};
}}

/** The built-in generators for images, the default first. */
export const IMAGE_GENERATORS: readonly [Generator, ...Generator[]] = [
{},
];

/** The built-in generators for texts, the default first. */
export const TEXT_GENERATORS: readonly [Generator, ...Generator[]] = [
{},
];

/** The built-in optimisers; the first of a domain is its default. */
export const OPTIMIZERS: readonly [Optimizer, ...Optimizer[]] = [
{},
];
",
        lines(images),
        lines(texts),
        lines(optimizers)
    );
    // Set for all of cargo's commands in `.cargo/config.toml`.
    let folder = std::path::PathBuf::from(std::env::var_os("TS_RS_EXPORT_DIR").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("methods.ts"), text).unwrap();
}
