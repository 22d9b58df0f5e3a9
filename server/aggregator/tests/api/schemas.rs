//! Compares the OpenAPI document with real answers.

use crate::support::*;
use federation::round::messages::Enrolment;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A document with its faults so far.
struct Checked {
    document: Value,
    faults: Vec<String>,
    /// Methods and paths whose answers were seen, and whether they were refusals.
    seen: BTreeSet<(String, String, bool)>,
}

impl Checked {
    fn schema(&self, name: &str) -> &Value {
        &self.document["components"]["schemas"][name]
    }

    /// Notes where `value`, found at `place`, does not match `schema`. An object may contain
    /// nothing that its schema does not have.
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.trim_start_matches('#');
            let schema = self.document.pointer(pointer).cloned();
            return self.check(&schema.expect(reference), value, place);
        }
        if let Some(any) = schema.get("anyOf").or(schema.get("oneOf")) {
            let fits = |one: &Value| {
                let mut alone = Self {
                    document: self.document.clone(),
                    faults: Vec::new(),
                    seen: BTreeSet::new(),
                };
                alone.check(one, value, place);
                alone.faults.is_empty()
            };
            if !any.as_array().unwrap().iter().any(fits) {
                self.faults
                    .push(format!("{place}: {value} is none of {any}"));
            }
            return;
        }
        let is = |kind: &Value| match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("{other}"),
        };
        let right = match &schema["type"] {
            Value::Null => true,
            Value::Array(kinds) => kinds.iter().any(is),
            kind => is(kind),
        };
        let listed = schema["enum"].as_array();
        let listed = listed.is_none_or(|all| all.contains(value));
        let constant = schema.get("const").is_none_or(|one| one == value);
        if !(right && listed && constant) {
            self.faults
                .push(format!("{place}: {value} is not {schema}"));
        }
        if let (Some(known), Some(members)) = (schema["properties"].as_object(), value.as_object())
        {
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap();
                if !members.contains_key(name) {
                    self.faults.push(format!("{place}: {name} is missing"));
                }
            }
            for (name, member) in members {
                let place = format!("{place}.{name}");
                match known.get(name) {
                    Some(schema) => self.check(schema, member, &place),
                    None => self.faults.push(format!("{place} is not in the schema")),
                }
            }
        }
        for member in value.as_array().into_iter().flatten() {
            self.check(&schema["items"], member, place);
        }
    }

    /// The answer to a request of this kind.
    async fn answer(&mut self, method: &str, path: &str, mut response: Response) {
        let operation = &self.document["paths"][path][method];
        let status = response.status();
        let place = format!("{method} {path} {}", status.as_u16());
        let answers = &operation["responses"];
        let stated = answers.get(status.as_str());
        // A success is one that the document names.
        assert!(stated.is_some() || !status.is_success(), "{place}");
        let answer = stated.unwrap_or(&answers["default"]);
        self.seen
            .insert((method.to_owned(), path.to_owned(), !status.is_success()));
        let Some(content) = answer["content"].as_object() else {
            assert_eq!(response.bytes().await.unwrap().len(), 0, "{place}");
            return;
        };
        let kind = response.headers()["content-type"].to_str().unwrap();
        let kind = kind.split(';').next().unwrap().to_owned();
        let schema = content.get(&kind).map(|content| content["schema"].clone());
        let schema = schema.unwrap_or_else(|| panic!("{place}: {kind} is not in {answer}"));
        // The document itself may be any JSON; everything else has a form.
        let any = schema == true && path == "/v1/openapi.json";
        assert!(schema.is_object() || any, "{place}: {operation}");
        let value = match &*kind {
            "text/event-stream" => {
                let mut text = String::new();
                while !text.contains("\n\n") {
                    let chunk = response.chunk().await.unwrap().expect("the stream ended");
                    text += std::str::from_utf8(&chunk).unwrap();
                }
                let data = text.lines().find_map(|line| line.strip_prefix("data:"));
                serde_json::from_str(data.unwrap()).unwrap()
            }
            json if json.ends_with("json") => response.json().await.unwrap(),
            // Text and binary: a string to the schema.
            _ => json!(String::from_utf8_lossy(&response.bytes().await.unwrap())),
        };
        self.check(&schema, &value, &place);
    }
}

