//! `dialects`: the same federation over every dialect and encoding, and what each costs in accuracy
//! and bytes.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::simulation::{Simulation, number, outcome, rounded};
use super::{Figure, Inputs, build_release};
use interop::server::Server;

pub const FIGURE: Figure = Figure {
    name: "dialects",
    summary: "accuracy on the handwritten digits over each dialect and encoding of images, same seed, against our own model-api (needs --data)",
    run,
};

const TASK: &str = "digits-light-on-dark";

/// The dialect's name, and the settings besides the address; `{url}` is the model API's.
const WAYS: &[(&str, &[&str])] = &[
    ("open-inference", &["model.url={url}"]),
    (
        "open-inference, FP32",
        &["model.url={url}", "model.input.datatype=FP32"],
    ),
    (
        "open-inference, JSON",
        &["model.url={url}", "model.input.json=true"],
    ),
    (
        "huggingface, PNG",
        &["model.url={url}", "model.dialect=huggingface"],
    ),
    (
        "huggingface, WebP",
        &[
            "model.url={url}",
            "model.dialect=huggingface",
            "model.input.encoding=webp",
        ],
    ),
    (
        "huggingface, JPEG 95",
        &[
            "model.url={url}",
            "model.dialect=huggingface",
            "model.input.encoding=jpeg",
            "model.input.quality=95",
        ],
    ),
    (
        "huggingface, JPEG 75",
        &[
            "model.url={url}",
            "model.dialect=huggingface",
            "model.input.encoding=jpeg",
            "model.input.quality=75",
        ],
    ),
    (
        "openai, PNG",
        &[
            "model.url={url}/v1",
            "model.dialect=openai",
            "model.openai.instruction=\"Which digit is this? Answer with one digit.\"",
        ],
    ),
];

fn run(inputs: &Inputs) -> Result<Value> {
    let digits = inputs.data("digits")?;
    let binary = build_release()?;
    // The name must differ from the embedded model's, which a simulation answers without HTTP.
    let server = Server::model_api(&binary, &["--name".to_owned(), "digits".to_owned()])?;
    let mut result = Map::new();
    for (way, settings) in WAYS {
        let settings: Vec<String> = settings
            .iter()
            .map(|setting| setting.replace("{url}", &server.url()))
            .chain(["model.name=digits".to_owned()])
            .collect();
        let row = simulate(&binary, &digits, &settings, inputs.quick)?;
        println!("{way}: {row}");
        result.insert((*way).to_owned(), row);
    }
    Ok(Value::Object(result))
}

fn simulate(binary: &Path, digits: &Path, settings: &[String], quick: bool) -> Result<Value> {
    let mut further = vec!["--only", "federated", "--eval-every", "1000"];
    for setting in settings {
        further.extend(["--set", setting]);
    }
    if quick {
        further.extend(["--rounds", "2"]);
    }
    let report = Simulation {
        task: TASK,
        digits,
        seed: 0,
        base: &[],
        further: &further,
    }
    .run(binary)?;
    let federated = outcome(&report, "federated")?;
    Ok(json!({
        "no_prompt": rounded(number(&report, "zero_shot")?),
        "federated": rounded(number(federated, "test_accuracy")?),
        "queries_each": number(federated, "queries_per_participant")?,
    }))
}
