//! The pages, from the folder that was [read](super::folder) at the start. What distinguishes this
//! from a file server is the Content-Security-Policy: everything below `/f/{id}/` (and so the
//! Worker's script, because a Worker obeys the header of its own script) may talk to this
//! aggregator and to that federation's model API, and to nothing else.

use super::encoding::{is_known, negotiate};
use super::{Side, auth, reading};
use crate::app::App;
use crate::failure::Failure;
use actix_web::http::header::{self, ContentEncoding, HeaderName, HeaderValue};
use actix_web::web::{self, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use federation::engine::Federation;
use federation::round::refusal::Refusal;
use model_client::address::origin_of;

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
        service.service(get("/organiser").route(reading().to(organiser)));
    }
    service
        .service(get("/").route(reading().to(index)))
        .service(get("/assets/{file:.*}").route(reading().to(asset)))
        .service(get("/f/{id}").route(reading().to(add_slash)))
        .service(get("/f/{id}/").route(reading().to(join)))
        .service(get("/f/{id}/assets/{file:.*}").route(reading().to(join_asset)))
        .service(get("/f/{id}/at/{model}").route(reading().to(add_slash)))
        .service(get("/f/{id}/at/{model}/").route(reading().to(join_at)))
        .service(get("/f/{id}/at/{model}/assets/{file:.*}").route(reading().to(join_at_asset)))
        // Files beside the pages, such as an icon.
        .service(
            get("/{file:[A-Za-z0-9_-]+\\.(?:svg|png|ico|txt|webmanifest)}")
                .route(reading().to(top)),
        );
}

async fn index(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Failure> {
    if app.pages.is_none() {
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(
            "This is the aggregator of a Fed-BBPT federation. It runs without the page: build it with \
             `cargo xtask build` and start again with --web web/dist. The API is described in /v1/openapi.json.\n",
        ));
    }
    file(&app, &request, "index.html", None)
}

async fn organiser(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Failure> {
    file(&app, &request, "organiser.html", None)
}

async fn asset(
    request: HttpRequest,
    app: Data<App>,
    name: Path<String>,
) -> Result<HttpResponse, Failure> {
    file(&app, &request, &format!("assets/{name}"), None)
}

async fn top(
    request: HttpRequest,
    app: Data<App>,
    name: Path<String>,
) -> Result<HttpResponse, Failure> {
    file(&app, &request, &name, None)
}

/// Redirects to an address with a slash, which the page's relative addresses need. The fragment
/// (the invite) survives a redirect.
async fn add_slash(request: HttpRequest) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, format!("{}/", request.path())))
        .finish()
}

async fn join(
    request: HttpRequest,
    app: Data<App>,
    id: Path<String>,
) -> Result<HttpResponse, Failure> {
    match auth::federation(&app, &id).await {
        // Somebody followed a link, and JSON would tell them nothing.
        Err(Failure::Refused(Refusal::NotFound)) if app.pages.is_some() => Ok(unknown()),
        federation => {
            let federation = federation?;
            page(
                &app,
                &request,
                "join.html",
                &federation,
                &federation.model_origin,
            )
        }
    }
}

/// The answer to a link to a federation that does not exist here: a page without scripts or styles
/// and with nothing to connect to, under the default policy.
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

async fn join_asset(
    request: HttpRequest,
    app: Data<App>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Failure> {
    let (id, name) = path.into_inner();
    let federation = auth::federation(&app, &id).await?;
    page(
        &app,
        &request,
        &format!("assets/{name}"),
        &federation,
        &federation.model_origin,
    )
}

async fn join_at(
    request: HttpRequest,
    app: Data<App>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Failure> {
    let (id, model) = path.into_inner();
    let federation = auth::federation(&app, &id).await?;
    page(
        &app,
        &request,
        "join.html",
        &federation,
        &own_model(&model)?,
    )
}

async fn join_at_asset(
    request: HttpRequest,
    app: Data<App>,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Failure> {
    let (id, model, name) = path.into_inner();
    let federation = auth::federation(&app, &id).await?;
    let asset = format!("assets/{name}");
    page(&app, &request, &asset, &federation, &own_model(&model)?)
}

/// A file of a federation's page, whose model API is at `model`.
fn page(
    app: &App,
    request: &HttpRequest,
    name: &str,
    federation: &Federation,
    model: &str,
) -> Result<HttpResponse, Failure> {
    file(app, request, name, Some(&federation.origins(model)))
}

/// The origin of an owner's own model API, from its base64url. As it goes into a header, only what
/// [`origin_of`] lets through is used. A whole address is refused: what follows the origin may be a
/// secret (a relay's token), and belongs in the page's fragment, which browsers keep to themselves.
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

/// The Content-Security-Policy. `origins` are those to which the page may connect besides the
/// aggregator, separated by spaces.
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

/// A file of the page with its headers.
fn file(
    app: &App,
    request: &HttpRequest,
    name: &str,
    origins: Option<&str>,
) -> Result<HttpResponse, Failure> {
    let pages = app.pages.as_ref().ok_or(Refusal::NotFound)?;
    let file = pages.get(name).ok_or(Refusal::NotFound)?;
    let (encoding, form) = negotiate(request, file.forms.iter().map(|form| (form.encoding, form)))?;
    let unchanged = is_known(request, &form.tag);
    let mut answer = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((
            header::CACHE_CONTROL,
            if file.hashed {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            },
        ))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header(header::ETag(form.tag.clone()));
    // A policy is needed by pages and by scripts, one of which is the Worker's; nothing else runs.
    let is = |kind: &str| file.kind.starts_with(kind);
    if is("text/html") || is("text/javascript") {
        answer.insert_header((header::CONTENT_SECURITY_POLICY, policy(origins)));
    }
    if is("text/html") {
        answer
            .insert_header(PERMISSIONS)
            .insert_header((header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"));
    }
    if unchanged {
        return Ok(answer.finish());
    }
    if encoding != ContentEncoding::Identity {
        answer.insert_header((header::CONTENT_ENCODING, encoding));
    }
    Ok(answer.content_type(file.kind).body(form.bytes.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
