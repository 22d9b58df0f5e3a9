use clap::Parser;

use std::path::Path;
use std::time::Duration;

use model_client::Layout;

use super::*;
use crate::{ClassifierOptions, ModelConfig, PixelRange, Served, TextKind, TextOptions};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ModelApiArgs,
}

fn config(flags: &[&str]) -> Result<ModelApiConfig, Vec<String>> {
    let flags = std::iter::once("model-api").chain(flags.iter().copied());
    let command = Command::try_parse_from(flags).map_err(|error| vec![error.to_string()])?;
    command
        .args
        .into_config_in(Vec::new())
        .map_err(|faults| faults.faults)
}

/// The one model that the flags describe.
fn model(flags: &[&str]) -> ModelConfig {
    let [model] = <[ModelConfig; 1]>::try_from(config(flags).unwrap().models).unwrap();
    model
}

#[test]
fn nothing_at_all_serves_printed_digits() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8701");
    assert!(config.allow_origins.is_empty() && config.keys.is_none());
    assert_eq!(config.models, [ModelConfig::default()]);
    assert_eq!(config.models[0].name, "printed-digits");
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
    let [model] = &config.models[..] else {
        panic!("{:?}", config.models)
    };
    assert_eq!(model.name, "printed-digits");
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
    assert!(
        matches!(&model.served, Served::Classifier { options, .. } if *options == expected),
        "{:?}",
        model.served
    );
    assert_eq!(config.allow_origins.len(), 2);
    assert_eq!(
        (
            model.max_batch,
            model.max_request,
            model.max_queue,
            config.max_body
        ),
        (8, 8, Some(8), 2048)
    );
    assert_eq!(model.max_delay, Duration::ZERO);
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
    let text = model(&[
        "--model-folder",
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
    ]);
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
    let served = |labels: &[&str], template: Option<&str>| Served::Text {
        dir: dir.clone(),
        options: options.clone(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        template: template.map(str::to_owned),
    };
    assert_eq!(text.served, served(&[], None));

    let labels = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/printed-digits/labels.txt");
    let labels = labels.display().to_string();
    let clip = ["--model-folder", &small("clip"), "--labels", &labels];
    let clip = model(&[&clip[..], &["--template", "the digit {}"]].concat());
    let Served::Clip { options, .. } = clip.served else {
        panic!("{:?}", clip.served)
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
        "--model-folder",
        &small("encoder"),
        "--model",
        "x",
        "--range",
        "0:1",
        "--size",
        "2x2",
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
        "--size",
        "--template is put together with the labels",
        "--temperature",
        "--max-tokens",
    ] {
        assert!(text.contains(flag), "{flag} is not in\n{text}");
    }
    let clip = faults(&["--model-folder", &small("clip"), "--cache", "7"]);
    assert!(
        clip.contains("--labels is missing") && clip.contains("--cache"),
        "{clip}"
    );
    assert!(faults(&["--model-folder", "no/such"]).contains("no/such is no folder"));
    let alone = faults(&["--kind", "masked-lm", "--template", "{}"]);
    assert!(
        alone.contains("--kind describes a model in a folder"),
        "{alone}"
    );
}

#[test]
fn a_file_describes_several_models() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    write("words.txt", "good\nbad\n");
    let models = write(
        "models.toml",
        &format!(
            r#"
            [[model]]
            name = "digits"
            max_batch = 8
            max_queue = 16
            max_delay_us = 5
            threads = 2

            [[model]]
            model_folder = "{}"
            kind = "sentence-encoder"
            temperature = 0.1
            labels = "words.txt"
            template = "it is {{}}"
            "#,
            small("encoder")
        ),
    );
    let config = config(&["--config", &models]).unwrap();
    let [digits, encoder] = &config.models[..] else {
        panic!("{:?}", config.models)
    };
    assert_eq!((&*digits.name, &*encoder.name), ("digits", "encoder"));
    assert_eq!(
        (
            digits.max_batch,
            digits.max_request,
            digits.max_queue,
            digits.threads
        ),
        (8, 16, Some(16), 2)
    );
    assert_eq!(digits.max_delay, Duration::from_micros(5));
    let Served::Text {
        labels,
        template,
        options,
        ..
    } = &encoder.served
    else {
        panic!("{:?}", encoder.served)
    };
    assert_eq!(labels, &["good", "bad"]);
    assert_eq!(template.as_deref(), Some("it is {}"));
    assert!((options.temperature - 0.1).abs() < 1e-6);
    // It can be read again, and then says what stands there now.
    std::fs::write(&models, "[[model]]\nname = \"other\"\n").unwrap();
    let again = config.source.unwrap().read().unwrap();
    assert_eq!(again[0].name, "other");
}

