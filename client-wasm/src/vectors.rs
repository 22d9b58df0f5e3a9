//! Checks test vectors (`shared/vectors/*.json`), the same code natively and inside wasm, and writes the two
//! files that are ours to freeze.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::data::handwriting;
use shared::data::partition::{Partition, split_holdout};
use shared::generator::{self, Shape};
use shared::model_api::{ModelSpec, Response, dialect};
use shared::optimizer::Candidate;
use shared::rng::{Direction, Distribution, Stream, philox4x32};
use shared::task::sha256_hex;

/// Checks one file by its name without `.json`; the number of cases in it.
///
/// # Errors
/// What differs, or that the file is not understood.
pub fn check(name: &str, text: &str) -> Result<usize, String> {
    match name {
        "philox" => each(text, philox),
        "directions" => each(text, direction),
        "prompted" => each(text, prompted),
        "open_inference" => each(text, open_inference),
        "handwriting" => {
            let file: Handwriting = read(text)?;
            all(&file.owners, owner)
        }
        "partition" => {
            let file: Partitions = read(text)?;
            Ok(all(&file.splits, split)? + all(&file.holdouts, holdout)?)
        }
        _ => Err(format!("there is no check for vectors named {name}")),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("the file is not understood: {error}"))
}

fn each<T: for<'a> Deserialize<'a>>(
    text: &str,
    check: fn(&T) -> Result<(), String>,
) -> Result<usize, String> {
    all(&read::<Vec<T>>(text)?, check)
}

fn all<T>(cases: &[T], check: fn(&T) -> Result<(), String>) -> Result<usize, String> {
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

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let shorten = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    Err(format!(
        "{what} is {} instead of {}",
        shorten(got),
        shorten(expected)
    ))
}

#[derive(Deserialize)]
struct Philox {
    counter: [u32; 4],
    key: [u32; 2],
    answer: [u32; 4],
}

fn philox(case: &Philox) -> Result<(), String> {
    same(
        "the block",
        &philox4x32(case.counter, case.key),
        &case.answer,
    )
}

/// A direction and its first entries, as the bits of their f32.
#[derive(Serialize, Deserialize)]
struct DirectionCase {
    direction: Direction,
    dim: usize,
    /// Hexadecimal of little-endian f32.
    entries: String,
}

fn direction(case: &DirectionCase) -> Result<(), String> {
    let direction = case.direction;
    let mut in_order = Vec::new();
    direction.for_each(case.dim, |_, value| in_order.push(value));
    same("the direction", &floats_hex(&in_order), &case.entries)?;
    let single: Vec<f32> = (0..case.dim).map(|i| direction.entry(i)).collect();
    same(
        "the direction entry by entry",
        &floats_hex(&single),
        &case.entries,
    )
}

/// A rendered step.
#[derive(Serialize, Deserialize)]
struct PromptedCase {
    generator: Value,
    height: usize,
    width: usize,
    /// Hexadecimal of little-endian f32.
    theta: String,
    candidates: Vec<Candidate>,
    /// Hexadecimal, planar RGB.
    images: Vec<String>,
    /// The first bytes of the first prompted image.
    first: String,
    /// Of all prompted images in order.
    sha256: String,
}

fn prompted(case: &PromptedCase) -> Result<(), String> {
    let (first, sha256) = render(case)?;
    same("the first image", &first, &case.first)?;
    same("the hash of all images", &sha256, &case.sha256)
}

fn render(case: &PromptedCase) -> Result<(String, String), String> {
    let shape = Shape {
        height: case.height,
        width: case.width,
    };
    let generator =
        generator::build(&case.generator, shape).map_err(|faults| faults.to_string())?;
    let theta: Vec<f32> = unhex(&case.theta)?
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    same("the number of parameters", &theta.len(), &generator.dim())?;
    let images: Vec<Vec<u8>> = case
        .images
        .iter()
        .map(|image| unhex(image))
        .collect::<Result<_, _>>()?;
    let prepared: Vec<_> = images
        .iter()
        .map(|image| generator.prepare(image))
        .collect();
    let mut out = Vec::new();
    generator::render(
        &*generator,
        &theta,
        &case.candidates,
        &prepared.iter().collect::<Vec<_>>(),
        &mut out,
    );
    Ok((hex(&out[..out.len().min(96)]), sha256_hex(&out)))
}

#[derive(Deserialize)]
struct OpenInference {
    spec: ModelSpec,
    count: usize,
    images: String,
    request: Exchange,
    answer: Exchange,
    scores: Vec<f32>,
}

