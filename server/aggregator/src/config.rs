//! Settings: defaults ← file ← environment ← flags, with all faults at once.
//!
//! [`ServeArgs`] are the raw flags; [`ServeArgs::resolve`] makes of all four layers a [`Resolved`], which is
//! what the server runs with. Nothing after that looks at flags or the environment again.

use crate::address::Proxies;
use crate::secret::Secret;
use crate::tls::{Tls, TlsError};
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::{Figment, Provider as _};
use ground::fault::Fault;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every setting's name, as in a file; in the environment in capitals after [`PREFIX`], as a flag with dashes.
const KEYS: [&str; 17] = [
    "listen",
    "admin_listen",
    "tls_cert",
    "tls_key",
    "trusted_proxies",
    "address_requests_per_second",
    "participant_requests_per_second",
    "joins_per_minute",
    "failures_per_minute",
    "database",
    "web",
    "models",
    "admin_token",
    "public_url",
    "max_participants",
    "max_streams",
    "poll_ms",
];
/// Of environment variables.
const PREFIX: &str = "FED_BBPT_";
const SHORTEST_TOKEN: usize = 16;

/// What the server runs with.
#[derive(Clone, Debug)]
pub struct AggregatorConfig {
    /// The SQLite file; created where needed.
    pub database: PathBuf,
    /// The built page; without it only the API is served.
    pub web: Option<PathBuf>,
    /// Models that run on participants' devices, for everybody.
    pub models: Option<PathBuf>,
    /// Whoever has it is the organiser.
    pub admin_token: Secret,
    /// Largest body of an update in bytes, whatever the number of parameters.
    pub max_body: usize,
    /// Participants of one federation.
    pub max_participants: u32,
    /// Event streams open at once.
    pub max_streams: usize,
    /// How late another process's changes are seen at most.
    pub poll: Duration,
    /// How often anybody may ask.
    pub quotas: Quotas,
    /// Whose word about a request's sender is taken.
    pub proxies: Proxies,
    /// Without it, HTTP is spoken in the clear: on one's own machine, or behind a proxy that has the certificate.
    pub tls: Option<Tls>,
}

/// How often anybody may ask before they must wait; 0 is no limit. The defaults are wide: 300 participants behind
/// one address go through rounds as fast as the server can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Requests of one address in a second, ten seconds' worth at once.
    pub address_requests_per_second: u32,
    /// Requests of one participant in a second, ten seconds' worth at once.
    pub participant_requests_per_second: u32,
    /// Attempts of one address to join in a minute, a minute's worth at once.
    pub joins_per_minute: u32,
    /// Wrong tokens, invites and identities of one address in a minute, a minute's worth at once.
    pub failures_per_minute: u32,
}

impl Quotas {
    /// For benchmarks.
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
    /// The defaults, for `database` and with this token.
    #[must_use]
    pub fn new(database: impl Into<PathBuf>, admin_token: Secret) -> Self {
        Self {
            database: database.into(),
            web: None,
            models: None,
            admin_token,
            max_body: 64 << 20,
            max_participants: 100_000,
            max_streams: 256,
            poll: Duration::from_millis(500),
            quotas: Quotas::default(),
            proxies: Proxies::default(),
            tls: None,
        }
    }
}

/// The flags of `serve`, as given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Address and port to listen on [default: 127.0.0.1:8700]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The database file; created where needed [default: fed-bbpt.sqlite]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
    /// Folder with the built page; without it only the API is served
    #[arg(long, value_name = "DIR")]
    pub web: Option<PathBuf>,
    /// Folder with models (ONNX, JSON and txt files, embeddings.safetensors) for tasks that participants fetch them for: everybody
    /// may fetch them below /models/, where printed-digits.onnx always is
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// The organiser's token, at least 16 characters; without it a random one is kept in a file beside the
    /// database. Better in the environment than here, where other users can see it
    #[arg(long, value_name = "TOKEN", env = "FED_BBPT_ADMIN_TOKEN", hide_env_values = true, value_parser = parse_secret)]
    pub admin_token: Option<Secret>,
    /// The address under which people reach this server, for links [default: that of --listen]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Most participants of one federation [default: 100000]
    #[arg(long, value_name = "N")]
    pub max_participants: Option<u32>,
    /// Most dashboards that follow live at once [default: 256]
    #[arg(long, value_name = "N")]
    pub max_streams: Option<u32>,
    /// A second address and port: the organiser's page, the organiser's API and /metrics answer only there then
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// The certificate chain (PEM), to speak HTTPS without a proxy in front; needs --tls-key
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Reverse proxies whose X-Forwarded-For is believed, as addresses or networks with commas between
    /// [default: none]. Rate limits have their own settings, see docs/deploy.md
    #[arg(long, value_name = "ADDRESSES")]
    pub trusted_proxies: Option<String>,
    /// Settings file (TOML), with the names of these flags and underscores for dashes
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Settings, checked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the organiser is answered, if apart.
    pub admin_listen: Option<SocketAddr>,
    /// The address for links, without a slash at its end.
    pub public_url: String,
    /// The rest.
    pub aggregator: AggregatorConfig,
    /// Where the organiser's token was written or found, unless it was given.
    pub token_file: Option<PathBuf>,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings have mistakes:\n{}", .0.iter().map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigFaults(pub Vec<Fault>);

