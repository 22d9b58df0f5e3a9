#![allow(clippy::unwrap_used)] // A test may panic: that is how it fails.

use super::*;
use crate::{classes, load_split};
use federation::task::Task;
use serde_json::json;
use std::fs;

fn task(labels: &[&str]) -> Task {
    Task::from_value(json!({
        "name": "Listed",
        "model": { "url": "http://127.0.0.1:8701", "name": "m",
            "input": { "height": 8, "width": 8 }, "output": { "classes": labels.len() } },
        "data": { "labels": labels },
    }))
    .unwrap()
}

/// Writes a picture of one grey level, which distinguishes it from the others.
fn picture(path: &Path, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_pixel(8, 8, image::Luma([level]))
        .save(path)
        .unwrap();
}

/// The label and the grey level of every example.
fn all(path: &Path, labels: &[&str], split: Option<Split>) -> Result<Vec<(usize, u8)>, LoadError> {
    let loaded = load_split(path, &task(labels), split)?;
    let level = |e: &federation::round::workbench::Labelled| match &e.input {
        federation::round::workbench::Input::Image(bytes) => bytes[0],
        federation::round::workbench::Input::Text(_) => 0,
    };
    Ok(loaded
        .examples
        .iter()
        .map(|e| (e.label, level(e)))
        .collect())
}

fn zhou(home: &Path, text: &str) {
    fs::write(home.join("split_zhou_Test.json"), text).unwrap();
}

