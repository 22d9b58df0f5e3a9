//! Models for participants' devices.

use crate::support::*;
use aggregator::{AggregatorConfig, RealClock};
use ground::hash::sha256_hex;
use std::sync::Arc;

/// More than one chunk, so that it is streamed in several.
fn large() -> Vec<u8> {
    (0..700_001_u32).map(|n| (n * 7 % 251) as u8).collect()
}

async fn with_models() -> (Home, Server) {
    let home = Home::new();
    let models = home.path().join("models");
    std::fs::create_dir_all(models.join("minilm/onnx")).unwrap();
    std::fs::write(models.join("minilm/onnx/model.onnx"), large()).unwrap();
    std::fs::write(models.join("minilm/config.json"), "{}").unwrap();
    std::fs::write(models.join("minilm/train.py"), "print()").unwrap();
    for name in ["embeddings.safetensors", "model.safetensors"] {
        std::fs::write(models.join("minilm").join(name), name).unwrap();
    }
    std::fs::write(home.path().join("secret.json"), "secret").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(home.path().join("secret.json"), models.join("link.json")).unwrap();
    let config = AggregatorConfig {
        models: Some(models),
        ..home.config()
    };
    let server = Server::start(config, Arc::new(RealClock)).await;
    (home, server)
}

#[tokio::test]
async fn any_page_may_read_models_and_nothing_else_of_the_disk() {
    let (_home, server) = with_models().await;
    let get = |path: &str| server.api.get(path).send();
    let response = get("/models/minilm/onnx/model.onnx").await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert_eq!(header("content-length"), "700001");
    assert_eq!(header("cache-control"), "no-cache");
    let tag = header("etag");
    assert_eq!(response.bytes().await.unwrap(), large());
    let again = server.api.get("/models/minilm/onnx/model.onnx");
    let again = again.header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 304);
    let json = get("/models/minilm/config.json").await.unwrap();
    assert_eq!(json.headers()["content-type"], "application/json");
    let table = get("/models/minilm/embeddings.safetensors").await.unwrap();
    assert_eq!(table.status().as_u16(), 200);
    for path in [
        "/models/minilm/model.safetensors",
        "/models/",
        "/models/minilm",
        "/models/none.onnx",
        "/models/minilm/train.py",
        "/models/link.json",
        "/models/..%2fsecret.json",
        "/models/%2e%2e/secret.json",
    ] {
        assert_eq!(get(path).await.unwrap().status().as_u16(), 404, "{path}");
    }
    let wrong = server.api.post("/models/minilm/config.json").send().await;
    assert_eq!(wrong.unwrap().status().as_u16(), 405);
    server.stop().await;
}

#[tokio::test]
async fn the_embedded_model_needs_no_folder() {
    let (_home, server) = Server::fresh().await;
    let response = server.api.get("/models/printed-digits.onnx").send().await;
    let bytes = response.unwrap().bytes().await.unwrap();
    // The hash that the built-in task names.
    let task = include_str!("../../../tasks/handwriting-on-device.toml");
    assert!(task.contains(&sha256_hex(&bytes)), "{}", sha256_hex(&bytes));
    server.stop().await;
}

#[tokio::test]
async fn a_file_beside_a_compressed_copy_is_sent_compressed_to_who_accepts_it() {
    let (home, server) = with_models().await;
    let folder = home.path().join("models/minilm");
    std::fs::write(folder.join("tokenizer.json"), "plain").unwrap();
    std::fs::write(folder.join("tokenizer.json.br"), "brotli").unwrap();
    // A compressed copy leads nowhere outside the folder either.
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        home.path().join("secret.json"),
        folder.join("tokenizer.json.gz"),
    )
    .unwrap();
    let get = |accept: &'static str| {
        let request = server.api.get("/models/minilm/tokenizer.json");
        request.header("accept-encoding", accept).send()
    };
    for (accept, encoding, body) in [
        ("gzip, br", Some("br"), "brotli"),
        ("gzip", None, "plain"),
        ("identity", None, "plain"),
    ] {
        let response = get(accept).await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap());
        assert_eq!(header("content-encoding"), encoding, "{accept}");
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("vary"), Some("Accept-Encoding"));
        assert_eq!(response.text().await.unwrap(), body, "{accept}");
    }
    let refused = get("identity;q=0, gzip").await.unwrap();
    expect(refused, 406, "bad_request").await;
    // The copies have no addresses of their own.
    let copy = server.api.get("/models/minilm/tokenizer.json.br");
    expect(copy.send().await.unwrap(), 404, "not_found").await;
    let head = server
        .api
        .request(reqwest::Method::HEAD, "/models/minilm/onnx/model.onnx")
        .send()
        .await
        .unwrap();
    assert_eq!(head.headers()["content-length"], "700001");
    server.stop().await;
}
