//! Fetches models by name from the Hugging Face hub: downloads the needed files into a cache, in
//! the layout that all tools of the hub share.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use thiserror::Error;

/// Why a model's files are not available.
#[derive(Debug, Error)]
pub(crate) enum HubError {
    #[error("`{0}` is no name of a model; it must be like OWNER/NAME")]
    Name(String),
    #[error("the hub's client cannot be set up: {0}")]
    Setup(ApiError),
    #[error(
        "`{name}` cannot be found ({cause}), and the cache {} has no earlier copy; check the name, HF_TOKEN if it is not public, \
         and the network, or fetch its folder elsewhere and give it with --model-folder", cache.display()
    )]
    Info {
        name: String,
        cause: ApiError,
        cache: PathBuf,
    },
    #[error(
        "`{name}` has no {file}; only repositories with ONNX files (often in onnx/) can be served. Others are exported with \
         optimum-cli export onnx --model {name} FOLDER, and served with --model-folder FOLDER"
    )]
    Missing { name: String, file: &'static str },
    #[error("{file} of `{name}` cannot be fetched: {cause}")]
    Fetch {
        name: String,
        file: String,
        cause: ApiError,
    },
    #[error("the cache {} cannot be written: {cause}", cache.display())]
    Cache {
        cache: PathBuf,
        cause: std::io::Error,
    },
}

/// Files beside the networks that are fetched if they exist.
const COMPANIONS: [&str; 6] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];
const MAIN: &str = "main";

/// A hub and the cache of its files.
pub(crate) struct Hub {
    /// Address of the hub; `None` for huggingface.co.
    endpoint: Option<String>,
    token: Option<String>,
    cache: Cache,
}

impl Hub {
    /// Reads the settings in the environment: `HF_ENDPOINT`, `HF_TOKEN`, and `HF_HOME` unless a
    /// cache is given.
    pub(crate) fn from_env(cache: Option<PathBuf>) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let cache = cache.map_or_else(Cache::from_env, Cache::new);
        Self {
            endpoint: variable("HF_ENDPOINT"),
            token: variable("HF_TOKEN").or_else(|| Cache::from_env().token()),
            cache,
        }
    }

    /// Downloads the needed files of model `name` and returns their folder. They are all of one
    /// commit: the newest of `revision` or, without a network, the one downloaded last. Blocks.
    ///
    /// # Errors
    /// See [`HubError`].
    pub(crate) fn fetch(&self, name: &str, revision: Option<&str>) -> Result<PathBuf, HubError> {
        check(name)?;
        let revision = revision.unwrap_or(MAIN);
        let of = |revision: &str| {
            Repo::with_revision(name.to_owned(), RepoType::Model, revision.to_owned())
        };
        let asked = self.cache.repo(of(revision));
        let api = self.api().map_err(HubError::Setup)?;
        let info = match api.repo(of(revision)).info() {
            Ok(info) => info,
            Err(cause) => {
                let config = asked.get(COMPANIONS[0]);
                let Some(dir) = config.as_deref().and_then(Path::parent) else {
                    return Err(HubError::Info {
                        name: name.to_owned(),
                        cause,
                        cache: self.cache.path().clone(),
                    });
                };
                tracing::warn!(model = name, %cause, "the hub does not answer; the copy in the cache is used");
                return Ok(dir.to_owned());
            }
        };
        let there: Vec<&str> = info
            .siblings
            .iter()
            .map(|file| file.rfilename.as_str())
            .collect();
        let repo = api.repo(of(&info.sha));
        let mut folder = None;
        for file in needed(name, &there)? {
            let path = repo.get(&file).map_err(|cause| HubError::Fetch {
                name: name.to_owned(),
                file: file.clone(),
                cause,
            })?;
            if file == COMPANIONS[0] {
                folder = path.parent().map(Path::to_owned);
            }
        }
        // Written only now, when the commit to which the name points is complete.
        asked
            .create_ref(&info.sha)
            .map_err(|cause| HubError::Cache {
                cache: self.cache.path().clone(),
                cause,
            })?;
        folder.ok_or_else(|| HubError::Missing {
            name: name.to_owned(),
            file: COMPANIONS[0],
        })
    }

    fn api(&self) -> Result<Api, ApiError> {
        let builder = ApiBuilder::from_cache(self.cache.clone())
            .with_progress(false)
            .with_token(self.token.clone())
            .with_retries(3);
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/').to_owned()),
            None => builder,
        };
        builder.build()
    }
}

/// Checks the name, which becomes part of addresses and paths.
fn check(name: &str) -> Result<(), HubError> {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.')
    };
    if name.split('/').count() <= 2 && name.split('/').all(part) {
        Ok(())
    } else {
        Err(HubError::Name(name.to_owned()))
    }
}

/// Chooses, among the files that are `there`, those from which a model is loaded.
fn needed(name: &str, there: &[&str]) -> Result<Vec<String>, HubError> {
    let missing = |file| HubError::Missing {
        name: name.to_owned(),
        file,
    };
    for file in &COMPANIONS[..2] {
        if !there.contains(file) {
            return Err(missing(file));
        }
    }
    let companions = COMPANIONS.into_iter().filter(|file| there.contains(file));
    let mut files: Vec<String> = companions.map(str::to_owned).collect();
    let mut network = |stem: &str| {
        let place = ["", "onnx/"].map(|folder| format!("{folder}{stem}.onnx"));
        let place = place
            .into_iter()
            .find(|file| there.contains(&file.as_str()));
        // Large networks keep their weights in files beside them.
        let with_data = place.into_iter().flat_map(|file| {
            let data = ["_data", ".data"].map(|end| format!("{file}{end}"));
            let data = data
                .into_iter()
                .filter(|file| there.contains(&file.as_str()));
            data.chain([file.clone()]).collect::<Vec<_>>()
        });
        let before = files.len();
        files.extend(with_data);
        files.len() > before
    };
    if network("vision_model") {
        return if network("text_model") {
            Ok(files)
        } else {
            Err(missing("text_model.onnx"))
        };
    }
    let found = network("model");
    network("embed_tokens");
    if found {
        Ok(files)
    } else {
        Err(missing("model.onnx"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_fetched() {
        let all = [
            "README.md",
            "config.json",
            "tokenizer.json",
            "1_Pooling/config.json",
            "model.safetensors",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model_quantized.onnx",
            "../etc/passwd",
        ];
        let expected = [
            "config.json",
            "tokenizer.json",
            "1_Pooling/config.json",
            "onnx/model.onnx_data",
            "onnx/model.onnx",
        ];
        assert_eq!(needed("a/b", &all).unwrap(), expected);
        let pair = [
            "config.json",
            "tokenizer.json",
            "preprocessor_config.json",
            "onnx/model.onnx",
            "onnx/vision_model.onnx",
            "onnx/text_model.onnx",
        ];
        let files = needed("a/b", &pair).unwrap();
        assert!(!files.contains(&"onnx/model.onnx".to_owned()), "{files:?}");
        assert_eq!(files.len(), 5);
        for (there, file) in [
            (&all[..2], "tokenizer.json"),
            (&all[..5], "model.onnx"),
            (&pair[..5], "text_model.onnx"),
        ] {
            let error = needed("a/b", there).unwrap_err().to_string();
            assert!(error.contains(&format!("has no {file}")), "{error}");
        }
    }

    #[test]
    fn names_are_no_paths() {
        for name in ["gpt2", "Xenova/all-MiniLM-L6-v2"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "a/", "/a", "../a", "a/..", "a/b/c", "a b", "a?b"] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
