//! The page's files and the headers that confine it.

use crate::support::*;
use aggregator::{AggregatorConfig, RealClock};
use base64::Engine as _;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn with_page() -> (Home, Server) {
    let home = Home::new();
    let web = home.path().join("web");
    std::fs::create_dir_all(web.join("assets")).unwrap();
    for name in [
        "index.html",
        "join.html",
        "organiser.html",
        "assets/worker-Bx1_9kQz.js",
        "assets/client.wasm",
    ] {
        std::fs::write(web.join(name), name).unwrap();
    }
    for ending in ["br", "gz"] {
        let copy = web.join(format!("assets/client.wasm.{ending}"));
        std::fs::write(copy, ending).unwrap();
    }
    std::fs::write(home.path().join("secret.txt"), "secret").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(home.path().join("secret.txt"), web.join("assets/link.txt"))
        .unwrap();
    let config = AggregatorConfig {
        web: Some(web),
        ..home.config()
    };
    let server = Server::start(config, Arc::new(RealClock)).await;
    (home, server)
}

#[tokio::test]
async fn pages_may_talk_to_the_aggregator_and_their_model_and_nobody_else() {
    let (_home, server) = with_page().await;
    let invite = server.api.create(task(1, 1)).await;
    let id = &invite.federation;
    let own =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("https://model.hospital:8443");
    let federations = "'self' http://127.0.0.1:8701";
    // The files for embeddings are fetched from a third origin.
    let hash = "0".repeat(64);
    let embeddings = json!({ "url": "https://files.example/tiny", "tokenizer_sha256": hash, "table_sha256": hash });
    let softly = json!({
        "name": "Films",
        "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
            "openai": { "api": "completions", "prompt_embeds": embeddings } },
        "text": { "input": "{text}:" },
        "data": { "labels": ["a", "b"] },
        "generator": { "kind": "soft", "hidden": 8, "deviation": 1 },
        "optimizer": { "kind": "cma-es" },
    });
    let softly = server.api.create(softly).await.federation;
    let cases = [
        ("/".to_owned(), "index.html", "'self'", "text/html"),
        (
            "/organiser".to_owned(),
            "organiser.html",
            "'self'",
            "text/html",
        ),
        (
            "/assets/client.wasm".to_owned(),
            "assets/client.wasm",
            "'self'",
            "application/wasm",
        ),
        (format!("/f/{id}/"), "join.html", federations, "text/html"),
        (
            format!("/f/{id}/assets/worker-Bx1_9kQz.js"),
            "assets/worker-Bx1_9kQz.js",
            federations,
            "text/javascript",
        ),
        (
            format!("/f/{id}/at/{own}/"),
            "join.html",
            "'self' https://model.hospital:8443",
            "text/html",
        ),
        (
            format!("/f/{id}/at/{own}/assets/worker-Bx1_9kQz.js"),
            "assets/worker-Bx1_9kQz.js",
            "'self' https://model.hospital:8443",
            "text/javascript",
        ),
    ];
    let soft = |path: &str, connect| {
        (
            format!("/f/{softly}/{path}"),
            "join.html",
            connect,
            "text/html",
        )
    };
    let soft = [
        soft("", "'self' http://127.0.0.1:8000 https://files.example"),
        soft(
            &format!("at/{own}/"),
            "'self' https://model.hospital:8443 https://files.example",
        ),
    ];
    for (path, body, connect, kind) in cases.into_iter().chain(soft) {
        let response = server.api.get(&path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        if kind == "application/wasm" {
            // A module runs nothing but what a script makes of it.
            assert_eq!(
                policy, "default-src 'none'; frame-ancestors 'none'",
                "{path}"
            );
        } else {
            let directives: Vec<_> = policy.split("; ").collect();
            assert!(
                directives.contains(&&format!("connect-src {connect}")[..]),
                "{path}: {policy}"
            );
            for directive in [
                "default-src 'none'",
                "script-src 'self' 'wasm-unsafe-eval'",
                "worker-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(directives.contains(&directive), "{path}: {policy}");
            }
        }
        assert!(header("content-type").starts_with(kind), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let permissions = response.headers().get("permissions-policy");
        let permissions = permissions.map(|value| value.to_str().unwrap().contains("camera=()"));
        assert_eq!(permissions, (kind == "text/html").then_some(true), "{path}");
        let opener = response.headers().get("cross-origin-opener-policy");
        let opener = opener.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            opener.as_deref(),
            (kind == "text/html").then_some("same-origin"),
            "{path}"
        );
        let immutable = path.contains("-Bx1_9kQz");
        assert_eq!(
            header("cache-control").contains("immutable"),
            immutable,
            "{path}"
        );
        assert_eq!(response.text().await.unwrap(), body);
    }
    let bare = server.api.get(&format!("/f/{id}")).send().await.unwrap();
    assert_eq!(
        (
            bare.status().as_u16(),
            bare.headers()["location"].to_str().unwrap()
        ),
        (308, &format!("/f/{id}/")[..])
    );
    server.stop().await;
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served() {
    let (_home, server) = with_page().await;
    let invite = server.api.create(task(1, 1)).await;
    let id = &invite.federation;
    let address = server.api.url.strip_prefix("http://").unwrap();
    for path in [
        "/assets/../../secret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2fetc/passwd",
        "/assets//etc/passwd",
        "/assets/..\\..\\secret.txt",
        "/assets/link.txt",
        "/assets/",
        "/assets",
        "/assets/none.js",
        "/assets/client.wasm.br",
        "/secret.txt",
        &format!("/f/{id}/assets/../../../secret.txt"),
        &format!("/f/{id}/join.html"),
        "/f/none/",
        "/f/none/assets/client.wasm",
    ] {
        // Written by hand, because a client library would tidy the path.
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"),
            "{path}: {answer}"
        );
        assert!(!answer.contains("secret\""), "{path}");
    }
    let whole = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("http://127.0.0.1:8702/a");
    for model in ["***", "ZnRwOi8veA", "aHR0cDovL2E7c2NyaXB0LXNyYyAq", &whole] {
        let response = server
            .api
            .get(&format!("/f/{id}/at/{model}/"))
            .send()
            .await
            .unwrap();
        expect(response, 400, "bad_request").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn compressed_copies_are_sent_to_who_accepts_them() {
    let (_home, server) = with_page().await;
    let mut tags = std::collections::HashSet::new();
    for (accept, encoding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "br"),
        ("gzip, br;q=0", Some("gzip"), "gz"),
        ("br;q=0.2, gzip;q=0.9, identity;q=0.1", Some("gzip"), "gz"),
        ("zstd, identity;q=0.5", None, "assets/client.wasm"),
        ("identity", None, "assets/client.wasm"),
        ("identity;q=0, *", Some("br"), "br"),
    ] {
        let request = server.api.get("/assets/client.wasm");
        let response = request.header("accept-encoding", accept);
        let response = response.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(header("content-encoding"), encoding, "{accept}");
        assert_eq!(header("content-type"), Some("application/wasm"), "{accept}");
        assert_eq!(header("vary"), Some("Accept-Encoding"), "{accept}");
        let length = body.len().to_string();
        assert_eq!(header("content-length"), Some(&length[..]), "{accept}");
        tags.insert(header("etag").unwrap().to_owned());
        assert_eq!(response.text().await.unwrap(), body, "{accept}");
    }
    // One for each encoding.
    assert_eq!(tags.len(), 3);
    // Without the header, or without a copy, the plain file is sent.
    let plain = server.api.get("/assets/client.wasm").send().await.unwrap();
    assert_eq!(plain.text().await.unwrap(), "assets/client.wasm");
    let page = |accept| server.api.get("/").header("accept-encoding", accept).send();
    let only = page("br").await.unwrap();
    assert!(!only.headers().contains_key("content-encoding"));
    assert_eq!(only.headers()["vary"], "Accept-Encoding");
    assert_eq!(only.text().await.unwrap(), "index.html");
    let none = page("br, identity;q=0").await.unwrap();
    expect(none, 406, "bad_request").await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_cache_has_already_is_not_sent_again() {
    let (_home, server) = with_page().await;
    let get = |path: &str, accept: &str, known: &str| {
        let request = server.api.get(path).header("accept-encoding", accept);
        request.header("if-none-match", known).send()
    };
    for (path, caching) in [
        ("/", "no-cache"),
        ("/assets/client.wasm", "no-cache"),
        (
            "/assets/worker-Bx1_9kQz.js",
            "public, max-age=31536000, immutable",
        ),
    ] {
        let first = get(path, "br", "\"other\"").await.unwrap();
        assert_eq!(first.status().as_u16(), 200, "{path}");
        assert_eq!(first.headers()["cache-control"], caching, "{path}");
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        let policy = first.headers()["content-security-policy"].clone();
        let again = get(path, "br", &format!("\"a\", W/{tag}")).await.unwrap();
        assert_eq!(again.status().as_u16(), 304, "{path}");
        // The headers that a cache stores with the content are updated.
        assert_eq!(again.headers()["cache-control"], caching, "{path}");
        assert_eq!(again.headers()["content-security-policy"], policy);
        assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
        assert_eq!(again.headers()["vary"], "Accept-Encoding");
        assert!(again.bytes().await.unwrap().is_empty(), "{path}");
    }
    // With another encoding it is another representation.
    let compressed = get("/assets/client.wasm", "br", "").await.unwrap();
    let tag = compressed.headers()["etag"].to_str().unwrap();
    let plain = get("/assets/client.wasm", "identity", tag).await.unwrap();
    assert_eq!(plain.status().as_u16(), 200);
    server.stop().await;
}

#[tokio::test]
async fn pages_are_kept_in_memory_from_the_start() {
    let (home, server) = with_page().await;
    std::fs::remove_dir_all(home.path().join("web")).unwrap();
    let page = server.api.get("/").send().await.unwrap();
    assert_eq!(page.text().await.unwrap(), "index.html");
    server.stop().await;
}

/// What the server sends for a request, to the last byte, and over a connection that it then closes.
async fn raw(server: &Server, method: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = server.api.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn head_is_answered_as_get_is_but_without_a_body() {
    let (_home, server) = with_page().await;
    let invite = server.api.create(task(1, 1)).await;
    let id = &invite.federation;
    let of = |part: &str| format!("/v1/federations/{id}{part}");
    for path in [
        "/".to_owned(),
        "/organiser".to_owned(),
        "/assets/client.wasm".to_owned(),
        format!("/f/{id}"),
        format!("/f/{id}/"),
        format!("/f/{id}/assets/worker-Bx1_9kQz.js"),
        "/f/none/".to_owned(),
        "/models/printed-digits.onnx".to_owned(),
        "/models/none.onnx".to_owned(),
        "/healthz".to_owned(),
        "/v1/health".to_owned(),
        "/v1/openapi.json".to_owned(),
        "/v1/federations".to_owned(),
        "/v1/federations/none".to_owned(),
        of(""),
        of("/theta"),
        of("/record"),
        of("/generator"),
        of("/round"),
        of("/invites"),
        "/v1/admin/check".to_owned(),
        "/nothing".to_owned(),
    ] {
        let url = format!("{}{path}", server.api.url);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let get = client.get(&url).send().await.unwrap();
        let head = raw(&server, "HEAD", &path).await;
        let (lines, body) = head.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}");
        let status = format!("HTTP/1.1 {}", get.status().as_u16());
        assert!(lines.starts_with(&status), "{path}: {lines}");
        for name in ["content-type", "content-length", "etag", "cache-control"] {
            let there = get.headers().get(name).map(|v| v.to_str().unwrap());
            let line = lines
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(found, _)| found.eq_ignore_ascii_case(name));
            assert_eq!(line.map(|(_, value)| value), there, "{path}: {name}");
        }
    }
    // A stream that has no end is not begun, and takes no place of a reader.
    let events = raw(&server, "HEAD", &of("/events")).await;
    assert!(events.starts_with("HTTP/1.1 200"), "{events}");
    assert!(events.ends_with("\r\n\r\n"), "{events}");
    // What cannot be read with GET cannot be read with HEAD either.
    let post = raw(&server, "HEAD", &of("/rounds/0/enrol")).await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_outlives_what_a_participant_computes_between_two_requests() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (_home, server) = Server::fresh().await;
    let address = server.api.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut answer = [0; 4096];
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{read}");
        // Its end would be read here. actix-web's own limit is 5 s.
        let end = tokio::time::timeout(Duration::from_secs(6), stream.read(&mut answer)).await;
        assert!(end.is_err(), "{end:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_page_the_root_says_where_to_get_it() {
    let (_home, server) = Server::fresh().await;
    let text = server
        .api
        .get("/")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains("--web"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn tasks_and_records_are_compressed_for_who_accepts_it() {
    let (_home, server) = Server::fresh().await;
    // Long enough for compression to pay.
    let mut task = task_with(1, 30, (1, 1, 0, 60_000), (1, 1, 0, 60_000));
    task["description"] = "A federation. ".repeat(200).into();
    let invite = server.api.create(task).await;
    for path in ["", "/record?from=0"] {
        let path = format!("/v1/federations/{}{path}", invite.federation);
        let get = |accept| {
            server
                .api
                .get(&path)
                .header("accept-encoding", accept)
                .send()
        };
        let (plain, packed) = (
            get("identity").await.unwrap(),
            get("gzip, br").await.unwrap(),
        );
        assert!(!plain.headers().contains_key("content-encoding"), "{path}");
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path}");
        for answer in [&plain, &packed] {
            assert_eq!(answer.headers()["vary"], "Accept-Encoding", "{path}");
        }
        let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
        assert!(3 * packed.len() < plain.len(), "{path}");
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&packed[..]),
            &mut unpacked,
        )
        .unwrap();
        assert_eq!(unpacked, plain, "{path}");
    }
    server.stop().await;
}
