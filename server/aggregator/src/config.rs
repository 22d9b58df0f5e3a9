//! Settings: defaults ← file ← environment ← flags, with all faults at once.
//!
//! [`ServeArgs`] are the settings as any layer writes them; [`ServeArgs::resolve`] merges all four
//! into a [`Resolved`], with which the server runs. Nothing after that looks at flags or the
//! environment again.

use crate::secret::Secret;
use crate::tls::{Tls, TlsError};
use ground::fault::Fault;
use ground::settings::{self, Table, TextOrList};
use listener::{BadProxy, Proxies};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Prefix of the environment variables; the setting's name in capitals follows.
const PREFIX: &str = "FED_BBPT_";
const SHORTEST_TOKEN: usize = 16;

/// The configuration with which the server runs.
#[derive(Clone, Debug)]
pub struct AggregatorConfig {
    /// The SQLite file, which is created if needed.
    pub database: PathBuf,
    /// Whether nobody keeps that file: then nothing waits until it is on the disk.
    pub temporary: bool,
    /// The folder of the built pages; without it only the API is served.
    pub web: Option<PathBuf>,
    /// The folder of models that run on participants' devices, which anyone may fetch; `None` for
    /// the embedded one alone.
    pub models: Option<PathBuf>,
    /// The address at which people reach this server, without a slash at its end; `None` if nobody
    /// stated it.
    pub public_url: Option<String>,
    /// The organiser's token.
    pub admin_token: Secret,
    /// Maximum size of an update's body in bytes, whatever the number of parameters.
    pub max_body: usize,
    /// Maximum number of participants of one federation.
    pub max_participants: u32,
    /// Maximum number of event streams open at once.
    pub max_streams: usize,
    /// Maximum number of event streams of one address open at once.
    pub max_streams_per_address: usize,
    /// Maximum number of connections of one address open at once. Those of trusted proxies and of
    /// this machine are not counted.
    pub max_connections_per_address: usize,
    /// Maximum delay until changes by another process are seen.
    pub poll: Duration,
    /// How often anyone may send requests.
    pub quotas: Quotas,
    /// The proxies that are trusted to name a request's sender.
    pub proxies: Proxies,
    /// The certificate; without it the server speaks plain HTTP, for use on one's own machine or
    /// behind a proxy that has the certificate.
    pub tls: Option<Tls>,
}

/// How often anyone may send requests before they must wait; 0 means no limit. The defaults are
/// wide: 300 participants behind one address go through rounds as fast as the server can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Requests per second from one address; ten seconds' worth may come at once.
    pub address_requests_per_second: u32,
    /// Requests per second from one participant; ten seconds' worth may come at once.
    pub participant_requests_per_second: u32,
    /// Attempts to join per minute from one address; a minute's worth may come at once.
    pub joins_per_minute: u32,
    /// Wrong tokens, invites and identities per minute from one address; a minute's worth may come
    /// at once.
    pub failures_per_minute: u32,
}

impl Quotas {
    /// No limits, for benchmarks.
    pub const UNLIMITED: Self = Self {
        address_requests_per_second: 0,
        participant_requests_per_second: 0,
        joins_per_minute: 0,
        failures_per_minute: 0,
    };
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            address_requests_per_second: 2_000,
            participant_requests_per_second: 100,
            joins_per_minute: 1_000,
            failures_per_minute: 120,
        }
    }
}

impl AggregatorConfig {
    /// The default configuration for a database file and an organiser's token.
    #[must_use]
    pub fn new(database: impl Into<PathBuf>, admin_token: Secret) -> Self {
        Self {
            database: database.into(),
            temporary: false,
            web: None,
            models: None,
            public_url: None,
            admin_token,
            max_body: 64 << 20,
            max_participants: 100_000,
            max_streams: 256,
            max_streams_per_address: 64,
            max_connections_per_address: 1_024,
            poll: Duration::from_millis(500),
            quotas: Quotas::default(),
            proxies: Proxies::default(),
            tls: None,
        }
    }
}

