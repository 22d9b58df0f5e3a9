//! The page's files and the headers that confine it.

use crate::support::*;
use aggregator::{AggregatorConfig, RealClock};
use base64::Engine as _;
use serde_json::json;
use std::sync::Arc;

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
    // What such prompts are made with is fetched from a third.
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
        assert!(header("content-type").starts_with(kind), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
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
        "/secret.txt",
        &format!("/f/{id}/assets/../../../secret.txt"),
        &format!("/f/{id}/join.html"),
        "/f/none/",
        "/f/none/assets/client.wasm",
    ] {
        // By hand: a client library would tidy the path up.
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
