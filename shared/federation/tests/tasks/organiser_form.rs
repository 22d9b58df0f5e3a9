//! The settings that the organiser's form shows are settings that there are.

use federation::catalogue::Catalogue;
use federation::task::Task;
use ground::form::FormField;
use serde_json::{Value, json};
use std::sync::Arc;

fn images() -> Value {
    json!({
        "name": "X",
        "model": {
            "url": "http://127.0.0.1:9", "name": "m",
            "input": { "height": 32, "width": 32 }, "output": { "classes": 2 },
        },
        "data": { "labels": ["a", "b"] },
    })
}

fn texts() -> Value {
    json!({
        "name": "X",
        "model": { "url": "http://127.0.0.1:9", "name": "m", "input": { "kind": "text" } },
        "data": { "labels": ["a", "b"] },
        "text": { "template": "It is {}." },
        "generator": { "candidates": ["", "a", "b"] },
    })
}

fn set(task: &mut Value, path: &str, value: Value) {
    *task.pointer_mut("").unwrap() = {
        let mut whole = task.clone();
        let mut place = &mut whole;
        for key in path.split('.') {
            if place.is_null() {
                *place = json!({});
            }
            place = &mut place[key];
        }
        *place = value;
        whole
    };
}

/// What is wrong with `task` once the form's fields stand in it.
fn faults(mut task: Value, fields: &[FormField], of_texts: bool) -> String {
    for field in fields
        .iter()
        .filter(|field| !(of_texts && field.images_only))
    {
        let value = match field.texts {
            Some(texts) if of_texts => texts,
            _ => field.value,
        };
        if value.is_empty() {
            continue;
        }
        let items = || value.split(", ").collect::<Vec<_>>();
        let value = serde_json::from_str::<Value>(value).unwrap_or_else(|_| match field.kind {
            ground::form::FormKind::Candidates => json!([vec![""], items()].concat()),
            _ => json!(value),
        });
        set(&mut task, field.path, value);
    }
    Task::from_value_with(&Arc::default(), task)
        .map_or_else(|faults| faults.to_string(), |_| String::new())
}

#[test]
fn every_field_of_the_form_is_a_setting_of_what_it_is_shown_with() {
    let all = Catalogue::default();
    let mut seen = 0;
    for (name, entry) in all.generators.iter() {
        let mut task = images();
        set(&mut task, "generator.kind", json!(name));
        let said = faults(task, entry.about.fields, false);
        assert!(said.is_empty(), "{name}: {said}");
        seen += entry.about.fields.len();
    }
    for (name, entry) in all
        .text_generators
        .iter()
        .filter(|(_, e)| e.about.choice.is_some())
    {
        let mut task = texts();
        set(&mut task, "generator.kind", json!(name));
        let said = faults(task, entry.about.fields, true);
        assert!(said.is_empty(), "{name}: {said}");
        seen += entry.about.fields.len();
    }
    for (name, entry) in all
        .optimizers
        .iter()
        .filter(|(_, e)| e.about.choice.is_some())
    {
        let of_texts = entry.needs.domain != tuning::optimizer::Domain::Numbers;
        let mut task = if of_texts { texts() } else { images() };
        set(&mut task, "optimizer.kind", json!(name));
        let said = faults(task, entry.about.fields, of_texts);
        assert!(said.is_empty(), "{name}: {said}");
        seen += entry.about.fields.len();
    }
    for (name, entry) in all.dialects.iter() {
        // Other settings may be missing, such as a model's hash: what counts is that these are known.
        for of_texts in [false, true] {
            let mut task = if of_texts { texts() } else { images() };
            set(&mut task, "model.dialect", json!(name));
            let said = faults(task, entry.help.fields, of_texts);
            assert!(!said.contains("is not a setting"), "{name}: {said}");
        }
        seen += entry.help.fields.len();
    }
    assert!(seen >= 15, "{seen}");
    // A field of a setting that there is not would be told.
    let wrong = [FormField::new(
        "generator.gird",
        "",
        ground::form::FormKind::Whole,
        "5",
    )];
    assert!(faults(images(), &wrong, false).contains("generator.gird: is not a setting"));
}

#[test]
fn a_generator_of_texts_says_whether_its_prompts_are_embeddings() {
    let generators = [
        ("discrete", json!({ "candidates": ["", "a"] })),
        ("instruction", json!({ "instructions": ["{}", "{}."] })),
        (
            "soft",
            json!({ "hidden": 8, "tokens": 2, "deviation": 0.1 }),
        ),
    ];
    let all = Catalogue::default().text_generators;
    assert_eq!(all.names(), generators.each_ref().map(|(name, _)| *name));
    for (name, settings) in generators {
        let mut task = texts();
        task["generator"] = settings;
        set(&mut task, "generator.kind", json!(name));
        let task = Task::from_value(task).unwrap();
        let stated = all.get(name).unwrap().embeddings;
        assert_eq!(
            task.inputs.texts().unwrap().soft.is_some(),
            stated,
            "{name}"
        );
    }
}
