use super::*;
use crate::PRINTED_DIGITS;

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
