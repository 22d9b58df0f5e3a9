//! Which headers pass, by name: everything else (cookies, keys of the page's, whatever belongs to one connection only)
//! stays where it is. And the CORS headers, which the upstream lacks.

use super::guard::Origin;
use super::refusal::Refusal;
use actix_web::http::header::{self as web, HeaderMap as WebHeaders};
use actix_web::{HttpResponse, HttpResponseBuilder};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Says how many bytes of a body are JSON, where binary tensors follow.
const JSON_LENGTH: &str = "inference-header-content-length";

/// Of a request. Not `accept-encoding`: what is compressed cannot be searched for the key.
const OF_REQUESTS: [&str; 3] = ["accept", "content-type", JSON_LENGTH];
/// Of an answer; its length is that of its body.
const OF_ANSWERS: [&str; 3] = ["content-type", "retry-after", JSON_LENGTH];
/// How long a browser may keep what a preflight said, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// What the upstream is to see of the page's headers.
///
/// # Errors
/// One is there twice, or is not what its name says.
pub fn of_request(headers: &WebHeaders) -> Result<HeaderMap, Refusal> {
    let mut out = HeaderMap::new();
    for name in OF_REQUESTS {
        let mut values = headers.get_all(name);
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(Refusal::Header(name));
        }
        let number = value.as_bytes().iter().all(u8::is_ascii_digit) && !value.is_empty();
        let value = HeaderValue::from_bytes(value.as_bytes()).ok();
        let value = value.filter(|_| name != JSON_LENGTH || number);
        out.insert(
            HeaderName::from_static(name),
            value.ok_or(Refusal::Header(name))?,
        );
    }
    Ok(out)
}

/// Puts on what the page is to see of the upstream's headers. A value that holds the key is left out.
pub fn of_answer(response: &mut HttpResponseBuilder, headers: &HeaderMap, key: &str) {
    for name in OF_ANSWERS {
        let Some(value) = headers.get(name) else {
            continue;
        };
        let holds_key = !key.is_empty()
            && (value.as_bytes().windows(key.len())).any(|part| part == key.as_bytes());
        if !holds_key {
            response.insert_header((name, value.as_bytes()));
        }
    }
}

/// Lets the page read an answer, and says what else holds for each: kept nowhere, taken for nothing but what it says
/// it is, and harmless if somebody opens it as a page.
pub fn open(response: &mut HttpResponseBuilder, page: Option<&Origin>) {
    if let Some(page) = page {
        response
            .insert_header((web::ACCESS_CONTROL_ALLOW_ORIGIN, page.as_str()))
            .insert_header((
                web::ACCESS_CONTROL_EXPOSE_HEADERS,
                format!("retry-after, {JSON_LENGTH}"),
            ));
    }
    response
        .insert_header((web::VARY, "origin"))
        .insert_header((web::CACHE_CONTROL, "no-store"))
        .insert_header((web::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((web::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"));
}

/// Whether a request asks what it may ask. (A request with another method than OPTIONS asks itself.)
pub fn is_preflight(headers: &WebHeaders) -> bool {
    headers.contains_key(web::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What the page may ask. `Authorization` is let through to be dropped: a key that somebody entered on the page too
/// should not be the reason for an error that says nothing.
pub fn preflight(headers: &WebHeaders, page: Option<&Origin>) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    open(&mut response, page);
    response
        .insert_header((web::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"))
        .insert_header((
            web::ACCESS_CONTROL_ALLOW_HEADERS,
            format!("accept, authorization, content-type, {JSON_LENGTH}"),
        ))
        .insert_header((web::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS));
    // A page from the internet may call this machine only if this machine says so.
    if headers.contains_key("access-control-request-private-network") {
        response.insert_header(("access-control-allow-private-network", "true"));
    }
    response.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_named_headers_pass_to_the_upstream() {
        let request = TestRequest::post()
            .insert_header(("content-type", "application/json"))
            .insert_header(("inference-header-content-length", "17"))
            .insert_header(("authorization", "Bearer of-the-page"))
            .insert_header(("cookie", "a=b"))
            .insert_header(("connection", "x-private"))
            .insert_header(("x-private", "1"))
            .insert_header(("x-forwarded-for", "1.2.3.4"))
            .insert_header(("proxy-authorization", "x"))
            .insert_header(("accept-encoding", "gzip"))
            .insert_header(("transfer-encoding", "chunked"))
            .to_http_request();
        let passed = of_request(request.headers()).unwrap();
        let names: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", JSON_LENGTH]);
    }

    #[test]
    fn a_header_that_stands_there_twice_is_refused() {
        let request = TestRequest::post()
            .append_header(("content-type", "application/json"))
            .append_header(("content-type", "text/html"))
            .to_http_request();
        assert_eq!(
            of_request(request.headers()),
            Err(Refusal::Header("content-type"))
        );
        for bad in ["", "-1", "1, 2", "0x10", "１"] {
            let request = TestRequest::post()
                .insert_header((JSON_LENGTH, bad))
                .to_http_request();
            assert_eq!(
                of_request(request.headers()),
                Err(Refusal::Header(JSON_LENGTH)),
                "{bad}"
            );
        }
    }

    #[test]
    fn only_named_headers_pass_to_the_page_and_none_with_the_key() {
        let mut upstream = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/plain; sk-abc"),
            ("retry-after", "7"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("x-echo", "sk-abc"),
            ("content-length", "5"),
        ] {
            upstream.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let mut response = HttpResponse::Ok();
        of_answer(&mut response, &upstream, "sk-abc");
        let answered = response.finish();
        let passed: Vec<_> = answered
            .headers()
            .keys()
            .map(|name| name.as_str())
            .collect();
        assert_eq!(passed, ["retry-after"]);
    }
}
