//! Requests that can be read in two ways. The upstream must see nothing of them.

use super::support::{PAGE, PRIVATE, Relay, Upstream};

#[test]
fn other_names_of_this_machine_are_refused() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--allow-origin", PAGE]);
    let port = relay.host.split(':').nth(1).unwrap().to_owned();
    let ask = |lines: &str| {
        relay.raw(
            format!(
                "GET /{}/echo HTTP/1.1\r\norigin: {PAGE}\r\nconnection: close\r\n{lines}\r\n",
                relay.token
            )
            .as_bytes(),
        )
    };
    for lines in [
        // DNS rebinding: a name of the attacker's that points here.
        format!("host: evil.example:{port}\r\n"),
        format!("host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("host: localhost.evil.example:{port}\r\n"),
        format!("host: 127.0.0.1:{port}.evil.example\r\n"),
        format!("host: user@127.0.0.1:{port}\r\n"),
        "host: 127.0.0.1\r\n".to_owned(),
        "host: \r\n".to_owned(),
        String::new(),
        format!("host: 127.0.0.1:{port}\r\nhost: evil.example\r\n"),
        format!("host: evil.example\r\nhost: 127.0.0.1:{port}\r\n"),
        format!("host: evil.example\r\nx-forwarded-host: 127.0.0.1:{port}\r\n"),
    ] {
        let answer = ask(&lines);
        assert!([400, 421].contains(&answer.status), "{lines:?}: {answer:?}");
    }
    assert_eq!(ask(&format!("host: localhost:{port}\r\n")).status, 200);
    assert_eq!(upstream.seen().len(), 1);
    relay.end();
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let token = relay.token.clone();
    let ask = |target: &str| {
        relay.raw(
            format!(
                "GET {target} HTTP/1.1\r\nhost: {}\r\norigin: {PAGE}\r\nconnection: close\r\n\r\n",
                relay.host
            )
            .as_bytes(),
        )
    };
    for path in [
        "/../admin",
        "/x/../../admin",
        "/..",
        "/./x",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/..%2fadmin",
        "/..%5cadmin",
        "/..\\admin",
        "//evil.example/x",
        "/x//y",
        "/%2f%2fevil.example",
        "/@evil.example/%2e%2e/",
        "/%252e%252e/admin",
        "/x%00",
        "/x%0d%0ahost:%20evil.example",
        "/x%",
        "/x%zz",
        "/;/../x",
    ] {
        let answer = ask(&format!("/{token}{path}"));
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    for target in [
        format!("http://evil.example/{token}/echo"),
        format!("http://{}/{token}/echo", relay.host),
        format!("https://evil.example/{token}/echo"),
        format!("{token}/echo"),
        format!("//{token}/echo"),
        format!("/./{token}/echo"),
        format!("/x/../{token}/echo"),
        format!("/%2e/{token}/echo"),
        "*".to_owned(),
        "/".to_owned(),
    ] {
        let answer = ask(&target);
        assert!(
            [0, 400, 403, 404].contains(&answer.status),
            "{target}: {answer:?}"
        );
    }
    let long = ask(&format!("/{token}/{}", "a".repeat(5000)));
    assert_eq!(long.status, 400, "{long:?}");
    assert!(upstream.seen().is_empty(), "{:#?}", upstream.seen());
    relay.end();
}

#[test]
fn messages_with_two_ends_are_refused() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let smuggled = format!(
        "GET /{}/smuggled HTTP/1.1\r\nhost: {}\r\norigin: {PAGE}\r\n\r\n",
        relay.token, relay.host
    );
    let chunk = format!("{:x}\r\n{PRIVATE}\r\n", PRIVATE.len());
    let cases = [
        (
            "both lengths",
            "content-length: 6\r\ntransfer-encoding: chunked\r\n",
            format!("0\r\n\r\n{smuggled}"),
        ),
        (
            "both, the other way",
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
            format!("{chunk}0\r\n\r\n"),
        ),
        (
            "two lengths",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "abcdef".to_owned(),
        ),
        (
            "a list of lengths",
            "content-length: 5, 5\r\n",
            "abcde".to_owned(),
        ),
        (
            "a signed length",
            "content-length: +5\r\n",
            "abcde".to_owned(),
        ),
        (
            "a negative length",
            "content-length: -5\r\n",
            "abcde".to_owned(),
        ),
        (
            "a length beyond all numbers",
            "content-length: 99999999999999999999\r\n",
            String::new(),
        ),
        (
            "an unknown coding",
            "transfer-encoding: xchunked\r\n",
            format!("{chunk}0\r\n\r\n"),
        ),
        (
            "two codings",
            "transfer-encoding: chunked, identity\r\n",
            format!("{chunk}0\r\n\r\n"),
        ),
        (
            "two codings in two lines",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            format!("{chunk}0\r\n\r\n"),
        ),
        (
            "a folded header",
            "content-type: a\r\n b: c\r\ncontent-length: 1\r\n",
            "a".to_owned(),
        ),
        (
            "a space before the colon",
            "content-length : 1\r\n",
            "a".to_owned(),
        ),
        (
            "a control character",
            "content-type: a\x01b\r\ncontent-length: 1\r\n",
            "a".to_owned(),
        ),
        (
            "a chunk of no size",
            "transfer-encoding: chunked\r\n",
            format!("zz\r\n{PRIVATE}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk that is longer than it says",
            "transfer-encoding: chunked\r\n",
            "3\r\nabcdef\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "a chunk beyond all numbers",
            "transfer-encoding: chunked\r\n",
            "fffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "two content types",
            "content-type: a/b\r\ncontent-type: c/d\r\ncontent-length: 1\r\n",
            "a".to_owned(),
        ),
        (
            "a JSON length that is none",
            "inference-header-content-length: 1, 2\r\ncontent-length: 1\r\n",
            "a".to_owned(),
        ),
    ];
    for (what, headers, body) in cases {
        let answer = relay.raw(
            format!(
                "POST /{}/echo HTTP/1.1\r\nhost: {}\r\norigin: {PAGE}\r\nconnection: close\r\n{headers}\r\n{body}",
                relay.token, relay.host
            )
            .as_bytes(),
        );
        assert!(matches!(answer.status, 0 | 400..=499), "{what}: {answer:?}");
    }
    // A body that breaks while it comes may have begun to pass; it must not have come to its end.
    for seen in upstream.seen() {
        assert!(!seen.whole && !seen.head.contains("smuggled"), "{seen:#?}");
    }
    let answer = relay.ask("GET", "/echo", "content-length: 3\r\n", b"");
    assert_eq!(answer.status, 400, "{answer:?}");
    relay.end();
}
