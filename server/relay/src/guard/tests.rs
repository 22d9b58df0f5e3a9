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
