use super::*;
use proptest::prelude::*;

fn known(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|l| (*l).to_owned()).collect()
}

/// (label, first text, second text) of every example.
fn all(file: &str, text: &str, labels: &[&str]) -> Vec<[String; 3]> {
    let examples = read(file, text.as_bytes(), &known(labels)).unwrap();
    let parts = |e: TextExample| [e.label, e.text.first, e.text.second];
    examples.into_iter().map(parts).collect()
}

fn fault(file: &str, text: &str, labels: &[&str]) -> DataError {
    read(file, text.as_bytes(), &known(labels)).unwrap_err()
}

#[test]
fn ag_news() {
    let text = "\"3\",\"Fears for T N pension\",\"Unions \"\"say\"\", they are\nangry\"\n\"4\",\"The Race is On\",\"TORONTO, Canada\"\n";
    assert_eq!(
        all("test.csv", text, &["1", "2", "3", "4"]),
        [
            [
                "3",
                "Fears for T N pension",
                "Unions \"say\", they are\nangry"
            ],
            ["4", "The Race is On", "TORONTO, Canada"],
        ]
    );
}

#[test]
fn lines_of_label_and_sentence() {
    let text = "1 a stirring , funny film\n\n0 apparently : reassembled\r\n";
    let expected = [
        ["1", "a stirring , funny film", ""],
        ["0", "apparently : reassembled", ""],
    ];
    assert_eq!(all("stsa.binary.train", text, &["0", "1"]), expected);
    // TREC: the coarse label before the colon, or the whole where the task has it.
    let text = "DESC:manner How did serfdom develop ?\nENTY:cremat What films ?\n";
    assert_eq!(
        all("TREC.train", text, &["DESC", "ENTY"])[1],
        ["ENTY", "What films ?", ""]
    );
    let fine = ["DESC:manner", "ENTY:cremat"];
    assert_eq!(all("TREC.train", text, &fine)[0][0], "DESC:manner");
}

#[test]
fn what_is_not_utf8_is_latin_1() {
    let bytes = b"0 cr\xe8me br\xfbl\xe9e\n1 cr\xc3\xa8me\n";
    let examples = read("x.all", bytes, &known(&["0", "1"])).unwrap();
    assert_eq!(examples[0].text.first, "crème brûlée");
    assert_eq!(examples[1].text.first, "crème");
}

#[test]
fn tables_of_glue() {
    let rte = "index\tsentence1\tsentence2\tlabel\n0\tA \" quoted one .\tB b .\tentailment\n1\tC c\tD d\tnot_entailment\n";
    let labels = ["entailment", "not_entailment"];
    assert_eq!(
        all("train.tsv", rte, &labels)[0],
        ["entailment", "A \" quoted one .", "B b ."]
    );
    let mrpc = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t59\t60\tHe said .\t\" It is .\n0\t1\t2\ta b\tc d\n";
    assert_eq!(
        all("dev.tsv", mrpc, &["0", "1"])[0],
        ["1", "He said .", "\" It is ."]
    );
    // No header: CoLA.
    let cola = "b_73\t0\t*\tI've never seen it.\ngj04\t1\t\tThe sailors rode.\n";
    assert_eq!(
        all("train.tsv", cola, &["0", "1"])[1],
        ["1", "The sailors rode.", ""]
    );
    let mnli = "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n7\tfiction\tA a\tB b\tneutral\tentailment\n";
    assert_eq!(
        all("m.tsv", mnli, &["entailment", "neutral"])[0],
        ["entailment", "A a", "B b"]
    );
    let qnli = "index\tquestion\tsentence\tlabel\n0\tWhat is?\tIt is.\tentailment\n";
    assert_eq!(
        all("q.tsv", qnli, &labels)[0],
        ["entailment", "What is?", "It is."]
    );
}

#[test]
fn names_and_places_of_columns() {
    let labels = ["neg", "pos"];
    let expected = [["pos", "good, really", ""], ["neg", "bad", ""]];
    for (file, text) in [
        ("a.csv", "text,label\n\"good, really\",pos\nbad,neg\n"),
        (
            "a.csv",
            "id;Label;Sentence\n1;pos;good, really\n2;neg;bad\n",
        ),
        ("a.csv", "pos,\"good, really\"\nneg,bad\n"),
        ("a.csv", "\"good, really\",7,pos\nbad,8,neg\n"),
        ("a.txt", "label,text\npos,\"good, really\"\nneg,bad\n"),
        (
            "a.jsonl",
            "{\"text\":\"good, really\",\"label\":\"pos\"}\n\n{\"label\":\"neg\",\"text\":\"bad\"}\n",
        ),
        (
            "a.json",
            "[{\"text\":\"good, really\",\"label\":\"pos\"},{\"label\":\"neg\",\"text\":\"bad\"}]",
        ),
        ("data", "label\ttext\npos\tgood, really\nneg\tbad\n"),
    ] {
        assert_eq!(all(file, text, &labels), expected, "{file} {text}");
    }
    let numbers = "{\"label\": 1, \"sentence1\": \"a\", \"sentence2\": \"b\"}\n";
    assert_eq!(all("a.jsonl", numbers, &["0", "1"]), [["1", "a", "b"]]);
}

