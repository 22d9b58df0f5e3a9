use proptest::prelude::*;

use super::*;

fn auto(text: &str) -> Result<Vec<Example>, DataError> {
    read("t.csv", text.as_bytes(), &Options::default())
}

fn labels(text: &str) -> Vec<String> {
    auto(text)
        .unwrap()
        .into_iter()
        .map(|example| example.label)
        .collect()
}

fn grey(example: &Example) -> &[u8] {
    let bytes = example.image.bytes();
    &bytes[..bytes.len() / 3]
}

/// Three rows in the form of scikit-learn's digits: 64 values 0..16, then the label.
fn digits() -> String {
    let row = |label: usize| {
        let pixels: Vec<String> = (0..64)
            .map(|i| (i * (label + 1) % 17).to_string())
            .collect();
        format!("{},{label}\n", pixels.join(","))
    };
    [3, 8, 0].map(row).concat()
}

#[test]
fn scikit_learn_digits() {
    let examples = auto(&digits()).unwrap();
    assert_eq!(
        examples.iter().map(|e| &e.label[..]).collect::<Vec<_>>(),
        ["3", "8", "0"]
    );
    assert_eq!(
        (examples[0].image.width(), examples[0].image.height()),
        (8, 8)
    );
    // i·4 mod 17, of 16: 16 is white, 8 is mid-grey.
    assert_eq!(grey(&examples[0])[..5], [0, 64, 128, 191, 255]);
}

#[test]
fn kaggle_mnist() {
    let header: Vec<String> = (0..784).map(|i| format!("pixel{i}")).collect();
    let row = |label: u8, value: u8| {
        let pixels: Vec<String> = (0..784)
            .map(|i| if (300..400).contains(&i) { value } else { 0 }.to_string())
            .collect();
        format!("{label},{}\r\n", pixels.join(","))
    };
    let text = format!(
        "label,{}\r\n{}{}",
        header.join(","),
        row(7, 255),
        row(2, 18)
    );
    let examples = auto(&text).unwrap();
    assert_eq!(examples.len(), 2);
    assert_eq!(
        (examples[0].label.as_str(), examples[1].label.as_str()),
        ("7", "2")
    );
    assert_eq!(examples[0].image.width(), 28);
    assert_eq!(
        (
            grey(&examples[0])[300],
            grey(&examples[1])[300],
            grey(&examples[1])[0]
        ),
        (255, 18, 0)
    );
}

#[test]
fn mnist_without_header_is_told_by_its_constant_corner() {
    assert_eq!(labels("7,0,9,200,0\n2,1,1,77,0\n"), ["7", "2"]);
    assert_eq!(labels("0,9,200,0,7\n0,1,77,1,2\n"), ["7", "2"]);
}

#[test]
fn the_federations_labels_decide_where_values_do_not() {
    let text = "1,40,50,60,0\n2,41,51,61,90\n";
    assert!(matches!(auto(text), Err(DataError::WhichLabel { .. })));
    let options = Options {
        known: ["1", "2"].map(String::from).to_vec(),
        ..Options::default()
    };
    assert_eq!(read("t", text.as_bytes(), &options).unwrap()[1].label, "2");
    let last = Options {
        label: LabelColumn::Last,
        ..Options::default()
    };
    assert_eq!(read("t", text.as_bytes(), &last).unwrap()[1].label, "90");
}

#[test]
fn named_columns_anywhere() {
    let text = "a,b,Class,c,d\n0,1,cat,1,0\n1,1,dog,0,0\n";
    assert_eq!(labels(text), ["cat", "dog"]);
    let options = Options {
        label: LabelColumn::Named("B".into()),
        ..Options::default()
    };
    assert!(matches!(
        read("t", text.as_bytes(), &options),
        Err(DataError::NotANumber {
            row: 2,
            column: 3,
            ..
        })
    ));
    let options = Options {
        label: LabelColumn::Named("kind".into()),
        ..Options::default()
    };
    assert!(matches!(
        read("t", text.as_bytes(), &options),
        Err(DataError::NoSuchColumn { .. })
    ));
}

