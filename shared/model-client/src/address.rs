//! Addresses of model APIs, as task files name them.

use ground::fault::Reader;

/// Reads `url`: an http(s) address without a slash at its end.
pub fn read_url(r: &mut Reader<'_>) -> String {
    let url = r.text("url", None).trim_end_matches('/').to_owned();
    if r.has("url") && origin_of(&url).is_none() {
        r.fault(
            "url",
            "must be an http:// or https:// address with a host, such as http://127.0.0.1:8701",
        );
    }
    // People are shown commands with this address in them, so it may hold nothing that a shell
    // would interpret.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%:@[]+,=".contains(c);
    if !url.chars().all(plain) {
        r.fault(
            "url",
            "may hold letters, digits and - . _ ~ / % : @ [ ] + , = only, without a query or fragment",
        );
    }
    url
}

/// The origin `scheme://host[:port]` of an http(s) address; `None` for anything else. It is
/// deliberately small: the browser and the native client parse the whole address again with
/// libraries.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_at_checked(url.find("://")?)?;
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let authority = rest[3..].split(['/', '?', '#']).next()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let has_host =
        !authority.is_empty() && !authority.starts_with(':') && authority.chars().all(allowed);
    has_host.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}
