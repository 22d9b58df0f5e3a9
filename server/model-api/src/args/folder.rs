//! The flags that describe models in folders.

use std::path::Path;

use super::ModelArgs;
use crate::text::is_clip;
use crate::{ClipOptions, Served, TextOptions};

/// Maximum number of kept embeddings: more would take several gigabytes, surely by mistake.
const MAX_CACHE: usize = 10_000_000;
/// Maximum number of tokens, far above what any encoder reads.
const MAX_TOKENS: usize = 1 << 20;

impl ModelArgs {
    /// Reads `--model-folder` and the flags that go with it.
    pub(super) fn folder(&self, threads: usize, faults: &mut Vec<String>) -> Option<Served> {
        let Some(dir) = &self.model_folder else {
            let useless = [
                ("--kind", self.kind.is_some()),
                ("--max-tokens", self.max_tokens.is_some()),
                ("--temperature", self.temperature.is_some()),
                ("--cache", self.cache.is_some()),
                ("--template", self.template.is_some()),
            ];
            refuse(
                &useless,
                "describes a model in a folder: give it with --model-folder FOLDER",
                faults,
            );
            return None;
        };
        let useless = [
            ("--model", self.model.is_some()),
            ("--layout", self.layout.is_some()),
            ("--range", self.range.is_some()),
        ];
        refuse(
            &useless,
            "is of an image classifier in one file: leave it away with --model-folder",
            faults,
        );
        self.check_numbers(dir, faults);
        Some(if is_clip(dir) {
            Served::Clip {
                dir: dir.clone(),
                options: self.clip(threads, faults),
            }
        } else {
            Served::Text {
                dir: dir.clone(),
                options: self.text(threads, faults),
                labels: self.label_names(faults).unwrap_or_default(),
                template: self.template.clone(),
            }
        })
    }

    fn text(&self, threads: usize, faults: &mut Vec<String>) -> TextOptions {
        refuse(&[("--size", self.size.is_some())], "is for images", faults);
        if self.template.is_some() && self.labels.is_none() {
            faults.push(
                "--template is put together with the labels of --labels, which is missing".into(),
            );
        }
        let default = TextOptions::default();
        TextOptions {
            kind: self.kind.map(Into::into),
            output: self.tensor.clone(),
            max_tokens: self.max_tokens,
            temperature: self.temperature.unwrap_or(default.temperature),
            cache: self.cache.unwrap_or(default.cache),
            batch: default.batch,
            threads,
        }
    }

    fn clip(&self, threads: usize, faults: &mut Vec<String>) -> ClipOptions {
        let useless = [
            ("--kind", self.kind.is_some()),
            ("--cache", self.cache.is_some()),
            ("--tensor", self.tensor.is_some()),
        ];
        refuse(
            &useless,
            "is not for a pair of an image and a text encoder",
            faults,
        );
        if self.labels.is_none() {
            faults.push(
                "--labels is missing: a pair of an image and a text encoder needs the names of \
                 the classes, one a line in a file"
                    .into(),
            );
        }
        let labels = self.label_names(faults);
        let size = self.image_size(faults);
        let default = ClipOptions::default();
        ClipOptions {
            labels: labels.unwrap_or_default(),
            template: self.template.clone().unwrap_or(default.template),
            temperature: self.temperature.unwrap_or(default.temperature),
            max_tokens: self.max_tokens,
            size,
            threads,
        }
    }

    fn check_numbers(&self, dir: &Path, faults: &mut Vec<String>) {
        if !dir.is_dir() {
            faults.push(format!("--model-folder: {} is no folder", dir.display()));
        }
        if let Some(temperature) = self.temperature
            && !(temperature.is_finite() && temperature > 0.0)
        {
            faults.push(format!(
                "--temperature is {temperature}, but must be above 0"
            ));
        }
        let limits = [
            ("--cache", self.cache, 0, MAX_CACHE),
            ("--max-tokens", self.max_tokens, 1, MAX_TOKENS),
        ];
        for (flag, value, low, high) in limits {
            if let Some(value) = value.filter(|value| !(low..=high).contains(value)) {
                faults.push(format!(
                    "{flag} is {value}, but must be from {low} to {high}"
                ));
            }
        }
    }
}

/// Reports flags that were given although they have no meaning here.
fn refuse(flags: &[(&str, bool)], why: &str, faults: &mut Vec<String>) {
    for (flag, _) in flags.iter().filter(|(_, given)| *given) {
        faults.push(format!("{flag} {why}"));
    }
}
