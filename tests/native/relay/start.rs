//! Settings with which the relay refuses to start.

use super::support::{KEY, Relay, Upstream};
use tests::process::{Process, model_api, run};

#[test]
fn wrong_settings_are_told_before_anything_listens() {
    let relay = |more: &[&str]| {
        run(&[&["relay", "--upstream", "https://api.example.com/v1"], more].concat())
    };
    for listen in ["0.0.0.0:8702", "[::]:8702", "192.0.2.1:8702"] {
        relay(&["--no-key", "--listen", listen]).expect(2, &["other machines", "127.0.0.1"]);
    }
    relay(&[]).expect(
        2,
        &["FED_BBPT_MODEL_KEY is not set", "--keyring", "--no-key"],
    );
    relay(&["--key-env", "NO_SUCH_KEY"]).expect(2, &["NO_SUCH_KEY is not set"]);
    // The machine may have a keyring, but not with such an entry.
    relay(&["--keyring", "no-such-entry-of-a-test"])
        .expect(2, &["keyring", "no-such-entry-of-a-test", "--key-env"]);
    for origin in ["null", "*", "host", "https://host/path", "ftp://host"] {
        relay(&["--no-key", "--allow-origin", origin]).expect(2, &["origin"]);
    }
    for (upstream, why) in [
        ("http://api.example.com/v1", "--allow-plain-http"),
        ("https://me:secret@api.example.com", "password"),
        ("https://api.example.com/?key=1", "query"),
        ("nonsense", "https://api.example.com/v1"),
    ] {
        run(&["relay", "--no-key", "--upstream", upstream]).expect(2, &["--upstream", why]);
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    relay(&["--no-key", "--listen", &address])
        .expect(1, &["cannot listen on", &address, "--listen"]);
}

#[test]
fn a_key_that_cannot_be_one_is_not_shown() {
    for bad in ["", "two words", "sk-abc\r\nx-evil: 1", "sk-schlüssel"] {
        let arguments = [
            "relay",
            "--upstream",
            "https://api.example.com/v1",
            "--listen",
            "127.0.0.1:0",
        ];
        let process = Process::start_with(&arguments, &[("FED_BBPT_MODEL_KEY", bad)]);
        let (code, said) = process.end();
        assert_eq!(code, Some(2), "{said:?}");
        assert!(
            said.iter()
                .any(|line| line.contains("the key is empty or holds")),
            "{said:?}"
        );
        assert!(said.iter().all(|line| !line.contains("sk-")), "{said:?}");
    }
}

#[test]
fn each_start_has_a_token_of_its_own() {
    let upstream = Upstream::start();
    let (one, mut other) = (Relay::start(&upstream, &[]), Relay::start(&upstream, &[]));
    assert_ne!(one.token, other.token);
    other.token.clone_from(&one.token);
    assert_eq!(other.ask("GET", "/echo", "", b"").status, 404);
    assert!(upstream.seen().is_empty());
}

#[test]
fn the_key_goes_where_the_upstream_wants_it() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--key-header", "X-Api-Key"]);
    assert_eq!(
        relay
            .ask(
                "GET",
                "/echo",
                "authorization: Bearer of-the-page\r\nx-api-key: mine\r\n",
                b""
            )
            .status,
        200
    );
    let seen = upstream.only();
    assert_eq!(seen.header("x-api-key"), [KEY]);
    assert!(seen.header("authorization").is_empty(), "{seen:?}");
    relay.end();
    let keyless = Relay::start(&upstream, &["--no-key"]);
    assert_eq!(
        keyless
            .ask("GET", "/echo", "authorization: Bearer of-the-page\r\n", b"")
            .status,
        200
    );
    let seen = upstream.seen().pop().unwrap();
    assert!(
        !seen.head.contains(KEY) && !seen.head.contains("of-the-page"),
        "{seen:?}"
    );
    keyless.end();
}

#[test]
fn a_real_model_api_answers_through_it() {
    let (_process, url) = model_api();
    let relay = Relay::to(&url, &[]);
    let described = relay.ask("GET", "/v2/models/printed-digits", "", b"");
    assert_eq!(described.status, 200, "{described:?}");
    assert!(described.text().contains("\"logits\""), "{described:?}");
    let pixels = vec!["0"; 3 * 32 * 32].join(",");
    let body = format!(
        r#"{{"inputs":[{{"name":"image","datatype":"UINT8","shape":[1,3,32,32],"data":[{pixels}]}}],"outputs":[{{"name":"logits","parameters":{{"binary_data":true}}}}]}}"#
    );
    let scores = relay.ask(
        "POST",
        "/v2/models/printed-digits/infer",
        "content-type: application/json\r\n",
        body.as_bytes(),
    );
    assert_eq!(scores.status, 200, "{scores:?}");
    let json: usize = scores
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(scores.body.len(), json + 4 * 10);
    relay.end();
}
