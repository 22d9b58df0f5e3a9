//! Which headers pass, by name; everything else (cookies, the page's own keys, what belongs to one
//! connection) stays behind. And the CORS headers that the upstream lacks.

use super::guard::Origin;
use super::refusal::Refusal;
use actix_web::http::header::{self as web, HeaderMap as WebHeaders};
use actix_web::{HttpResponse, HttpResponseBuilder};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Name of the header that says how many bytes of a body are JSON, before binary tensors.
const JSON_LENGTH: &str = "inference-header-content-length";

/// The headers of a request that pass. `accept-encoding` does not: a compressed body cannot be
/// searched for the key.
const OF_REQUESTS: [&str; 3] = ["accept", "content-type", JSON_LENGTH];
/// The headers of an answer that pass. The length is its body's own.
const OF_ANSWERS: [&str; 3] = ["content-type", "retry-after", JSON_LENGTH];
/// Time in seconds for which a browser may remember the answer to a preflight.
const PREFLIGHT_SECONDS: &str = "600";

/// The page's headers that the upstream sees.
///
/// # Errors
/// A header occurs twice, or its value is not what its name says.
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

/// Adds the upstream's headers that the page sees. A value that contains the key is left out.
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

/// Lets the page read an answer, and sets what holds for every answer: it is not cached, is taken
/// for nothing but its stated type, and is harmless if it is opened as a page.
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

/// Whether a request is a preflight. (Browsers send preflights with the method OPTIONS; with any
/// other it is the request itself.)
pub fn is_preflight(headers: &WebHeaders) -> bool {
    headers.contains_key(web::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight: what the page may ask. `Authorization` is allowed and then dropped,
/// so that a key that was also entered on the page does not cause an error without a reason.
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
    // A page from the internet may call this machine only if this machine allows it.
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