fn fault_of(home: &Path, text: &str) -> ListFault {
    zhou(home, text);
    match all(home, &["cat", "dog"], None) {
        Err(LoadError::List { cause, .. }) => cause,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn coops_splits() {
    let home = tempfile::tempdir().unwrap();
    for (i, name) in ["cat/1.png", "dog/2.png", "cat/3.png", "dog/4.png"]
        .iter()
        .enumerate()
    {
        picture(&home.path().join("images").join(name), 10 * (i as u8 + 1));
    }
    picture(&home.path().join("other/9.png"), 9);
    let text = r#"{"train": [["cat/1.png", 0, "cat"], ["dog/2.png", 1, "dog"]],
        "val": [["cat/3.png", 0, "cat"]], "test": [["dog/4.png", 1, "dog"]]}"#;
    zhou(home.path(), text);
    let read = |split| all(home.path(), &["dog", "cat"], split).unwrap();
    assert_eq!(read(Some(Split::Train)), [(1, 10), (0, 20)]);
    assert_eq!(read(Some(Split::Val)), [(1, 30)]);
    assert_eq!(read(Some(Split::Trainval)).len(), 3);
    assert_eq!(read(Some(Split::Test)), [(0, 40)]);
    assert_eq!(read(None).len(), 4);
    assert_eq!(classes(home.path()).unwrap(), ["cat", "dog"]);
    // A task whose labels are the numbers of the classes.
    let numbers = all(home.path(), &["0", "1"], Some(Split::Test)).unwrap();
    assert_eq!(numbers, [(1, 40)]);
    // Names that the task does not have are reported as unknown.
    let foreign = all(home.path(), &["a", "b"], None).unwrap_err();
    assert!(foreign.to_string().contains("\"cat\""), "{foreign}");
    // A missing picture is reported.
    fs::remove_file(home.path().join("images/cat/1.png")).unwrap();
    let loaded = load_split(home.path(), &task(&["cat", "dog"]), None).unwrap();
    assert_eq!(loaded.examples.len(), 3);
    assert!(
        loaded.notes.iter().any(|n| n.contains("images/cat/1.png")),
        "{:?}",
        loaded.notes
    );
}

#[test]
fn hostile_splits_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let inside = home.path().join("set");
    picture(&inside.join("images/1.png"), 1);
    picture(&home.path().join("secret.png"), 2);
    for path in [
        "../secret.png",
        "/etc/passwd",
        "images/../../secret.png",
        "a\\b.png",
        "",
        "./1.png",
        "images//1.png",
    ] {
        let text = json!({ "train": [[path, 0, "cat"]] }).to_string();
        assert!(
            matches!(fault_of(&inside, &text), ListFault::Outside(_)),
            "{path}"
        );
    }
    for text in [
        "",
        "[",
        "[]",
        "3",
        r#"{"train": 3}"#,
        r#"{"train": [["a.png", 0]]}"#,
        r#"{"train": [["a.png", -1, "cat"]]}"#,
        r#"{"train": [["a.png", "0", "cat"]]}"#,
        r#"{"train": [["a.png", 0, "cat", 1]]}"#,
    ] {
        let fault = fault_of(&inside, text);
        assert!(
            matches!(fault, ListFault::Json(_) | ListFault::Empty),
            "{text}: {fault}"
        );
    }
    assert_eq!(fault_of(&inside, "{}"), ListFault::Empty);
    assert_eq!(
        fault_of(&inside, r#"{"test": [["images/1.png", 0, " "]]}"#),
        ListFault::NoName
    );
    for two in [
        r#"{"train": [["images/1.png", 0, "cat"], ["images/1.png", 0, "dog"]]}"#,
        r#"{"train": [["images/1.png", 0, "cat"]], "test": [["images/1.png", 1, "cat"]]}"#,
    ] {
        assert!(
            matches!(fault_of(&inside, two), ListFault::Classes { .. }),
            "{two}"
        );
    }
    assert!(matches!(
        fault_of(&inside, r#"{"train": [["images/7.png", 0, "cat"]]}"#),
        ListFault::NoPictures { count: 1, .. }
    ));
    fs::write(inside.join("split_mlai_Other.json"), "{}").unwrap();
    let fault = fault_of(&inside, "{}");
    assert!(
        matches!(fault, ListFault::Several(_) | ListFault::Empty),
        "{fault}"
    );
}

#[test]
fn aircraft() {
    let home = tempfile::tempdir().unwrap();
    for i in 1..=3 {
        picture(&home.path().join(format!("data/images/{i}.png")), i);
        fs::rename(
            home.path().join(format!("data/images/{i}.png")),
            home.path().join(format!("data/images/{i}.jpg")),
        )
        .unwrap();
    }
    let list = |name: &str, text: &[u8]| {
        fs::write(
            home.path().join(format!("data/images_variant_{name}.txt")),
            text,
        )
        .unwrap();
    };
    list("train", b"1 707-320\n\n");
    list("val", b"2 F-16A/B\r\n");
    list("trainval", b"1 707-320\n2 F-16A/B\n");
    list("test", b"3 707-320\n");
    let labels = ["707-320", "F-16A/B"];
    let read = |split| all(home.path(), &labels, split).unwrap();
    assert_eq!(classes(home.path()).unwrap(), labels);
    assert_eq!(read(Some(Split::Train)), [(0, 1)]);
    assert_eq!(read(Some(Split::Trainval)), [(0, 1), (1, 2)]);
    assert_eq!(read(Some(Split::Test)), [(0, 3)]);
    assert_eq!(read(None).len(), 3);
    let fault = |text: &[u8]| {
        list("train", text);
        match all(home.path(), &labels, None) {
            Err(LoadError::List { cause, .. }) => cause,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(b"1 707-320\n2\n"), ListFault::Line(2));
    assert_eq!(fault(b"\xff\xfe"), ListFault::NotUtf8);
    assert!(matches!(fault(b"../../1 707-320\n"), ListFault::Outside(_)));
}

#[test]
fn clevr_counts_objects() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("CLEVR_v1.0");
    picture(&root.join("images/train/a.png"), 1);
    picture(&root.join("images/val/b.png"), 2);
    fs::create_dir_all(root.join("scenes")).unwrap();
    let scenes = |part: &str, name: &str, objects: usize| {
        let objects = vec![json!({ "shape": "cube" }); objects];
        let text = json!({ "info": {}, "scenes": [{ "image_filename": name, "objects": objects, "split": part }] });
        fs::write(
            root.join(format!("scenes/CLEVR_{part}_scenes.json")),
            text.to_string(),
        )
        .unwrap();
    };
    scenes("train", "a.png", 10);
    scenes("val", "b.png", 3);
    let read = |split| all(home.path(), &["3", "10"], split).unwrap();
    assert_eq!(classes(home.path()).unwrap(), ["3", "10"]);
    assert_eq!(read(Some(Split::Train)), [(1, 1)]);
    // The public test part has no scenes.
    assert_eq!(read(Some(Split::Test)), [(0, 2)]);
    scenes("val", "../../x.png", 3);
    let outside = all(home.path(), &["3", "10"], None).unwrap_err();
    assert!(outside.to_string().contains("no path below"), "{outside}");
    fs::write(
        root.join("scenes/CLEVR_val_scenes.json"),
        "{\"scenes\": [{}]}",
    )
    .unwrap();
    assert!(all(home.path(), &["3", "10"], None).is_err());
}

#[test]
fn folders_have_parts_and_matlab_is_refused_with_advice() {
    let home = tempfile::tempdir().unwrap();
    for (i, name) in ["train/0/a.png", "train/1/b.png", "test/0/c.png"]
        .iter()
        .enumerate()
    {
        picture(&home.path().join(name), i as u8 + 1);
    }
    let read = |split| all(home.path(), &["0", "1"], split);
    assert_eq!(read(Some(Split::Train)).unwrap(), [(0, 1), (1, 2)]);
    assert_eq!(read(Some(Split::Test)).unwrap(), [(0, 3)]);
    let none = read(Some(Split::Val)).unwrap_err().to_string();
    assert!(none.contains("no part val; there is train, test"), "{none}");
    assert_eq!(classes(home.path()).unwrap(), ["0", "1"]);
    let svhn = tempfile::tempdir().unwrap();
    fs::write(svhn.path().join("train_32x32.mat"), "MATLAB 5.0 MAT-file").unwrap();
    let refused = all(svhn.path(), &["0", "1"], None).unwrap_err();
    assert!(matches!(refused, LoadError::Matlab { .. }), "{refused}");
}