/// The settings of `serve` that were given, as flags or by the same names in a file and in the
/// environment.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeArgs {
    /// Address and port to listen on [default: 127.0.0.1:8700]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The database file, created if needed [default: fed-bbpt.sqlite]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Folder with the built page; without it only the API is served
    #[arg(long, value_name = "FOLDER")]
    pub web: Option<PathBuf>,
    /// Folder with models that run on participants' devices (ONNX, JSON and txt files, embeddings.safetensors); anyone
    /// may fetch them below /models/, where printed-digits.onnx always is
    #[arg(long, value_name = "FOLDER")]
    pub models: Option<PathBuf>,
    /// The organiser's token, at least 16 characters; without it a random one is kept in a file beside the
    /// database. Better in the environment than here, where other users can see it
    #[arg(long, value_name = "TOKEN", env = "FED_BBPT_ADMIN_TOKEN", hide_env_values = true, value_parser = parse_secret)]
    #[serde(serialize_with = "revealed", deserialize_with = "secret", default)]
    pub admin_token: Option<Secret>,
    /// The address under which people reach this server, for links [default: that of --listen]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Maximum participants of one federation [default: 100000]
    #[arg(long, value_name = "N")]
    pub max_participants: Option<u64>,
    /// Maximum dashboards that follow live at the same time [default: 256]
    #[arg(long, value_name = "N")]
    pub max_streams: Option<u64>,
    /// A second address and port, where alone the organiser's page, the organiser's API and /metrics then answer
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// The certificate chain (PEM), to speak HTTPS without a proxy in front; needs --tls-key
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Reverse proxies whose X-Forwarded-For is trusted, as addresses or networks separated by commas
    /// [default: none]. Rate limits have their own settings, see docs/deploy.md
    #[arg(long, value_name = "ADDRESSES")]
    #[serde(deserialize_with = "text_or_list", default)]
    pub trusted_proxies: Option<String>,
    /// Settings file (TOML), with the names of these flags and underscores for dashes
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Event streams of one address, as in [`AggregatorConfig`].
    #[arg(skip)]
    pub max_streams_per_address: Option<u64>,
    /// Connections of one address, as in [`AggregatorConfig`].
    #[arg(skip)]
    pub max_connections_per_address: Option<u64>,
    /// Requests per second from one address, as in [`Quotas`].
    #[arg(skip)]
    pub address_requests_per_second: Option<u64>,
    /// Requests per second from one participant, as in [`Quotas`].
    #[arg(skip)]
    pub participant_requests_per_second: Option<u64>,
    /// Attempts to join per minute from one address, as in [`Quotas`].
    #[arg(skip)]
    pub joins_per_minute: Option<u64>,
    /// Wrong tokens, invites and identities per minute from one address, as in [`Quotas`].
    #[arg(skip)]
    pub failures_per_minute: Option<u64>,
    /// Maximum milliseconds until changes by another process are seen.
    #[arg(skip)]
    pub poll_ms: Option<u64>,
}

fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Reveals the token between layers only; nothing that is kept or shown is written like this.
fn revealed<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::reveal).serialize(to)
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(Secret::new))
}

/// Reads addresses that a file may give as a text or as a list.
fn text_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::deserialize(from)?.map(|either| match either {
        TextOrList::Text(text) => text,
        TextOrList::List(list) => list.join(","),
    }))
}

/// The checked settings.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The address on which to listen.
    pub listen: SocketAddr,
    /// The organiser's own address, if there is one.
    pub admin_listen: Option<SocketAddr>,
    /// The address for links, without a slash at its end.
    pub public_url: String,
    /// The configuration of the server.
    pub aggregator: AggregatorConfig,
    /// The file in which the organiser's token was found or written; `None` if the token was given.
    pub token_file: Option<PathBuf>,
}

/// All faults in the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings have mistakes:\n{}", .0.iter().map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigFaults(pub Vec<Fault>);

impl ServeArgs {
    /// Merges the layers. If no token is given, one is read from the file beside the database, or,
    /// the first time, made and written there, readable by its owner only.
    ///
    /// # Errors
    /// All faults in all layers at once.
    pub fn resolve(self) -> Result<Resolved, ConfigFaults> {
        // A variable that is not Unicode is no setting of ours.
        let text = |(name, value): (OsString, OsString)| {
            name.into_string().ok().zip(value.into_string().ok())
        };
        self.resolve_in(std::env::vars_os().filter_map(text))
    }