#[test]
fn row_numbers_of_pandas_are_left_out() {
    assert_eq!(
        labels(",p0,p1,p2,p3,label\n0,1,2,3,4,5.0\n1,4,3,2,1,6.0\n"),
        ["5", "6"]
    );
    assert_eq!(labels("0,a,1,2,3,4\n1,b,4,3,2,1\n"), ["a", "b"]);
}

#[test]
fn quotes_blanks_separators_and_line_ends() {
    assert_eq!(
        labels("\"a, \"\"b\"\"\" ; 1;0,5; 0 ;\"1\"\r\rc;1;1;0;0"),
        ["a, \"b\"", "c"]
    );
    let tab = auto("\u{feff}x\t1\t0\t0\t0.5\n").unwrap();
    assert_eq!(grey(&tab[0]), [255, 0, 0, 128]);
    assert_eq!(
        labels("\"two\nlines\",1,1,1,1\n\n\nb,0,0,0,0\n\n"),
        ["two\nlines", "b"]
    );
}

#[test]
fn ranges() {
    let first = |text: &str| grey(&auto(text).unwrap()[0]).to_vec();
    assert_eq!(first("a,0,0.5,1,2.5e-1\n"), [0, 128, 255, 64]);
    assert_eq!(first("a,0,8,16,4\n"), [0, 128, 255, 64]);
    assert_eq!(first("a,0,8,17,4\n"), [0, 8, 17, 4]);
    let byte = Options {
        range: Range::Byte,
        ..Options::default()
    };
    assert_eq!(
        grey(&read("t", b"a,0,1,1,0\n", &byte).unwrap()[0]),
        [0, 1, 1, 0]
    );
    let unit = Options {
        range: Range::Unit,
        ..Options::default()
    };
    assert_eq!(
        read("t", b"a,0,1,1,2\n", &unit).unwrap_err(),
        DataError::OutOfRange {
            file: "t".into(),
            row: 1,
            column: 5,
            value: 2.0,
            low: 0.0,
            high: 1.0
        }
    );
    assert!(matches!(
        auto("a,0,1,256,0\n"),
        Err(DataError::OutOfRange { column: 4, .. })
    ));
    assert!(matches!(
        auto("a,0,1,-1,0\n"),
        Err(DataError::OutOfRange { column: 4, .. })
    ));
}

#[test]
fn colours_and_sizes() {
    let text = "a,1,2,3,4,5,255,7,8,9,10,11,12\n";
    assert_eq!(
        auto(text).unwrap()[0].image.bytes(),
        [1, 4, 7, 10, 2, 5, 8, 11, 3, 255, 9, 12]
    );
    let planar = Options {
        order: ColourOrder::Planar,
        ..Options::default()
    };
    assert_eq!(
        read("t", text.as_bytes(), &planar).unwrap()[0]
            .image
            .bytes()[..4],
        [1, 2, 3, 4]
    );
    let wide = Options {
        size: Some((6, 2)),
        ..Options::default()
    };
    let image = &read("t", text.as_bytes(), &wide).unwrap()[0].image;
    assert_eq!((image.width(), image.height()), (6, 2));
    let wrong = Options {
        size: Some((usize::MAX, 2)),
        ..Options::default()
    };
    assert!(matches!(
        read("t", text.as_bytes(), &wrong),
        Err(DataError::ShapeMismatch { pixels: 12, .. })
    ));
    assert!(matches!(
        auto("a,1,2,3,4,5\nb,5,4,3,2,1\n"),
        Err(DataError::NoShape { pixels: 5, .. })
    ));
}

