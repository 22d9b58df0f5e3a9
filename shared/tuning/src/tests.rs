use ground::form::About;
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

/// What the organiser's form shows of something that can be chosen by name.
fn form(name: &str, domain: &str, about: About) -> Value {
    let about = json!({ "choice": about.choice, "fields": about.fields });
    json!({ "name": name, "domain": domain, "about": about })
}

/// What the pages know of generators and optimisers: no list of them is kept by hand there. `cargo
/// xtask generate` runs the tests of this name and takes what they write.
#[test]
fn export_bindings_methods() {
    let mut forms = [Vec::new(), Vec::new(), Vec::new()];
    let images = registry();
    let images = lines(images.iter().map(|(name, entry)| {
        let words = entry.about.words;
        forms[0].push(form(name, "numbers", entry.about));
        json!({ "name": name, "words": words, "domain": "numbers", "embeddings": false })
    }));
    let texts = text_registry();
    let texts = lines(texts.iter().map(|(name, entry)| {
        let domain = format!("{:?}", entry.domain).to_lowercase();
        let words = entry.about.words;
        forms[1].push(form(name, &domain, entry.about));
        json!({ "name": name, "words": words, "domain": domain, "embeddings": entry.embeddings })
    }));
    let optimizers = optimizer::registry();
    let optimizers = lines(optimizers.iter().map(|(name, entry)| {
        let domain = format!("{:?}", entry.needs.domain).to_lowercase();
        let tries = entry.tries.map(
            |tries| json!({ "setting": tries.setting, "usual": tries.usual, "what": tries.what }),
        );
        let words = entry.about.words;
        forms[2].push(form(name, &domain, entry.about));
        json!({ "name": name, "words": words, "domain": domain, "tries": tries })
    }));
    let text = format!(
        r"// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
// What the organiser's form shows of them is in a file of its own, which no other page loads.

/** What θ means. */
export type Domain = 'numbers' | 'categories' | 'arms';

/** A prompt generator: see `ImageEntry` and `TextEntry` there. */
export interface Generator {{
  name: string;
  /** A name for descriptions of a task: `About` in `shared/ground/src/form.rs`. */
  words: string;
  domain: Domain;
  embeddings: boolean;
}}

/** An optimiser: see `Entry` and `Tries` there. */
export interface Optimizer {{
  name: string;
  /** A name for descriptions of a task: `About` in `shared/ground/src/form.rs`. */
  words: string;
  domain: Domain;
  tries: {{ setting: string; usual: number | null; what: string }} | null;
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
        images, texts, optimizers
    );
    // Set for all of cargo's commands in `.cargo/config.toml`.
    let folder = std::path::PathBuf::from(std::env::var_os("TS_RS_EXPORT_DIR").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("methods.ts"), text).unwrap();
    let [images, texts, optimizers] = forms.map(|all| lines(all.into_iter()));
    let text = format!(
        r"// Written by `cargo xtask generate` from `shared/tuning/src/generator/` and `optimizer/`. Do not edit.
import type {{ FormField }} from './FormField';
import type {{ Domain }} from './methods';

/** What the organiser's form shows: see `About` in `shared/ground/src/form.rs`. */
export interface About {{
  choice: string | null;
  fields: readonly FormField[];
}}

/** Something that can be chosen by name. */
export interface Form {{
  name: string;
  domain: Domain;
  about: About;
}}

/** The built-in generators for images, the default first. */
export const IMAGE_FORMS: readonly [Form, ...Form[]] = [
{},
];

/** The built-in generators for texts, the default first. */
export const TEXT_FORMS: readonly [Form, ...Form[]] = [
{},
];

/** The built-in optimisers; the first of a domain is its default. */
export const OPTIMIZER_FORMS: readonly [Form, ...Form[]] = [
{},
];
",
        images, texts, optimizers
    );
    std::fs::write(folder.join("method-forms.ts"), text).unwrap();
}
