//! Tasks whose prompts are words.

use crate::fixture;
use federation::task::Task;
use ground::fault::Faults;
use proptest::prelude::*;
use serde_json::{Value, json};
use tuning::optimizer::Space;

fn task(text: Value, generator: Value) -> Result<Task, Faults> {
    Task::from_value(fixture::task(text, generator))
}

fn about(generator: Value) -> Result<Task, Faults> {
    task(json!({ "template": "About {}." }), generator)
}

#[test]
fn the_largest_of_a_row_is_the_word() {
    let generator = json!({ "positions": 3, "candidates": ["", "news", "of the"] });
    let task = about(generator).unwrap();
    assert_eq!(task.dim(), 9);
    let generator = task.text_generator().unwrap();
    assert_eq!(
        (generator.dim(), generator.space()),
        (9, Space::categories(3))
    );
    let label = |point: &[f32]| generator.prompt(point).label;
    assert_eq!(label(&generator.initial()), "");
    assert_eq!(
        label(&[0., 1., 0., 5., 5., 4., -3., -2., -1.]),
        "news of the"
    );
    assert_eq!(generator.prompt(&[0.; 9]).input, "");
}

#[test]
fn the_place_follows_from_the_model() {
    let words = ["a", "b"];
    let masked = json!({ "input": "{text} <mask>" });
    let by_default = task(masked.clone(), json!({ "candidates": words })).unwrap();
    let prompt = by_default.text_generator().unwrap().prompt(&[0.; 8]);
    assert_eq!((&*prompt.input, &*prompt.label), ("a a a a", ""));
    let stated = about(json!({ "candidates": words, "place": "input" })).unwrap();
    assert_eq!(
        stated.text_generator().unwrap().prompt(&[0.; 8]).input,
        "a a a a"
    );
    let faults = task(masked, json!({ "candidates": words, "place": "label" })).unwrap_err();
    assert_eq!(faults.0[0].path, "generator.place");
}

#[test]
fn every_fault_is_told() {
    for (generator, count) in [
        (json!({}), 1),
        (json!({ "candidates": ["a"] }), 1),
        (json!({ "candidates": ["a", "a"] }), 1),
        (json!({ "candidates": ["a", " b"] }), 1),
        (json!({ "candidates": ["a", "{}"] }), 1),
        (json!({ "candidates": ["a", "b\n"] }), 1),
        (json!({ "candidates": ["a", 1] }), 2),
        (json!({ "kind": "statistic" }), 2),
        (json!({ "positions": 0, "place": "above", "colour": 1 }), 4),
    ] {
        let Faults(faults) = about(generator.clone()).unwrap_err();
        assert_eq!(faults.len(), count, "{generator} {faults:?}");
        assert!(faults.iter().all(|f| f.path.starts_with("generator.")));
    }
}

proptest! {
    #[test]
    fn any_point_gives_known_words(point in prop::collection::vec(any::<f32>(), 0..30)) {
        let task = about(json!({ "candidates": ["x", "y", ""] })).unwrap();
        let prompt = task.text_generator().unwrap().prompt(&point);
        prop_assert!(prompt.label.split(' ').all(|w| ["x", "y", ""].contains(&w)));
    }
}
