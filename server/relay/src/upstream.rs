//! The one server that the relay forwards to.

use super::target::Target;
use reqwest::Url;
use std::net::IpAddr;

/// The upstream's base address, such as `https://api.example.com/v1`.
#[derive(Clone, Debug)]
pub struct Upstream(Url);

impl Upstream {
    /// Reads `--upstream`. Without TLS the key could be read on its way; so http is refused unless
    /// the server is on this machine or `plain` allows it.
    ///
    /// # Errors
    /// Why the address cannot be used.
    pub fn parse(text: &str, plain: bool) -> Result<Self, String> {
        let like = "it must be like https://api.example.com/v1";
        let url = Url::parse(text).map_err(|e| format!("`{text}` is no address ({e}): {like}"))?;
        let Some(host) = url.host_str().filter(|_| url.scheme().starts_with("http")) else {
            return Err(format!(
                "`{text}` is no http:// or https:// address: {like}"
            ));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!(
                "the address holds a name or a password, which belong into --key-env or --keyring: {like}"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` has a query or a fragment: {like}"));
        }
        if url.scheme() == "http" && !plain && !on_this_machine(host) {
            return Err(format!(
                "{host} would be asked without TLS, and the key and all inputs could be read on the way: use \
                 https://, or say --allow-plain-http if the network is yours"
            ));
        }
        Ok(Self(url))
    }

    /// The address to which a request goes, always below the base address; `None` if it would not
    /// be.
    pub fn at(&self, target: &Target<'_>) -> Option<Url> {
        let mut url = self.0.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        let path = format!("{base}{}", target.path);
        url.set_path(&path);
        url.set_query(target.query);
        // Whatever the parser did, it must be the same server and exactly the given path.
        (url.origin() == self.0.origin() && url.path() == path).then_some(url)
    }

    /// Whether the connection must not go through a proxy, which could read everything.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether the server is on this machine.
    pub fn is_here(&self) -> bool {
        self.0.host_str().is_some_and(on_this_machine)
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

fn on_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_used() {
        for (text, plain) in [
            ("https://api.example.com/v1", false),
            ("https://api.example.com", false),
            ("http://127.0.0.1:8080/v1/", false),
            ("http://localhost:8080", false),
            ("http://[::1]:8080", false),
            ("http://gpu.lan:8000/v1", true),
        ] {
            assert!(Upstream::parse(text, plain).is_ok(), "{text}");
        }
        for (text, why) in [
            ("api.example.com", "no address"),
            ("ftp://api.example.com", "http"),
            ("https://", "no address"),
            ("https://me:sk-abc@api.example.com/v1", "password"),
            ("https://api.example.com/v1?key=sk-abc", "query"),
            ("https://api.example.com/v1#x", "query or a fragment"),
            ("http://api.example.com/v1", "without TLS"),
            // Names that only look like this machine.
            ("http://127.0.0.1.example.com/v1", "without TLS"),
            ("http://localhost.example.com/v1", "without TLS"),
        ] {
            let refused = Upstream::parse(text, false).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
            assert!(!refused.contains("sk-abc") || why == "query", "{refused}");
        }
    }

    #[test]
    fn every_request_stays_below_the_base() {
        let base = Upstream::parse("https://api.example.com/v1/", false).unwrap();
        let at = |path, query| base.at(&Target { path, query }).map(String::from);
        assert_eq!(
            at("/chat/completions", None).as_deref(),
            Some("https://api.example.com/v1/chat/completions")
        );
        assert_eq!(
            at("/x", Some("a=1&b=%2F")).as_deref(),
            Some("https://api.example.com/v1/x?a=1&b=%2F")
        );
        assert_eq!(at("", None).as_deref(), Some("https://api.example.com/v1"));
        // `target.rs` refuses all of these; so does this.
        for bad in ["/../admin", "/%2e%2e/admin", "/a\\..\\..\\b", "/./x"] {
            assert_eq!(at(bad, None), None, "{bad}");
        }
        let root = Upstream::parse("https://api.example.com", false).unwrap();
        let asked = root.at(&Target {
            path: "//evil.example/x",
            query: None,
        });
        assert!(asked.is_none_or(|url| url.host_str() == Some("api.example.com")));
    }
}
