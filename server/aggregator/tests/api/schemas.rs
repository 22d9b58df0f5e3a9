//! What the OpenAPI document says of answers, against real ones.

use crate::support::*;
use federation::round::messages::Enrolment;
use reqwest::Response;
use serde_json::{Value, json};

/// A document with its faults so far.
struct Checked {
    document: Value,
    faults: Vec<String>,
}

impl Checked {
    fn schema(&self, name: &str) -> &Value {
        &self.document["components"]["schemas"][name]
    }

    /// Notes where `value`, found at `place`, is not what `schema` says. An object may hold nothing that its schema does
    /// not know.
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
    async fn answer(&mut self, method: &str, path: &str, response: Response) {
        let operation = &self.document["paths"][path][method];
        let status = response.status().as_u16().to_string();
        let answers = &operation["responses"];
        let answer = answers.get(&status).unwrap_or(&answers["default"]);
        let content = answer["content"].as_object().unwrap();
        let schema = content.values().next().unwrap()["schema"].clone();
        assert!(schema.is_object(), "{method} {path} {status}: {operation}");
        let value: Value = response.json().await.unwrap();
        self.check(&schema, &value, &format!("{method} {path} {status}"));
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

    // What a participant sends, too.
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
    // And the check notices what does not fit.
    let mut wrong = serde_json::to_value(&view).unwrap();
    wrong["phase"] = json!("elsewhere");
    wrong["step"] = json!("one");
    wrong["more"] = json!(1);
    let schema = checked.schema("RoundView").clone();
    checked.check(&schema, &wrong, "view");
    assert_eq!(checked.faults.len(), 3, "{:#?}", checked.faults);
    server.stop().await;
}
