//! HTTPS without a proxy.

use crate::support::*;
use aggregator::{AggregatorConfig, RealClock, Tls, TlsError};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::path::PathBuf;
use std::sync::Arc;

/// A certificate for this machine and its key, written into a home.
pub struct Certificate {
    pub pem: String,
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    pub fn new(home: &Home) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let (chain, key) = (home.path().join("chain.pem"), home.path().join("key.pem"));
        std::fs::write(&chain, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        Self {
            pem: cert.pem(),
            chain,
            key,
        }
    }
}

#[tokio::test]
async fn a_federation_over_https() {
    let home = Home::new();
    let certificate = Certificate::new(&home);
    let config = AggregatorConfig {
        tls: Some(Tls::load(&certificate.chain, &certificate.key).unwrap()),
        ..home.config()
    };
    let (listener, address) = free_port();
    let api = Api::with_authority(format!("https://{address}"), &certificate.pem);
    let server = Server::over(listener.into(), config, Arc::new(RealClock), api).await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let member = api.join(&invite).await;
    member.enrol().await;
    assert_eq!(member.deliver(1.0, 1).await.step, 1);
    for path in ["/v1/federations", "/nothing"] {
        let response = api.get(path).send().await.unwrap();
        assert_eq!(
            response.headers()["strict-transport-security"],
            "max-age=31536000",
            "{path}"
        );
    }
    let mut events = api.get(&member.path("events")).send().await.unwrap();
    assert!(
        events
            .chunk()
            .await
            .unwrap()
            .unwrap()
            .starts_with(b"event: progress")
    );
    // Not in the clear, and not to somebody who does not know the certificate.
    let clear = Api::new(format!("http://{address}"));
    assert!(clear.get("/healthz").send().await.is_err());
    let stranger = Api::with_authority(api.url.clone(), &Certificate::new(&Home::new()).pem);
    assert!(stranger.get("/healthz").send().await.is_err());
    server.stop().await;
}

#[test]
fn certificates_that_do_not_work_are_told_apart() {
    let home = Home::new();
    let good = Certificate::new(&home);
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let empty = write("empty.pem", "");
    let other = write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    let nonsense = write(
        "nonsense.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let missing = home.path().join("missing.pem");
    Tls::load(&good.chain, &good.key).unwrap();
    for chain in [&empty, &missing, &good.key] {
        let error = Tls::load(chain, &good.key).unwrap_err();
        assert!(matches!(error, TlsError::Certificate(_)), "{error}");
        assert!(error.to_string().contains(".pem"), "{error}");
    }
    for (chain, key) in [
        (&good.chain, &empty),
        (&good.chain, &missing),
        (&good.chain, &good.chain),
        (&good.chain, &other),
        (&nonsense, &good.key),
    ] {
        let error = Tls::load(chain, key).unwrap_err();
        assert!(matches!(error, TlsError::Key(_)), "{error}");
    }
}