#[test]
fn without_labels_it_is_all_text() {
    let first = |file: &str, text: &str| all(file, text, &[])[0].clone();
    let plain = "This is one.\nAnother one.\nA third.\nIt ends.\n";
    assert_eq!(first("a.txt", plain), ["", "This is one.", ""]);
    let lines = "0 a b\n1 c d\n0 e f\n1 g h\n0 i j\n1 k l\n1 m n\n0 o p\n";
    assert_eq!(first("a.train", lines), ["0", "a b", ""]);
    assert_eq!(first("a.csv", "text\n\"a b\"\n"), ["", "a b", ""]);
}

#[test]
fn faults_name_the_row() {
    let labels = ["0", "1"];
    let ragged = fault("a.csv", "text,label\na b,1\nc d\ne f,0,1\n", &labels);
    assert!(
        matches!(
            ragged,
            DataError::RaggedRow {
                row: 3,
                expected: 2,
                got: 1,
                more: 1,
                ..
            }
        ),
        "{ragged}"
    );
    let ragged = fault("a.tsv", "text\tlabel\na b\t1\n\nc d\n", &labels);
    assert!(
        matches!(ragged, DataError::RaggedRow { row: 4, .. }),
        "{ragged}"
    );
    let no_label = fault("a.csv", "text,label\na b,1\nc d,\n", &labels);
    assert!(
        matches!(no_label, DataError::NoLabel { row: 3, .. }),
        "{no_label}"
    );
    let no_text = fault("x.train", "0 a\n1\n", &labels);
    assert!(
        matches!(no_text, DataError::NoText { row: 2, .. }),
        "{no_text}"
    );
    let json = fault(
        "a.jsonl",
        "{\"text\":\"a\",\"label\":1}\n{\"text\":\n",
        &labels,
    );
    assert!(matches!(json, DataError::JsonLine { row: 2, .. }), "{json}");
    let column = fault("a.jsonl", "{\"words\":\"a\",\"label\":1}\n", &labels);
    assert!(matches!(column, DataError::NoSuchColumn { .. }), "{column}");
    let open = fault("a.csv", "1,\"open\n", &labels);
    assert!(
        matches!(open, DataError::OpenQuote { row: 1, .. }),
        "{open}"
    );
    for empty in ["", "\n \n", "text,label\n"] {
        assert!(
            matches!(fault("a.csv", empty, &labels), DataError::Empty { .. }),
            "{empty:?}"
        );
    }
    assert!(matches!(
        fault("a.csv", "PK\u{3}\u{4}", &labels),
        DataError::WrongKind { .. }
    ));
    // Unknown labels are found where labels are resolved; here they must come through as they are.
    assert_eq!(
        all("a.csv", "good film,pos\nbad film,neg\n", &labels)[0][0],
        "pos"
    );
}

#[test]
fn a_text_is_cut_where_no_model_reads_on() {
    let long = format!("0 {}\n1 b\n", "ä".repeat(LONGEST + 5));
    let examples = read("x", long.as_bytes(), &known(&["0", "1"])).unwrap();
    assert_eq!(examples[0].text.first.chars().count(), LONGEST);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        name in "[a-z]{0,3}\\.(csv|tsv|jsonl|json|txt)",
    ) {
        for labels in [&[][..], &["0", "1"]] {
            let _ = read(&name, &bytes, &known(labels));
        }
    }

    #[test]
    fn any_text_like_a_table_is_read_or_refused(text in "[01a,;\t\n\" {}\\[\\]:]{0,80}", name in "x\\.(csv|tsv|jsonl|txt)") {
        if let Ok(examples) = read(&name, text.as_bytes(), &known(&["0", "1"])) {
            prop_assert!(examples.iter().all(|e| !e.label.is_empty()));
        }
    }

    #[test]
    fn quoted_cells_come_back(texts in prop::collection::vec("[a-zäß,;\n \"]{1,30}", 1..10)) {
        let mut file = "label,text\n".to_owned();
        for text in &texts {
            file += &format!("1,\"{}x\"\n", text.replace('"', "\"\""));
        }
        let examples = read("a.csv", file.as_bytes(), &known(&["0", "1"])).unwrap();
        prop_assert_eq!(examples.len(), texts.len());
        for (example, text) in examples.iter().zip(&texts) {
            let expected = format!("{text}x");
            prop_assert_eq!(&example.text.first, expected.trim());
        }
    }
}
