//! Tiny files in the layout of each set of texts, read as the set's recipe says.

use super::*;
use datasets::load_split;
use datasets::split::Split;
use federation::round::workbench::Input;

/// The files of a set, and what is read from its test part (or all of it): label numbers and first
/// texts.
struct Case {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    test: &'static [(usize, &'static str)],
}

const CASES: [Case; 16] = [
    Case {
        name: "mnli",
        files: &[
            (
                "train.tsv",
                "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\tfiction\tA a\tB b\tneutral\tneutral\n",
            ),
            (
                "dev_matched.tsv",
                "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\tfiction\tC c\tD d\tneutral\tcontradiction\n",
            ),
            ("test_matched.tsv.md5", "0\n"),
        ],
        test: &[(2, "C c")],
    },
    Case {
        name: "qqp",
        files: &[
            (
                "train.tsv",
                "id\tquestion1\tquestion2\tis_duplicate\n1\tA a?\tB b?\t1\n",
            ),
            (
                "dev.tsv",
                "id\tquestion1\tquestion2\tis_duplicate\n1\tC \"c?\tD d?\t0\n",
            ),
        ],
        test: &[(0, "C \"c?")],
    },
    Case {
        name: "sst2",
        files: &[
            ("stsa.binary.train", "1 a stirring film\n"),
            ("stsa.binary.dev", "0 a dull film\n"),
            ("stsa.binary.test", "1 a fine film\n"),
            ("LICENSE", "as is\n"),
            ("SOURCE.txt", "somewhere\n"),
        ],
        test: &[(0, "a dull film")],
    },
    Case {
        name: "mrpc",
        files: &[
            (
                "train.tsv",
                "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tA a\tB b\n",
            ),
            (
                "dev.tsv",
                "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t3\t4\tC c\tD d\n",
            ),
        ],
        test: &[(0, "C c")],
    },
    Case {
        name: "cola",
        files: &[
            ("train.tsv", "gj04\t1\t\tThe sailors rode.\n"),
            (
                "dev.tsv",
                "gj04\t0\t*\tRode sailors the.\ngj04\t1\t\tThey rode.\n",
            ),
        ],
        test: &[(0, "Rode sailors the."), (1, "They rode.")],
    },
    Case {
        name: "rte",
        files: &[
            (
                "train.tsv",
                "index\tsentence1\tsentence2\tlabel\n0\tA a\tB b\tentailment\n",
            ),
            (
                "dev.tsv",
                "index\tsentence1\tsentence2\tlabel\n0\tC c\tD d\tnot_entailment\n",
            ),
        ],
        test: &[(1, "C c")],
    },
    Case {
        name: "citation_intent",
        files: &[
            (
                "train.jsonl",
                "{\"text\": \"A a\", \"label\": \"Uses\", \"metadata\": {}}\n",
            ),
            (
                "test.jsonl",
                "{\"text\": \"B b\", \"label\": \"CompareOrContrast\", \"metadata\": {}}\n",
            ),
        ],
        test: &[(1, "B b")],
    },
    Case {
        name: "hyperpartisan",
        files: &[
            ("train.jsonl", "{\"text\": \"A a\", \"label\": \"true\"}\n"),
            (
                "test.jsonl",
                "{\"text\": \"B b\", \"label\": \"false\"}\n{\"text\": \"C c\", \"label\": true}\n",
            ),
        ],
        test: &[(0, "B b"), (1, "C c")],
    },
    Case {
        name: "ag_news",
        files: &[
            ("train.csv", "\"1\",\"A a\",\"B b\"\n"),
            (
                "test.csv",
                "\"3\",\"Fears for pensions\",\"Unions \"\"say\"\", so\"\n",
            ),
            ("classes.txt", "World\nSports\nBusiness\nSci/Tech\n"),
        ],
        test: &[(2, "Fears for pensions")],
    },
    Case {
        name: "yelp_polarity",
        files: &[
            ("train.csv", "\"2\",\"A a\"\n"),
            ("test.csv", "\"1\",\"Bad \"\"food\"\", \\n worse wine\"\n"),
        ],
        test: &[(0, "Bad \"food\", \\n worse wine")],
    },
    Case {
        name: "dbpedia",
        files: &[
            ("train.csv", "1,\"A a\",\"B b\"\n"),
            (
                "test.csv",
                "14,\"A Book\",\" A Book is a book\"\n2,\"A School\",\" It is a school\"\n",
            ),
        ],
        test: &[(13, "A Book"), (1, "A School")],
    },
    Case {
        name: "snli",
        files: &[
            (
                "snli_1.0_train.jsonl",
                "{\"gold_label\": \"neutral\", \"sentence1\": \"A a\", \"sentence2\": \"B b\"}\n",
            ),
            (
                "snli_1.0_test.jsonl",
                "{\"annotator_labels\": [\"neutral\"], \"gold_label\": \"-\", \"sentence1\": \"C c\", \"sentence2\": \"D d\"}\n{\"annotator_labels\": [], \"gold_label\": \"entailment\", \"sentence1\": \"E e\", \"sentence2\": \"F f\"}\n",
            ),
        ],
        test: &[(0, "E e")],
    },
    Case {
        name: "trec",
        files: &[
            ("TREC.train.all", "0 How did it develop ?\n"),
            ("TREC.test.all", "5 How many ?\n"),
        ],
        test: &[(5, "How many ?")],
    },
    Case {
        name: "subj",
        files: &[("subj.all", "1 he goes to the house\n0 smart and alert\n")],
        test: &[(1, "he goes to the house"), (0, "smart and alert")],
    },
    Case {
        name: "mpqa",
        files: &[("mpqa.all", "0 failing to support\n1 many years of decay\n")],
        test: &[(0, "failing to support"), (1, "many years of decay")],
    },
    Case {
        name: "sst5",
        files: &[
            ("stsa.fine.train", "4 a film\n"),
            ("stsa.fine.dev", "3 another film\n"),
            ("stsa.fine.test", "2 one more\n"),
        ],
        test: &[(2, "one more")],
    },
];

