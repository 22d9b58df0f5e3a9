//! Who may ask: whoever came to this machine under its own name, knows the token, and is the page that the relay is for.

use super::refusal::Refusal;
use super::target::{self, Target};
use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use aggregator::Secret;
use reqwest::Url;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// A page's origin as browsers write it: `https://host`, with its port where it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads one; browsers send no other form.
    ///
    /// # Errors
    /// It is none: a path, a name in capitals, `null` (a file, a sandboxed frame), another scheme.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
        });
        match url {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(format!(
                "`{text}` is not a page's origin: it must be like http://127.0.0.1:8700 or https://host, without a path"
            )),
        }
    }

    /// As browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decides before anything is sent on.
pub struct Guard {
    token: Secret,
    hosts: Vec<String>,
    page: OnceLock<Origin>,
}

impl Guard {
    /// For a relay at `address`; `page` is known from the start, or the first who knows the token.
    pub fn new(token: Secret, address: SocketAddr, page: Option<Origin>) -> Self {
        Self {
            token,
            hosts: vec![address.to_string(), format!("localhost:{}", address.port())],
            page: page.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The token.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// The page, if it is known by now.
    pub fn page(&self) -> Option<&Origin> {
        self.page.get()
    }

    /// The page, if this request comes from it: it may read why it was refused.
    pub fn readable(&self, request: &HttpRequest) -> Option<&Origin> {
        let origin = only(request.headers(), header::ORIGIN)?;
        self.page.get().filter(|page| page.as_str() == origin)
    }

    /// What the request asks for, if it may.
    pub fn admit<'a>(&self, request: &'a HttpRequest) -> Result<Target<'a>, Refusal> {
        // A page of another name that was made to point to this machine (DNS rebinding) says that name here.
        let host = only(request.headers(), header::HOST).ok_or(Refusal::Host)?;
        if !self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
            return Err(Refusal::Host);
        }
        let (token, target) = target::split(request.uri()).map_err(Refusal::Target)?;
        if !self.token.matches(&Secret::new(token)) {
            return Err(Refusal::Token);
        }
        // Pages cannot choose what stands here; what is no page (and no attack on one) has no need for the relay.
        let origin = only(request.headers(), header::ORIGIN).ok_or(Refusal::NoOrigin)?;
        let origin = Origin::parse(origin).map_err(|_| Refusal::OtherOrigin)?;
        if *self.page.get_or_init(|| origin.clone()) != origin {
            return Err(Refusal::OtherOrigin);
        }
        target.map_err(Refusal::Target)
    }
}

/// The value of a header that stands there exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name);
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| value.to_str().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    const PAGE: &str = "http://127.0.0.1:8700";

    fn guard(page: Option<&str>) -> Guard {
        let page = page.map(|page| Origin::parse(page).unwrap());
        Guard::new(Secret::new("TOKEN"), ([127, 0, 0, 1], 8702).into(), page)
    }

    fn ask(path: &str, host: &str, origin: Option<&str>) -> HttpRequest {
        let request = TestRequest::get().uri(path).insert_header(("host", host));
        match origin {
            Some(origin) => request.insert_header(("origin", origin)),
            None => request,
        }
        .to_http_request()
    }

    fn outcome(guard: &Guard, path: &str, host: &str, origin: Option<&str>) -> Option<Refusal> {
        guard.admit(&ask(path, host, origin)).err()
    }

    #[test]
    fn origins_as_browsers_write_them() {
        for fine in [
            PAGE,
            "https://host",
            "https://host:8443",
            "http://[::1]:8700",
        ] {
            assert!(Origin::parse(fine).is_ok(), "{fine}");
        }
        for bad in [
            "",
            "null",
            "*",
            "host",
            "https://host/",
            "https://host/path",
            "https://HOST",
            "https://host:443",
            "https://a@host",
            "file://",
            "chrome-extension://abc",
            "https://host https://other",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_machine_must_be_called_by_its_own_name() {
        let guard = guard(Some(PAGE));
        for host in ["127.0.0.1:8702", "localhost:8702", "LOCALHOST:8702"] {
            assert_eq!(
                outcome(&guard, "/TOKEN/x", host, Some(PAGE)),
                None,
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:8702",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost",
            "127.0.0.1:8702.evil.example",
            "[::1]:8702",
            "",
        ] {
            assert_eq!(
                outcome(&guard, "/TOKEN/x", host, Some(PAGE)),
                Some(Refusal::Host),
                "{host}"
            );
        }
        let twice = TestRequest::get()
            .uri("/TOKEN/x")
            .append_header(("host", "127.0.0.1:8702"))
            .append_header(("host", "evil.example"))
            .append_header(("origin", PAGE))
            .to_http_request();
        assert_eq!(guard.admit(&twice), Err(Refusal::Host));
    }

    #[test]
    fn the_token_must_be_right_and_does_not_bind_when_wrong() {
        let guard = guard(None);
        let host = "127.0.0.1:8702";
        for path in [
            "/",
            "/token/x",
            "/TOKEN2/x",
            "/TOKE/x",
            "//TOKEN/x",
            "/x/TOKEN",
            "/%54OKEN/x",
        ] {
            assert_eq!(
                outcome(&guard, path, host, Some("https://evil.example")),
                Some(Refusal::Token),
                "{path}"
            );
        }
        assert_eq!(guard.page(), None);
    }

    #[test]
    fn the_first_page_is_the_only_one() {
        let guard = guard(None);
        let host = "127.0.0.1:8702";
        for origin in [None, Some("null"), Some("file://")] {
            assert!(outcome(&guard, "/TOKEN/x", host, origin).is_some());
            assert_eq!(guard.page(), None, "{origin:?} bound the relay");
        }
        assert_eq!(outcome(&guard, "/TOKEN/x", host, Some(PAGE)), None);
        assert_eq!(
            outcome(&guard, "/TOKEN/x", host, Some("https://evil.example")),
            Some(Refusal::OtherOrigin)
        );
        assert_eq!(
            outcome(&guard, "/TOKEN/x", host, None),
            Some(Refusal::NoOrigin)
        );
        assert_eq!(outcome(&guard, "/TOKEN/x", host, Some(PAGE)), None);
    }

    #[test]
    fn only_the_page_may_read_refusals() {
        let guard = guard(Some(PAGE));
        let host = "127.0.0.1:8702";
        assert!(guard.readable(&ask("/x", host, Some(PAGE))).is_some());
        assert!(
            guard
                .readable(&ask("/x", host, Some("https://evil.example")))
                .is_none()
        );
        assert!(guard.readable(&ask("/x", host, None)).is_none());
    }
}
