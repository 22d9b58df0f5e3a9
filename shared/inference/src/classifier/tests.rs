use super::*;

/// The model that `fed-bbpt model-api` serves if no other is given.
const PRINTED_DIGITS: &[u8] =
    include_bytes!("../../../../server/model-api/models/printed-digits/printed-digits.onnx");

fn load(change: impl FnOnce(&mut ClassifierOptions)) -> Result<Classifier, LoadError> {
    let mut options = ClassifierOptions::default();
    change(&mut options);
    Classifier::load(PRINTED_DIGITS.to_vec(), &options)
}

#[test]
fn the_embedded_model_is_as_described() {
    fn shared_between_threads<T: Send + Sync>(_: &T) {}
    let classifier = load(|_| {}).unwrap();
    shared_between_threads(&classifier);
    assert_eq!(
        (classifier.input_name(), classifier.output_name()),
        ("image", "logits")
    );
    assert_eq!(
        (
            classifier.height(),
            classifier.width(),
            classifier.classes()
        ),
        (32, 32, 10)
    );
    assert_eq!(classifier.input_shape(7), [7, 3, 32, 32]);
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let cases = [
        (
            load(|options| options.layout = Layout::Nhwc).err(),
            "try --layout nchw",
        ),
        (
            load(|options| options.output = Some("features".into())).err(),
            "has no output features; it has logits",
        ),
        (
            load(|options| options.labels = vec!["one".into()]).err(),
            "1 labels, but the model has 10 classes",
        ),
        (
            load(|options| options.size = Some((32, 33))).err(),
            "leave --size away",
        ),
        (
            Classifier::load(b"hello".to_vec(), &ClassifierOptions::default()).err(),
            "no ONNX model",
        ),
        (
            Classifier::load(Vec::new(), &ClassifierOptions::default()).err(),
            "no ONNX model",
        ),
        (
            Classifier::load(
                PRINTED_DIGITS[..5000].to_vec(),
                &ClassifierOptions::default(),
            )
            .err(),
            "onnx",
        ),
    ];
    for (error, text) in cases {
        let error = error.unwrap().to_string();
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
}

#[test]
fn threads_do_not_change_the_answer() {
    let images: Vec<u8> = (0..5 * 3 * 32 * 32).map(|i| (i * 7 % 251) as u8).collect();
    let one = load(|_| {}).unwrap().run(&images).unwrap();
    let three = load(|options| options.threads = 3)
        .unwrap()
        .run(&images)
        .unwrap();
    assert_eq!(one, three);
}

#[test]
fn bytes_and_floats_are_the_same_and_the_range_counts() {
    let images: Vec<u8> = (0..3 * 32 * 32).map(|i| (i * 7 % 251) as u8).collect();
    let floats: Vec<f32> = images.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    for range in ["0:1", "-1:1", "imagenet"] {
        let classifier = load(|options| options.range = range.parse().unwrap()).unwrap();
        let bytes = classifier.run(&images).unwrap();
        assert_eq!(
            classifier.run_batch(&[Pixels::Floats(&floats)]).unwrap(),
            bytes
        );
        let unit = load(|_| {}).unwrap().run(&images).unwrap();
        assert_eq!(range == "0:1", unit == bytes, "{range}");
    }
}

/// A tiny model of the folder `tests/models`: 2 rows, 4 columns, answers the mean of every channel.
fn tiny(name: &str, change: impl FnOnce(&mut ClassifierOptions)) -> Result<Classifier, LoadError> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../server/model-api/tests/models");
    let mut options = ClassifierOptions::default();
    change(&mut options);
    Classifier::load(
        std::fs::read(folder.join(format!("{name}.onnx"))).unwrap(),
        &options,
    )
}

/// Three planar images, each channel of one value: 0, 51, 102, 153, …, as fractions 0, 0.2, 0.4, …
fn flat_images() -> (Vec<u8>, Vec<f32>) {
    let levels = [0_u8, 51, 102, 153, 204, 255, 255, 0, 51];
    let images = levels.iter().flat_map(|&level| [level; 8]).collect();
    (
        images,
        levels
            .iter()
            .map(|&level| f32::from(level) / 255.0)
            .collect(),
    )
}

