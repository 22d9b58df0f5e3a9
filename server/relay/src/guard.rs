//! Decides who may ask: a client that called this machine by its own name, knows the token, and is
//! the page for which the relay runs.

use super::refusal::Refusal;
use super::target::{self, Target};
use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use aggregator::Secret;
use reqwest::Url;
use std::net::SocketAddr;
use std::sync::OnceLock;

/// A page's origin as browsers write it: `https://host`, with a port unless it is the scheme's
/// default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin in the one form that browsers send.
    ///
    /// # Errors
    /// It is no origin: it has a path or capital letters, is `null` (a file or a sandboxed frame),
    /// or has another scheme.
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

    /// The origin as browsers write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Decides about a request before anything is sent on.
pub struct Guard {
    token: Secret,
    hosts: Vec<String>,
    page: OnceLock<Origin>,
}

impl Guard {
    /// A guard for a relay at `address`. `page` may ask; with `None`, the first page that knows the
    /// token may.
    pub fn new(token: Secret, address: SocketAddr, page: Option<Origin>) -> Self {
        Self {
            token,
            hosts: vec![address.to_string(), format!("localhost:{}", address.port())],
            page: page.map_or_else(OnceLock::new, OnceLock::from),
        }
    }

    /// The token that a page must know.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// The page that may ask, if it is known by now.
    pub fn page(&self) -> Option<&Origin> {
        self.page.get()
    }

    /// The page, if this request comes from it and so may read why it is refused.
    pub fn readable(&self, request: &HttpRequest) -> Option<&Origin> {
        let origin = only(request.headers(), header::ORIGIN)?;
        self.page.get().filter(|page| page.as_str() == origin)
    }

    /// Returns what the request asks for, if it may ask.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn admit<'a>(&self, request: &'a HttpRequest) -> Result<Target<'a>, Refusal> {
        // A page under another name that was made to point to this machine (DNS rebinding) states
        // that name here.
        let host = only(request.headers(), header::HOST).ok_or(Refusal::Host)?;
        if !self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) {
            return Err(Refusal::Host);
        }
        let (token, target) = target::split(request.uri()).map_err(Refusal::Target)?;
        if !self.token.matches(&Secret::new(token)) {
            return Err(Refusal::Token);
        }
        // Pages cannot choose this header. A client that is no page has no need of the relay.
        let origin = only(request.headers(), header::ORIGIN).ok_or(Refusal::NoOrigin)?;
        let origin = Origin::parse(origin).map_err(|_| Refusal::OtherOrigin)?;
        if *self.page.get_or_init(|| origin.clone()) != origin {
            return Err(Refusal::OtherOrigin);
        }
        target.map_err(Refusal::Target)
    }
}

/// The value of a header that occurs exactly once.
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
mod tests;
