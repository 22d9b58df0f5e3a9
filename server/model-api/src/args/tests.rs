use clap::Parser;

use super::*;

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
