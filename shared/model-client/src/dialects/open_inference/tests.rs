use ground::hex::hex;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Calls, OutputKind, OutputSpec, Own, Retry, Sent, dialect};

/// Two images of 1×2 pixels, three classes.
fn spec() -> ModelSpec {
    ModelSpec {
        dialect: "open-inference".into(),
        url: "http://127.0.0.1:8701".into(),
        name: "tiny".into(),
        input: InputSpec {
            name: "image".into(),
            datatype: Datatype::Uint8,
            layout: Layout::Nchw,
            height: 1,
            width: 2,
            low: 0.0,
            high: 1.0,
            sent: Sent::default(),
        },
        output: OutputSpec {
            name: "logits".into(),
            kind: OutputKind::Logits,
            classes: 3,
            words: Vec::new(),
        },
        version: String::new(),
        calls: Calls::default(),
        price: None,
        own: Own::default(),
    }
}

fn parse_as(
    spec: &ModelSpec,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Scores, ModelApiError> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect();
    let response = Response {
        status,
        headers: &headers,
        body,
    };
    dialect(spec).unwrap().parse(&response, 2)
}

fn parse(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<Scores, ModelApiError> {
    parse_as(&spec(), status, headers, body)
}

fn json_answer(output: Value) -> Result<Scores, ModelApiError> {
    parse(
        200,
        &[],
        json!({ "outputs": [output] }).to_string().as_bytes(),
    )
}

/// A binary answer of six floats: its JSON, and the bytes behind it.
fn binary_answer(values: &[f32]) -> (String, Vec<u8>) {
    let header = json!({ "outputs": [{
        "name": "logits", "datatype": "FP32", "shape": [2, 3],
        "parameters": { "binary_data_size": 4 * values.len() },
    }] });
    (
        header.to_string(),
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    )
}

const SIX: [f32; 6] = [1.5, -2.0, 0.25, 3.0, 1e-7, -1e7];

#[test]
fn a_request_holds_its_own_length_and_the_bytes() {
    let images: Vec<u8> = (0..12).collect();
    let request = dialect(&spec()).unwrap().infer_request(&images, 2).unwrap();
    assert_eq!(request.path, "/v2/models/tiny/infer");
    let (_, length) = request
        .headers
        .iter()
        .find(|(key, _)| key == HEADER_LENGTH)
        .unwrap();
    let (header, binary) = request.body.split_at(length.parse().unwrap());
    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!(header["inputs"][0]["shape"], json!([2, 3, 1, 2]));
    assert_eq!(header["inputs"][0]["parameters"]["binary_data_size"], 12);
    assert_eq!(header["parameters"]["binary_data_output"], true);
    assert_eq!(binary, images);
}

#[test]
fn channels_last_interleaves_and_floats_are_scaled() {
    let mut spec = spec();
    spec.input.layout = Layout::Nhwc;
    let images = [1, 2, 11, 12, 21, 22];
    let request = dialect(&spec).unwrap().infer_request(&images, 1).unwrap();
    assert!(request.body.ends_with(&[1, 11, 21, 2, 12, 22]));

    spec.input.datatype = Datatype::Fp32;
    (spec.input.low, spec.input.high) = (-1.0, 1.0);
    let request = dialect(&spec)
        .unwrap()
        .infer_request(&[0, 255, 51, 0, 0, 255], 1)
        .unwrap();
    let floats: Vec<u8> = [-1.0_f32, -0.6, -1.0, 1.0, -1.0, 1.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert!(request.body.ends_with(&floats), "{:?}", request.body);
}

#[test]
fn wrong_pixels_are_refused() {
    let dialect = dialect(&spec()).unwrap();
    for (length, count) in [(0, 0), (11, 2), (13, 2), (12, usize::MAX)] {
        let error = dialect.infer_request(&vec![0; length], count).unwrap_err();
        assert_eq!(error.code(), "model_wrong_pixels");
    }
}

#[test]
fn names_are_escaped() {
    let mut spec = spec();
    spec.name = "a/../b ü".into();
    assert_eq!(
        dialect(&spec).unwrap().describe_request().path,
        "/v2/models/a%2F..%2Fb%20%C3%BC"
    );
}

#[test]
fn binary_and_json_answers_are_the_same() {
    let (header, binary) = binary_answer(&SIX);
    let body = [header.as_bytes(), &binary].concat();
    let length = header.len().to_string();
    let scores = parse(200, &[(HEADER_LENGTH, &length)], &body).unwrap();
    assert_eq!(scores.values(), SIX);
    // What a browser sees if the server does not expose the header.
    assert_eq!(parse(200, &[], &body).unwrap(), scores);
    let tensor = |data: Value| json!({ "name": "logits", "datatype": "FP32", "shape": [2, 3], "data": data });
    assert_eq!(json_answer(tensor(json!(SIX))).unwrap(), scores);
    assert_eq!(
        json_answer(tensor(json!([SIX[..3], SIX[3..]]))).unwrap(),
        scores
    );
}

#[test]
fn other_outputs_and_widths_are_read_past() {
    let header = json!({ "outputs": [
        { "name": "features", "datatype": "FP32", "shape": [2, 1],
          "parameters": { "binary_data_size": 8 } },
        { "name": "logits", "datatype": "FP16", "shape": [2, 3, 1, 1],
          "parameters": { "binary_data_size": 12 } },
    ] });
    // 1, -2, 0.5, the smallest positive, 0, 65504
    let halves = [0x3c00_u16, 0xc000, 0x3800, 0x0001, 0x0000, 0x7bff];
    let mut body = header.to_string().into_bytes();
    body.extend([9; 8]);
    body.extend(halves.iter().flat_map(|bits| bits.to_le_bytes()));
    let expected = [1.0, -2.0, 0.5, 2_f32.powi(-24), 0.0, 65504.0];
    assert_eq!(parse(200, &[], &body).unwrap().values(), expected);
}

#[test]
fn damaged_answers_are_told_apart() {
    let (header, binary) = binary_answer(&SIX);
    let whole = [header.as_bytes(), &binary].concat();
    let length = header.len().to_string();
    let code =
        |headers: &[(&str, &str)], body: &[u8]| parse(200, headers, body).unwrap_err().code();
    for cut in 0..whole.len() {
        // Cut off anywhere, it gives no scores, and the task file is never blamed.
        assert_eq!(
            code(&[(HEADER_LENGTH, &length)], &whole[..cut]),
            "model_malformed",
            "{cut}"
        );
        let blind = code(&[], &whole[..cut]);
        let expected = if cut == 0 {
            "model_not_this_protocol"
        } else {
            "model_malformed"
        };
        assert!(
            blind == expected || blind == "model_malformed",
            "{cut}: {blind}"
        );
    }
    let trailing = [&whole[..], &[0]].concat();
    assert_eq!(
        code(&[(HEADER_LENGTH, &length)], &trailing),
        "model_malformed"
    );
    assert_eq!(code(&[], &trailing), "model_malformed");
    for bad in ["99999", "-1", "x", ""] {
        assert_eq!(
            code(&[(HEADER_LENGTH, bad)], &whole),
            "model_malformed",
            "{bad}"
        );
    }
    let overflow = r#"{"outputs":[{"name":"logits","datatype":"FP32","shape":[2,3],
        "parameters":{"binary_data_size":18446744073709551615}},{"name":"b","datatype":"FP32",
        "shape":[1],"parameters":{"binary_data_size":18446744073709551615}}]}"#;
    assert_eq!(code(&[], overflow.as_bytes()), "model_malformed");
    let damaged = parse(200, &[], &trailing).unwrap_err();
    assert_eq!(damaged.retry(), Retry::Safe { after_ms: None });
}

