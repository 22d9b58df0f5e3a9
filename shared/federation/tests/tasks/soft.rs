//! Tasks whose prompts are embeddings.

use crate::fixture;
use federation::task::Task;
use ground::fault::Faults;
use serde_json::{Value, json};

fn task(generator: Value, text: Value) -> Result<Task, Faults> {
    let mut source = fixture::task(text, generator);
    source["optimizer"] = json!({ "kind": "cma-es" });
    Task::from_value(source)
}

#[test]
fn the_projection_has_the_stated_variance() {
    let settings = json!({ "kind": "soft", "tokens": 3, "hidden": 64, "dimensions": 500, "deviation": 0.05, "alpha": 2.0 });
    let task = task(settings, json!({ "template": "About {}." })).unwrap();
    assert_eq!(task.dim(), 500);
    let soft = task.inputs.texts().unwrap().soft.unwrap();
    assert_eq!((soft.tokens, soft.hidden), (3, 64));
    let generator = task.text_generator().unwrap();
    let mut dice = ground::rng::Stream::new(1, 0);
    let z: Vec<f32> = (0..500).map(|_| dice.normal()).collect();
    let prompt = generator.prompt(&z).soft.unwrap();
    assert!(prompt.before_label);
    assert_eq!(prompt.embeddings.len(), 192);
    let squares: f32 = prompt.embeddings.iter().map(|x| x * x).sum();
    let deviation = (squares / 192.0).sqrt();
    assert!((deviation - 0.1).abs() < 0.015, "{deviation}");
    // Linear.
    let twice: Vec<f32> = z.iter().map(|z| 2.0 * z).collect();
    let twice = generator.prompt(&twice).soft.unwrap();
    assert_eq!(twice.embeddings[7], 2.0 * prompt.embeddings[7]);
    assert!(
        generator
            .prompt(&generator.initial())
            .soft
            .unwrap()
            .embeddings
            .iter()
            .all(|x| *x == 0.0)
    );
    let odd = generator
        .prompt(&[f32::NAN, f32::MAX, f32::INFINITY])
        .soft
        .unwrap();
    assert!(odd.embeddings.iter().all(|x| x.is_finite()));
    // The signs by another implementation of Philox.
    let one = generator.prompt(&[1.0]).soft.unwrap().embeddings;
    let signs: Vec<bool> = one[..12].iter().map(|x| *x > 0.0).collect();
    let known = [
        true, false, true, true, false, true, true, false, true, true, false, true,
    ];
    assert_eq!(signs, known);
}

#[test]
fn every_fault_is_told() {
    let template = json!({ "template": "About {}." });
    for (generator, text, paths) in [
        (
            json!({ "kind": "soft" }),
            &template,
            vec!["generator.hidden", "generator.deviation"],
        ),
        (
            json!({ "kind": "soft", "hidden": 65536, "tokens": 512, "deviation": 1 }),
            &template,
            vec!["generator.tokens"],
        ),
        (
            json!({ "kind": "soft", "hidden": 8, "deviation": 1, "place": "label" }),
            &json!({ "input": "{text} <mask>" }),
            vec!["generator.place"],
        ),
    ] {
        let Faults(faults) = task(generator, text.clone()).unwrap_err();
        let found: Vec<&str> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(found, paths);
    }
}
