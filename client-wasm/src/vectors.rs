//! Checks test vectors (`shared/vectors/*.json`) with the same code natively and inside wasm, and
//! writes the two files that this project freezes itself.

use federation::round::messages::Update;
use ground::hash::sha256_hex;
use ground::hex::{hex, unhex_all};
use ground::rng::{Direction, Distribution, Stream, philox4x32};
use ground::wire;
use model_client::{
    Calls, Datatype, InputSpec, Layout, ModelSpec, OutputKind, OutputSpec, Own, Response, Sent,
    dialect,
};
use owner_data::handwriting;
use owner_data::partition::{Partition, split_holdout};
use privacy::epsilon_of;
use secure_sum;
use serde_json::{Value, json};
use tuning::generator;
use tuning::generator::{Generator, Prepared, Shape};
use tuning::optimizer::Candidate;

mod nodes;

pub use nodes::write_nodes;

type Checked = Result<(), String>;

/// Checks one file by its name without `.json`; returns the number of its cases.
///
/// # Errors
/// Says what differs, or that the file is not understood.
pub fn check(name: &str, text: &str) -> Result<usize, String> {
    if name == "secure_sum" {
        return secure_sum::vectors::check(text);
    }
    let file: Value = serde_json::from_slice(text.as_bytes()).map_err(|error| error.to_string())?;
    match name {
        "philox" => all(&file, philox),
        "directions" => all(&file, direction),
        "prompted" => all(&file, prompted),
        "nodes" => all(&file, nodes::check),
        "open_inference" => all(&file, open_inference),
        "open_inference_servers" => Ok(all(&file["metadata"], described)?
            + configurations(&file["configs"])?
            + all(&file["answers"], answered)?),
        "openai_servers" => asked(&file),
        "handwriting" => all(&file["owners"], owner),
        "epsilon" => all(&file["gaussian"], epsilon),
        "update" => all(&file["positive"], update),
        "partition" => Ok(all(&file["splits"], split)? + all(&file["holdouts"], holdout)?),
        _ => Err(format!("there is no check for vectors named {name}")),
    }
}

fn update(case: &Value) -> Checked {
    let message: Update =
        serde_json::from_value(case["message"].clone()).map_err(|error| error.to_string())?;
    let bytes = hex(&wire::encode(&message));
    same("the message's bytes", &bytes.into(), &case["bytes"])
}

/// Compares ε of a number of Gaussian sums with Google's dp-accounting: within 2% of its RDP
/// accountant, and never below its tighter one.
fn epsilon(case: &Value) -> Checked {
    let number = |name: &str| case[name].as_f64().ok_or("a number is missing");
    let (noise, delta) = (number("noise_multiplier")?, number("delta")?);
    let ours = epsilon_of(0.5 / (noise * noise) * number("sums")?, delta);
    let (rdp, pld) = (number("rdp")?, number("pld")?);
    if (ours / rdp - 1.0).abs() < 0.02 && ours >= pld {
        Ok(())
    } else {
        Err("another epsilon".to_owned())
    }
}

fn all(cases: &Value, check: fn(&Value) -> Checked) -> Result<usize, String> {
    let cases = cases.as_array().ok_or("the file is not understood")?;
    for (i, case) in cases.iter().enumerate() {
        check(case).map_err(|what| format!("case {i}: {what}"))?;
    }
    // A file without a case would prove nothing.
    if cases.is_empty() {
        Err("the file holds no case".to_owned())
    } else {
        Ok(cases.len())
    }
}

/// Compares an answer as JSON.
fn same(what: &str, got: &Value, expected: &Value) -> Checked {
    if got == expected {
        return Ok(());
    }
    let shorten = |value: &Value| value.to_string().chars().take(200).collect::<String>();
    Err(format!(
        "{what} is {} instead of {}",
        shorten(got),
        shorten(expected)
    ))
}

fn number(value: &Value) -> Result<u64, String> {
    value
        .as_u64()
        .ok_or_else(|| format!("{value} is no whole number"))
}

fn numbers(value: &Value) -> Result<Vec<u64>, String> {
    list(value)?.iter().map(number).collect()
}

fn words<const N: usize>(value: &Value) -> Result<[u32; N], String> {
    let words: Vec<u32> = numbers(value)?.into_iter().map(|n| n as u32).collect();
    words
        .try_into()
        .map_err(|_| format!("{value} holds another number of words"))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("{value} is no list"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value} is no text"))
}