impl ServeArgs {
    /// Puts the layers together. Without a token, one is read from the file beside the database or, the first
    /// time, made and written there, readable by its owner only.
    ///
    /// # Errors
    /// All mistakes of all layers at once.
    pub fn resolve(self) -> Result<Resolved, ConfigFaults> {
        self.resolve_in(Env::prefixed(PREFIX).only(&KEYS))
    }

    fn resolve_in(self, env: Env) -> Result<Resolved, ConfigFaults> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, message: String| {
            faults.push(Fault {
                path: path.to_owned(),
                message,
            });
        };
        let mut layers = Figment::new()
            .merge(Serialized::default("listen", "127.0.0.1:8700"))
            .merge(Serialized::default("database", "fed-bbpt.sqlite"))
            .merge(Serialized::default("max_participants", 100_000))
            .merge(Serialized::default("max_streams", 256))
            .merge(Serialized::default("poll_ms", 500));
        let quotas = Quotas::default();
        for (key, value) in [
            (
                "address_requests_per_second",
                quotas.address_requests_per_second,
            ),
            (
                "participant_requests_per_second",
                quotas.participant_requests_per_second,
            ),
            ("joins_per_minute", quotas.joins_per_minute),
            ("failures_per_minute", quotas.failures_per_minute),
        ] {
            layers = layers.merge(Serialized::default(key, value));
        }
        if let Some(path) = &self.config {
            match std::fs::read_to_string(path) {
                Ok(text) => layers = layers.merge(Toml::string(&text)),
                Err(e) => fault("config", format!("{} cannot be read: {e}", path.display())),
            }
        }
        layers = layers.merge(env);
        let flag = |layers: Figment, key: &str, value: Option<String>| match value {
            Some(value) => layers.merge(Serialized::default(key, value)),
            None => layers,
        };
        let path = |p: &PathBuf| p.to_string_lossy().into_owned();
        layers = flag(layers, "listen", self.listen.clone());
        layers = flag(layers, "database", self.database.as_ref().map(path));
        layers = flag(layers, "web", self.web.as_ref().map(path));
        layers = flag(layers, "models", self.models.as_ref().map(path));
        layers = flag(layers, "admin_listen", self.admin_listen.clone());
        layers = flag(layers, "tls_cert", self.tls_cert.as_ref().map(path));
        layers = flag(layers, "tls_key", self.tls_key.as_ref().map(path));
        layers = flag(layers, "trusted_proxies", self.trusted_proxies.clone());
        layers = flag(
            layers,
            "admin_token",
            self.admin_token.as_ref().map(|t| t.reveal().to_owned()),
        );
        layers = flag(layers, "public_url", self.public_url.clone());
        if let Some(n) = self.max_participants {
            layers = layers.merge(Serialized::default("max_participants", n));
        }
        if let Some(n) = self.max_streams {
            layers = layers.merge(Serialized::default("max_streams", n));
        }

