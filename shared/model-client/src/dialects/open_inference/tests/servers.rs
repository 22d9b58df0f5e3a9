//! Other servers of the protocol, from the documentation and answers that are recorded in
//! `vectors/open_inference_servers.json`. (`cargo xtask interop` checks MLServer and Triton
//! themselves.)

use serde_json::{Value, json};

use crate::{ModelApiError, ModelSpec, Response, dialect};

fn recorded(part: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../../vectors/open_inference_servers.json"
    ))
    .unwrap();
    let part = vectors[part].as_array().unwrap().clone();
    assert!(part.len() > 2);
    part
}

/// A model section of a task that fits what is recorded.
fn spec(input: &str, output: &Value, classes: &Value, each: &Value) -> ModelSpec {
    let flag = |name: &str| each[name].as_bool().unwrap_or(false);
    let or = |name: &str, other: Value| match &each[name] {
        Value::Null => other,
        stated => stated.clone(),
    };
    let spec = json!({
        "dialect": "open-inference", "url": "http://127.0.0.1:8000", "name": "model",
        "input": {
            "name": input, "datatype": "FP32", "layout": or("layout", json!("nchw")),
            "height": or("height", json!(1)), "width": or("width", json!(1)),
            "sent": { "grey": each["channels"] == 1, "flat": flag("flat"), "unbatched": flag("unbatched") },
        },
        "output": { "name": output, "kind": "logits", "classes": classes },
    });
    serde_json::from_value(spec).unwrap()
}

fn response<'a>(status: u16, headers: &'a [(String, String)], body: &'a [u8]) -> Response<'a> {
    Response {
        status,
        headers,
        body,
    }
}

#[test]
fn their_descriptions_fit_a_task_of_the_same_form_and_no_other() {
    for each in recorded("metadata") {
        let body = &each["body"];
        let named = |list: &str| body[list][0]["name"].as_str().unwrap_or("image").to_owned();
        let output = match &each["output"] {
            Value::Null => json!(named("outputs")),
            stated => stated.clone(),
        };
        let good = spec(&named("inputs"), &output, &each["classes"], &each);
        let text = body.to_string();
        let check = |spec: &ModelSpec| {
            let response = response(200, &[], text.as_bytes());
            dialect(spec).unwrap().check_description(&response)
        };
        let described = check(&good).unwrap_or_else(|error| panic!("{each}: {error}"));
        let stated = each["max_batch"].as_u64().map(|most| most as usize);
        assert_eq!(described.max_batch, stated, "{each}");
        assert_eq!(described.platform, body["platform"].as_str().unwrap());
        // A server that states nothing is believed.
        if body["inputs"] == json!([]) {
            continue;
        }
        if good.input.sent.unbatched {
            let mut batched = good.clone();
            batched.input.sent.unbatched = false;
            let refused = check(&batched).unwrap_err().to_string();
            assert!(refused.contains("input.unbatched = true"), "{refused}");
        }
        let mut wide = good.clone();
        wide.input.width += 1;
        let mut coloured = good.clone();
        coloured.input.sent.grey = !good.input.sent.grey;
        let mut more = good.clone();
        more.output.classes += 1;
        for wrong in [wide, coloured, more] {
            let refused = check(&wrong);
            assert!(
                matches!(refused, Err(ModelApiError::Disagrees { .. })),
                "{each}: {refused:?}"
            );
        }
    }
}

#[test]
fn a_configuration_says_how_large_a_batch_may_be() {
    for each in recorded("configs") {
        let dialect = dialect(&spec("image", &json!("logits"), &json!(10), &each)).unwrap();
        let asked = dialect.limit_request().unwrap();
        assert_eq!(asked.path, "/v2/models/model/config");
        let (status, body) = (each["status"].as_u64().unwrap(), each["body"].to_string());
        let found = dialect.limit(&response(status as u16, &[], body.as_bytes()));
        assert_eq!(json!(found), each["max_batch"], "{each}");
    }
    let dialect = dialect(&spec("image", &json!("logits"), &json!(10), &json!({}))).unwrap();
    for body in [
        "",
        "[]",
        r#"{"max_batch_size":"8"}"#,
        r#"{"max_batch_size":-1}"#,
    ] {
        assert_eq!(dialect.limit(&response(200, &[], body.as_bytes())), None);
    }
}

#[test]
fn their_answers_are_read() {
    for each in recorded("answers") {
        let mut body = each["header"].to_string().into_bytes();
        let mut headers = Vec::new();
        if let Some(hex) = each["binary"].as_str() {
            let length = body.len().to_string();
            headers.push(("inference-header-content-length".to_owned(), length));
            let pairs = hex.as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).unwrap();
                u8::from_str_radix(pair, 16).unwrap()
            });
            body.extend(pairs);
        }
        let spec = spec("image", &each["output"], &each["classes"], &each);
        let batch = each["batch"].as_u64().unwrap() as usize;
        let scores = dialect(&spec)
            .unwrap()
            .parse(&response(200, &headers, &body), batch)
            .unwrap_or_else(|error| panic!("{each}: {error}"));
        let expected: Vec<f32> = serde_json::from_value(each["scores"].clone()).unwrap();
        let found: Vec<f32> = (0..batch)
            .flat_map(|row| scores.row(row).to_vec())
            .collect();
        assert_eq!(found, expected, "{each}");
    }
}

#[test]
fn their_refusals_are_understood() {
    for each in recorded("refusals") {
        let body = match each["text"].as_str() {
            Some(text) => text.to_owned(),
            None => each["body"].to_string(),
        };
        let spec = spec("image", &json!("predict_proba"), &json!(10), &each);
        let status = each["status"].as_u64().unwrap() as u16;
        let error = dialect(&spec)
            .unwrap()
            .parse(&response(status, &[], body.as_bytes()), 1)
            .unwrap_err();
        let is = match error {
            ModelApiError::NotFound { .. } => "not_found",
            ModelApiError::BadRequest { .. } => "bad_request",
            ModelApiError::TooLarge { .. } => "too_large",
            ModelApiError::ServerError { .. } => "server_error",
            ModelApiError::NotThisProtocol { .. } => "not_this_protocol",
            other => panic!("{each}: {other}"),
        };
        assert_eq!(is, each["is"].as_str().unwrap(), "{each}");
    }
}