#[derive(Deserialize)]
struct Exchange {
    #[serde(default)]
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn open_inference(case: &OpenInference) -> Result<(), String> {
    let dialect = dialect(&case.spec).map_err(|error| error.to_string())?;
    let request = dialect
        .infer_request(&unhex(&case.images)?, case.count)
        .map_err(|error| error.to_string())?;
    same("the path", &request.path, &case.request.path)?;
    same(
        "the request's headers",
        &request.headers,
        &case.request.headers,
    )?;
    same(
        "the request's body",
        &hex(&request.body),
        &case.request.body,
    )?;
    let body = unhex(&case.answer.body)?;
    let response = Response {
        status: 200,
        headers: &case.answer.headers,
        body: &body,
    };
    let scores = dialect
        .parse(&response, case.count)
        .map_err(|error| error.to_string())?;
    same("the scores", &scores.values().to_vec(), &case.scores)
}

#[derive(Deserialize)]
struct Handwriting {
    owners: Vec<OwnerCase>,
}

#[derive(Deserialize)]
struct OwnerCase {
    seed: u64,
    count: usize,
    alpha: Option<f32>,
    digits: Vec<u8>,
    sha256: String,
}

fn owner(case: &OwnerCase) -> Result<(), String> {
    let drawings = handwriting::owner(case.seed, case.count, case.alpha);
    let digits: Vec<u8> = drawings.iter().map(|(_, digit)| *digit).collect();
    same("the digits", &digits, &case.digits)?;
    let bytes: Vec<u8> = drawings.into_iter().flat_map(|(grey, _)| grey).collect();
    same("the drawings' hash", &sha256_hex(&bytes), &case.sha256)
}

#[derive(Deserialize)]
struct Partitions {
    splits: Vec<SplitCase>,
    holdouts: Vec<HoldoutCase>,
}

#[derive(Deserialize)]
struct SplitCase {
    labels: Vec<usize>,
    partition: String,
    parts: Vec<Vec<usize>>,
    seed: u64,
}

fn split(case: &SplitCase) -> Result<(), String> {
    let partition: Partition = case.partition.parse().map_err(|error| format!("{error}"))?;
    let parts = partition
        .split(&case.labels, case.parts.len(), case.seed)
        .map_err(|error| error.to_string())?;
    same("the split", &parts, &case.parts)
}

#[derive(Deserialize)]
struct HoldoutCase {
    labels: Vec<usize>,
    fraction: f64,
    held: Vec<usize>,
    seed: u64,
}

fn holdout(case: &HoldoutCase) -> Result<(), String> {
    same(
        "the hold-out",
        &split_holdout(&case.labels, case.fraction, case.seed).1,
        &case.held,
    )
}

/// `directions.json`, computed anew.
///
/// # Errors
/// Never in practice: a serialisation failure.
pub fn write_directions() -> Result<String, String> {
    let counters = [[0, 0, 0], [3, 2, 1], [u32::MAX, u32::MAX - 1, 7]];
    let distributions = [
        (Distribution::Rademacher, 300),
        (Distribution::SegmentedUniform, 21),
    ];
    let mut cases = Vec::new();
    for (distribution, dim) in distributions {
        for counter in counters {
            let direction = Direction {
                key: [0x243F_6A88, 0x85A3_08D3],
                counter,
                distribution,
            };
            let mut entries = Vec::new();
            direction.for_each(dim, |_, value| entries.push(value));
            cases.push(DirectionCase {
                direction,
                dim,
                entries: floats_hex(&entries),
            });
        }
    }
    pretty(&cases)
}

/// `prompted.json`, computed anew.
///
/// # Errors
/// A generator that cannot be built.
pub fn write_prompted() -> Result<String, String> {
    let specs = [
        (
            serde_json::json!({ "kind": "statistic", "statistics": 3, "grid": 4 }),
            12,
            10,
        ),
        (
            serde_json::json!({ "kind": "statistic", "statistics": 4, "grid": 6, "output": "basis", "channels": 3, "epsilon": 0.5 }),
            16,
            16,
        ),
        (
            serde_json::json!({ "kind": "statistic", "statistics": 0, "grid": 3 }),
            8,
            19,
        ),
        (serde_json::json!({ "kind": "frame", "inner": 6 }), 9, 11),
    ];
    let mut cases = Vec::new();
    for (generator, height, width) in specs {
        let shape = Shape { height, width };
        let dim = generator::build(&generator, shape)
            .map_err(|faults| faults.to_string())?
            .dim();
        let mut stream = Stream::with_key([0x1319_8A2E, 0x0370_7344]);
        let theta: Vec<f32> = (0..dim).map(|_| 0.4 * stream.normal()).collect();
        let images = (0..2)
            .map(|_| {
                hex(&(0..shape.bytes())
                    .map(|_| stream.below(256) as u8)
                    .collect::<Vec<_>>())
            })
            .collect();
        let direction = |distribution| {
            Some(Direction {
                key: [1, 2],
                counter: [3, 4, 5],
                distribution,
            })
        };
        let candidates = vec![
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
        let empty = || String::new();
        let mut case = PromptedCase {
            generator,
            height,
            width,
            theta: floats_hex(&theta),
            candidates,
            images,
            first: empty(),
            sha256: empty(),
        };
        (case.first, case.sha256) = render(&case)?;
        cases.push(case);
    }
    pretty(&cases)
}

fn pretty(cases: &impl Serialize) -> Result<String, String> {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => Err("not hexadecimal".to_owned()),
    }
}