#[test]
fn wrong_shapes_types_and_names_are_named() {
    let tensor = |name: &str, datatype: &str, shape: Value, data: Value| {
        json_answer(json!({ "name": name, "datatype": datatype, "shape": shape, "data": data }))
            .unwrap_err()
    };
    let error = tensor("logits", "FP32", json!([3, 2]), json!(SIX));
    let shape = ModelApiError::WrongShape {
        expected: "[2, 3]".into(),
        got: "[3, 2]".into(),
    };
    assert_eq!(error, shape);
    assert_eq!(
        tensor("logits", "FP32", json!([2, 3]), json!([1.0])).code(),
        "model_malformed"
    );
    assert_eq!(
        tensor("logits", "INT64", json!([2, 3]), json!(SIX)).code(),
        "model_disagrees"
    );
    let error = tensor("softmax", "FP32", json!([2, 3]), json!(SIX));
    assert!(error.to_string().contains("`logits`") && error.to_string().contains("`softmax`"));
    let neither = json_answer(json!({ "name": "logits", "datatype": "FP32", "shape": [2, 3] }));
    assert_eq!(neither.unwrap_err().code(), "model_malformed");
}

#[test]
fn nan_is_found_in_every_form() {
    let (header, binary) = binary_answer(&[0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0]);
    let error = parse(200, &[], &[header.as_bytes(), &binary].concat()).unwrap_err();
    assert_eq!(error, ModelApiError::NotFinite { row: 1 });
    for word in ["NaN", "Infinity", "-Infinity", "null", "1e300"] {
        let body = format!(
            r#"{{"model_name":"NaN \" NaN","outputs":[{{"name":"logits","datatype":"FP32",
            "shape":[2,3],"data":[0,1,2,{word},4,5]}}]}}"#
        );
        let error = parse(200, &[], body.as_bytes()).unwrap_err();
        assert_eq!(error, ModelApiError::NotFinite { row: 1 }, "{word}");
    }
}