fn assert_means(classifier: &Classifier) {
    let (images, means) = flat_images();
    let scores = classifier.run(&images).unwrap();
    assert_eq!(scores.rows(), 3);
    for (score, mean) in scores.values().iter().zip(&means) {
        assert!((score - mean).abs() < 1e-6, "{scores:?} {means:?}");
    }
}

#[test]
fn channels_last_exact_batches_and_open_sizes_work() {
    let nhwc = tiny("nhwc", |options| options.layout = Layout::Nhwc).unwrap();
    assert_eq!(nhwc.input_shape(1), [1, 2, 4, 3]);
    assert_means(&nhwc);
    // Three images in batches of two: the last is filled up, and what fills it is not answered.
    assert_means(&tiny("exact_batch", |_| {}).unwrap());
    assert_means(&tiny("open_size", |options| options.size = Some((2, 4))).unwrap());
}

#[test]
fn ragged_images_are_refused_in_every_layout() {
    for classifier in [
        tiny("nhwc", |options| options.layout = Layout::Nhwc).unwrap(),
        tiny("exact_batch", |_| {}).unwrap(),
    ] {
        for length in [0, 1, 23, 25, 71] {
            let refused = classifier.run(&vec![0; length]);
            assert_eq!(
                refused,
                Err(RunError::Length {
                    got: length,
                    image_len: 24
                })
            );
        }
    }
}

#[test]
fn models_that_are_no_classifiers_are_refused() {
    let cases = [
        (tiny("open_size", |_| {}).err(), "--size HEIGHTxWIDTH"),
        (
            tiny("grey", |_| {}).err(),
            "1 channels if read as nchw, but RGB has 3",
        ),
        (
            tiny("flat", |_| {}).err(),
            "has the shape [B, 24], but a batch of images has rank 4",
        ),
        (
            tiny("map", |_| {}).err(),
            "has the shape [1, 3, 2, 4] for one image",
        ),
        (tiny("nhwc", |_| {}).err(), "try --layout nhwc"),
    ];
    for (error, text) in cases {
        let error = error.unwrap().to_string();
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
}

#[test]
fn infinity_from_the_model_is_an_error() {
    let classifier = tiny("logarithm", |_| {}).unwrap();
    let (images, _) = flat_images();
    assert_eq!(
        classifier.run(&images),
        Err(RunError::NotFinite),
        "the logarithm of black"
    );
    assert!(classifier.run(&[255; 24]).is_ok());
}

fn clip(change: impl FnOnce(&mut ClipOptions)) -> Result<Classifier, crate::TextLoadError> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../server/model-api/tests/text/clip");
    let mut options = ClipOptions {
        labels: ["cat", "dog", "car"].map(str::to_owned).to_vec(),
        ..ClipOptions::default()
    };
    change(&mut options);
    Classifier::load_clip(&folder, &options)
}

#[test]
fn a_pair_of_encoders_answers_what_onnxruntime_answers() {
    let expected: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../server/model-api/tests/text/expected.json"
    ))
    .unwrap();
    let expected = &expected["clip"];
    let images: Vec<Vec<u8>> = serde_json::from_value(expected["images"].clone()).unwrap();
    let logits: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let classifier = clip(|_| {}).unwrap();
    assert_eq!((classifier.kind(), classifier.classes()), ("clip", 3));
    assert_eq!(classifier.input_shape(1), [1, 3, 8, 8]);
    let scores = classifier.run(&images.concat()).unwrap();
    for (score, logit) in scores.values().iter().zip(logits.concat()) {
        assert!((score - logit).abs() < 1e-2, "{scores:?} {logits:?}");
    }
    let warm = clip(|options| options.temperature = 1.0).unwrap();
    let cosine = warm.run(&images[0]).unwrap().values()[0];
    assert!((cosine - logits[0][0] / 100.0).abs() < 1e-4);
}

#[test]
fn a_pair_that_cannot_classify_says_what_to_do() {
    let cases = [
        (
            clip(|options| options.labels.clear()).err(),
            "--labels FILE",
        ),
        (
            clip(|options| options.template = "a photo".into()).err(),
            "`a photo`, but must have `{}`",
        ),
        (
            clip(|options| options.temperature = f32::NAN).err(),
            "must be above 0",
        ),
        (
            clip(|options| options.max_tokens = Some(99)).err(),
            "change --max-tokens",
        ),
    ];
    for (error, text) in cases {
        let error = error.unwrap().to_string();
        assert!(error.contains(text), "`{text}` is not in `{error}`");
    }
}
