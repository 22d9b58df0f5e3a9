use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../server/model-api/tests/text")
        .join(name)
}

fn load(name: &str, change: impl FnOnce(&mut TextOptions)) -> Result<TextModel, TextLoadError> {
    let mut options = TextOptions::default();
    change(&mut options);
    TextModel::load(&folder(name), &options)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(name)).unwrap()).unwrap()
}

/// Reads a value that the folder's script wrote.
fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn queries<'a>(texts: &'a [String], template: &'a str) -> Vec<TextQuery<'a>> {
    texts
        .iter()
        .map(|text| TextQuery::new(text, template))
        .collect()
}

fn assert_close(scores: &Scores, expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(scores.rows(), expected.len());
    for (row, expected) in expected.iter().enumerate() {
        for (score, expected) in scores.row(row).iter().zip(expected) {
            assert!(
                (score - expected).abs() <= tolerance,
                "text {row}: {:?} is not {expected:?}",
                scores.row(row)
            );
        }
    }
}

/// Compares with every template of a reference, whose cosines are divided by the temperature.
fn assert_cosines(model: &TextModel, reference: &Value, tolerance: f32) {
    let texts: Vec<String> = list(&reference["texts"]);
    let labels: Vec<String> = list(&reference["labels"]);
    let templates: Vec<String> = list(&reference["templates"]);
    let cosines: Vec<Vec<Vec<f32>>> = list(&reference["cosines"]);
    for (template, cosines) in templates.iter().zip(cosines) {
        let scores = model.score(&queries(&texts, template), &labels).unwrap();
        let divided: Vec<Vec<f32>> = cosines
            .iter()
            .map(|row| row.iter().map(|cosine| cosine / 0.05).collect())
            .collect();
        assert_close(&scores, &divided, tolerance / 0.05);
    }
}

#[test]
fn a_masked_model_answers_what_onnxruntime_answers() {
    fn shared_between_threads<T: Send + Sync>(_: &T) {}
    let expected = &json("expected.json")["masked"];
    let texts: Vec<String> = list(&expected["texts"]);
    let labels: Vec<String> = list(&expected["labels"]);
    let logits: Vec<Vec<f32>> = list(&expected["logits"]);
    for batch in [None, Some(1), Some(3)] {
        let model = load("masked", |options| {
            options.batch = batch;
            options.threads = 2;
        })
        .unwrap();
        shared_between_threads(&model);
        assert_eq!(model.kind(), TextKind::MaskedLm);
        assert_eq!(model.max_tokens(), 32);
        assert_eq!(model.mask_token(), Some("<mask>"));
        let scores = model.score(&queries(&texts, "{}"), &labels).unwrap();
        assert_close(&scores, &logits, 1e-4);
        assert_eq!(model.stats().encodes, 4);
    }
}

#[test]
fn an_encoder_answers_what_onnxruntime_answers() {
    let expected = &json("expected.json")["encoder"];
    for batch in [None, Some(1)] {
        let model = load("encoder", |options| options.batch = batch).unwrap();
        assert_eq!(model.kind(), TextKind::SentenceEncoder);
        // The tokenizer's own limit is the smallest.
        assert_eq!((model.max_tokens(), model.mask_token()), (24, None));
        assert_cosines(&model, expected, 1e-5);
    }
}