#[test]
fn faults_name_the_row() {
    let ragged = digits() + "1,2,3\n" + &digits() + "\n4\n";
    assert_eq!(
        auto(&ragged).unwrap_err(),
        DataError::RaggedRow {
            file: "t.csv".into(),
            row: 4,
            expected: 65,
            got: 3,
            more: 1
        }
    );
    assert_eq!(
        auto("label,a,b,c,d\nx,1,2,3,4\ny,1,NaN,3,4\n").unwrap_err(),
        DataError::NotANumber {
            file: "t.csv".into(),
            row: 3,
            column: 3,
            text: "NaN".into()
        }
    );
    assert!(matches!(
        auto("x,1,,3,4\ny,1,2,3,4\n"),
        Err(DataError::NotANumber {
            row: 1,
            column: 3,
            ..
        })
    ));
    assert!(matches!(
        auto("label,a\nx,1\n,1\n"),
        Err(DataError::NoLabel { row: 3, .. })
    ));
    assert!(matches!(
        auto("x,1,2,3,4\n\"y,1,2,3,4\n"),
        Err(DataError::OpenQuote { row: 2, .. })
    ));
    assert!(matches!(
        read("t", b"x\xe9,1,2,3,4\n", &Options::default()),
        Err(DataError::NotUtf8 { row: 1, .. })
    ));
}

#[test]
fn what_is_no_table() {
    for empty in ["", "\n\n", "label,a,b\n", "\u{feff}"] {
        assert!(
            matches!(auto(empty), Err(DataError::Empty { .. })),
            "{empty:?}"
        );
    }
    let kind = |bytes: &[u8]| match read("t", bytes, &Options::default()) {
        Err(DataError::WrongKind { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    use crate::files::FileKind;
    assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), FileKind::Png);
    assert_eq!(kind(b"PK\x03\x04"), FileKind::Zip);
    assert_eq!(kind(b"<!DOCTYPE html><html>"), FileKind::Html);
    assert_eq!(kind(b"\xff\xfea\0,\0"), FileKind::Utf16);
}

#[test]
fn the_reader_tells_size_and_number_before_it_yields() {
    let text = digits();
    let mut reader = Reader::new("t", text.as_bytes(), &Options::default()).unwrap();
    assert_eq!((reader.examples(), reader.size()), (3, (8, 8)));
    assert_eq!(reader.by_ref().count(), 3);
    assert!(reader.next().is_none());
}

#[test]
fn numbers() {
    let is = |text: &str| number(text.as_bytes(), b',');
    for (text, value) in [
        ("0", 0.0),
        ("-1.5", -1.5),
        ("+.5", 0.5),
        ("3.", 3.0),
        ("1.5E+2", 150.0),
        ("25e-2", 0.25),
    ] {
        assert_eq!(is(text), Some(value), "{text}");
    }
    for text in [
        "", ".", "-", "e5", "1e", "1e+", "nan", "inf", "1.2.3", "0x10", "1,5", "1 2", "9e99",
    ] {
        assert_eq!(is(text), None, "{text}");
    }
    assert_eq!(number(b"1,5", b';'), Some(1.5));
}

proptest! {
    #[test]
    fn any_bytes_give_examples_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // It must return, whatever the bytes are.
        let _ = read("t", &bytes, &Options::default());
    }

    #[test]
    fn any_text_of_csv_letters_gives_examples_or_a_fault(text in "[0-2ab,;\"\n\r\t. -]{0,120}") {
        if let Ok(reader) = Reader::new("t", text.as_bytes(), &Options::default()) {
            let expected = reader.examples();
            let examples: Result<Vec<_>, _> = reader.collect();
            let examples = examples.expect("what passed the first pass can be read");
            prop_assert_eq!(examples.len(), expected);
            prop_assert!(examples.iter().all(|e| !e.label.is_empty()));
        }
    }

    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec((prop::collection::vec(any::<u8>(), 9), "[a-z\",; ]{0,6}[a-z]"), 1..6)
    ) {
        let mut text = String::from("label,a,b,c,d,e,f,g,h,i\n");
        for (pixels, label) in &rows {
            let cells: Vec<String> = pixels.iter().map(u8::to_string).collect();
            text += &format!("\"{}\",{}\n", label.replace('"', "\"\""), cells.join(","));
        }
        let options = Options { range: Range::Byte, ..Options::default() };
        let examples = read("t", text.as_bytes(), &options).unwrap();
        prop_assert_eq!(examples.len(), rows.len());
        for (example, (pixels, label)) in examples.iter().zip(&rows) {
            prop_assert_eq!(grey(example), &pixels[..]);
            prop_assert_eq!(&example.label, label);
        }
    }
}
