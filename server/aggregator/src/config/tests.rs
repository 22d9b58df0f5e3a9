use super::*;

fn no_env() -> [(String, String); 0] {
    []
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
    let variables = [
        ("FED_BBPT_MAX_STREAMS", "8"),
        ("FED_BBPT_MAX_PARTICIPANTS", "5"),
        ("FED_BBPT_ADMIN_TOKEN", "1234567890123456"),
        ("FED_BBPT_MODEL_API_KEY", "not ours"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let resolved = args.resolve_in(variables).unwrap();
    assert_eq!(resolved.listen.port(), 1);
    assert_eq!(resolved.aggregator.max_streams, 9);
    assert_eq!(resolved.aggregator.max_participants, 5);
    // A token of digits is still a text.
    assert_eq!(resolved.aggregator.admin_token.reveal(), "1234567890123456");
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
