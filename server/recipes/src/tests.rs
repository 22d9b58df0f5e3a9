#![allow(clippy::unwrap_used)] // A test may panic: that is how it fails.

use super::task::TaskError;
use super::*;
use federation::task::Task;
use std::collections::BTreeSet;

mod texts;

fn recipes() -> Recipes {
    Recipes::load().unwrap()
}

#[test]
fn there_are_forty_and_their_names_are_their_own() {
    let recipes = recipes();
    let names: BTreeSet<&str> = recipes.all.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names.len(), recipes.all.len());
    assert!(names.len() >= 40, "{}", names.len());
    for name in names {
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{name}"
        );
        assert_eq!(
            recipes
                .find(&name.to_uppercase().replace('_', "-"))
                .unwrap()
                .name,
            name
        );
    }
    let unknown = recipes.find("mnist1").unwrap_err().to_string();
    assert!(unknown.contains("mnist"), "{unknown}");
    assert!(
        recipes
            .find("")
            .unwrap_err()
            .to_string()
            .contains("lists them all")
    );
}

#[test]
fn every_recipe_is_whole() {
    let recipes = recipes();
    for recipe in &recipes.all {
        let name = &recipe.name;
        assert!(
            recipe.labels.is_empty() == recipe.labels_from.is_some(),
            "{name}"
        );
        assert!(
            recipe.labels.is_empty() || recipe.labels.len() == recipe.classes,
            "{name}"
        );
        assert!(recipes.source(&recipe.paper).is_some(), "{name}");
        assert!(
            !recipe.download.is_empty() && !recipe.layout.trim().is_empty(),
            "{name}"
        );
        assert_eq!(recipe.train.is_empty(), recipe.test.is_empty(), "{name}");
        for part in [&recipe.train, &recipe.test] {
            let known = <datasets::split::Split as clap::ValueEnum>::from_str(part, false);
            assert!(part.is_empty() || known.is_ok(), "{name} {part}");
        }
        if let Some(template) = &recipe.template {
            assert!(recipes.source(&template.source).is_some(), "{name}");
            assert!(
                template.text.is_some() != template.input.is_some(),
                "{name}"
            );
            assert!(
                template
                    .text
                    .as_ref()
                    .is_none_or(|t| t.matches("{}").count() == 1),
                "{name}"
            );
            let mask = |t: &String| t.matches("<mask>").count() == 1;
            assert!(template.input.as_ref().is_none_or(mask), "{name}");
            assert!(
                template.input.is_none() || template.words.len() == recipe.classes,
                "{name}"
            );
        }
        assert_eq!(recipe.template.is_some(), recipe.paper != "ours", "{name}");
        assert!(
            recipe.setup != Setup::Clip || recipe.blackvip.is_some(),
            "{name}"
        );
        assert_eq!(
            recipe.setup == Setup::Masked,
            recipe.modality == Modality::Text,
            "{name}"
        );
    }
}

#[test]
fn every_task_file_is_valid_and_holds_what_was_published() {
    for recipe in &recipes().all {
        let text = task_file(recipe, None).unwrap_or_else(|e| panic!("{}: {e}", recipe.name));
        let task = Task::from_toml(&text).unwrap();
        assert_eq!(task.labels.len(), recipe.classes, "{}", recipe.name);
        let optimizer = &task.source()["optimizer"];
        if let Some(published) = &recipe.blackvip {
            for (key, value) in [
                ("a", published.a),
                ("c", published.c),
                ("alpha", published.alpha),
                ("gamma", published.gamma),
                ("beta", published.beta),
            ] {
                let written = optimizer[key].as_f64().unwrap();
                assert!((written - value).abs() < 1e-6, "{} {key}", recipe.name);
            }
        }
        if let Some(published) = &recipe.bdpl {
            assert_eq!(optimizer["draws"], published.draws);
            assert_eq!(task.source()["generator"]["positions"], published.positions);
        }
    }
}

#[test]
fn labels_come_from_the_data() {
    let recipes = recipes();
    let found: Vec<String> = ["a \"b\"", "c\\d", "ä"].map(str::to_owned).to_vec();
    let imagenet = recipes.find("imagenet").unwrap();
    let task = Task::from_toml(&task_file(imagenet, Some(&found)).unwrap()).unwrap();
    assert_eq!((task.labels, task.model.output.classes), (found.clone(), 3));
    assert!(matches!(
        task_file(imagenet, Some(&found[..1])),
        Err(TaskError::Task(_))
    ));
    // Folders of the known classes in another order: the model's order is kept.
    let cifar = recipes.find("cifar10").unwrap();
    let folders: Vec<String> = cifar
        .labels
        .iter()
        .rev()
        .map(|l| l.to_uppercase())
        .collect();
    let task = Task::from_toml(&task_file(cifar, Some(&folders)).unwrap()).unwrap();
    assert_eq!(task.labels, cifar.labels);
    let fixed = task_file(recipes.find("sst2").unwrap(), Some(&found));
    assert!(matches!(fixed, Err(TaskError::FixedLabels(_))));
}

#[test]
fn descriptions_say_what_is_not_known() {
    let recipes = recipes();
    let table = describe::table(&recipes);
    for recipe in &recipes.all {
        assert!(table.contains(&recipe.name));
        let text = describe::describe(&recipes, recipe);
        assert!(
            describe::UNPUBLISHED.iter().all(|u| text.contains(u)),
            "{}",
            recipe.name
        );
        assert!(text.contains("confirmed"), "{}", recipe.name);
        let json = describe::to_json(&recipes, recipe);
        assert_eq!(json["name"], recipe.name.as_str());
        assert!(json["sources"].as_array().is_some_and(|s| !s.is_empty()));
        assert!(json["unpublished"].as_array().is_some_and(|u| u.len() >= 3));
    }
}

#[test]
fn the_documentation_lists_every_set() {
    let text = include_str!("../../../docs/recipes.md");
    for recipe in &recipes().all {
        assert!(
            text.contains(&format!("| `{}` |", recipe.name)),
            "{}",
            recipe.name
        );
    }
}
