//! The flags of models in folders.

use std::path::Path;

use super::ModelApiArgs;
use crate::{Served, TextOptions};

/// More kept embeddings than this are a mistake: several gigabytes.
const MAX_CACHE: usize = 10_000_000;
/// No encoder reads as much.
const MAX_TOKENS: usize = 1 << 20;

impl ModelApiArgs {
    /// What `--model-dir` and its companions say.
    pub(super) fn folder(&self, threads: usize, faults: &mut Vec<String>) -> Option<Served> {
        let Some(dir) = &self.model_dir else {
            let useless = [
                ("--kind", self.kind.is_some()),
                ("--max-tokens", self.max_tokens.is_some()),
                ("--temperature", self.temperature.is_some()),
                ("--cache", self.cache.is_some()),
            ];
            for (flag, _) in useless.into_iter().filter(|(_, given)| *given) {
                faults.push(format!(
                    "{flag} describes a text model: give it with --model-dir DIR"
                ));
            }
            return None;
        };
        let useless = [
            ("--model", self.model.is_some()),
            ("--labels", self.labels.is_some()),
            ("--layout", self.layout.is_some()),
            ("--range", self.range.is_some()),
            ("--size", self.size.is_some()),
        ];
        for (flag, _) in useless.into_iter().filter(|(_, given)| *given) {
            faults.push(format!(
                "{flag} is of an image classifier in one file: leave it away with --model-dir"
            ));
        }
        self.check_numbers(dir, faults);
        let default = TextOptions::default();
        Some(Served::Text {
            dir: dir.clone(),
            options: TextOptions {
                kind: self.kind,
                output: self.output.clone(),
                max_tokens: self.max_tokens,
                temperature: self.temperature.unwrap_or(default.temperature),
                cache: self.cache.unwrap_or(default.cache),
                batch: default.batch,
                threads,
            },
        })
    }

    fn check_numbers(&self, dir: &Path, faults: &mut Vec<String>) {
        if !dir.is_dir() {
            faults.push(format!("--model-dir: {} is no folder", dir.display()));
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
