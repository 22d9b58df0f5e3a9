//! The headers of every answer.

use crate::support::*;
use reqwest::{Method, Response};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[track_caller]
fn check(what: &str, response: &Response) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        // Without TLS the header would mean nothing.
        ("strict-transport-security", ""),
    ] {
        assert_eq!(header(response, name), value, "{what}: {name}");
    }
    let policy = header(response, "content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{what}: {policy}");
    assert!(
        policy.contains("frame-ancestors 'none'"),
        "{what}: {policy}"
    );
}

#[tokio::test]
async fn every_answer_is_confined_and_private_ones_are_not_kept() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let invite = api.create(task(1, 1)).await;
    let member = api.join(&invite).await;
    let routes = api.documented().await;
    // Leaving comes last, and closing before it: the others want to be answered.
    let late = |path: &str| path.ends_with("/close") || path.ends_with("/me");
    let (last, first): (Vec<_>, Vec<_>) = routes.iter().partition(|r| late(&r.path));
    let mut successes = 0;
    for route in first.into_iter().chain(last) {
        let what = format!("{} {}", route.method, route.path);
        let mut request = route.request(&member);
        if route.path.ends_with("/participants") {
            request = request.json(&serde_json::json!({ "invite": invite.invite }));
        } else if route.path.ends_with("/enrol") {
            let theta = api.detail(&invite.federation).await.current.theta;
            request = request.json(&serde_json::json!({ "theta": theta }));
        }
        let answered = request.send().await.unwrap();
        successes += u32::from(answered.status().is_success());
        let anonymous = api.request(route.method.clone(), &route.path);
        for response in [answered, anonymous.send().await.unwrap()] {
            check(&what, &response);
            let private = !route.caller.is_empty() || route.path.ends_with("/participants");
            let kept = header(&response, "cache-control");
            assert!(!private || kept == "no-store", "{what}: {kept}");
            // Nothing sets a cookie.
            assert!(!response.headers().contains_key("set-cookie"), "{what}");
        }
    }
    assert!(successes > 12, "only {successes} were not refusals");
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/organiser"),
        (Method::GET, "/nothing"),
        (Method::PUT, "/v1/federations"),
        (Method::OPTIONS, "/v1/federations"),
        (Method::GET, "/v1/federations/none/round?after=soon"),
    ] {
        let response = api.request(method, path).send().await.unwrap();
        check(path, &response);
    }
    server.stop().await;
}
