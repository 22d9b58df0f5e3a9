//! The pages, from the folder given at the start. What makes them more than a file server is the
//! Content-Security-Policy: everything below `/f/{id}/` (the Worker's script too, for a Worker obeys the header
//! of its own script) may talk to this aggregator and to that federation's model API, and to nobody else.

use super::{Side, auth};
use crate::app::App;
use crate::failure::Failure;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use federation::engine::Federation as Known;
use federation::round::refusal::Refusal;
use model_client::address::origin_of;
use std::path::{Component, PathBuf};

const PERMISSIONS: (HeaderName, HeaderValue) = (
    header::PERMISSIONS_POLICY,
    HeaderValue::from_static(
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
         microphone=(), midi=(), payment=(), serial=(), usb=()",
    ),
);

pub(super) fn routes(service: &mut web::ServiceConfig, side: Side) {
    let get =
        |path: &str| web::resource(path.to_owned()).default_service(web::to(super::wrong_method));
    if side == Side::Whole {
        service.service(get("/organiser").route(web::get().to(organiser)));
    }
    service
        .service(get("/").route(web::get().to(index)))
        .service(get("/assets/{file:.*}").route(web::get().to(asset)))
        .service(get("/f/{id}").route(web::get().to(add_slash)))
        .service(get("/f/{id}/").route(web::get().to(join)))
        .service(get("/f/{id}/assets/{file:.*}").route(web::get().to(join_asset)))
        .service(get("/f/{id}/at/{model}").route(web::get().to(add_slash)))
        .service(get("/f/{id}/at/{model}/").route(web::get().to(join_at)))
        .service(get("/f/{id}/at/{model}/assets/{file:.*}").route(web::get().to(join_at_asset)))
        // Files beside the pages, such as an icon.
        .service(
            get("/{file:[A-Za-z0-9_-]+\\.(?:svg|png|ico|txt|webmanifest)}")
                .route(web::get().to(top)),
        );
}

async fn index(app: Data<App>) -> Result<HttpResponse, Failure> {
    if app.config.web.is_none() {
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(
            "This is the aggregator of a Fed-BBPT federation. It runs without the page: build it with \
             `cargo xtask build` and start again with --web web/dist. The API is described in /v1/openapi.json.\n",
        ));
    }
    file(&app, "index.html", None).await
}

async fn organiser(app: Data<App>) -> Result<HttpResponse, Failure> {
    file(&app, "organiser.html", None).await
}

async fn asset(app: Data<App>, name: Path<String>) -> Result<HttpResponse, Failure> {
    file(&app, &format!("assets/{name}"), None).await
}

async fn top(app: Data<App>, name: Path<String>) -> Result<HttpResponse, Failure> {
    file(&app, &name, None).await
}

/// Relative addresses in the page need the slash. The fragment (the invite) survives a redirect.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("{}/", request.path())))
        .finish()
}

async fn join(app: Data<App>, id: Path<String>) -> Result<HttpResponse, Failure> {
    match auth::federation(&app, &id).await {
        // Somebody followed a link: JSON would tell them nothing.
        Err(Failure::Refused(Refusal::NotFound)) if app.config.web.is_some() => Ok(unknown()),
        known => {
            let known = known?;
            page(&app, "join.html", &known, &known.model_origin).await
        }
    }
}

/// For a link to a federation that is not here: a page without scripts, styles or anything to connect to, under
/// the policy of answers that have none of their own.
fn unknown() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>Not found \u{2013} Fed-BBPT</title>\
             <h1>There is no such federation here</h1>\
             <p>The link may be incomplete, or the federation was removed. Open the whole link that you were sent, \
             or ask the organiser for a new one.</p><p><a href=\"/\">All federations</a></p></html>\n",
        )
}

async fn join_asset(app: Data<App>, path: Path<(String, String)>) -> Result<HttpResponse, Failure> {
    let (id, name) = path.into_inner();
    let known = auth::federation(&app, &id).await?;
    page(&app, &format!("assets/{name}"), &known, &known.model_origin).await
}

async fn join_at(app: Data<App>, path: Path<(String, String)>) -> Result<HttpResponse, Failure> {
    let (id, model) = path.into_inner();
    let known = auth::federation(&app, &id).await?;
    page(&app, "join.html", &known, &own_model(&model)?).await
}

