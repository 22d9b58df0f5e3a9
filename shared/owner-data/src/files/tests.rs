use proptest::prelude::*;

use super::*;

fn known() -> Vec<String> {
    (0..10).map(|digit: u8| digit.to_string()).collect()
}

fn kinds(paths: &[&str], table: Option<&LabelTable>) -> Vec<(String, PlannedKind)> {
    let plan = plan(paths, &known(), table).unwrap();
    plan.files
        .into_iter()
        .map(|file| (file.path, file.kind))
        .collect()
}

fn kind(path: &str) -> PlannedKind {
    // A second file, so that the choice is never empty.
    kinds(&[path, "zzz.csv"], None)
        .into_iter()
        .find(|(p, _)| p == path)
        .unwrap()
        .1
}

#[test]
fn folders_are_classes() {
    use PlannedKind::{Csv, Image, Skip};
    assert_eq!(kind("3/a.png"), Image("3".into()));
    assert_eq!(kind("mine\\train\\7\\b.JPEG"), Image("7".into()));
    assert_eq!(kind("mine/00004/scans/c.webp"), Image("00004".into()));
    assert_eq!(kind("dogs/d.gif"), Image("dogs".into()));
    assert_eq!(kind("./e.bmp"), Skip(SkipReason::NoClass));
    assert_eq!(kind("3/table.CSV"), Csv);
    assert_eq!(kind("table.tsv"), Csv);
    assert_eq!(
        kind("3/read.me"),
        Skip(SkipReason::UnknownKind("me".into()))
    );
    assert_eq!(kind("README"), Skip(SkipReason::UnknownKind(String::new())));
    assert_eq!(kind("3/more.zip"), Skip(SkipReason::Archive));
}

#[test]
fn litter_and_escapes_are_left_out() {
    for path in [
        "__MACOSX/3/._a.png",
        "3/.DS_Store",
        "3/Thumbs.db",
        ".git/3/a.png",
        "3/._a.png",
    ] {
        assert_eq!(kind(path), PlannedKind::Skip(SkipReason::Hidden), "{path}");
    }
    for path in ["../3/a.png", "3/../../a.png", "/3/a.png", "\\3\\a.png"] {
        assert_eq!(kind(path), PlannedKind::Skip(SkipReason::Outside), "{path}");
    }
}

#[test]
fn gzip_is_seen_through() {
    let plan = plan(&["digits.csv.gz", "a/x.tar.gz"], &[], None).unwrap();
    assert_eq!((plan.usable, plan.skipped), (1, 1));
    assert!(
        plan.files
            .iter()
            .any(|f| f.gzip && f.kind == PlannedKind::Csv)
    );
}

#[test]
fn mnist_files_find_each_other() {
    let paths = [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte",
        "train-images.idx3-ubyte",
        "train-labels.idx1-ubyte",
        "other/train-labels-idx1-ubyte",
    ];
    let kinds: std::collections::BTreeMap<_, _> = kinds(&paths, None).into_iter().collect();
    assert_eq!(kinds[paths[0]], PlannedKind::IdxImages(paths[1].into()));
    assert_eq!(kinds[paths[1]], PlannedKind::IdxLabels(paths[0].into()));
    assert_eq!(kinds[paths[2]], PlannedKind::IdxImages(paths[3].into()));
    assert_eq!(kinds[paths[3]], PlannedKind::IdxLabels(paths[2].into()));
    assert_eq!(kinds[paths[4]], PlannedKind::Skip(SkipReason::NoPartner));
}

#[test]
fn a_table_of_labels_names_the_pictures() {
    let paths = [
        "set/img/a.png",
        "set/img/b.png",
        "set/labels.csv",
        "set/more/labels.csv",
    ];
    assert_eq!(find_label_table(&paths), Some("set/labels.csv"));
    assert_eq!(find_label_table(&["labels.csv"]), None);
    let table =
        LabelTable::parse("set/labels.csv", b"split,label,path\ntrain,5,./img/a.png\n").unwrap();
    let kinds = kinds(&paths, Some(&table));
    assert_eq!(kinds[0].1, PlannedKind::Image("5".into()));
    assert_eq!(kinds[1].1, PlannedKind::Skip(SkipReason::NotInTable));
    assert_eq!(kinds[2].1, PlannedKind::LabelTable);
}

