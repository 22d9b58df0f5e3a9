//! The target of a request, `/TOKEN/path?query`, taken apart without interpretation.

use actix_web::http::Uri;

/// Maximum length of path and query together, in bytes.
const LONGEST: usize = 4096;

/// The part of a request's path after the token, and its query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The path: empty, or with a slash at its beginning. It has nothing in it that could mean
    /// another place.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
}

/// Splits a request's path into the first segment, which should be the token, and the rest.
///
/// # Errors
/// What is wrong with the rest. It is refused and never corrected, because what two readers correct
/// differently leads elsewhere than it seems.
pub fn split(uri: &Uri) -> Result<(&str, Result<Target<'_>, &'static str>), &'static str> {
    if uri.authority().is_some() || uri.scheme().is_some() {
        return Err("the request names a server: this is a relay, not a proxy");
    }
    let path = uri.path().strip_prefix('/').ok_or("the path is none")?;
    let (token, rest) = match path.find('/') {
        Some(end) => (&path[..end], &path[end..]),
        None => (path, ""),
    };
    let query = uri.query();
    let target = Target { path: rest, query };
    let long = rest.len() + query.map_or(0, str::len) > LONGEST;
    let checked = if long {
        Err("the path is too long")
    } else {
        check(rest).map(|()| target)
    };
    Ok((token, checked))
}

fn check(path: &str) -> Result<(), &'static str> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err("the path has an empty segment");
        }
        let bytes = decoded(segment).ok_or("the path has a percent sign that encodes nothing")?;
        if bytes == b"." || bytes == b".." {
            return Err("the path has a segment of dots");
        }
        // A second decoding by the next server must not find anything new.
        if bytes
            .iter()
            .any(|&b| b < 0x20 || b == 0x7f || b"/\\%?#".contains(&b))
        {
            return Err(
                "the path has an encoded character that separates paths, or none that can be seen",
            );
        }
    }
    Ok(())
}

/// Undoes percent-encoding once.
fn decoded(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut out = Vec::with_capacity(segment.len());
    let digit = |byte: u8| (byte as char).to_digit(16).map(|d| d as u8);
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
        } else {
            byte
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Option<(String, Option<String>)> {
        let uri: Uri = text.parse().ok()?;
        let (token, target) = split(&uri).ok()?;
        assert_eq!(token, "TOKEN", "{text}");
        let target = target.ok()?;
        Some((target.path.to_owned(), target.query.map(str::to_owned)))
    }

    #[test]
    fn takes_the_token_off() {
        let expect = |text: &str, path: &str, query: Option<&str>| {
            assert_eq!(
                target(text),
                Some((path.to_owned(), query.map(str::to_owned))),
                "{text}"
            );
        };
        expect("/TOKEN", "", None);
        expect("/TOKEN/", "/", None);
        expect(
            "/TOKEN/v2/models/a%20b/infer",
            "/v2/models/a%20b/infer",
            None,
        );
        expect(
            "/TOKEN/x?api-version=1%2F2",
            "/x",
            Some("api-version=1%2F2"),
        );
        expect(
            "/TOKEN/models/org/name.v1-2_3~4",
            "/models/org/name.v1-2_3~4",
            None,
        );
        expect("/TOKEN/a..b/.c/...", "/a..b/.c/...", None);
    }

    #[test]
    fn refuses_whatever_could_lead_elsewhere() {
        for bad in [
            "/TOKEN/../x",
            "/TOKEN/a/..",
            "/TOKEN/./x",
            "/TOKEN/%2e%2e/x",
            "/TOKEN/.%2E/x",
            "/TOKEN/%2E/x",
            "/TOKEN//evil.example/x",
            "/TOKEN/a//b",
            "/TOKEN/a%2fb",
            "/TOKEN/a%2Fb",
            "/TOKEN/a%5cb",
            "/TOKEN/%252e%252e/x",
            "/TOKEN/a%00",
            "/TOKEN/a%0d%0aHost:evil",
            "/TOKEN/a%",
            "/TOKEN/a%2",
            "/TOKEN/a%zz",
            "/TOKEN/a%3fb",
            "/TOKEN/a%23b",
        ] {
            assert_eq!(target(bad), None, "{bad}");
        }
        assert_eq!(target(&format!("/TOKEN/{}", "a".repeat(LONGEST))), None);
        for other in ["http://evil.example/TOKEN/x", "https://127.0.0.1/TOKEN/x"] {
            assert!(split(&other.parse().unwrap()).is_err(), "{other}");
        }
    }

    #[test]
    fn only_the_first_segment_is_the_token() {
        let uri: Uri = "/x/TOKEN/y".parse().unwrap();
        assert_eq!(split(&uri).unwrap().0, "x");
        let uri: Uri = "/".parse().unwrap();
        assert_eq!(split(&uri).unwrap().0, "");
    }
}
