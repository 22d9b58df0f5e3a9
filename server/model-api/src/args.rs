//! The flags of `fed-bbpt model-api`, checked and turned into a configuration.

// The comments on flags are their help texts, in which brackets and addresses stand as people type them.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::private_intra_doc_links
)]

mod file;
mod folder;
mod model;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use ground::fault::Fault;
use ground::settings::{self, Table, TextOrList};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::ModelApiConfig;
use crate::config::ModelSource;
use crate::faults::ConfigFaults;

pub(crate) use file::read as read_file;
pub use model::{LayoutArg, ModelArgs};

/// Of environment variables: a setting's name follows in capitals.
const PREFIX: &str = "FED_BBPT_MODEL_API_";

/// Serve image classifiers and text models over the Open Inference Protocol, and in the forms of
/// Hugging Face's and OpenAI's APIs. Without --model, --model-folder, --hub and a --config that
/// lists models it serves a small network that has only ever seen printed digits. --listen, --keys,
/// --allow-origin, --max-body and --max-pixels may also stand in --config, or in the environment, as
/// FED_BBPT_MODEL_API_LISTEN and so on: a flag counts before the environment, and that before the file.
#[derive(Clone, Debug, Args)]
pub struct ModelApiArgs {
    /// The server's own settings, as far as they are given as flags.
    #[command(flatten)]
    pub server: ServerArgs,

    /// File of settings (TOML): at its top those of the server, listen, keys, allow_origin, max_body, max_pixels;
    /// then a table [[model]] for each model, whose settings are named like the flags that describe
    /// a model, with `_` for `-`. Its models are read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The flags that describe one model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// The settings of the server around the models: as flags, and by the same names in a file and in the
/// environment.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerArgs {
    /// Address to listen on, HOST:PORT; port 0 takes any free port [default: 127.0.0.1:8701]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,

    /// File of API keys: TOML with a table [[key]] for each key (name, sha256, requests_per_minute,
    /// queries_per_minute, queries_per_day, admin) [default: anyone may call]. Read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Origin whose pages may call, for example https://example.org; may be given several times;
    /// `*` allows every page
    #[arg(long, value_name = "ORIGIN")]
    #[serde(
        default,
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub allow_origin: Vec<String>,

    /// Maximum bytes in a request's body [default: 33554432]
    #[arg(long, value_name = "BYTES")]
    pub max_body: Option<u64>,

    /// Maximum pixels of all PNG, JPEG or WebP pictures in one request together; the default is
    /// that of 2,048 pictures of 256 × 256 [default: 134217728]
    #[arg(long, value_name = "PIXELS")]
    pub max_pixels: Option<u64>,
}

/// A list; in the environment a text with commas.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::deserialize(from)? {
        None => Vec::new(),
        Some(TextOrList::Text(text)) => text.split(',').map(|one| one.trim().to_owned()).collect(),
        Some(TextOrList::List(list)) => list,
    })
}

impl ModelApiArgs {
    /// Puts flags, environment and file together, checks them and reads the files that they name.
    ///
    /// # Errors
    /// All faults at once.
    pub fn into_config(self) -> Result<ModelApiConfig, ConfigFaults> {
        // What is not Unicode is no setting of ours.
        let text = |(name, value): (OsString, OsString)| {
            name.into_string().ok().zip(value.into_string().ok())
        };
        self.into_config_in(std::env::vars_os().filter_map(text))
    }

    fn into_config_in(
        self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<ModelApiConfig, ConfigFaults> {
        let mut faults = Vec::new();
        let (mut layers, has_models) = match &self.config {
            Some(path) => file::server(path),
            None => (Table::new(), false),
        };
        let alone = layers.is_empty();
        layers.extend(settings::environment::<ServerArgs>(PREFIX, variables));
        let flags = settings::given(&self.server).unwrap_or_else(|error| {
            faults.push(format!("--keys: {error}"));
            Table::new()
        });
        // A fault is told of the flag if the value is from there.
        let name = |setting: &str| match flags.contains_key(setting) {
            true => format!("--{}", setting.replace('_', "-")),
            false => setting.to_owned(),
        };
        layers.extend(flags.clone());
        let mut wrong = Vec::new();
        let server = settings::read::<ServerArgs>("", &layers, &mut wrong);
        faults.extend(wrong.iter().map(Fault::to_string));

        let default = ModelApiConfig::default();
        let listen = server
            .listen
            .and_then(|text| parse_listen(&name("listen"), &text, &mut faults))
            .unwrap_or(default.listen);
        check_origins(&name("allow_origin"), &server.allow_origin, &mut faults);
        let max_body = server.max_body.unwrap_or(default.max_body as u64);
        if !(1024..=1 << 40).contains(&max_body) {
            faults.push(format!(
                "{} is {max_body}, but must be from 1024 to {}",
                name("max_body"),
                1_u64 << 40
            ));
        }
        let max_pixels = server.max_pixels.unwrap_or(default.max_pixels);
        if max_pixels == 0 {
            faults.push(format!(
                "{} is 0, but must be 1 or more",
                name("max_pixels")
            ));
        }
        let source = match self.config {
            // A file in which nothing stands is told that it lacks models.
            Some(path) if has_models || alone => {
                faults.extend(self.model.given().into_iter().map(|flag| {
                    format!("{flag} describes one model: with --config, write it into the file")
                }));
                ModelSource::File(path)
            }
            _ => ModelSource::Flags(Box::new(self.model)),
        };
        let models = source.read().unwrap_or_else(|more| {
            faults.extend(more.faults);
            Vec::new()
        });
        if let Some(path) = &server.keys
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
            keys: server.keys,
            allow_origins: server.allow_origin,
            // At most 2⁴⁰, which a 32-bit machine cannot hold anyway.
            max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
            max_pixels,
            reload_on_hangup: true,
        })
    }
}

/// Reads an address; `localhost` is accepted, though it is not an address.
fn parse_listen(name: &str, text: &str, faults: &mut Vec<String>) -> Option<SocketAddr> {
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address = numeric.as_deref().unwrap_or(text).parse().ok();
    if address.is_none() {
        faults.push(format!(
            "{name} is `{text}`, but must be an address and a port, like 127.0.0.1:8701 or [::1]:8701"
        ));
    }
    address
}

/// Checks the form of origins: browsers send them in one exact form, and any other would never
/// match.
fn check_origins(name: &str, origins: &[String], faults: &mut Vec<String>) {
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let parsed = Url::parse(origin)
            .ok()
            .filter(|url| ["http", "https"].contains(&url.scheme()));
        match parsed.map(|url| url.origin().ascii_serialization()) {
            Some(exact) if exact == *origin => {}
            Some(exact) => faults.push(format!(
                "{name} is `{origin}`, but browsers send `{exact}`; write it like that"
            )),
            None => faults.push(format!(
                "{name} is `{origin}`, but must be like https://example.org, or * for every page"
            )),
        }
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        faults.push(format!(
            "{name} * already allows every page: leave the others away"
        ));
    }
}