    /// Merges all layers into one.
    fn merged(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let file = || -> Result<Table, String> {
            let Some(path) = &self.config else {
                return Ok(Table::new());
            };
            let text = std::fs::read_to_string(path)
                .map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
            toml::from_str(&text).map_err(|e| e.to_string())
        };
        let flags = settings::given(self).map_err(|e| e.to_string());
        let mut fault = |message| {
            faults.push(Fault {
                path: "config".to_owned(),
                message,
            });
            Table::new()
        };
        let mut layers = file().unwrap_or_else(&mut fault);
        layers.extend(settings::environment::<Self>(PREFIX, variables));
        layers.extend(flags.unwrap_or_else(&mut fault));
        settings::read("", &layers, faults)
    }

    fn resolve_in(
        self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Resolved, ConfigFaults> {
        let mut faults = Vec::new();
        let given = self.merged(variables, &mut faults);
        let mut fault = |path: &str, message: String| {
            faults.push(Fault {
                path: path.to_owned(),
                message,
            });
        };
        let wide = 0..=1_000_000;
        for (key, value, range) in [
            ("max_participants", given.max_participants, 1..=1_000_000),
            ("max_streams", given.max_streams, 0..=100_000),
            (
                "max_streams_per_address",
                given.max_streams_per_address,
                1..=100_000,
            ),
            (
                "max_connections_per_address",
                given.max_connections_per_address,
                8..=100_000,
            ),
            ("poll_ms", given.poll_ms, 10..=1_000),
            (
                "address_requests_per_second",
                given.address_requests_per_second,
                wide.clone(),
            ),
            (
                "participant_requests_per_second",
                given.participant_requests_per_second,
                wide.clone(),
            ),
            ("joins_per_minute", given.joins_per_minute, wide.clone()),
            ("failures_per_minute", given.failures_per_minute, wide),
        ] {
            if value.is_some_and(|n| !range.contains(&n)) {
                let (least, most) = range.into_inner();
                fault(
                    key,
                    format!("must be a whole number from {least} to {most}"),
                );
            }
        }
        // A number beyond a u32 is a fault already.
        let number = |value: Option<u64>, default: u32| {
            value.map_or(default, |n| u32::try_from(n).unwrap_or(default))
        };
        let quotas = Quotas::default();
        let quotas = Quotas {
            address_requests_per_second: number(
                given.address_requests_per_second,
                quotas.address_requests_per_second,
            ),
            participant_requests_per_second: number(
                given.participant_requests_per_second,
                quotas.participant_requests_per_second,
            ),
            joins_per_minute: number(given.joins_per_minute, quotas.joins_per_minute),
            failures_per_minute: number(given.failures_per_minute, quotas.failures_per_minute),
        };
        let mut address = |key: &str, text: Option<&str>| {
            let text = text?;
            let parsed = text.parse::<SocketAddr>().ok();
            if parsed.is_none() {
                fault(
                    key,
                    format!("{text:?} must be an address and port, such as 127.0.0.1:8700"),
                );
            }
            parsed
        };
        let listen = address("listen", given.listen.as_deref())
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8700)));
        let admin_listen = address("admin_listen", given.admin_listen.as_deref());
        if admin_listen.is_some_and(|admin| admin == listen && admin.port() != 0) {
            fault("admin_listen", "must differ from listen".to_owned());
        }
        let proxies = given.trusted_proxies.as_deref().unwrap_or_default();
        let proxies = proxies.parse().unwrap_or_else(|e| {
            let e: BadProxy = e;
            fault("trusted_proxies", e.to_string());
            Proxies::default()
        });
        let tls = match (given.tls_cert, given.tls_key) {
            (None, None) => None,
            (Some(_), None) => {
                fault("tls_key", "is needed with tls_cert".to_owned());
                None
            }
            (None, Some(_)) => {
                fault("tls_cert", "is needed with tls_key".to_owned());
                None
            }
            (Some(certificate), Some(key)) => match Tls::load(&certificate, &key) {
                Ok(tls) => Some(tls),
                Err(error) => {
                    let key = match error {
                        TlsError::Certificate(_) => "tls_cert",
                        TlsError::Key(_) => "tls_key",
                    };
                    fault(key, error.to_string());
                    None
                }
            },
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let named = given
            .public_url
            .map(|url| url.trim_end_matches('/').to_owned());
        let public_url = named
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{listen}"));
        if model_client::address::origin_of(&public_url).is_none() {
            fault(
                "public_url",
                format!("{public_url:?} must be an http:// or https:// address"),
            );
        }
        let database = given
            .database
            .unwrap_or_else(|| PathBuf::from("fed-bbpt.sqlite"));
        let folder = database.parent().filter(|p| !p.as_os_str().is_empty());
        if folder.is_some_and(|p| !p.is_dir()) {
            fault(
                "database",
                format!("the folder of {} does not exist", database.display()),
            );
        } else if database.is_dir() || database.as_os_str().is_empty() {
            fault("database", "must name a file".to_owned());
        }
        if let Some(web) = given
            .web
            .as_ref()
            .filter(|web| !web.join("index.html").is_file())
        {
            fault(
                "web",
                format!(
                    "{} holds no index.html: build the page first",
                    web.display()
                ),
            );
        }
        if let Some(models) = given.models.as_ref().filter(|models| !models.is_dir()) {
            fault("models", format!("{} is no folder", models.display()));
        }
        if let Some(token) = &given.admin_token {
            check_token(token).unwrap_or_else(|why| fault("admin_token", why));
        }
        if !faults.is_empty() {
            return Err(ConfigFaults(faults));
        }
        // Something is written only now, when there is no fault.
        let (admin_token, token_file) = match given.admin_token {
            Some(token) => (token, None),
            None => {
                let path = token_path(&database);
                let token = token_in(&path).map_err(|message| {
                    ConfigFaults(vec![Fault {
                        path: "admin_token".to_owned(),
                        message,
                    }])
                })?;
                (token, Some(path))
            }
        };
        Ok(Resolved {
            listen,
            admin_listen,
            public_url,
            aggregator: AggregatorConfig {
                web: given.web,
                public_url: named,
                models: given.models,
                max_participants: number(given.max_participants, 100_000),
                max_streams: number(given.max_streams, 256) as usize,
                max_streams_per_address: number(given.max_streams_per_address, 64) as usize,
                max_connections_per_address: number(given.max_connections_per_address, 1_024)
                    as usize,
                poll: Duration::from_millis(number(given.poll_ms, 500).into()),
                quotas,
                proxies,
                tls,
                ..AggregatorConfig::new(database, admin_token)
            },
            token_file,
        })
    }
}

