//! `fed-bbpt audit`: a record passes as it was written; tampering is found, at the right line.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use federation::record::{Entry, Line, RoundEntry, hash, nothing, write};
use federation::rules::advance::Sums;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tests::digits_table;
use tests::process::{Ended, run};

/// Rounds of the record: lines 2 to 5.
const ROUNDS: usize = 4;

/// The record of a federation of three with masks and noise, as lines.
fn record(home: &Path) -> Vec<String> {
    let (data, path) = (home.join("digits.csv"), home.join("record.jsonl"));
    digits_table(&data);
    let rounds = ROUNDS.to_string();
    let ended = run(&[
        "simulate",
        "--task",
        "handwriting",
        "--data",
        data.to_str().unwrap(),
        "--train",
        "60",
        "--clients",
        "3",
        "--only",
        "federated",
        "--rounds",
        &rounds,
        "--masks",
        "--record",
        path.to_str().unwrap(),
        "--set",
        "optimizer.directions=2",
        "--set",
        "federation.local_steps=1",
        "--set",
        "federation.secure_sum.cohort_min=3",
        "--set",
        "federation.privacy.epsilon=50",
        "--json",
    ]);
    let theta = ended.json()["outcomes"][0]["theta"].clone();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), ROUNDS + 1);
    let Entry::Round(last) = parse(&lines).pop().unwrap() else {
        panic!("the record ends with a round");
    };
    assert_eq!(theta, last.theta);
    lines
}

fn audit(path: &Path, more: &[&str]) -> Ended {
    run(&[&["audit", path.to_str().unwrap()], more].concat())
}

fn parse(lines: &[String]) -> Vec<Entry> {
    let entry = |line: &String| serde_json::from_str::<Line>(line).unwrap().entry;
    lines.iter().map(entry).collect()
}

/// The lines of these entries, each with the hash of the line before, as a skilled forger would
/// write them.
fn chain(entries: &[Entry]) -> Vec<String> {
    let mut previous = nothing();
    let line = |entry: &Entry| {
        let line = write(&previous, entry.clone());
        previous = hash(&line);
        line
    };
    entries.iter().map(line).collect()
}