#[test]
fn tables_without_header_and_their_faults() {
    let parse = |text: &str| LabelTable::parse("labels.tsv", text.as_bytes());
    let table = parse("a.png\tcat\nb.png\tdog\na.png\tcat\n").unwrap();
    assert_eq!(
        (
            table.label("b.png"),
            table.label("./a.png"),
            table.label("c.png")
        ),
        (Some("dog"), Some("cat"), None)
    );
    assert!(matches!(
        parse("a.png\tcat\na.png\tdog\n"),
        Err(DataError::LabelTwice { row: 2, .. })
    ));
    assert!(matches!(
        parse("a.png\tcat\nb.png\n"),
        Err(DataError::RaggedRow {
            row: 2,
            expected: 2,
            got: 1,
            ..
        })
    ));
    assert!(matches!(
        parse("a.png\n"),
        Err(DataError::RaggedRow { row: 1, .. })
    ));
    assert!(matches!(
        parse("a.png\t\n"),
        Err(DataError::NoLabel { row: 1, .. })
    ));
    assert!(matches!(
        parse("path\tlabel\n"),
        Err(DataError::Empty { .. })
    ));
}

#[test]
fn large_choices_are_sampled_evenly_and_counted() {
    let paths: Vec<String> = (0..30_000).map(|i| format!("{}/{i}.png", i % 10)).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let plan = plan(&paths, &known(), None).unwrap();
    assert_eq!((plan.files.len(), plan.usable), (MAX_FILES, 30_000));
    assert_eq!(plan.warnings, [DataError::TooManyFiles { count: 30_000 }]);
    for digit in known() {
        let share = plan
            .files
            .iter()
            .filter(|f| f.kind == PlannedKind::Image(digit.clone()))
            .count();
        assert_eq!(share, MAX_FILES / 10);
    }
    assert!(
        super::plan(&paths[..MAX_FILES], &known(), None)
            .unwrap()
            .warnings
            .is_empty()
    );
}

#[test]
fn nothing_usable_is_a_fault() {
    assert!(matches!(plan(&[], &[], None), Err(DataError::Empty { .. })));
    assert!(matches!(
        plan(&["a.txt", ".b.png"], &[], None),
        Err(DataError::Empty { .. })
    ));
}

#[test]
fn first_bytes() {
    let cases: [(&[u8], FileKind); 19] = [
        (b"\x89PNG\r\n\x1a\n", FileKind::Png),
        (b"\xff\xd8\xff\xe0", FileKind::Jpeg),
        (b"RIFF\x01\x02\x03\x04WEBPVP8 ", FileKind::WebP),
        (b"GIF89a", FileKind::Gif),
        (
            b"BM\x01\x02\x03\x04\0\0\0\0\x36\0\0\0\x28\0\0\0",
            FileKind::Bmp,
        ),
        (b"BM,1,2,3", FileKind::Text),
        (b"II*\0", FileKind::Tiff),
        (b"\0\0\0\x18ftypheic", FileKind::Heif),
        (b"PK\x03\x04", FileKind::Zip),
        (b"\x1f\x8b\x08", FileKind::Gzip),
        (&[0, 0, 8, 3, 0, 0, 0, 1], FileKind::Idx),
        (b"%PDF-1.7", FileKind::Pdf),
        (b"\x93NUMPY", FileKind::Npy),
        (b"\xef\xbb\xbf \n<HTML>", FileKind::Html),
        (b"\xff\xfea\0", FileKind::Utf16),
        (b"a,1\r\n\tb", FileKind::Text),
        ("ä,1".as_bytes(), FileKind::Text),
        (b"", FileKind::Empty),
        (b"\x7fELF\x02", FileKind::Unknown),
    ];
    for (bytes, expected) in cases {
        assert_eq!(kind_of(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn names_that_promise_too_much() {
    let image = PlannedKind::Image("3".into());
    assert!(check_kind("a.png", &image, b"\xff\xd8\xff\xe0").is_ok());
    let fault = check_kind("a.png", &image, b"<html>404").unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with("a.png: this looks like a web page"),
        "{fault}"
    );
    assert!(check_kind("a.csv", &PlannedKind::Csv, b"1,2").is_ok());
    assert!(check_kind("a.csv", &PlannedKind::Csv, b"PK\x03\x04").is_err());
    assert!(check_kind("a", &PlannedKind::IdxLabels("b".into()), b"1,2").is_err());
}

proptest! {
    #[test]
    fn any_paths_are_planned(paths in prop::collection::vec("[a-c./\\\\é]{0,12}(\\.png|-idx1-ubyte|-idx3-ubyte|labels\\.csv)?", 0..8)) {
        let mut paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        if let Ok(plan) = plan(&paths, &known(), None) {
            prop_assert_eq!(plan.usable + plan.skipped, paths.len());
            let planned: Vec<&str> = plan.files.iter().map(|f| f.path.as_str()).collect();
            prop_assert_eq!(planned, paths);
        }
    }

    #[test]
    fn any_bytes_make_a_table_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = kind_of(&bytes);
        if let Ok(table) = LabelTable::parse("labels.csv", &bytes) {
            prop_assert_eq!(table.path(), "labels.csv");
        }
    }
}