fn check_token(token: &Secret) -> Result<(), String> {
    let text = token.reveal();
    if text.len() < SHORTEST_TOKEN || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!(
            "must be at least {SHORTEST_TOKEN} visible ASCII characters without spaces"
        ));
    }
    Ok(())
}

/// The path of the token's file: `fed-bbpt.sqlite` → `fed-bbpt.sqlite.admin-token`.
fn token_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".admin-token");
    PathBuf::from(name)
}

/// Reads the token in the file, which is made if it does not exist.
fn token_in(path: &Path) -> Result<Secret, String> {
    use std::io::Write as _;
    let fail = |e: std::io::Error| format!("the file {} cannot be used: {e}", path.display());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            let token = Secret::random().map_err(|e| format!("no randomness: {e}"))?;
            writeln!(file, "{}", token.reveal())
                .and_then(|()| file.sync_all())
                .map_err(fail)?;
            Ok(token)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let token = Secret::new(std::fs::read_to_string(path).map_err(fail)?.trim());
            check_token(&token).map_err(|why| {
                format!(
                    "the file {} holds no token ({why}); delete it and start again",
                    path.display()
                )
            })?;
            Ok(token)
        }
        Err(e) => Err(fail(e)),
    }
}

#[cfg(test)]
mod tests;