/// Writes a record and audits it: it must be found wrong at this line, for this reason.
fn expect(home: &Path, lines: &[String], line: usize, why: &str) {
    let path: PathBuf = home.join("forged.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    audit(&path, &[]).expect(1, &[&format!("line {line} of the record is wrong"), why]);
    let answer = audit(&path, &["--json"]);
    assert_eq!(answer.code, Some(1));
    let answer: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(
        (&answer["holds"], &answer["line"]),
        (&json!(false), &json!(line))
    );
    assert!(answer["why"].as_str().unwrap().contains(why), "{answer}");
}

fn round(entries: &mut [Entry], line: usize) -> &mut RoundEntry {
    match &mut entries[line - 1] {
        Entry::Round(round) => round,
        Entry::Opened { .. } => panic!("line {line} is no round"),
    }
}

/// Changes a digit.
fn flip(text: &mut String) {
    let other = if text.starts_with('0') { "1" } else { "0" };
    text.replace_range(..1, other);
}

#[test]
fn a_record_holds_together() {
    let home = tempfile::tempdir().unwrap();
    let lines = record(home.path());
    assert_eq!(chain(&parse(&lines)), lines);
    let path = home.path().join("record.jsonl");
    let summary = audit(&path, &["--json"]).json();
    let head = hash(lines.last().unwrap());
    for (key, value) in [
        ("holds", json!(true)),
        ("task", json!("Handwriting for a model of print")),
        ("rounds", json!(ROUNDS)),
        ("updates", json!(ROUNDS)),
        ("aborted", json!(0)),
        ("contributors", json!(3)),
        ("lines", json!(ROUNDS + 1)),
        ("head", json!(head)),
        ("epsilon_limit", json!(50.0)),
    ] {
        assert_eq!(summary[key], value, "{key} of {summary}");
    }
    let epsilon = summary["epsilon"].as_f64().unwrap();
    assert!(epsilon > 0.0 && epsilon <= 50.0);
    let said = audit(&path, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let fingerprint = summary["fingerprint"].as_str().unwrap();
    for text in [&head, fingerprint, "contributors 3", "δ 1e-5"] {
        assert!(said.out.contains(text), "{text}: {said:?}");
    }
    assert_eq!(audit(&path, &["--fingerprint", fingerprint]).code, Some(0));
    assert_eq!(audit(&path, &["--fingerprint", &head]).code, Some(0));

    // The beginning of a record is consistent too; only the fingerprint shows that it was cut.
    let cut = home.path().join("cut.jsonl");
    std::fs::write(&cut, lines[..ROUNDS].join("\n")).unwrap();
    assert_eq!(audit(&cut, &[]).code, Some(0));
    audit(&cut, &["--fingerprint", fingerprint]).expect(1, &["another one"]);
}

#[test]
fn what_cannot_be_read_is_not_judged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("record.jsonl");
    audit(&path, &[]).expect(2, &["record.jsonl"]);
    audit(home.path(), &[]).expect(2, &["cannot read"]);
    std::fs::write(&path, "").unwrap();
    audit(&path, &[]).expect(2, &["is empty"]);
    run(&["audit"]).expect(2, &["FILE"]);
    run(&["audit", "--server", "http://127.0.0.1:9"]).expect(2, &["FEDERATION"]);
    run(&["audit", "--federation", "x"]).expect(2, &["--server"]);
    let nowhere = [
        "audit",
        "--server",
        "http://127.0.0.1:9",
        "--federation",
        "x",
    ];
    run(&nowhere).expect(2, &["does not answer"]);
    // What can be read and is no record is wrong in its first line.
    for text in ["no record", "{}", "\u{fffd}"] {
        std::fs::write(&path, text).unwrap();
        audit(&path, &[]).expect(1, &["line 1", "does not parse"]);
    }
    std::fs::write(&path, b"\xff\xfe\n").unwrap();
    audit(&path, &[]).expect(1, &["line 1", "does not parse"]);
}

#[test]
fn a_line_that_was_changed_taken_out_or_moved_breaks_the_chain() {
    let home = tempfile::tempdir().unwrap();
    let lines = record(home.path());
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut forged = lines.clone();
        change(&mut forged);
        forged
    };
    let broken = "does not follow the line before it";
    // One byte: the line after it names another hash.
    let spaced = with(&|l| l[2].push(' '));
    expect(home.path(), &spaced, 4, broken);
    let task = with(&|l| l[0] = l[0].replacen("Handwriting", "handwriting", 1));
    expect(home.path(), &task, 2, broken);
    for line in 2..=ROUNDS {
        let removed = with(&|l| drop(l.remove(line - 1)));
        expect(home.path(), &removed, line, broken);
        let swapped = with(&|l| l.swap(line - 1, line));
        expect(home.path(), &swapped, line, broken);
    }
    let headless = with(&|l| drop(l.remove(0)));
    expect(home.path(), &headless, 1, "out of place");
    let twice = with(&|l| l[1] = l[0].clone());
    expect(home.path(), &twice, 2, broken);
    let cut = with(&|l| l[3].truncate(100));
    expect(home.path(), &cut, 4, "does not parse");
}