async fn join_at_asset(
    app: Data<App>,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Failure> {
    let (id, model, name) = path.into_inner();
    let known = auth::federation(&app, &id).await?;
    let asset = format!("assets/{name}");
    page(&app, &asset, &known, &own_model(&model)?).await
}

/// A file of a federation's page, whose model API is at `model`.
async fn page(app: &App, name: &str, known: &Known, model: &str) -> Result<HttpResponse, Failure> {
    file(app, name, Some(&known.origins(model))).await
}

/// The origin of an owner's own model API, from its base64url. It goes into a header, so only what [`origin_of`] lets
/// through is used. A whole address is refused: what follows the origin may be a secret (a relay's token), and stands
/// in the page's fragment, which browsers keep to themselves.
fn own_model(encoded: &str) -> Result<String, Failure> {
    let refuse = || {
        Failure::BadRequest(
            "after /at/ the model API's http:// or https:// origin is needed, in base64url without padding; the rest of \
             its address belongs into the fragment, #model=/PATH"
                .to_owned(),
        )
    };
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| refuse())?;
    let url = String::from_utf8(bytes).map_err(|_| refuse())?;
    origin_of(&url)
        .filter(|origin| *origin == url)
        .ok_or_else(refuse)
}

/// `origins`: what may be connected to besides the aggregator, with spaces between.
fn policy(origins: Option<&str>) -> String {
    let connect = origins.map_or_else(
        || "'self'".to_owned(),
        |origins| format!("'self' {origins}"),
    );
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
         img-src 'self' data: blob:; connect-src {connect}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// A file of the page with the headers that belong to it.
async fn file(app: &App, name: &str, origins: Option<&str>) -> Result<HttpResponse, Failure> {
    let root = app.config.web.clone().ok_or(Refusal::NotFound)?;
    let relative = safe(name).ok_or(Refusal::NotFound)?;
    let kind = mime(&relative);
    let immutable = name.starts_with("assets/") && has_hash(&relative);
    // The files are small and the system keeps them in memory; what counts is not to block the worker.
    let bytes = web::block(move || {
        let root = root.canonicalize()?;
        let path = root.join(relative).canonicalize()?;
        // A link in the folder must not lead out of it.
        if !path.starts_with(&root) || !path.is_file() {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        }
        std::fs::read(path)
    })
    .await
    .map_err(|e| Failure::Internal(e.to_string()))?
    .map_err(|_| Refusal::NotFound)?;
    let caching = if immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(origins)))
        .insert_header(PERMISSIONS)
        .body(bytes))
}

/// A path that stays below its root: plain names only.
pub(super) fn safe(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(name);
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|n| {
            !n.starts_with('.')
                && n.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        }),
        _ => false,
    };
    (!name.is_empty() && path.components().all(plain)).then_some(path)
}

/// Vite puts eight characters of a hash before the ending: `worker-Bx1_9kQz.js`.
fn has_hash(path: &std::path::Path) -> bool {
    let stem = path
        .file_stem()
        .and_then(|s| s.to_str())
        .unwrap_or_default();
    let bytes = stem.as_bytes();
    bytes.len() > 9
        && bytes[bytes.len() - 9] == b'-'
        && bytes[bytes.len() - 8..]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
}

fn mime(path: &std::path::Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for good in ["index.html", "assets/a-b_c.js", "assets/x/y.css"] {
            assert!(safe(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "..",
            "../x",
            "assets/../../x",
            "/etc/passwd",
            "assets/.git",
            "a\\b",
            "a\0",
            "a b",
        ] {
            assert!(safe(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_told_from_names() {
        let has = |name: &str| has_hash(std::path::Path::new(name));
        assert!(has("assets/worker-Bx1_9kQz.js"));
        assert!(!has("assets/worker.js") && !has("assets/long-name.js"));
    }

    #[test]
    fn an_owners_model_is_an_origin_or_refused() {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        assert_eq!(
            own_model(&encode("http://localhost:8701")).unwrap(),
            "http://localhost:8701"
        );
        for bad in [
            "ftp://x",
            "http://a; script-src *",
            "http://a b",
            "",
            "http://127.0.0.1:8702/a-relays-token",
            "http://127.0.0.1:8702/",
            "http://Host",
        ] {
            assert!(own_model(&encode(bad)).is_err(), "{bad}");
        }
        assert!(own_model("***").is_err());
        assert!(policy(Some("http://m:1")).contains("connect-src 'self' http://m:1;"));
    }
}
