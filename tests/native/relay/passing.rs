//! What passes, what does not, and who may ask.

use super::support::{Answer, KEY, PAGE, PRIVATE, Relay, Upstream};

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn a_request_passes_with_the_key_and_little_else() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--allow-origin", PAGE]);
    let headers = "content-type: application/json\r\naccept: application/json\r\ncookie: a=b\r\nauthorization: Bearer of-the-page\r\n\
                   x-forwarded-for: 192.0.2.1\r\nreferer: http://127.0.0.1:8700/f/x/\r\naccept-encoding: gzip, br\r\n\
                   proxy-authorization: basic x\r\nx-private: 1\r\nte: trailers\r\ninference-header-content-length: 17\r\n";
    let body = format!("{{\"input\":\"{PRIVATE}\"}}");
    let answer = relay.ask("POST", "/chat/echo?version=1", headers, body.as_bytes());
    assert_eq!((answer.status, answer.text()), (200, body.clone()));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("retry-after, inference-header-content-length")
    );
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let seen = upstream.only();
    assert!(
        seen.head
            .starts_with("post /v1/chat/echo?version=1 http/1.1"),
        "{seen:?}"
    );
    assert_eq!(seen.body, body.as_bytes());
    let mut names: Vec<_> = seen
        .head
        .lines()
        .skip(1)
        .filter_map(|l| l.split_once(':'))
        .map(|(n, _)| n)
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "inference-header-content-length",
            "user-agent"
        ]
    );
    assert_eq!(seen.header("authorization"), [format!("bearer {KEY}")]);
    assert_eq!(
        seen.header("host"),
        [upstream.url.strip_prefix("http://").unwrap()]
    );
    assert!(!seen.head.contains(&relay.token));
    relay.end();
}

#[test]
fn statuses_and_the_headers_that_matter_come_back() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let busy = relay.ask("POST", "/busy", JSON, b"{}");
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("7")));
    for dropped in ["set-cookie", "keep-alive", "x-request-id"] {
        assert_eq!(busy.header(dropped), None, "{busy:?}");
    }
    // The upstream's own is replaced, not joined.
    assert_eq!(busy.header("access-control-allow-origin"), Some(PAGE));
    let tensor = relay.ask("POST", "/tensor", JSON, b"{}");
    assert_eq!(tensor.header("inference-header-content-length"), Some("2"));
    assert_eq!(tensor.body, b"{}\x00\x01\x02\xff");
    assert_eq!(relay.ask("GET", "", "", b"").status, 200);
    assert!(
        upstream
            .seen()
            .pop()
            .unwrap()
            .head
            .starts_with("get /v1 http")
    );
    relay.end();
}

#[test]
fn an_upstream_that_repeats_the_key_is_silenced() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let answer = relay.ask("POST", "/leak", JSON, b"{}");
    assert_eq!(answer.status, 401);
    assert_eq!(
        upstream.only().header("authorization"),
        [format!("bearer {KEY}")]
    );
    let stars = "*".repeat(KEY.len());
    assert_eq!(
        answer.text(),
        format!("Incorrect API key provided: {stars}. {PRIVATE}")
    );
    assert!(!answer.head.contains(KEY), "{answer:?}");
    // In a compressed answer it could not be found.
    let compressed = relay.ask("POST", "/compressed", JSON, b"{}");
    assert_eq!(compressed.status, 502);
    assert!(compressed.text().contains("compressed"), "{compressed:?}");
    relay.end();
}

#[test]
fn an_answer_in_another_protocol_is_refused() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    for method in ["GET", "POST"] {
        let answer = relay.ask(
            method,
            "/switch",
            "connection: upgrade\r\nupgrade: websocket\r\n",
            b"",
        );
        assert_eq!((answer.status, answer.whole), (502, true), "{answer:?}");
        assert!(answer.text().contains("101"), "{answer:?}");
        assert!(!format!("{answer:?}").contains(KEY), "{answer:?}");
    }
    for seen in upstream.seen() {
        assert!(seen.header("upgrade").is_empty(), "{seen:?}");
    }
    relay.end();
}

#[test]
fn an_upstream_that_redirects_to_the_key_writes_it_nowhere() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    for path in [
        KEY.to_owned(),
        KEY.replace('-', "%2D"),
        format!("%2e/{KEY}"),
    ] {
        let answer = relay.ask("POST", &format!("/moved?to=/{path}"), JSON, b"{}");
        assert_eq!(answer.status, 502, "{answer:?}");
        let told = answer.text();
        for part in [KEY, &KEY[..9], "a1b2c3"] {
            assert!(!told.contains(part), "{told}");
        }
    }
    // The log is searched for the key, and has our own words for what happened.
    let said = relay.end();
    let told = said
        .iter()
        .filter(|line| line.contains("upstream redirects"));
    assert_eq!(told.count(), 3, "{said:#?}");
}