#[test]
fn every_layout_of_texts_is_read() {
    let recipes = recipes();
    for case in &CASES {
        let home = tempfile::tempdir().unwrap();
        for (file, text) in case.files {
            std::fs::write(home.path().join(file), text).unwrap();
        }
        let recipe = recipes.find(case.name).unwrap();
        let task = Task::from_toml(&task_file(recipe, None).unwrap()).unwrap();
        let part = |name: &str| <Split as clap::ValueEnum>::from_str(name, false).ok();
        let read = |split| {
            let loaded = load_split(home.path(), &task, split);
            let loaded = loaded.unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let first = |input: Input| match input {
                Input::Text(text) => text.first,
                Input::Image(_) => String::new(),
            };
            let all = loaded.examples.into_iter();
            all.map(|e| (e.label, first(e.input))).collect::<Vec<_>>()
        };
        let expected: Vec<_> = case
            .test
            .iter()
            .map(|(l, t)| (*l, (*t).to_owned()))
            .collect();
        assert_eq!(read(part(&recipe.test)), expected, "{}", case.name);
        assert!(!read(part(&recipe.train)).is_empty(), "{}", case.name);
    }
}

/// Reads the data sets that developers keep beside the repository, if the environment says where.
#[test]
fn real_ones_too_where_they_are() {
    let Some(root) = std::env::var_os("FED_BBPT_TEXTS") else {
        return;
    };
    let recipes = recipes();
    for name in ["sst2", "trec", "ag_news"] {
        let recipe = recipes.find(name).unwrap();
        let task = Task::from_toml(&task_file(recipe, None).unwrap()).unwrap();
        let folder = std::path::Path::new(&root).join(name);
        let loaded = load_split(&folder, &task, Some(Split::Test)).unwrap();
        assert!(loaded.examples.len() >= 500, "{name}");
    }
}
