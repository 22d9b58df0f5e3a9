//! `fed-bbpt relay`: lets a page use a model API that refuses browsers.

use super::{MODEL_KEY, block_on, interrupted, model_key, say};
use crate::CliError;
use aggregator::Secret;
use clap::Args;
use relay::key::KeyError;
use relay::upstream::Upstream;
use relay::{Origin, Relay, Settings, key, listen, serve};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// The arguments of `fed-bbpt relay`.
#[derive(Args)]
pub struct RelayArgs {
    /// The model API's base address, as the page would need it: https://api.example.com/v1
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// The environment variable that holds the key.
    #[arg(long, value_name = "NAME", default_value = MODEL_KEY)]
    key_env: String,
    /// Take the key from the operating system's keyring instead: the entry NAME of `fed-bbpt`.
    #[arg(long, value_name = "NAME", conflicts_with = "key_env")]
    keyring: Option<String>,
    /// The upstream needs no key.
    #[arg(long, conflicts_with_all = ["key_env", "keyring", "key_header"])]
    no_key: bool,
    /// Put the key into this header, without a prefix [default: Authorization, as `Bearer KEY`].
    #[arg(long, value_name = "NAME")]
    key_header: Option<String>,
    /// Origin of the page that may ask: http://127.0.0.1:8700 [default: the first page that knows
    /// the address].
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    allow_origin: Option<Origin>,
    /// Address to listen on, on this machine only.
    #[arg(long, default_value = "127.0.0.1:8702", value_parser = listen::loopback)]
    listen: SocketAddr,
    /// Maximum bytes of a body, in each direction.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(1..))]
    max_body: u64,
    /// Maximum seconds to wait for the upstream, and for each piece of a body.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Send key and inputs without TLS, to an upstream that is not this machine.
    #[arg(long)]
    allow_plain_http: bool,
}

/// Runs the relay until Ctrl-C.
pub fn run(args: RelayArgs) -> Result<(), CliError> {
    let upstream = Upstream::parse(&args.upstream, args.allow_plain_http)
        .map_err(|fault| CliError::usage(format!("--upstream: {fault}")))?;
    let key = (!args.no_key).then(|| own_key(&args));
    let key = key.transpose().map_err(CliError::usage)?;
    let key = key
        .map(|key| key::header(&key, args.key_header.as_deref()).map(|header| (key, header)))
        .transpose()
        .map_err(CliError::usage)?;
    let listener = TcpListener::bind(args.listen).map_err(|e| {
        CliError::failed(format!(
            "cannot listen on {}: {e}; choose another with --listen",
            args.listen
        ))
    })?;
    let address = listener.local_addr().map_err(CliError::failed)?;
    let page = match &args.allow_origin {
        Some(page) => page.as_str().to_owned(),
        None => "the first page that uses it".to_owned(),
    };
    let name = upstream.address().to_owned();
    let settings = Settings {
        upstream,
        key,
        page: args.allow_origin,
        max_body: args.max_body,
        patience: Duration::from_secs(args.timeout),
    };
    let relay = Relay::new(settings, address).map_err(CliError::failed)?;
    say(&format!("relay to {name} for {page}"));
    say(&format!("the model's address on the page: {}", relay.url()));
    block_on(serve(listener, relay, interrupted()))?.map_err(CliError::failed)
}

fn own_key(args: &RelayArgs) -> Result<Secret, KeyError> {
    match key::from_either(args.keyring.as_deref(), &args.key_env) {
        Err(KeyError::NotSet(name)) if name == MODEL_KEY => match model_key(None) {
            Some(key) => key::checked(&key),
            None => Err(KeyError::NotSet(name)),
        },
        found => found,
    }
}