        // A file that is no TOML spoils every extraction: say so once.
        match layers.data() {
            Err(e) => {
                e.into_iter().for_each(|e| fault("config", e.to_string()));
                return Err(ConfigFaults(faults));
            }
            Ok(data) => {
                for key in data.values().flat_map(figment::value::Dict::keys) {
                    if !KEYS.contains(&key.as_str()) {
                        fault(key, format!("is not a setting; known: {}", KEYS.join(", ")));
                    }
                }
            }
        }
        let text = |key: &str, fault: &mut dyn FnMut(&str, String)| -> Option<String> {
            let value = layers.find_value(key).ok()?;
            // A token of digits only comes as a number from the environment.
            match value {
                figment::value::Value::String(_, text) => Some(text),
                figment::value::Value::Num(_, n) => n
                    .to_u128()
                    .map(|n| n.to_string())
                    .or_else(|| n.to_i128().map(|n| n.to_string())),
                _ => {
                    fault(key, "must be a text".to_owned());
                    None
                }
            }
        };
        let whole =
            |key: &str, least: u64, most: u64, fault: &mut dyn FnMut(&str, String)| -> u64 {
                match layers.extract_inner::<u64>(key) {
                    Ok(n) if (least..=most).contains(&n) => n,
                    _ => {
                        fault(
                            key,
                            format!("must be a whole number from {least} to {most}"),
                        );
                        least
                    }
                }
            };
        let max_participants = whole("max_participants", 1, 1_000_000, &mut fault) as u32;
        let max_streams = whole("max_streams", 0, 100_000, &mut fault) as usize;
        let poll = Duration::from_millis(whole("poll_ms", 10, 1_000, &mut fault));
        let mut rate = |key: &str| whole(key, 0, 1_000_000, &mut fault) as u32;
        let quotas = Quotas {
            address_requests_per_second: rate("address_requests_per_second"),
            participant_requests_per_second: rate("participant_requests_per_second"),
            joins_per_minute: rate("joins_per_minute"),
            failures_per_minute: rate("failures_per_minute"),
        };
        let address = |key: &str, fault: &mut dyn FnMut(&str, String)| {
            text(key, fault).map(|text| {
                text.parse::<SocketAddr>().unwrap_or_else(|_| {
                    fault(
                        key,
                        format!("{text:?} must be an address and port, such as 127.0.0.1:8700"),
                    );
                    SocketAddr::from(([127, 0, 0, 1], 0))
                })
            })
        };
        let listen = address("listen", &mut fault)
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8700)));
        let admin_listen = address("admin_listen", &mut fault);
        if admin_listen.is_some_and(|admin| admin == listen && admin.port() != 0) {
            fault("admin_listen", "must differ from listen".to_owned());
        }
        let proxies = match layers.extract_inner::<Vec<String>>("trusted_proxies") {
            Ok(list) => Some(list.join(",")),
            Err(_) => text("trusted_proxies", &mut fault),
        };
        let proxies = proxies.unwrap_or_default().parse().unwrap_or_else(|e| {
            let e: crate::address::BadProxy = e;
            fault("trusted_proxies", e.to_string());
            Proxies::default()
        });
        let certificate = text("tls_cert", &mut fault).map(PathBuf::from);
        let tls = match (certificate, text("tls_key", &mut fault).map(PathBuf::from)) {
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
        let public_url =
            text("public_url", &mut fault).unwrap_or_else(|| format!("{scheme}://{listen}"));
        if model_client::address::origin_of(&public_url).is_none() {
            fault(
                "public_url",
                format!("{public_url:?} must be an http:// or https:// address"),
            );
        }
        let database = PathBuf::from(text("database", &mut fault).unwrap_or_default());
        let folder = database.parent().filter(|p| !p.as_os_str().is_empty());
        if folder.is_some_and(|p| !p.is_dir()) {
            fault(
                "database",
                format!("the folder of {} does not exist", database.display()),
            );
        } else if database.is_dir() || database.as_os_str().is_empty() {
            fault("database", "must name a file".to_owned());
        }
        let web = text("web", &mut fault).map(PathBuf::from);
        if let Some(web) = web.as_ref().filter(|web| !web.join("index.html").is_file()) {
            fault(
                "web",
                format!(
                    "{} holds no index.html: build the page first",
                    web.display()
                ),
            );
        }
        let models = text("models", &mut fault).map(PathBuf::from);
        if let Some(models) = models.as_ref().filter(|models| !models.is_dir()) {
            fault("models", format!("{} is no folder", models.display()));
        }
        let given = text("admin_token", &mut fault).map(Secret::new);
        if let Some(token) = &given {
            check_token(token).unwrap_or_else(|why| fault("admin_token", why));
        }
        if !faults.is_empty() {
            return Err(ConfigFaults(faults));
        }
        // Only now, when nothing else is wrong, is anything written.
        let (admin_token, token_file) = match given {
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
            public_url: public_url.trim_end_matches('/').to_owned(),
            aggregator: AggregatorConfig {
                web,
                models,
                max_participants,
                max_streams,
                poll,
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

/// `fed-bbpt.sqlite` → `fed-bbpt.sqlite.admin-token`
fn token_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".admin-token");
    PathBuf::from(name)
}

/// The token in the file, which is made if it is not there.
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
mod tests {
    use super::*;

    fn no_env() -> Env {
        Env::prefixed("FED_BBPT_NOBODY_SETS_THIS_")
    }

    #[test]
    fn later_layers_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1\"\nmax_streams = 3\nmax_participants = 4\n",
        )
        .unwrap();
        let args = ServeArgs {
            database: Some(dir.path().join("a.sqlite")),
            config: Some(file),
            max_streams: Some(9),
            ..ServeArgs::default()
        };
        let resolved = args.resolve_in(no_env()).unwrap();
        assert_eq!(resolved.listen.port(), 1);
        assert_eq!(resolved.aggregator.max_streams, 9);
        assert_eq!(resolved.aggregator.max_participants, 4);
        assert_eq!(resolved.public_url, "http://127.0.0.1:1");
    }

    #[test]
    fn the_token_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let args = ServeArgs {
            database: Some(dir.path().join("a.sqlite")),
            ..ServeArgs::default()
        };
        let first = args.clone().resolve_in(no_env()).unwrap();
        let path = first.token_file.clone().unwrap();
        let again = args.resolve_in(no_env()).unwrap();
        assert!(
            first
                .aggregator
                .admin_token
                .matches(&again.aggregator.admin_token)
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(
                std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        assert!(!format!("{first:?}").contains(first.aggregator.admin_token.reveal()));
    }

    #[test]
    fn all_faults_at_once_and_nothing_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(
            &file,
            "colour = 1\nmax_participants = \"many\"\npoll_ms = 5\njoins_per_minute = -1\n",
        )
        .unwrap();
        let args = ServeArgs {
            listen: Some("here".to_owned()),
            database: Some(dir.path().join("nowhere/a.sqlite")),
            web: Some(dir.path().to_owned()),
            models: Some(dir.path().join("no-models")),
            public_url: Some("ftp://x".to_owned()),
            admin_listen: Some("there".to_owned()),
            tls_cert: Some(dir.path().join("no.pem")),
            trusted_proxies: Some("127.0.0.1,localhost".to_owned()),
            admin_token: Some(Secret::new("short")),
            config: Some(file),
            ..ServeArgs::default()
        };
        let ConfigFaults(faults) = args.resolve_in(no_env()).unwrap_err();
        let mut paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        let expected = [
            "admin_listen",
            "admin_token",
            "colour",
            "database",
            "joins_per_minute",
            "listen",
            "max_participants",
            "models",
            "poll_ms",
            "public_url",
            "tls_key",
            "trusted_proxies",
            "web",
        ];
        assert_eq!(paths, expected);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_concerns_the_network() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(
            &file,
            "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\njoins_per_minute = 0\nfailures_per_minute = 5\n",
        )
        .unwrap();
        let args = ServeArgs {
            database: Some(dir.path().join("a.sqlite")),
            config: Some(file),
            admin_listen: Some("127.0.0.1:8702".to_owned()),
            ..ServeArgs::default()
        };
        let resolved = args.clone().resolve_in(no_env()).unwrap();
        assert_eq!(resolved.admin_listen.unwrap().port(), 8702);
        assert_eq!(
            resolved.aggregator.proxies,
            "10.0.0.0/8,::1".parse().unwrap()
        );
        let quotas = Quotas {
            joins_per_minute: 0,
            failures_per_minute: 5,
            ..Quotas::default()
        };
        assert_eq!(resolved.aggregator.quotas, quotas);
        let more = ServeArgs {
            trusted_proxies: Some("127.0.0.1".to_owned()),
            listen: Some("127.0.0.1:8702".to_owned()),
            ..args
        };
        let ConfigFaults(faults) = more.clone().resolve_in(no_env()).unwrap_err();
        assert_eq!(faults[0].path, "admin_listen");
        let apart = ServeArgs {
            admin_listen: None,
            listen: None,
            ..more
        };
        let proxies = apart.resolve_in(no_env()).unwrap().aggregator.proxies;
        assert_eq!(proxies, "127.0.0.1".parse().unwrap());
    }

    #[test]
    fn a_file_that_is_no_toml_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, "listen = ").unwrap();
        let args = ServeArgs {
            config: Some(file),
            ..ServeArgs::default()
        };
        let ConfigFaults(faults) = args.resolve_in(no_env()).unwrap_err();
        assert_eq!(faults[0].path, "config");
    }
}
