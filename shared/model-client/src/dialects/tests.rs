use ground::hash::canonical;
use serde_json::json;

use super::{Labels, Sends, registry};

/// Writes what the pages know of the dialects, so that no list of them is kept by hand. `cargo
/// xtask generate` runs the tests with this name and takes what they write.
#[test]
fn export_bindings_dialects() {
    let line = |entry: serde_json::Value| {
        let mut text = String::from("  ");
        canonical(&entry, &mut text);
        text
    };
    let dialects: Vec<String> = registry()
        .iter()
        .map(|(name, entry)| {
            let labels = match entry.labels {
                Labels::Sent => json!(true),
                Labels::Kept => json!(false),
                Labels::SentUnless(setting, value) => json!([setting, value]),
            };
            line(json!({
                "name": name,
                "sends": match entry.sends { Sends::Tensors => "tensors", Sends::Files => "files" },
                "runsHere": entry.runs_here,
                "labels": labels,
                "takesTemplate": entry.takes_template,
            }))
        })
        .collect();
    let help: Vec<String> = registry()
        .iter()
        .map(|(name, entry)| {
            line(json!({
                "name": name,
                "spokenBy": entry.help.spoken_by,
                "listing": entry.help.listing,
                "fields": entry.help.fields,
                "cures": entry.help.cures,
            }))
        })
        .collect();
    let text = format!(
        r"// Written by `cargo xtask generate` from `shared/model-client/src/dialects/`. Do not edit.

/** A dialect: see `Entry` there. What people are told about it is in a file of its own, which few pages load. */
export interface Dialect {{
  name: string;
  sends: 'tensors' | 'files';
  runsHere: boolean;
  /** Whether the label words go with each text; or: unless this setting of the model has this value. */
  labels: boolean | readonly [setting: string, value: string];
  takesTemplate: boolean;
}}

/** The built-in dialects, the default first. */
export const DIALECTS: readonly [Dialect, ...Dialect[]] = [
{},
];
",
        dialects.join(",\n")
    );
    // Set for all of cargo's commands in `.cargo/config.toml`.
    let folder = std::path::PathBuf::from(std::env::var_os("TS_RS_EXPORT_DIR").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("dialects.ts"), text).unwrap();
    let text = format!(
        r"// Written by `cargo xtask generate` from `shared/model-client/src/dialects/`. Do not edit.

import type {{ FormField }} from './FormField';

/** What to change where a call failed: see `Cure` there. */
export interface DialectCure {{
  codes: readonly string[];
  who: string;
  what: string;
  setting: string;
  port: number;
}}

/** What people are told about a dialect: see `Help` there. */
export interface DialectHelp {{
  name: string;
  spokenBy: string;
  listing: string;
  /** Settings of its own that the organiser's form shows with it. */
  fields: readonly FormField[];
  cures: readonly DialectCure[];
}}

/** The built-in dialects, the default first. */
export const DIALECT_HELP: readonly [DialectHelp, ...DialectHelp[]] = [
{},
];
",
        help.join(",\n")
    );
    std::fs::write(folder.join("dialect-help.ts"), text).unwrap();
}

/// A cure for an error that does not exist would never be shown.
#[test]
fn cures_are_for_errors_that_there_are() {
    let errors = include_str!("../error.rs");
    // The browser finds these out itself, when it gets no answer.
    let of_page = ["model_cors", "model_unreachable"];
    for (name, entry) in registry().iter() {
        for code in entry.help.cures.iter().flat_map(|cure| cure.codes) {
            let known = of_page.contains(code) || errors.contains(&format!("\"{code}\""));
            assert!(known, "{name}: {code}");
        }
    }
}