fn philox(case: &Value) -> Checked {
    let block = philox4x32(words(&case["counter"])?, words(&case["key"])?);
    same("the block", &json!(block), &case["answer"])
}

fn read_direction(value: &Value) -> Result<Direction, String> {
    let distribution = match text(&value["distribution"])? {
        "rademacher" => Distribution::Rademacher,
        "segmented-uniform" => Distribution::SegmentedUniform,
        "gumbel" => Distribution::Gumbel,
        "nodes" => Distribution::Nodes,
        other => return Err(format!("no distribution is called {other}")),
    };
    let (key, counter) = (words(&value["key"])?, words(&value["counter"])?);
    Ok(Direction {
        key,
        counter,
        distribution,
    })
}

fn direction(case: &Value) -> Checked {
    let direction = read_direction(&case["direction"])?;
    let dim = number(&case["dim"])? as usize;
    let entries = &case["entries"];
    same(
        "the direction",
        &json!(floats_hex(&in_order(direction, dim))),
        entries,
    )?;
    let single: Vec<f32> = (0..dim).map(|i| direction.entry(i)).collect();
    same(
        "the direction entry by entry",
        &json!(floats_hex(&single)),
        entries,
    )
}

fn in_order(direction: Direction, dim: usize) -> Vec<f32> {
    let mut entries = Vec::new();
    direction.for_each(dim, |_, value| entries.push(value));
    entries
}

fn prompted(case: &Value) -> Checked {
    let (first, sha256) = render(case)?;
    same("the first image", &json!(first), &case["first"])?;
    same("the hash of all images", &json!(sha256), &case["sha256"])
}

fn read_candidate(value: &Value) -> Result<Candidate, String> {
    let direction = match &value["direction"] {
        Value::Null => None,
        direction => Some(read_direction(direction)?),
    };
    let scale = value["scale"].as_f64().ok_or("a candidate without scale")? as f32;
    Ok(Candidate { direction, scale })
}

/// The generator, θ and pictures of a case.
struct Scene {
    generator: Box<dyn Generator>,
    theta: Vec<f32>,
    prepared: Vec<Prepared>,
}

fn read_scene(case: &Value) -> Result<Scene, String> {
    let side = |name: &str| number(&case[name]).map(|side| side as usize);
    let shape = Shape {
        height: side("height")?,
        width: side("width")?,
    };
    let generator =
        generator::build(&case["generator"], shape).map_err(|faults| faults.to_string())?;
    let theta = unhex_floats(&case["theta"])?;
    same(
        "the number of parameters",
        &json!(theta.len()),
        &json!(generator.dim()),
    )?;
    let images: Vec<Vec<u8>> = list(&case["images"])?
        .iter()
        .map(unhex)
        .collect::<Result<_, _>>()?;
    if images.iter().any(|image| image.len() != shape.bytes()) {
        return Err("an image of another size".to_owned());
    }
    let prepared = images.iter().map(|image| generator.prepare(image));
    Ok(Scene {
        theta,
        prepared: prepared.collect(),
        generator,
    })
}

/// Returns the first bytes of the first prompted image, and the hash of all.
fn render(case: &Value) -> Result<(String, String), String> {
    let scene = read_scene(case)?;
    let candidates: Vec<Candidate> = list(&case["candidates"])?
        .iter()
        .map(read_candidate)
        .collect::<Result<_, _>>()?;
    let batch: Vec<_> = scene.prepared.iter().collect();
    let mut out = Vec::new();
    generator::render(
        &*scene.generator,
        &scene.theta,
        &candidates,
        &batch,
        &mut out,
    );
    Ok((hex(&out[..out.len().min(96)]), sha256_hex(&out)))
}