#[test]
fn words_that_are_not_json_do_not_shift_the_bytes_behind() {
    let body = [
        br#"{"outputs":[{"name":"b","datatype":"FP32","shape":[3],"data":[NaN,-Infinity,NaN]},
            {"name":"logits","datatype":"FP32","shape":[2,3],"parameters":{"binary_data_size":24}}]}"#,
        &SIX.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()[..],
    ]
    .concat();
    assert_eq!(parse(200, &[], &body).unwrap().values(), SIX);
}

#[test]
fn logits_are_not_taken_for_probabilities() {
    let mut spec = spec();
    spec.output.kind = OutputKind::Probabilities;
    let (header, binary) = binary_answer(&SIX);
    let body = [header.as_bytes(), &binary].concat();
    assert_eq!(
        parse_as(&spec, 200, &[], &body).unwrap_err().code(),
        "model_disagrees"
    );
    let (header, binary) = binary_answer(&[0.2, 0.8, 0.0, 1.0, 0.0, 0.0]);
    let body = [header.as_bytes(), &binary].concat();
    assert_eq!(parse_as(&spec, 200, &[], &body).unwrap().rows(), 2);
}

#[test]
fn statuses_say_what_to_do() {
    let busy = |value: &str| parse(429, &[("retry-after", value)], b"").unwrap_err();
    assert_eq!(
        busy("2"),
        ModelApiError::Busy {
            retry_after_ms: Some(2000)
        }
    );
    assert_eq!(
        busy("0.25"),
        ModelApiError::Busy {
            retry_after_ms: Some(250)
        }
    );
    assert_eq!(
        busy("99999999999999999999999"),
        ModelApiError::Busy {
            retry_after_ms: Some(3_600_000)
        }
    );
    for garbage in [
        "",
        "soon",
        "-1",
        "NaN",
        "inf",
        "1.2.3",
        "Wed, 21 Oct 2026 07:28:00 GMT",
    ] {
        assert_eq!(
            busy(garbage),
            ModelApiError::Busy {
                retry_after_ms: None
            },
            "{garbage}"
        );
    }
    assert_eq!(parse(503, &[], b"").unwrap_err().code(), "model_busy");
    assert_eq!(
        parse(401, &[], b"").unwrap_err(),
        ModelApiError::Unauthorized
    );
    assert_eq!(
        parse(403, &[], b"").unwrap_err(),
        ModelApiError::Unauthorized
    );
    let unknown = parse(404, &[], br#"{"error":"unknown model"}"#).unwrap_err();
    assert_eq!(
        unknown,
        ModelApiError::NotFound {
            model: "tiny".into()
        }
    );
    let refused = parse(400, &[], br#"{"error":"wrong\nshape"}"#).unwrap_err();
    assert_eq!(
        refused,
        ModelApiError::BadRequest {
            detail: "status 400, wrong shape".into()
        }
    );
    let failed = parse(500, &[], br#"{"detail":["a","b"]}"#).unwrap_err();
    assert_eq!(
        failed,
        ModelApiError::ServerError {
            status: 500,
            detail: r#"["a","b"]"#.into()
        }
    );
    assert_eq!(
        parse(302, &[], b"").unwrap_err().code(),
        "model_not_this_protocol"
    );
    // Some servers answer 200 with an error object.
    let error = parse(200, &[], br#"{"error":"out of memory"}"#).unwrap_err();
    assert_eq!(
        error,
        ModelApiError::BadRequest {
            detail: "out of memory".into()
        }
    );
}

#[test]
fn web_pages_are_recognised() {
    let page = b"\n<!DOCTYPE html><html><head><TITLE>Welcome to nginx!</TITLE></head></html>";
    for status in [200, 404] {
        let error = parse(status, &[], page).unwrap_err();
        let detail = "a web page titled \"Welcome to nginx!\"".to_owned();
        assert_eq!(error, ModelApiError::NotThisProtocol { detail });
    }
    for other in [&b"hello"[..], b"[]", b"7", b"{}", br#"{"outputs":7}"#] {
        assert_eq!(
            parse(200, &[], other).unwrap_err().code(),
            "model_not_this_protocol"
        );
    }
}

fn describe(metadata: &Value) -> Result<Description, ModelApiError> {
    let body = metadata.to_string();
    let response = Response {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    };
    dialect(&spec()).unwrap().check_description(&response)
}

/// The metadata of Triton and KServe, which have no parameters.
fn plain_metadata() -> Value {
    json!({ "name": "tiny", "versions": ["1"], "platform": "onnxruntime_onnx",
        "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 3, -1, 2] }],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, 3] }] })
}

#[test]
fn a_fitting_description_passes() {
    let platform = "onnxruntime_onnx".to_owned();
    let plain = Description {
        platform,
        ..Description::default()
    };
    assert_eq!(describe(&plain_metadata()).unwrap(), plain);
    let mut rich = plain_metadata();
    rich["parameters"] = json!({ "max_batch_size": 64, "labels": ["a", "b", "c"] });
    rich["inputs"][0]["datatype"] = json!("FP32");
    rich["inputs"][0]["parameters"] =
        json!({ "datatypes": ["FP32", "UINT8"], "low": 0, "high": 1 });
    let description = describe(&rich).unwrap();
    assert_eq!(description.max_batch, Some(64));
    assert_eq!(description.labels, ["a", "b", "c"]);
    let mut single = plain_metadata();
    single["inputs"][0]["shape"][0] = json!(1);
    assert_eq!(describe(&single).unwrap().max_batch, Some(1));
}

#[test]
fn every_disagreement_is_named() {
    let metadata = json!({ "name": "tiny",
        "inputs": [
            { "name": "image", "datatype": "FP32", "shape": [-1, 1, 2, 3] },
            { "name": "mask", "datatype": "BOOL", "shape": [-1] },
        ],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, 1000] }],
        "parameters": { "labels": ["a", "b"] } });
    let Err(ModelApiError::Disagrees { faults }) = describe(&metadata) else {
        panic!("accepted");
    };
    let all = faults.join("\n");
    for part in [
        "as UINT8",
        "[batch, 3, 1, 2]",
        "`mask`",
        "[-1, 1000]",
        "names 2",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}");
    }
    assert_eq!(faults.len(), 5);
    // Metadata that states nothing disagrees with nothing.
    let nothing = json!({ "inputs": [], "outputs": [] });
    assert_eq!(describe(&nothing).unwrap(), Description::default());
    assert_eq!(
        describe(&json!({})).unwrap_err().code(),
        "model_not_this_protocol"
    );
}

/// A frozen pair of request and answer, in hexadecimal, so that a change of the bytes is noticed.
#[test]
fn frozen_vectors_hold() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../../../vectors/open_inference.json")).unwrap();
    assert!(!vectors.is_empty());
    for vector in vectors {
        let spec: ModelSpec = serde_json::from_value(vector["spec"].clone()).unwrap();
        let dialect = dialect(&spec).unwrap();
        let count = usize::try_from(vector["count"].as_u64().unwrap()).unwrap();
        let request = dialect
            .infer_request(&unhex(&vector["images"]), count)
            .unwrap();
        assert_eq!(json!(request.path), vector["request"]["path"]);
        assert_eq!(json!(request.headers), vector["request"]["headers"]);
        assert_eq!(
            hex(&request.body),
            vector["request"]["body"].as_str().unwrap()
        );
        let headers: Vec<(String, String)> =
            serde_json::from_value(vector["answer"]["headers"].clone()).unwrap();
        let body = unhex(&vector["answer"]["body"]);
        let scores = dialect
            .parse(
                &Response {
                    status: 200,
                    headers: &headers,
                    body: &body,
                },
                count,
            )
            .unwrap();
        assert_eq!(json!(scores.values()), vector["scores"]);
    }
}

fn unhex(text: &Value) -> Vec<u8> {
    ground::hex::unhex_all(text.as_str().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_bytes_give_scores_or_an_error(
        status in 0_u16..700,
        header in proptest::option::of(".{0,8}|[0-9]{1,4}"),
        body in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let headers: Vec<_> = header.iter().map(|value| (HEADER_LENGTH, value.as_str())).collect();
        let _ = parse(status, &headers, &body);
        let response = Response { status, headers: &[], body: &body };
        let _ = dialect(&spec()).unwrap().check_description(&response);
    }

    /// Near misses reach deeper than noise: a good answer with some bytes changed, added or
    /// removed.
    #[test]
    fn nearly_good_bytes_give_scores_or_an_error(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>()), 1..6),
        told in any::<bool>(),
    ) {
        let (header, binary) = binary_answer(&SIX);
        let mut body = [header.as_bytes(), &binary].concat();
        for (at, byte) in edits {
            let at = at.index(body.len());
            match byte {
                Some(byte) => body[at] = byte,
                None => { body.remove(at); }
            }
        }
        let length = header.len().to_string();
        let headers: &[_] = if told { &[(HEADER_LENGTH, length.as_str())] } else { &[] };
        if let Ok(scores) = parse(200, headers, &body) {
            prop_assert_eq!((scores.rows(), scores.classes()), (2, 3));
            prop_assert!(scores.values().iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn whatever_is_answered_is_read_back(values in proptest::collection::vec(-1e30_f32..1e30, 6)) {
        let (header, binary) = binary_answer(&values);
        let scores = parse(200, &[], &[header.as_bytes(), &binary].concat()).unwrap();
        prop_assert_eq!(scores.values(), &values[..]);
        let tensor = json!({ "name": "logits", "datatype": "FP32", "shape": [2, 3], "data": values });
        let scores = json_answer(tensor).unwrap();
        prop_assert_eq!(scores.values(), &values[..]);
    }
}