#[test]
fn all_faults_of_a_file_are_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("models.toml");
    let text = r#"
        other = 1
        [[model]]
        max_batch = 0
        [[model]]
        name = "printed-digits"
        [[model]]
        [[model]]
        model = "no/such--file.onnx"
        [[model]]
        model_folder = 3
        typo = true
        kind = "poem"
    "#;
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    let flags = ["--config", &path, "--name", "x", "--keys", "no/such.toml"];
    let all = config(&flags).unwrap_err().join("\n");
    for fault in [
        "other: is not a setting",
        "model[0]: max_batch is 0",
        "model[2].name: there is another",
        "such--file.onnx cannot be read",
        "model[3]: model: ",
        "model[4].model_folder: must be a text",
        "model[4].typo: is not",
        "model[4].kind: must be one of",
        "--name describes one model",
        "--keys: no/such.toml",
    ] {
        assert!(all.contains(fault), "{fault} is not in\n{all}");
    }
    let empty = dir.path().join("empty.toml");
    std::fs::write(&empty, "").unwrap();
    let all = config(&["--config", &empty.display().to_string()]).unwrap_err();
    assert!(all[0].contains("[[model]]"), "{all:?}");
}

/// With these environment variables.
fn config_in(flags: &[&str], variables: &[(&str, &str)]) -> Result<ModelApiConfig, Vec<String>> {
    let flags = std::iter::once("model-api").chain(flags.iter().copied());
    let command = Command::try_parse_from(flags).map_err(|error| vec![error.to_string()])?;
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = command.args.into_config_in(variables);
    config.map_err(|faults| faults.faults)
}

#[test]
fn the_server_is_set_by_file_environment_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "[[key]]\nname = \"a\"\nsha256 = \"KEY\"\n".replace("KEY", &"ab".repeat(32));
    std::fs::write(folder.path().join("keys.toml"), keys).unwrap();
    let path = folder.path().join("settings.toml");
    let text = r#"
        listen = "127.0.0.1:1001"
        keys = "keys.toml"
        allow_origin = ["https://a.example", "https://b.example"]
        max_body = 2048
    "#;
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();

    let config = config_in(&["--config", &path], &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1001");
    assert_eq!(config.keys, Some(folder.path().join("keys.toml")));
    assert_eq!(
        config.allow_origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(config.max_body, 2048);
    // The file lists no models: flags may describe one.
    let named = config_in(&["--config", &path, "--name", "mine"], &[]).unwrap();
    assert_eq!(named.models[0].name, "mine");

    let variables = [
        ("FED_BBPT_MODEL_API_LISTEN", "127.0.0.1:1002"),
        (
            "FED_BBPT_MODEL_API_ALLOW_ORIGIN",
            "https://c.example, https://d.example",
        ),
        ("FED_BBPT_MODEL_API_MAX_BODY", "4096"),
        // The aggregator's.
        ("FED_BBPT_LISTEN", "127.0.0.1:9"),
    ];
    let config = config_in(&["--config", &path], &variables).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1002");
    assert_eq!(
        config.allow_origins,
        ["https://c.example", "https://d.example"]
    );
    assert_eq!(config.max_body, 4096);

    let flags = [
        "--config",
        &path,
        "--listen",
        "127.0.0.1:1003",
        "--max-body",
        "8192",
        "--allow-origin",
        "*",
    ];
    let config = config_in(&flags, &variables).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:1003");
    assert_eq!(config.allow_origins, ["*"]);
    assert_eq!(config.max_body, 8192);
}

#[test]
fn the_servers_faults_are_those_of_all_layers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let text = "listem = 3\nkeys = \"no.toml\"\nmax_body = 1\n[[model]]\nmax_batch = 0\n";
    std::fs::write(&path, text).unwrap();
    let flags = ["--config", &path.display().to_string(), "--listen", "here"];
    let variables = [("FED_BBPT_MODEL_API_ALLOW_ORIGIN", "example.org")];
    let all = config_in(&flags, &variables).unwrap_err().join("\n");
    for fault in [
        "listem: is not a setting",
        "no.toml",
        "max_body is 1, but must be",
        "--listen is `here`",
        "allow_origin is `example.org`",
        "model[0]: max_batch is 0",
    ] {
        assert!(all.contains(fault), "{fault} is not in\n{all}");
    }
}