fn read_spec(value: &Value) -> Result<ModelSpec, String> {
    let (input, output) = (&value["input"], &value["output"]);
    let owned = |value: &Value| text(value).map(str::to_owned);
    let level = |value: &Value| value.as_f64().map(|level| level as f32).ok_or("no level");
    Ok(ModelSpec {
        dialect: owned(&value["dialect"])?,
        url: owned(&value["url"])?,
        name: owned(&value["name"])?,
        input: InputSpec {
            name: owned(&input["name"])?,
            datatype: if input["datatype"] == "FP32" {
                Datatype::Fp32
            } else {
                Datatype::Uint8
            },
            layout: if input["layout"] == "nhwc" {
                Layout::Nhwc
            } else {
                Layout::Nchw
            },
            height: number(&input["height"])? as usize,
            width: number(&input["width"])? as usize,
            low: level(&input["low"])?,
            high: level(&input["high"])?,
            sent: Sent::default(),
        },
        output: OutputSpec {
            name: owned(&output["name"])?,
            kind: if output["kind"] == "logits" {
                OutputKind::Logits
            } else {
                OutputKind::Probabilities
            },
            classes: number(&output["classes"])? as usize,
            words: Vec::new(),
        },
        version: String::new(),
        calls: Calls::default(),
        price: None,
        own: Own::default(),
    })
}

fn open_inference(case: &Value) -> Checked {
    let dialect = dialect(&read_spec(&case["spec"])?).map_err(|error| error.to_string())?;
    let count = number(&case["count"])? as usize;
    let request = dialect
        .infer_request(&unhex(&case["images"])?, count)
        .map_err(|error| error.to_string())?;
    let expected = &case["request"];
    same("the path", &json!(request.path), &expected["path"])?;
    same(
        "the request's headers",
        &json!(request.headers),
        &expected["headers"],
    )?;
    same(
        "the request's body",
        &json!(hex(&request.body)),
        &expected["body"],
    )?;
    let mut headers = Vec::new();
    for header in list(&case["answer"]["headers"])? {
        headers.push((text(&header[0])?.to_owned(), text(&header[1])?.to_owned()));
    }
    let body = unhex(&case["answer"]["body"])?;
    let response = Response {
        status: 200,
        headers: &headers,
        body: &body,
    };
    let scores = dialect
        .parse(&response, count)
        .map_err(|error| error.to_string())?;
    same("the scores", &json!(scores.values()), &case["scores"])
}

/// Makes a task's model that fits what is recorded of another server.
fn recorded_spec(case: &Value, input: &Value, output: &Value) -> Result<ModelSpec, String> {
    let or = |name: &str, other: Value| match &case[name] {
        Value::Null => other,
        stated => stated.clone(),
    };
    let mut spec = read_spec(&json!({
        "dialect": "open-inference", "url": "http://127.0.0.1:8000", "name": "model",
        "input": {
            "name": input, "datatype": "FP32", "layout": or("layout", json!("nchw")), "low": 0.0, "high": 1.0,
            "height": or("height", json!(1)), "width": or("width", json!(1)),
        },
        "output": { "name": output, "kind": "logits", "classes": case["classes"] },
    }))?;
    spec.input.sent = Sent {
        grey: case["channels"] == 1,
        flat: case["flat"] == true,
        unbatched: case["unbatched"] == true,
        ..Sent::default()
    };
    Ok(spec)
}

/// Checks how another server's description of its model is read.
fn described(case: &Value) -> Checked {
    let body = &case["body"];
    let named = |list: &str| match &body[list][0]["name"] {
        Value::Null => json!("image"),
        name => name.clone(),
    };
    let output = match &case["output"] {
        Value::Null => named("outputs"),
        stated => stated.clone(),
    };
    let spec = recorded_spec(case, &named("inputs"), &output)?;
    let text = body.to_string();
    let response = Response {
        status: 200,
        headers: &[],
        body: text.as_bytes(),
    };
    let dialect = dialect(&spec).map_err(|error| error.to_string())?;
    let described = dialect
        .check_description(&response)
        .map_err(|error| error.to_string())?;
    same(
        "the largest batch",
        &json!(described.max_batch),
        &case["max_batch"],
    )
}

fn configurations(cases: &Value) -> Result<usize, String> {
    all(cases, configured)
}

/// Checks how another server's largest batch is read.
fn configured(case: &Value) -> Checked {
    let spec = recorded_spec(&json!({ "classes": 10 }), &json!("image"), &json!("logits"))?;
    let body = case["body"].to_string();
    let response = Response {
        status: number(&case["status"])? as u16,
        headers: &[],
        body: body.as_bytes(),
    };
    let dialect = dialect(&spec).map_err(|error| error.to_string())?;
    let limit = dialect.limit(&response);
    same("the largest batch", &json!(limit), &case["max_batch"])
}

