use clap::Parser;

use super::*;
use crate::{Served, TextOptions};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ModelApiArgs,
}

fn config(flags: &[&str]) -> Result<ModelApiConfig, Vec<String>> {
    let flags = std::iter::once("model-api").chain(flags.iter().copied());
    let command = Command::try_parse_from(flags).map_err(|error| vec![error.to_string()])?;
    command.args.into_config().map_err(|faults| faults.faults)
}

#[test]
fn nothing_at_all_serves_printed_digits() {
    let config = config(&[]).unwrap();
    assert_eq!(config.name, "printed-digits");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8701");
    assert_eq!(config.classifier.labels.len(), 10);
    assert!(config.allow_origins.is_empty());
    assert!(config.max_queue >= config.max_batch);
}

#[test]
fn flags_reach_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/printed-digits");
    let path = |name: &str| folder.join(name).display().to_string();
    let config = config(&[
        "--model",
        &path("printed-digits.onnx"),
        "--labels",
        &path("labels.txt"),
        "--layout",
        "nhwc",
        "--range",
        "-1:1",
        "--size",
        "32x48",
        "--output",
        "logits",
        "--allow-origin",
        "https://a.example",
        "--allow-origin",
        "http://localhost:5173",
        "--listen",
        "localhost:0",
        "--max-batch",
        "8",
        "--max-queue",
        "8",
        "--max-delay-us",
        "0",
        "--threads",
        "3",
        "--max-body",
        "2048",
    ])
    .unwrap();
    assert_eq!(config.name, "printed-digits");
    let expected = ClassifierOptions {
        layout: Layout::Nhwc,
        range: PixelRange::Linear {
            low: -1.0,
            high: 1.0,
        },
        output: Some("logits".into()),
        labels: (0..10).map(|digit| digit.to_string()).collect(),
        size: Some((32, 48)),
        threads: 3,
    };
    assert_eq!(config.classifier, expected);
    assert_eq!(config.allow_origins.len(), 2);
    assert_eq!(
        (config.max_batch, config.max_queue, config.max_body),
        (8, 8, 2048)
    );
    assert_eq!(config.max_delay, Duration::ZERO);
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = config(&[
        "--model",
        "no/such.onnx",
        "--labels",
        "no/such.txt",
        "--range",
        "dark",
        "--size",
        "7",
        "--listen",
        "here",
        "--name",
        "a/b",
        "--max-batch",
        "0",
        "--threads",
        "0",
        "--max-body",
        "1",
        "--max-delay-us",
        "99999999",
        "--allow-origin",
        "https://a.example/",
        "--allow-origin",
        "a.example",
        "--allow-origin",
        "*",
    ])
    .unwrap_err();
    let all = faults.join("\n");
    for flag in [
        "--model: no/such.onnx",
        "--labels: no/such.txt",
        "--range",
        "--size",
        "--listen",
        "--name",
        "--max-batch",
        "--threads",
        "--max-body",
        "--max-delay-us",
        "browsers send `https://a.example`",
        "`a.example`, but must",
        "already allows",
    ] {
        assert!(all.contains(flag), "{flag} is not in\n{all}");
    }
    assert_eq!(faults.len(), 13, "{all}");
}

#[test]
fn what_describes_a_model_needs_one() {
    let faults = config(&[
        "--labels",
        "x",
        "--range",
        "0:1",
        "--max-batch",
        "9",
        "--max-queue",
        "8",
    ]);
    let all = faults.unwrap_err().join("\n");
    for flag in ["--labels", "--range", "--max-queue is 8"] {
        assert!(all.contains(flag), "{flag} is not in\n{all}");
    }
}

fn small(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text");
    folder.join(name).display().to_string()
}

#[test]
fn folders_are_told_apart_by_their_files() {
    let text = config(&[
        "--model-dir",
        &small("encoder"),
        "--kind",
        "sentence-encoder",
        "--max-tokens",
        "16",
        "--temperature",
        "0.1",
        "--cache",
        "0",
        "--output",
        "last_hidden_state",
        "--threads",
        "3",
    ])
    .unwrap();
    assert_eq!(text.name, "encoder");
    let options = TextOptions {
        kind: Some(TextKind::SentenceEncoder),
        output: Some("last_hidden_state".into()),
        max_tokens: Some(16),
        temperature: 0.1,
        cache: 0,
        batch: None,
        threads: 3,
    };
    let dir = PathBuf::from(small("encoder"));
    assert_eq!(text.folder, Some(Served::Text { dir, options }));

    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/printed-digits/labels.txt");
    let clip = config(&[
        "--model-dir",
        &small("clip"),
        "--labels",
        &labels.display().to_string(),
        "--template",
        "the digit {}",
    ])
    .unwrap();
    let Some(Served::Clip { options, .. }) = clip.folder else {
        panic!("{:?}", clip.folder)
    };
    assert_eq!(
        (options.labels.len(), options.template.as_str()),
        (10, "the digit {}")
    );
    assert!((options.temperature - 0.01).abs() < 1e-9);
}

#[test]
fn what_does_not_belong_to_a_folder_is_named() {
    let faults = |flags: &[&str]| config(flags).unwrap_err().join("\n");
    let text = faults(&[
        "--model-dir",
        &small("encoder"),
        "--model",
        "x",
        "--range",
        "0:1",
        "--labels",
        "x",
        "--template",
        "{}",
        "--temperature",
        "0",
        "--max-tokens",
        "0",
    ]);
    for flag in [
        "--model is",
        "--range",
        "--labels",
        "--template",
        "--temperature",
        "--max-tokens",
    ] {
        assert!(text.contains(flag), "{flag} is not in\n{text}");
    }
    let clip = faults(&["--model-dir", &small("clip"), "--cache", "7"]);
    assert!(
        clip.contains("--labels is missing") && clip.contains("--cache"),
        "{clip}"
    );
    assert!(faults(&["--model-dir", "no/such"]).contains("no/such is no folder"));
    let alone = faults(&["--kind", "masked-lm", "--template", "{}"]);
    assert!(
        alone.contains("--kind describes a model in a folder"),
        "{alone}"
    );
}
