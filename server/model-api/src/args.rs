//! The flags of `fed-bbpt model-api`, checked and turned into a configuration.

mod file;
mod folder;
mod model;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use url::Url;

use crate::ModelApiConfig;
use crate::config::ModelSource;
use crate::faults::ConfigFaults;

pub(crate) use file::read as read_file;
pub use model::{LayoutArg, ModelArgs};

/// Serve image classifiers and text models over the Open Inference Protocol, and in the forms of
/// Hugging Face's and OpenAI's APIs. Without --model, --model-folder, --hub and --config it serves a
/// small network that has only ever seen printed digits.
#[derive(Clone, Debug, Args)]
pub struct ModelApiArgs {
    /// Address to listen on, HOST:PORT; port 0 takes any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8701")]
    pub listen: String,

    /// File of several models: TOML with a table [[model]] for each, whose settings are named like
    /// the flags that describe a model, with `_` for `-`. Read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The one model.
    #[command(flatten)]
    pub model: ModelArgs,

    /// File of API keys: TOML with a table [[key]] for each key (name, sha256, requests_per_minute,
    /// queries_per_minute, queries_per_day, admin) [default: anyone may call]. Read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Origin whose pages may call, for example https://example.org; may be given several times;
    /// `*` allows every page
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<String>,

    /// Maximum bytes in a request's body
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub max_body: usize,

    /// Maximum pixels of all PNG, JPEG or WebP pictures in one request together; the default is
    /// 2,048 pictures of 256 × 256
    #[arg(long, value_name = "PIXELS", default_value_t = crate::config::MAX_PIXELS,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: u64,
}

impl ModelApiArgs {
    /// Checks the flags and reads the files.
    ///
    /// # Errors
    /// All faults at once.
    pub fn into_config(self) -> Result<ModelApiConfig, ConfigFaults> {
        let mut faults = Vec::new();
        let default = ModelApiConfig::default();
        let listen = parse_listen(&self.listen, &mut faults).unwrap_or(default.listen);
        check_origins(&self.allow_origin, &mut faults);
        if !(1024..=1 << 40).contains(&self.max_body) {
            faults.push(format!(
                "--max-body is {}, but must be from 1024 to {}",
                self.max_body,
                1_u64 << 40
            ));
        }
        let source = match self.config {
            Some(path) => {
                faults.extend(self.model.given().into_iter().map(|flag| {
                    format!("{flag} describes one model: with --config, write it into the file")
                }));
                ModelSource::File(path)
            }
            None => ModelSource::Flags(Box::new(self.model)),
        };
        let models = source.read().unwrap_or_else(|more| {
            faults.extend(more.faults);
            Vec::new()
        });
        if let Some(path) = &self.keys
            && let Err(more) = crate::keys::read(path)
        {
            faults.extend(more.faults);
        }
        if !faults.is_empty() {
            return Err(ConfigFaults { faults });
        }
        Ok(ModelApiConfig {
            listen,
            models,
            source: Some(source),
            keys: self.keys,
            allow_origins: self.allow_origin,
            max_body: self.max_body,
            max_pixels: self.max_pixels,
            reload_on_hangup: true,
        })
    }
}

/// Reads an address; `localhost` is accepted, though it is not an address.
fn parse_listen(text: &str, faults: &mut Vec<String>) -> Option<SocketAddr> {
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address = numeric.as_deref().unwrap_or(text).parse().ok();
    if address.is_none() {
        faults.push(format!(
            "--listen is `{text}`, but must be an address and a port, like 127.0.0.1:8701 or [::1]:8701"
        ));
    }
    address
}

/// Checks the form of origins: browsers send them in one exact form, and any other would never
/// match.
fn check_origins(origins: &[String], faults: &mut Vec<String>) {
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let parsed = Url::parse(origin)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()));
        match parsed.map(|url| url.origin().ascii_serialization()) {
            Some(exact) if exact == *origin => {}
            Some(exact) => faults.push(format!(
                "--allow-origin is `{origin}`, but browsers send `{exact}`; write it like that"
            )),
            None => faults.push(format!(
                "--allow-origin is `{origin}`, but must be like https://example.org, or * for every page"
            )),
        }
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        faults.push("--allow-origin * already allows every page: leave the others away".into());
    }
}