#[tokio::test]
async fn real_answers_are_what_the_document_says() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let document = api.get("/v1/openapi.json").send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut checked = Checked {
        document,
        faults: Vec::new(),
        seen: BTreeSet::new(),
    };
    let invite = api.create(task(2, 2)).await;
    let id = &invite.federation;
    let members = api.members(&invite, 2).await;
    for member in &members {
        member.enrol().await;
    }
    for member in &members {
        member.deliver(0.5, 3).await;
    }
    let view = members[0].view().await;
    assert_eq!(view.step, 1);
    for path in ["/v1/health", "/v1/federations"] {
        let response = api.get(path).send().await.unwrap();
        checked.answer("get", path, response).await;
    }
    let of_federation = "/v1/federations/{federation}";
    for member_path in ["", "/invites"] {
        let path = format!("{of_federation}{member_path}");
        let request = api
            .get(&path.replace("{federation}", id))
            .bearer_auth(ADMIN);
        checked
            .answer("get", &path, request.send().await.unwrap())
            .await;
        let nowhere = api
            .get(&path.replace("{federation}", "none"))
            .bearer_auth(ADMIN);
        checked
            .answer("get", &path, nowhere.send().await.unwrap())
            .await;
    }
    let made = api.try_invite(id, json!({ "uses": 1 })).await;
    assert_eq!(made.status(), 201);
    let path = format!("{of_federation}/invites");
    checked.answer("post", &path, made).await;
    let joined = api.try_join(id, &invite.invite).await;
    let path = format!("{of_federation}/participants");
    checked.answer("post", &path, joined).await;
    let waits = Enrolment {
        theta: view.theta.clone(),
        waits: true,
    };
    let refused = members[0].try_enrolment(view.round + 1, &waits).await;
    let path = format!("{of_federation}/rounds/{{round}}/enrol");
    checked.answer("post", &path, refused).await;
    let enrolled = members[0].try_enrol(view.round, &view.theta).await;
    checked.answer("post", &path, enrolled).await;
    let faulty = json!({ "task": { "name": 3 } });
    let faulty = api.post("/v1/federations").bearer_auth(ADMIN).json(&faulty);
    let response = faulty.send().await.unwrap();
    assert_eq!(response.status(), 422);
    checked.answer("post", "/v1/federations", response).await;
    assert!(checked.faults.is_empty(), "{:#?}", checked.faults);

    // The same for what a participant sends.
    let enrolment = checked.schema("Enrolment").clone();
    assert_eq!(enrolment["properties"]["waits"]["type"], "boolean");
    assert_eq!(enrolment["required"], json!(["theta"]));
    checked.check(&enrolment, &serde_json::to_value(&waits).unwrap(), "waits");
    assert!(checked.faults.is_empty(), "{:#?}", checked.faults);
    let schemas = checked.document["components"]["schemas"].as_object();
    for (name, schema) in schemas.unwrap() {
        let empty = schema["type"] == "object" && schema["properties"].as_object().is_none();
        assert!(!empty, "{name} says nothing");
    }
    // The comparison notices a mismatch.
    let mut wrong = serde_json::to_value(&view).unwrap();
    wrong["phase"] = json!("elsewhere");
    wrong["step"] = json!("one");
    wrong["more"] = json!(1);
    let schema = checked.schema("RoundView").clone();
    checked.check(&schema, &wrong, "view");
    assert_eq!(checked.faults.len(), 3, "{:#?}", checked.faults);
    server.stop().await;
}

/// Of these there is no refusal of their own: they take nothing and serve anyone.
const NEVER_REFUSED: [&str; 5] = [
    "/v1/health",
    "/healthz",
    "/v1/openapi.json",
    "/metrics",
    "/v1/federations",
];

/// Only a federation with secure sums answers it otherwise than with a refusal; its players read every answer as the
/// types from which the schemas are derived.
const SUM: &str = "/v1/federations/{federation}/rounds/{round}/sum";