#[test]
fn company_and_threads_do_not_change_an_answer() {
    let texts: Vec<String> = (0..40).map(|i| "a great cat ".repeat(i % 7)).collect();
    let labels = ["cat", "dog"];
    let alone = load("encoder", |options| options.batch = Some(1)).unwrap();
    let one_by_one: Vec<f32> = texts
        .iter()
        .flat_map(|text| {
            let query = TextQuery::new(text, "a {}");
            alone.score(&[query], &labels).unwrap().into_values()
        })
        .collect();
    let threads = load("encoder", |options| {
        options.batch = Some(1);
        options.threads = 3;
        options.cache = 0;
    })
    .unwrap();
    let together = threads.score(&queries(&texts, "a {}"), &labels).unwrap();
    assert_eq!(together.values(), one_by_one, "to the last bit");
    let batched = load("encoder", |_| {}).unwrap();
    let batched = batched.score(&queries(&texts, "a {}"), &labels).unwrap();
    for (a, b) in batched.values().iter().zip(&one_by_one) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn what_is_known_is_not_encoded_again() {
    let model = load("encoder", |_| {}).unwrap();
    let texts = ["a cat".to_owned(), "a dog".to_owned(), "a cat".to_owned()];
    let labels = ["cat", "dog"];
    let first = model.score(&queries(&texts, "a {}"), &labels).unwrap();
    // The prompts are the texts: two different strings in all.
    assert_eq!(model.stats().encodes, 2);
    assert_eq!(
        model.score(&queries(&texts, "a {}"), &labels).unwrap(),
        first
    );
    let known = TextStats {
        encodes: 2,
        cache_hits: 4,
    };
    assert_eq!(model.stats(), known);
    // Another template costs its labels only.
    model.score(&queries(&texts, "the {}"), &labels).unwrap();
    assert_eq!(model.stats().encodes, 4);
    // A mixture of templates is the rows of each.
    let mixed = [
        TextQuery::new("a cat", "the {}"),
        TextQuery::new("a dog", "a {}"),
    ];
    let mixed = model.score(&mixed, &labels).unwrap();
    assert_eq!(mixed.row(1), first.row(1));
    assert_ne!(mixed.row(0), first.row(0));
}

#[test]
fn a_cosine_with_itself_is_one() {
    let model = load("encoder", |options| options.temperature = 0.5).unwrap();
    let query = TextQuery::new("a great film", "a great {}");
    let scores = model.score(&[query], &["film", "money"]).unwrap();
    assert!((scores.row(0)[0] - 2.0).abs() < 1e-5);
    assert!(scores.row(0)[1] < 2.0);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let (encoder, masked) = (
        load("encoder", |_| {}).unwrap(),
        load("masked", |_| {}).unwrap(),
    );
    let refused = |model: &TextModel, text: &str, template: &str, labels: &[&str]| {
        let query = TextQuery::new(text, template);
        match model.score(&[query], labels).unwrap_err() {
            TextError::Query(error) => error.to_string(),
            TextError::Run(error) => panic!("{error}"),
        }
    };
    let two = ["great", "bad"];
    let late = format!("{}<mask>", "it was great ".repeat(20));
    let cases = [
        (
            refused(&encoder, "a", "no place", &two),
            "`no place`, has no `{}`",
        ),
        (refused(&encoder, "a", "{}", &["one"]), "1 labels"),
        (
            refused(&encoder, "a", "{}", &["one", " "]),
            "label 1 is empty",
        ),
        (refused(&masked, "it was", "{}", &two), "text 0 has 0 masks"),
        (refused(&masked, "", "{}", &two), "has 0 masks"),
        (refused(&masked, "<mask> <mask>", "{}", &two), "has 2 masks"),
        (refused(&masked, &late, "{}", &two), "after the 32 tokens"),
        (
            refused(&masked, "<mask>", "{}", &["great", "incomprehensible"]),
            "`incomprehensible` is not one token",
        ),
    ];
    for (error, text) in cases {
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
    assert_eq!(
        encoder.score(&[], &two).unwrap_err(),
        TextError::Query(QueryError::NoTexts)
    );
    // Of two masks, one beyond the limit, none is forgotten.
    let twice = format!("<mask> {late}");
    assert!(refused(&masked, &twice, "{}", &two).contains("2 masks"));
}

#[test]
fn folders_that_do_not_fit_say_what_to_do() {
    let broken = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(broken.path().join(name), text).unwrap();
    let cause = || TextModel::load(broken.path(), &TextOptions::default()).err();
    let nothing = cause();
    write("config.json", "{");
    let no_json = cause();
    write(
        "config.json",
        r#"{"architectures":["BertForSequenceClassification"]}"#,
    );
    write("tokenizer.json", "{}");
    let no_tokenizer = cause();
    let copy = |from: &str, to: &str| {
        std::fs::copy(folder(from), broken.path().join(to)).unwrap();
    };
    copy("encoder/tokenizer.json", "tokenizer.json");
    let no_model = cause();
    write("model.onnx", "hello");
    let no_onnx = cause();
    copy("clip/vision_model.onnx", "model.onnx");
    let image = cause();
    copy("encoder/onnx/model.onnx", "model.onnx");
    let classifier = cause();
    write("config.json", r#"{"architectures":["BertForMaskedLM"]}"#);
    let no_head = cause();
    write("config.json", r#"{"architectures":["BertModel"]}"#);
    std::fs::create_dir(broken.path().join("1_Pooling")).unwrap();
    write(
        "1_Pooling/config.json",
        r#"{"pooling_mode_max_tokens":true}"#,
    );
    let pooling = cause();
    let with = |name: &str, change: fn(&mut TextOptions)| load(name, change).err();
    let cases = [
        (nothing, "has no config.json"),
        (no_json, "config.json is not usable"),
        (no_tokenizer, "tokenizer.json is not usable"),
        (no_model, "has no model.onnx"),
        (no_onnx, "no ONNX model"),
        (image, "input `pixel_values` that is not known"),
        (classifier, "BertForSequenceClassification"),
        (no_head, "--task fill-mask"),
        (pooling, "asks for pooling_mode_max_tokens"),
        (
            with("masked", |options| options.max_tokens = Some(99)),
            "from 8 to 32",
        ),
        (
            with("masked", |options| options.max_tokens = Some(1)),
            "change --max-tokens",
        ),
        (
            with("masked", |options| options.temperature = 0.0),
            "temperature is 0",
        ),
        (
            with("masked", |options| options.output = Some("x".into())),
            "no output x; it has logits",
        ),
        (
            with("encoder", |options| options.kind = Some(TextKind::MaskedLm)),
            "another --kind",
        ),
    ];
    for (error, text) in cases {
        let error = error.unwrap().to_string();
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
    // Declared a sentence encoder, a masked model has its logits pooled like any vectors.
    let kind = with("masked", |options| {
        options.kind = Some(TextKind::SentenceEncoder)
    });
    assert!(kind.is_none(), "{kind:?}");
}

/// The folder of the models that are too large for the repository.
fn minilm() -> Option<PathBuf> {
    let models = std::env::var_os("FED_BBPT_MODELS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/models"),
        PathBuf::from,
    );
    let folder = models.join("minilm");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "skipped: there is no {}; set FED_BBPT_MODELS",
        folder.display()
    );
    None
}

#[test]
fn minilm_answers_what_onnxruntime_answers() {
    let Some(folder) = minilm() else { return };
    let model = TextModel::load(&folder, &TextOptions::default()).unwrap();
    assert_eq!(model.kind(), TextKind::SentenceEncoder);
    assert_eq!(model.max_tokens(), 128);
    assert_cosines(&model, &json("minilm.json"), 0.01);
    // Quantised dynamically: other texts in the run would change the answer.
    let Model::Encoder(encoder) = &model.model else {
        panic!("no encoder")
    };
    assert_eq!(encoder.batch(), 1);
}

/// The same numbers as `prompts` of tests/text/soft.py.
fn soft_prompts(count: usize, tokens: usize, hidden: usize, scale: f32) -> Vec<Vec<f32>> {
    let number = |k: usize| scale * ((k * 7919 % 1000) as f32 / 500.0 - 1.0);
    let values: Vec<f32> = (0..count * tokens * hidden).map(number).collect();
    values
        .chunks_exact(tokens * hidden)
        .map(<[f32]>::to_vec)
        .collect()
}

#[test]
fn soft_prompts_stand_before_masked_texts() {
    let expected = &json("expected.json")["masked"];
    let texts: Vec<String> = list(&expected["texts"]);
    let labels: Vec<String> = list(&expected["labels"]);
    let logits: Vec<Vec<Vec<f32>>> = list(&expected["soft"]);
    let model = load("masked", |options| options.threads = 2).unwrap();
    let limits = model.soft_prompts().unwrap();
    assert_eq!((limits.hidden, limits.max_tokens), (24, 24));
    assert!((limits.deviation - 0.5).abs() < 0.02, "{limits:?}");
    let prompts = soft_prompts(2, 3, 24, 0.5);
    let soft = |text, soft_text| TextQuery {
        soft_text,
        ..TextQuery::new(text, "{}")
    };
    // Several prompts in one request, and texts without one.
    let queries: Vec<TextQuery<'_>> = prompts
        .iter()
        .map(Vec::as_slice)
        .chain([&[][..]])
        .flat_map(|prompt| texts.iter().map(move |text| soft(text, prompt)))
        .collect();
    let scores = model.score(&queries, &labels).unwrap();
    let plain: Vec<Vec<f32>> = list(&expected["logits"]);
    assert_close(&scores, &[logits.concat(), plain].concat(), 1e-4);
}

#[test]
fn soft_prompts_stand_before_texts_and_templates() {
    let expected = &json("expected.json")["encoder"];
    let texts: Vec<String> = list(&expected["texts"]);
    let labels: Vec<String> = list(&expected["labels"]);
    let template = expected["templates"][0].as_str().unwrap();
    let prompts = soft_prompts(2, 3, 24, 0.5);
    // The same network, once with its table inside and once without.
    for folder in ["encoder", "embeds"] {
        let model = load(folder, |options| options.max_tokens = Some(24)).unwrap();
        let asked = |before: usize, template_too: bool| -> Vec<TextQuery<'_>> {
            let query = |text| TextQuery {
                soft_text: &prompts[before],
                soft_template: if template_too { &prompts[0] } else { &[] },
                ..TextQuery::new(text, template)
            };
            texts.iter().map(|text| query(text)).collect()
        };
        let divided = |cosines: &Value| -> Vec<Vec<f32>> {
            let cosines: Vec<Vec<f32>> = list(cosines);
            let row = |row: Vec<f32>| row.into_iter().map(|cosine| cosine / 0.05).collect();
            cosines.into_iter().map(row).collect()
        };
        let scores = model.score(&asked(0, false), &labels).unwrap();
        assert_close(&scores, &divided(&expected["soft"]["text"]), 1e-3);
        let scores = model.score(&asked(1, true), &labels).unwrap();
        assert_close(&scores, &divided(&expected["soft"]["both"]), 1e-3);
        // Known embeddings are not computed again, and are not confused with those without a
        // prompt.
        let encodes = model.stats().encodes;
        assert_eq!(model.score(&asked(1, true), &labels).unwrap(), scores);
        assert_eq!(model.stats().encodes, encodes);
        assert_cosines(&model, expected, 1e-5);
    }
}

#[test]
fn soft_prompts_of_another_size_are_refused() {
    let model = load("encoder", |_| {}).unwrap();
    for (soft, cause) in [
        (vec![0.5; 23], "must have 24 for each of 1 to 16 tokens"),
        (
            vec![0.5; 24 * 17],
            "must have 24 for each of 1 to 16 tokens",
        ),
        (vec![f32::NAN; 24], "not finite"),
    ] {
        let query = TextQuery {
            soft_text: &soft,
            ..TextQuery::new("a", "{}")
        };
        let error = model.score(&[query], &["a", "b"]).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "config.json", "tokenizer.json"] {
        std::fs::copy(folder("embeds").join(file), dir.path().join(file)).unwrap();
    }
    let missing = TextModel::load(dir.path(), &TextOptions::default()).err();
    let missing = missing.unwrap().to_string();
    assert!(missing.contains("embed_tokens.onnx"), "{missing}");
}

#[test]
fn minilm_takes_soft_prompts_as_onnxruntime_does() {
    let Some(folder) = minilm() else { return };
    let reference = json("minilm.json");
    let model = TextModel::load(&folder, &TextOptions::default()).unwrap();
    let limits = model.soft_prompts().unwrap();
    assert_eq!((limits.hidden, limits.max_tokens), (384, 120));
    let stated = |key: &str| reference[key].as_f64().unwrap();
    assert!((limits.mean - stated("embedding_mean")).abs() < 1e-6);
    assert!((limits.deviation - stated("embedding_deviation")).abs() < 1e-6);
    let prompts = soft_prompts(1, 4, 384, 0.05);
    let texts: Vec<String> = list(&reference["texts"]);
    let labels: Vec<String> = list(&reference["labels"]);
    let template = reference["templates"][1].as_str().unwrap();
    let cosines: Vec<Vec<f32>> = list(&reference["soft"]);
    let query = |text| TextQuery {
        soft_text: &prompts[0],
        ..TextQuery::new(text, template)
    };
    let queries: Vec<TextQuery<'_>> = texts[..cosines.len()].iter().map(|t| query(t)).collect();
    let scores = model.score(&queries, &labels).unwrap();
    let divided: Vec<Vec<f32>> = cosines
        .iter()
        .map(|row| row.iter().map(|cosine| cosine / 0.05).collect())
        .collect();
    assert_close(&scores, &divided, 0.01 / 0.05);
}
