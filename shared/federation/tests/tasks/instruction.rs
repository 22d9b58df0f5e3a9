//! Tasks that choose among instructions.

use crate::fixture;
use federation::task::Task;
use ground::fault::Faults;
use proptest::prelude::*;
use serde_json::{Value, json};
use tuning::generator::instruction::LONGEST;

fn task(text: Value, generator: Value) -> Result<Task, Faults> {
    let mut generator = generator;
    generator["kind"] = "instruction".into();
    Task::from_value(fixture::task(text, generator))
}

fn about(generator: Value) -> Result<Task, Faults> {
    task(json!({ "template": "About {}." }), generator)
}

#[test]
fn the_best_of_what_was_counted_is_the_prompt() {
    let task = about(json!({ "instructions": ["{}", "On {}:", "{} it is."] })).unwrap();
    assert_eq!((task.dim(), task.update_length()), (6, 6));
    assert!(!task.federation.ask_ahead);
    let text = task.inputs.texts().cloned().unwrap();
    let shown = |theta: &[f32]| text.shown(&task.prompt(theta).unwrap());
    // Before anything was tried it is the first, and among equals too.
    assert_eq!(shown(&task.initial().unwrap()), "{}");
    assert_eq!(shown(&[0.5, 0.5, 0.0, 1.0, 1.0, 0.0]), "{}");
    let theta = [4.0, 8.5, 0.9, 10.0, 10.0, 1.0];
    // μ = 13.4/21: the third was lucky once, and 0.77 is not 0.83.
    assert_eq!(shown(&theta), "On {}:");
    // Equals that masks have rounded: still the first.
    assert_eq!(
        shown(&[0.2, 4.799_97, 4.800_02, 1.0, 6.0, 6.000_01]),
        "On {}:"
    );
    let ranking = task.ranking(&theta);
    let names: Vec<_> = ranking.iter().map(|r| &*r.instruction).collect();
    assert_eq!(names, ["On {}:", "{} it is.", "{}"]);
    assert!((ranking[0].mean - 9.138_1 / 11.0).abs() < 2e-4 && ranking[1].tries == 1.0);
}

#[test]
fn the_place_is_the_models_or_stated() {
    let lines = json!(["", "Which topic?"]);
    let masked = json!({ "input": "{text} <mask>" });
    let by_default = task(masked.clone(), json!({ "instructions": lines })).unwrap();
    let prompt = by_default.prompt(&[0.0, 1.0, 0.0, 0.0]).unwrap();
    assert_eq!((&*prompt.input, prompt.template), ("Which topic?", None));
    let stated = about(json!({ "instructions": lines, "place": "label" })).unwrap();
    assert_eq!(
        stated.prompt(&[0.0, 1.0, 0.0, 0.0]).unwrap().label,
        "Which topic?"
    );
    let Faults(faults) = task(
        masked,
        json!({ "instructions": ["{}", "{} {}"], "place": "template" }),
    )
    .unwrap_err();
    let paths: Vec<_> = faults.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["generator.place", "generator.instructions"]);
}

#[test]
fn every_fault_is_told() {
    for (generator, count) in [
        (json!({}), 1),
        (json!({ "instructions": ["{}"] }), 1),
        (json!({ "instructions": ["{}", "{}"] }), 1),
        (json!({ "instructions": ["{}", "none", "{} {}", " {}"] }), 3),
        (
            json!({ "instructions": ["a", "b {}"], "place": "input" }),
            1,
        ),
        (json!({ "instructions": ["{}", "{}\n."], "colour": 1 }), 2),
        (
            json!({ "instructions": ["{}", "x".repeat(LONGEST) + "{}"] }),
            1,
        ),
        (json!({ "instructions": ["{}", 1], "place": "above" }), 2),
    ] {
        let Faults(faults) = about(generator.clone()).unwrap_err();
        let of_list = faults.iter().filter(|f| f.path.starts_with("generator."));
        assert!(of_list.count() >= count, "{generator} {faults:?}");
        assert!(
            faults.iter().all(|f| f.path.starts_with("generator.")),
            "{faults:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_point_gives_an_instruction(point in prop::collection::vec(any::<f32>(), 0..9)) {
        let task = about(json!({ "instructions": ["{} x", "{} y", "{}"] })).unwrap();
        let prompt = task.prompt(&point).unwrap();
        let known = ["{} x", "{} y", "{}", ""].contains(&&*prompt.template.unwrap());
        prop_assert!(known);
        prop_assert!(task.ranking(&point).len() <= 3);
    }
}