#[tokio::test]
async fn every_endpoint_answers_what_the_document_says() {
    let (_home, server) = Server::fresh().await;
    let api = &server.api;
    let document = api.get("/v1/openapi.json").send().await.unwrap();
    let mut checked = Checked {
        document: document.json().await.unwrap(),
        faults: Vec::new(),
        seen: BTreeSet::new(),
    };
    let endpoints = api.documented().await;
    assert!(endpoints.len() > 20);

    // Without a token, of a federation that there is not, and with nothing in the body.
    for endpoint in &endpoints {
        let path = endpoint
            .path
            .replace("{federation}", "none")
            .replace("{round}", "0")
            .replace("{invite}", "none");
        if endpoint.method == Method::GET && NEVER_REFUSED.contains(&&*path) {
            continue;
        }
        let response = api.request(endpoint.method.clone(), &path).send().await;
        let method = endpoint.method.as_str().to_lowercase();
        let response = response.unwrap();
        assert!(response.status().is_client_error(), "{method} {path}");
        checked.answer(&method, &endpoint.path, response).await;
    }

    let made = api
        .post("/v1/federations")
        .bearer_auth(ADMIN)
        .json(&json!({ "task": task(2, 2) }));
    let made = made.send().await.unwrap();
    checked.answer("post", "/v1/federations", made).await;
    let invite = api.create(task(2, 2)).await;
    let id = &invite.federation;
    for path in NEVER_REFUSED {
        checked
            .answer("get", path, api.get(path).send().await.unwrap())
            .await;
    }
    let of = |rest: &str| format!("/v1/federations/{{federation}}{rest}");
    let as_anyone = |rest: &str| api.get(&format!("/v1/federations/{id}{rest}"));
    let joined = api.try_join(id, &invite.invite).await;
    checked.answer("post", &of("/participants"), joined).await;
    for rest in ["", "/theta", "/record", "/generator", "/events"] {
        let response = as_anyone(rest).send().await.unwrap();
        checked.answer("get", &of(rest), response).await;
    }

    let made = api.try_invite(id, json!({ "uses": 1 })).await;
    checked.answer("post", &of("/invites"), made).await;
    let listed = as_anyone("/invites").bearer_auth(ADMIN).send().await;
    checked
        .answer("get", &of("/invites"), listed.unwrap())
        .await;
    let revoked = api.invites(id).await.remove(0).id;
    let revoked = api.revoke(id, &revoked).await;
    checked
        .answer("delete", &of("/invites/{invite}"), revoked)
        .await;
    let check = api.get("/v1/admin/check").bearer_auth(ADMIN).send().await;
    checked
        .answer("get", "/v1/admin/check", check.unwrap())
        .await;

    let members = api.members(&invite, 2).await;
    let round = members[0].request(Method::GET, "round").send().await;
    checked.answer("get", &of("/round"), round.unwrap()).await;
    for member in &members {
        let view = member.view().await;
        let enrolled = member.try_enrol(view.round, &view.theta).await;
        checked
            .answer("post", &of("/rounds/{round}/enrol"), enrolled)
            .await;
    }
    let view = members[0].view().await;
    let sent = members[0].send(&update(&view, 0.5, 3)).await;
    checked
        .answer("post", &of("/rounds/{round}/update"), sent)
        .await;
    let alive = members[0].request(Method::POST, "heartbeat").send().await;
    checked
        .answer("post", &of("/heartbeat"), alive.unwrap())
        .await;
    let left = members[1].request(Method::DELETE, "participants/me");
    let left = left.send().await.unwrap();
    checked
        .answer("delete", &of("/participants/me"), left)
        .await;
    let closed = api.post(&format!("/v1/federations/{id}/close"));
    let closed = closed.bearer_auth(ADMIN).send().await.unwrap();
    checked.answer("post", &of("/close"), closed).await;

    assert!(checked.faults.is_empty(), "{:#?}", checked.faults);
    for endpoint in &endpoints {
        let (method, path) = (endpoint.method.as_str().to_lowercase(), &endpoint.path);
        let seen = |refused| {
            checked
                .seen
                .contains(&(method.clone(), path.clone(), refused))
        };
        assert!(
            seen(false) || path == SUM,
            "{method} {path}: no answer was checked"
        );
        let never = method == "get" && NEVER_REFUSED.contains(&&**path);
        assert!(
            seen(true) || never,
            "{method} {path}: no refusal was checked"
        );
    }
    server.stop().await;
}