#[test]
fn a_forged_chain_is_found_out_by_what_it_says() {
    let home = tempfile::tempdir().unwrap();
    let entries = parse(&record(home.path()));
    let check = |line: usize, why: &str, change: &dyn Fn(&mut Vec<Entry>)| {
        let mut forged = entries.clone();
        change(&mut forged);
        expect(home.path(), &chain(&forged), line, why);
    };
    check(3, "θ does not follow", &|e| {
        let Some(Sums::Secure { groups }) = &mut round(e, 3).sums else {
            panic!("a secure sum");
        };
        groups[0].sum[7] += 1 << 20;
    });
    check(3, "θ does not follow", &|e| flip(&mut round(e, 3).theta));
    check(4, "ε is not what", &|e| {
        *round(e, 4).epsilon.as_mut().unwrap() -= 0.01;
    });
    check(4, "ε is not what", &|e| round(e, 4).epsilon = None);
    let contributor = |e: &mut Vec<Entry>, line| {
        let cohort = round(e, line).cohort.as_mut().unwrap();
        cohort.contributors[1].clone()
    };
    let put = |e: &mut Vec<Entry>, line, c| {
        round(e, line).cohort.as_mut().unwrap().contributors[1] = c;
    };
    check(2, "signature does not fit", &|e| {
        let mut c = contributor(e, 2);
        flip(&mut c.signature);
        put(e, 2, c);
    });
    check(5, "signature does not fit", &|e| {
        let mut c = contributor(e, 5);
        flip(&mut c.vector);
        put(e, 5, c);
    });
    // Somebody else's signature in the first round; then known participants change their keys.
    check(2, "signature does not fit", &|e| {
        let other = round(e, 2).cohort.as_ref().unwrap().contributors[0].clone();
        let mut c = contributor(e, 2);
        c.identity = other.identity;
        put(e, 2, c);
    });
    check(3, "identity is not the one", &|e| {
        let other = round(e, 3).cohort.as_ref().unwrap().contributors[0].clone();
        let mut c = contributor(e, 3);
        c.identity = other.identity;
        put(e, 3, c);
    });
    check(3, "are not of its contributors", &|e| {
        let cohort = round(e, 3).cohort.as_mut().unwrap();
        cohort.contributors.pop();
    });
    check(4, "not the next one", &|e| drop(e.remove(3)));
    check(3, "not the next one", &|e| e.swap(2, 3));
    check(2, "out of place", &|e| e.insert(1, e[0].clone()));
    // Signatures are bound to the task, and with it to all before them.
    check(2, "signature does not fit", &|e| {
        if let Entry::Opened { task, .. } = &mut e[0] {
            task["description"] = json!("something else");
        }
    });
    check(1, "faults", &|e| {
        if let Entry::Opened { task, .. } = &mut e[0] {
            task["federation"]["rounds"] = json!(-1);
        }
    });
    check(1, "θ does not follow", &|e| {
        if let Entry::Opened { theta, .. } = &mut e[0] {
            flip(theta);
        }
    });
}

/// Records that earlier states of this program wrote (`simulate --record`, few rounds), and the hash of the last θ of each.
const EARLIER: [(&str, &str); 9] = [
    (
        "statistic",
        "36f1026aa92930aa42c94718648df882637aa04d5051a7f492c29e2c72d3b222",
    ),
    (
        "frame",
        "baad1b18f7a1e7b2d13cdb3b64d61a6dcd2925678449faee366acb7be90bba73",
    ),
    (
        "hiso",
        "796c035b864a642177fef0c250d7c73d3649aabe78510f4d7484c58c2e8156c9",
    ),
    (
        "cma-es",
        "0de3242607464c8d2bdbc7ace9c8aa09d9261e58765a6cabd2bd142c499c0be6",
    ),
    (
        "fedbpt",
        "34329fcd140372318e78307678a50359e87aec97e93d9d9372857dc7200453fc",
    ),
    (
        "secure-sum",
        "af4709eea914fef3e23b86a97b0b16fd5f79c2e42f8a2d1954e0d7b3211c82f4",
    ),
    (
        "words",
        "f2c502355bf750776a947811f25f7139d65ee3af27529c923b461fd3935cafd9",
    ),
    (
        "instruction",
        "1b24229eb3a3656fc71ff6903656bc8f9b080af384ee6b53ae295965450e7598",
    ),
    (
        "soft",
        "7279cb65b698e5f5a85436d9d55706f145652209cf54ba04fcd8b682b6d02d5e",
    ),
];

#[test]
fn records_of_earlier_programs_replay_bit_for_bit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("native/records");
    let home = tempfile::tempdir().unwrap();
    for (name, theta) in EARLIER {
        let packed = std::fs::File::open(folder.join(format!("{name}.record.gz"))).unwrap();
        let path = home.path().join(name);
        let mut record = std::fs::File::create(&path).unwrap();
        std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut record).unwrap();
        let answer = run(&["audit", path.to_str().unwrap(), "--json"]).json();
        assert_eq!(answer["holds"], true, "{name}: {answer}");
        assert_eq!(answer["theta"], theta, "{name}");
    }
}