/// Checks how another server's answer is read.
fn answered(case: &Value) -> Checked {
    let mut body = case["header"].to_string().into_bytes();
    let mut headers = Vec::new();
    if !case["binary"].is_null() {
        let length = body.len().to_string();
        headers.push(("inference-header-content-length".to_owned(), length));
        body.extend(unhex(&case["binary"])?);
    }
    let spec = recorded_spec(case, &json!("image"), &case["output"])?;
    let response = Response {
        status: 200,
        headers: &headers,
        body: &body,
    };
    let scores = dialect(&spec)
        .and_then(|dialect| dialect.parse(&response, case["batch"].as_u64().unwrap_or(0) as usize))
        .map_err(|error| error.to_string())?;
    let single = |value: &Value| value.as_f64().map(|score| score as f32);
    let expected: Option<Vec<f32>> = list(&case["scores"])?.iter().map(single).collect();
    same(
        "the scores",
        &json!(scores.values()),
        &json!(expected.unwrap_or_default()),
    )
}

fn asked(cases: &Value) -> Result<usize, String> {
    all(cases, said)
}

/// Checks how another server in OpenAI's form is read: its models, scores of label words, or why
/// there are none.
fn said(case: &Value) -> Checked {
    let or = |name: &str, other: Value| match &case[name] {
        Value::Null => other,
        stated => stated.clone(),
    };
    let api = if case["api"] == "chat" {
        "chat"
    } else {
        "completions"
    };
    let task = json!({
        "name": "Films",
        "model": {
            "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
            "openai": { "api": api },
        },
        "data": { "labels": ["good", "bad"] },
        "text": { "input": "{text} is", "words": or("words", json!(["great", "terrible"])) },
        "generator": { "candidates": ["", "film"] },
    });
    let task = federation::task::Task::from_value(task).map_err(|faults| faults.to_string())?;
    let dialect = task.text_dialect(None).map_err(|error| error.to_string())?;
    let body = case["body"].to_string();
    let response = Response {
        status: number(&case["status"])? as u16,
        headers: &[],
        body: body.as_bytes(),
    };
    let expected = or("scores", json!([]));
    let expected = list(&expected)?;
    let found = if case["api"] == "models" {
        dialect.check_description(&response).map(|_| Vec::new())
    } else {
        dialect
            .parse(&response, (expected.len() / 2).max(1))
            .map(|scores| scores.values().to_vec())
    };
    match found {
        Err(error) => same("the error", &json!(error.code()), &case["code"]),
        Ok(_) if !case["code"].is_null() => Err("it is no error".to_owned()),
        Ok(scores) => {
            let close = |(a, b): (&f32, &Value)| {
                b.as_f64().is_some_and(|b| (f64::from(*a) - b).abs() < 1e-5)
            };
            if scores.len() == expected.len() && scores.iter().zip(expected).all(close) {
                Ok(())
            } else {
                Err("other scores".to_owned())
            }
        }
    }
}

fn owner(case: &Value) -> Checked {
    let alpha = case["alpha"].as_f64().map(|alpha| alpha as f32);
    let drawings = handwriting::owner(
        number(&case["seed"])?,
        number(&case["count"])? as usize,
        alpha,
    );
    let digits: Vec<u8> = drawings.iter().map(|(_, digit)| *digit).collect();
    same("the digits", &json!(digits), &case["digits"])?;
    let bytes: Vec<u8> = drawings.into_iter().flat_map(|(grey, _)| grey).collect();
    same(
        "the drawings' hash",
        &json!(sha256_hex(&bytes)),
        &case["sha256"],
    )
}

fn labels(case: &Value) -> Result<Vec<usize>, String> {
    Ok(numbers(&case["labels"])?
        .into_iter()
        .map(|label| label as usize)
        .collect())
}

fn split(case: &Value) -> Checked {
    let partition: Partition = text(&case["partition"])?
        .parse()
        .map_err(|error| format!("{error}"))?;
    let participants = list(&case["parts"])?.len();
    let parts = partition
        .split(&labels(case)?, participants, number(&case["seed"])?)
        .map_err(|error| error.to_string())?;
    same("the split", &json!(parts), &case["parts"])
}

fn holdout(case: &Value) -> Checked {
    let fraction = case["fraction"].as_f64().ok_or("no fraction")?;
    let held = split_holdout(&labels(case)?, fraction, number(&case["seed"])?).1;
    same("the hold-out", &json!(held), &case["held"])
}

