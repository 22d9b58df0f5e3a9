//! Files that exist in several encodings: which one a request gets, and whether the client has it
//! already.

use crate::failure::Failure;
use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, Encoding, EntityTag, Header as _, IfNoneMatch,
    Preference, Quality,
};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// The encodings with which files are compressed when they are built, preferred first, each with
/// the ending of the compressed copy's name: `page.html.br` beside `page.html`.
pub(super) const COMPRESSED: [(ContentEncoding, &str); 2] = [
    (ContentEncoding::Brotli, "br"),
    (ContentEncoding::Gzip, "gz"),
];

/// Chooses among the forms of a file that are `there`, the preferred one first, by the request's `Accept-Encoding` (RFC 9110,
/// section 12.5.3). A request without that header gets the file as it is.
///
/// # Errors
/// [`Failure::NotAcceptable`] where the request excludes all of them.
pub(super) fn negotiate<T>(
    request: &HttpRequest,
    there: impl IntoIterator<Item = (ContentEncoding, T)>,
) -> Result<(ContentEncoding, T), Failure> {
    // A header that cannot be read accepts nothing in particular.
    let accepted = AcceptEncoding::parse(request).unwrap_or(AcceptEncoding(Vec::new()));
    // Not the header type's own `negotiate`, which overlooks that `*` accepts encodings too.
    let best = there
        .into_iter()
        .map(|form| (quality(&accepted, form.0), form))
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.filter(|(quality, _)| *quality > Quality::ZERO)
        .map(|(_, form)| form)
        .ok_or_else(|| {
            Failure::NotAcceptable("accept one of the encodings br, gzip and identity".to_owned())
        })
}

/// Size in bytes below which compression gains nothing.
const WORTH_IT: usize = 1024;

/// An answer with `body`, which is compressed where the client takes gzip: tasks and records hold long lists of numbers in
/// base64, a quarter of which is air.
///
/// # Errors
/// [`Failure::NotAcceptable`] where the request excludes both forms.
pub(super) fn answer(
    request: &HttpRequest,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<HttpResponse, Failure> {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(content_type)
        .insert_header((header::VARY, "Accept-Encoding"));
    if body.len() < WORTH_IT {
        return Ok(answer.body(body));
    }
    let forms = [(ContentEncoding::Gzip, ()), (ContentEncoding::Identity, ())];
    let (ContentEncoding::Gzip, ()) = negotiate(request, forms)? else {
        return Ok(answer.body(body));
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::default());
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    Ok(match packed {
        Ok(packed) => answer.insert_header(ContentEncoding::Gzip).body(packed),
        // Writing to memory does not fail; if it did, the plain form would do as well.
        Err(_) => answer.body(body),
    })
}

/// The quality that a request gives an encoding; zero if it excludes it.
fn quality(accepted: &AcceptEncoding, encoding: ContentEncoding) -> Quality {
    let find = |wanted: &Preference<Encoding>| {
        let found = accepted.iter().find(|entry| entry.item == *wanted);
        found.map(|entry| entry.quality)
    };
    find(&Preference::Specific(Encoding::Known(encoding)))
        .or_else(|| find(&Preference::Any))
        .unwrap_or(match encoding {
            // Accepted unless it is excluded, after everything that is named.
            ContentEncoding::Identity => Quality::MIN,
            _ => Quality::ZERO,
        })
}

/// Whether the request says with `If-None-Match` that it has the content of `tag`.
pub(super) fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentEncoding::{Brotli, Gzip, Identity};
    use actix_web::test::TestRequest;

    fn chosen(accept: Option<&str>, there: &[ContentEncoding]) -> Option<ContentEncoding> {
        let mut request = TestRequest::default();
        if let Some(accept) = accept {
            request = request.insert_header((header::ACCEPT_ENCODING, accept));
        }
        let there = there.iter().map(|encoding| (*encoding, ()));
        let (encoding, ()) = negotiate(&request.to_http_request(), there).ok()?;
        Some(encoding)
    }

    #[test]
    fn the_most_welcome_encoding_is_chosen_and_brotli_where_several_are() {
        let all = [Brotli, Gzip, Identity];
        for (accept, wanted) in [
            (None, Some(Identity)),
            (Some(""), Some(Identity)),
            (Some("gzip, deflate, br, zstd"), Some(Brotli)),
            (Some("gzip"), Some(Gzip)),
            (Some("br;q=0.5, gzip;q=0.8"), Some(Gzip)),
            (Some("br;q=0.1"), Some(Brotli)),
            (Some("br;q=0, gzip;q=0"), Some(Identity)),
            (Some("gzip;q=0.5, identity"), Some(Identity)),
            (Some("deflate, zstd"), Some(Identity)),
            (Some("*"), Some(Brotli)),
            (Some("br;q=0, *"), Some(Gzip)),
            (Some("identity;q=0, *;q=0.1"), Some(Brotli)),
            (Some("*;q=0"), None),
            (Some("identity;q=0"), None),
            (Some("identity;q=0, gzip"), Some(Gzip)),
        ] {
            assert_eq!(chosen(accept, &all), wanted, "{accept:?}");
        }
        assert_eq!(chosen(Some("br, gzip"), &[Identity]), Some(Identity));
        assert_eq!(chosen(Some("br, identity;q=0"), &[Identity]), None);
    }

    #[test]
    fn tags_are_compared_as_caches_send_them() {
        let tag = EntityTag::new_strong("abc".to_owned());
        let knows = |sent: &str| {
            let request = TestRequest::default().insert_header((header::IF_NONE_MATCH, sent));
            is_known(&request.to_http_request(), &tag)
        };
        // A proxy that compresses makes a tag weak, and a cache with several copies sends several.
        for sent in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert!(knows(sent), "{sent}");
        }
        for sent in ["\"abd\"", "abc", ""] {
            assert!(!knows(sent), "{sent}");
        }
        assert!(!is_known(&TestRequest::default().to_http_request(), &tag));
    }
}