#[test]
fn redirects_are_told_not_followed() {
    let (upstream, other) = (Upstream::start(), Upstream::start());
    let relay = Relay::start(&upstream, &[]);
    for target in [other.url.as_str(), upstream.url.as_str(), "//evil.example"] {
        let answer = relay.ask("POST", &format!("/moved?to={target}"), JSON, b"{}");
        assert_eq!((answer.status, answer.header("location")), (502, None));
        assert!(answer.text().contains("/steal"), "{answer:?}");
        assert!(!answer.text().contains("secret=1"), "{answer:?}");
    }
    assert!(other.seen().is_empty());
    assert_eq!(upstream.seen().len(), 3);
    relay.end();
}

fn preflight(relay: &Relay, origin: &str, more: &str) -> Answer {
    relay.raw(
        format!(
            "OPTIONS /{}/chat/completions HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\nconnection: close\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n{more}\r\n",
            relay.token, relay.host
        )
        .as_bytes(),
    )
}

#[test]
fn preflights_are_answered_here() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--allow-origin", PAGE]);
    let answer = preflight(&relay, PAGE, "");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("get, post")
    );
    let allowed = answer.header("access-control-allow-headers").unwrap();
    for name in [
        "content-type",
        "authorization",
        "inference-header-content-length",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert_eq!(answer.header("access-control-allow-private-network"), None);
    let answer = preflight(
        &relay,
        PAGE,
        "access-control-request-private-network: true\r\n",
    );
    assert_eq!(
        answer.header("access-control-allow-private-network"),
        Some("true")
    );
    let other = preflight(
        &relay,
        "https://evil.example",
        "access-control-request-private-network: true\r\n",
    );
    assert_eq!(other.status, 403);
    assert_eq!(other.header("access-control-allow-origin"), None);
    assert_eq!(other.header("access-control-allow-private-network"), None);
    // OPTIONS that asks for nothing is no preflight, and is not passed on.
    assert_eq!(relay.ask("OPTIONS", "/echo", "", b"").status, 405);
    for method in [
        "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "CONNECT", "QUERY",
    ] {
        let answer = relay.ask(method, "/echo", "", b"");
        assert_ne!(answer.status, 200, "{method}");
    }
    assert!(upstream.seen().is_empty());
    relay.end();
}

#[test]
fn the_first_page_binds_the_relay() {
    let upstream = Upstream::start();
    let mut relay = Relay::start(&upstream, &[]);
    let ask = |relay: &Relay, token: &str, origin: &str| {
        let head = format!(
            "GET /{token}/echo HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{origin}\r\n",
            relay.host
        );
        relay.raw(head.as_bytes())
    };
    let token = relay.token.clone();
    // None of these bind it.
    for origin in [
        "",
        "origin: null\r\n",
        "origin: https://evil.example/x\r\n",
        "origin: https://a\r\norigin: https://b\r\n",
    ] {
        assert_eq!(ask(&relay, &token, origin).status, 403, "{origin}");
    }
    for wrong in [
        "",
        "x",
        &token[1..],
        &token.to_ascii_uppercase(),
        &token.replace(|c: char| c.is_alphabetic(), "0"),
    ] {
        let answer = ask(&relay, wrong, "origin: https://evil.example\r\n");
        assert_eq!(answer.status, 404, "{wrong}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert!(upstream.seen().is_empty());
    let page = format!("origin: {PAGE}\r\n");
    assert_eq!(ask(&relay, &token, &page).status, 200);
    relay.logged("serves this page from now on");
    let other = ask(&relay, &token, "origin: https://evil.example\r\n");
    assert_eq!(
        (other.status, other.header("access-control-allow-origin")),
        (403, None)
    );
    assert_eq!(ask(&relay, &token, "").status, 403);
    assert_eq!(ask(&relay, &token, &page).status, 200);
    // The page itself may read that it was given another relay's address.
    let stale = ask(&relay, "x", &page);
    assert_eq!(
        (stale.status, stale.header("access-control-allow-origin")),
        (404, Some(PAGE))
    );
    assert!(
        stale.text().contains("each start has a new one"),
        "{stale:?}"
    );
    assert_eq!(upstream.seen().len(), 2);
    relay.end();
}