/// Computes `directions.json` again.
///
/// # Errors
/// A serialisation failure, which does not happen in practice.
pub fn write_directions() -> Result<String, String> {
    let counters = [[0, 0, 0], [3, 2, 1], [u32::MAX, u32::MAX - 1, 7]];
    let distributions = [
        (Distribution::Rademacher, 300),
        (Distribution::SegmentedUniform, 21),
        (Distribution::Gumbel, 21),
    ];
    let mut cases = Vec::new();
    for (distribution, dim) in distributions {
        for counter in counters {
            let key = [0x243F_6A88, 0x85A3_08D3];
            let direction = Direction {
                key,
                counter,
                distribution,
            };
            let entries = floats_hex(&in_order(direction, dim));
            cases.push(json!({ "direction": direction, "dim": dim, "entries": entries }));
        }
    }
    pretty(&cases)
}

/// Computes `prompted.json` again.
///
/// # Errors
/// A generator that cannot be built.
pub fn write_prompted() -> Result<String, String> {
    let specs = [
        (
            json!({ "kind": "statistic", "statistics": 3, "grid": 4 }),
            12,
            10,
        ),
        (
            json!({ "kind": "statistic", "statistics": 4, "grid": 6, "output": "basis", "channels": 3, "epsilon": 0.5 }),
            16,
            16,
        ),
        // Wider than the 16 pixels that SIMD takes at once.
        (
            json!({ "kind": "statistic", "statistics": 0, "grid": 3 }),
            8,
            39,
        ),
        (json!({ "kind": "frame", "inner": 6 }), 9, 11),
        (json!({ "kind": "coordinator" }), 32, 64),
        (json!({ "kind": "frame", "form": "pad", "inner": 6 }), 9, 11),
        (json!({ "kind": "frame", "inner": 6, "grid": 4 }), 12, 10),
        (
            json!({ "kind": "coordinator", "norm": "batch",
                "reparametrisation": { "kind": "fastfood", "dimensions": 60 } }),
            32,
            32,
        ),
        (
            json!({ "kind": "statistic", "reparametrisation": { "kind": "low-rank", "columns": 20 } }),
            8,
            16,
        ),
        (
            json!({ "kind": "statistic", "reparametrisation": { "kind": "sparse", "share": 0.2 } }),
            8,
            16,
        ),
    ];
    let mut cases = Vec::new();
    for (generator, height, width) in specs {
        let shape = Shape { height, width };
        let dim = generator::build(&generator, shape)
            .map_err(|faults| faults.to_string())?
            .dim();
        let mut stream = Stream::with_key([0x1319_8A2E, 0x0370_7344]);
        let theta: Vec<f32> = (0..dim).map(|_| 0.4 * stream.normal()).collect();
        let mut image = || {
            hex(&(0..shape.bytes())
                .map(|_| stream.below(256) as u8)
                .collect::<Vec<_>>())
        };
        let images = [image(), image()];
        let direction = |distribution| {
            Some(Direction {
                key: [1, 2],
                counter: [3, 4, 5],
                distribution,
            })
        };
        let candidates = [
            Candidate {
                direction: direction(Distribution::Rademacher),
                scale: 0.25,
            },
            Candidate {
                direction: direction(Distribution::SegmentedUniform),
                scale: -0.5,
            },
            Candidate::BASE,
        ];
        let mut case = json!({
            "generator": generator, "height": height, "width": width, "theta": floats_hex(&theta),
            "candidates": candidates, "images": images,
        });
        let (first, sha256) = render(&case)?;
        case["first"] = json!(first);
        case["sha256"] = json!(sha256);
        cases.push(case);
    }
    pretty(&cases)
}

fn pretty(cases: &[Value]) -> Result<String, String> {
    serde_json::to_string_pretty(cases)
        .map(|text| text + "\n")
        .map_err(|error| error.to_string())
}

fn floats_hex(values: &[f32]) -> String {
    hex(&values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect::<Vec<_>>())
}

fn unhex(value: &Value) -> Result<Vec<u8>, String> {
    unhex_all(text(value)?).ok_or_else(|| "not hexadecimal".to_owned())
}

fn unhex_floats(value: &Value) -> Result<Vec<f32>, String> {
    let bytes = unhex(value)?;
    let four = bytes.chunks_exact(4);
    Ok(four
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}
