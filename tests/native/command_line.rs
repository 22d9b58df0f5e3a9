//! Exit codes and messages: 2 for what the caller can correct, 1 for what failed on the way;
//! `--json` is JSON.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

use serde_json::Value;
use std::net::TcpListener;
use tests::process::{Process, create, run, run_with, serve};

/// An address at which nothing listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_bad_task_file_is_told_all_of_its_faults_at_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("task.toml");
    let text = r#"
        name = ""
        colour = 1
        [model]
        url = "ftp://x"
        input = { height = 0 }
        output = { classes = 1 }
        [data]
        labels = ["a", "a"]
        [federation]
        rounds = 0
        open = { count_min = 5, count_max = 2 }
    "#;
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let faults = [
        "name",
        "colour",
        "model.url",
        "model.name",
        "model.input.height",
        "model.input.width",
        "model.output.classes",
        "data.labels",
        "federation.rounds",
        "federation.open.count_max",
    ];
    run(&["federation", "check", path]).expect(2, &faults);
    // Before any server is asked.
    run(&["federation", "--server", &nowhere(), "create", path]).expect(2, &faults);
    std::fs::write(path, "name = ").unwrap();
    run(&["federation", "check", path]).expect(2, &["is not TOML"]);
    run(&["federation", "check", "no-such-task"]).expect(2, &["no-such-task", "handwriting"]);
    let fine = run(&["federation", "check", "handwriting"]);
    assert_eq!(fine.code, Some(0), "{fine:?}");
    assert!(fine.out.contains("no faults"), "{fine:?}");
}

#[test]
fn a_check_says_whether_the_organiser_sees_single_updates() {
    let check = |set: &[&str]| {
        let set = set.iter().flat_map(|item| ["--set", item]);
        let all: Vec<_> = ["federation", "check", "handwriting"]
            .into_iter()
            .chain(set)
            .collect();
        (run(&all).out, run(&[&all[..], &["--json"]].concat()).json())
    };
    let secure = "federation.secure_sum.";
    let groups = [
        &format!("{secure}groups=2")[..],
        &format!("{secure}cohort_min=6"),
    ];
    for (set, people) in [
        (&[][..], 3),
        (&groups, 3),
        (&[&format!("{secure}cohort_min=10")], 7),
    ] {
        let (words, json) = check(set);
        let told = format!("only sums over {people} participants or more");
        assert!(words.contains(&told), "{words}");
        assert_eq!(json["smallest_sum"], people);
    }
    let (words, json) = check(&["federation.secure_sum=false"]);
    assert!(
        words.contains("no secure sums: the organiser sees each"),
        "{words}"
    );
    assert!(json["smallest_sum"].is_null());
}

#[test]
fn settings_on_the_command_line_are_checked_too() {
    let server = nowhere();
    let set = |item: &str| {
        run(&[
            "federation",
            "--server",
            &server,
            "create",
            "handwriting",
            "--set",
            item,
        ])
    };
    set("federation.rounds=0").expect(2, &["federation.rounds"]);
    set("federation.colour=1").expect(2, &["federation.colour"]);
    set("rounds").expect(2, &["--set rounds", "PATH=VALUE"]);
    set("name.first=x").expect(2, &["name.first"]);
}

#[test]
fn a_server_that_is_not_there_is_code_1_and_a_bad_link_code_2() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state.json");
    let (server, state) = (nowhere(), state.to_str().unwrap());
    let gone: &[&str] = &["does not answer", &server, "refused"];
    run(&["federation", "--server", &server, "list"]).expect(1, gone);
    run(&["federation", "--server", &server, "create", "handwriting"]).expect(1, gone);
    run(&[
        "export",
        "--server",
        &server,
        "x",
        "--output",
        "never-written.safetensors",
    ])
    .expect(1, gone);
    let link = format!("{server}/f/abc/#invite=0f");
    run(&["join", &link, "--builtin", "1", "--state", state]).expect(1, gone);
    for bad in ["", "abc", &server, "ftp://h/f/x/#invite=1", "http://h/f/x"] {
        run(&["join", bad, "--builtin", "1", "--state", state]).expect(2, &["#invite=SECRET"]);
    }
    run(&["join", &link]).expect(2, &["--data"]);
    std::fs::write(state, "{}").unwrap();
    run(&["join", &link, "--builtin", "1", "--state", state])
        .expect(2, &["not a state file", "--state"]);
    run(&["frobnicate"]).expect(2, &["frobnicate"]);
    run(&["serve", "--listen", "nowhere"]).expect(2, &["listen"]);
    run(&["model-api", "--listen", "nowhere"]).expect(2, &["listen"]);
    run(&[
        "model-api",
        "--model",
        "no-such-file.onnx",
        "--listen",
        "127.0.0.1:0",
    ])
    .expect(2, &["no-such-file.onnx"]);
}

#[test]
fn a_federation_from_creation_to_closing() {
    let home = tempfile::tempdir().unwrap();
    let (_process, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let federation = |more: &[&str]| run(&[&["federation", "--server", &server], more].concat());
    assert_eq!(
        federation(&["--json", "list"]).json(),
        Value::Array(Vec::new())
    );

    let model = nowhere();
    let (id, link) = create(&server, &model, &["federation.rounds=7", "name=Seven"]);
    let list = federation(&["--json", "list"]).json();
    assert_eq!(
        (list.as_array().unwrap().len(), &list[0]["id"]),
        (1, &Value::from(id.clone()))
    );
    let words = federation(&["list"]);
    assert!(
        words.out.contains(&id) && words.out.contains("0/7 updates") && words.out.contains("Seven"),
        "{words:?}"
    );
    let detail = federation(&["--json", "show", &id]).json();
    assert_eq!(
        (&detail["summary"]["status"], &detail["summary"]["steps"]),
        (&"running".into(), &7.into())
    );
    assert_eq!(detail["task"]["model"]["url"], model);
    assert!(federation(&["show", &id]).out.contains("Seven"));
    federation(&["show", "nothing"]).expect(1, &["no such thing"]);

    let more = federation(&["--json", "invite", &id]).json();
    assert_eq!(more["federation"], id);
    assert!(
        !link.ends_with(more["invite"].as_str().unwrap()),
        "an invite was given twice"
    );
    let words = federation(&["invite", &id]);
    assert!(
        words.out.starts_with(&format!("{server}/f/{id}/#invite=")),
        "{words:?}"
    );
    federation(&["--admin-token", "not-the-organisers", "invite", &id]).expect(1, &["token"]);
    let bounded = federation(&["--json", "invite", &id, "--expires", "7d", "--uses", "2"]).json();
    federation(&["invite", &id, "--expires", "7"]).expect(2, &["7d"]);
    federation(&["invite", &id, "--uses", "0"]).expect(2, &["--uses"]);
    let name = bounded["id"].as_str().unwrap();
    let words = federation(&["invites", &id]).out;
    let line = words.lines().find(|l| l.starts_with(name)).unwrap();
    assert!(
        line.contains("0 of 2 uses")
            && ["expires in 7d", "expires in 6d 23h"]
                .iter()
                .any(|left| line.contains(left)),
        "{line}"
    );
    assert!(
        !words.contains(bounded["invite"].as_str().unwrap()),
        "{words}"
    );
    assert_eq!(words.lines().count(), 4);
    assert!(federation(&["revoke", &id, name]).out.contains("revoked"));
    federation(&["revoke", &id, "nothing"]).expect(1, &["no such thing"]);
    assert!(
        federation(&["invites", &id])
            .out
            .lines()
            .any(|l| l.starts_with(name) && l.ends_with("revoked"))
    );
    let spoilt = format!(
        "{server}/f/{id}/#invite={}",
        bounded["invite"].as_str().unwrap()
    );
    federation(&["--admin-token", "not-the-organisers", "close", &id]).expect(1, &["token"]);

    // The model is missing: nobody can train, and that is said before anyone tries.
    let state = home.path().join("state.json");
    let state = state.to_str().unwrap();
    let wrong = link.replace("#invite=", "#invite=00");
    run(&["join", &wrong, "--builtin", "1", "--state", state]).expect(1, &["invite"]);
    run(&["join", &spoilt, "--builtin", "1", "--state", state]).expect(1, &["revoked this invite"]);
    let join = || {
        run(&[
            "join",
            &link,
            "--builtin",
            "1",
            "--count",
            "20",
            "--state",
            state,
        ])
    };
    let with_key = run(&[
        "join",
        &link,
        "--builtin",
        "1",
        "--count",
        "20",
        "--state",
        state,
        "--model-url",
        "ftp://x",
    ]);
    with_key.expect(2, &["model.url"]);

    assert_eq!(
        federation(&["--json", "close", &id]).json()["status"],
        "closed"
    );
    assert_eq!(
        federation(&["--json", "show", &id]).json()["summary"]["status"],
        "closed"
    );
    join().expect(1, &["closed"]);
    // What was decided stays to be seen.
    let out = home.path().join("out.safetensors");
    let ended = run(&[
        "export",
        "--server",
        &server,
        &id,
        "--output",
        out.to_str().unwrap(),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let nowhere = home.path().join("no/such/folder/out.safetensors");
    run(&[
        "export",
        "--server",
        &server,
        &id,
        "--output",
        nowhere.to_str().unwrap(),
    ])
    .expect(1, &["cannot write"]);
}

#[test]
fn every_help_says_the_exit_codes() {
    for command in [
        "serve",
        "model-api",
        "relay",
        "demo",
        "join",
        "simulate",
        "recipes",
        "candidates",
        "embeddings",
        "export",
        "audit",
        "federation",
    ] {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.out.contains("Exit codes:"), "{command}: {}", help.out);
        // The same word for the same thing.
        for other in ["DIR>", "DIRECTORY>", "-dir ", "_DIR"] {
            assert!(!help.out.contains(other), "{command}: {}", help.out);
        }
    }
    assert!(run(&["--help"]).out.contains("Exit codes:"));
}

#[test]
fn what_is_checked_is_the_task_as_it_is_set() {
    let check = |more: &[&str]| run(&[&["federation", "check", "handwriting"], more].concat());
    let plain = check(&["--json"]).json();
    let other = check(&["--set", "federation.rounds=7", "--json"]).json();
    assert_eq!(plain["hash"].as_str().unwrap().len(), 64);
    assert_ne!(plain["hash"], other["hash"]);
    check(&["--set", "federation.rounds=0"]).expect(2, &["federation.rounds"]);
}

#[test]
fn links_start_with_the_servers_own_address_and_its_log_has_no_colours() {
    let home = tempfile::tempdir().unwrap();
    let here = nowhere();
    let listen = here.strip_prefix("http://").unwrap();
    let database = home.path().join("a.sqlite");
    let mut serve = Process::start(&[
        "serve",
        "--listen",
        listen,
        "--database",
        database.to_str().unwrap(),
        "--public-url",
        "https://fed.example/",
        "-v",
    ]);
    serve.line("where it is", |line| {
        (line == "aggregator at https://fed.example").then_some(())
    });
    let federation =
        |arguments: &[&str]| run(&[&["federation", "--server", &here][..], arguments].concat());
    tests::eventually("the aggregator answers", || {
        (federation(&["list"]).code == Some(0)).then_some(())
    });
    let created = federation(&["create", "handwriting"]).out;
    assert!(created.starts_with("https://fed.example/f/"), "{created}");
    let list = federation(&["list"]).out;
    let (id, rest) = list.split_once("  ").unwrap();
    assert!(rest.starts_with("running  0/"), "{list}");
    let again = federation(&["invite", id]).out;
    assert!(
        again.starts_with(&format!("https://fed.example/f/{id}/#invite=")),
        "{again}"
    );
    serve.line("a line of the log", |line| {
        line.contains("created").then_some(())
    });
    assert!(
        serve.said.iter().all(|line| !line.contains('\u{1b}')),
        "{:#?}",
        serve.said
    );
}

#[test]
fn the_keys_variable_has_one_name_and_the_former_one_still_works() {
    // A key that is none ends the command where it is read.
    let relay = |environment: &[(&str, &str)]| {
        let arguments = [
            "relay",
            "--upstream",
            "https://api.example.com",
            "--listen",
            "127.0.0.1:0",
        ];
        run_with(&arguments, environment)
    };
    relay(&[]).expect(2, &["FED_BBPT_MODEL_KEY is not set"]);
    relay(&[("FED_BBPT_MODEL_KEY", "no key")]).expect(2, &["the key is empty or holds"]);
    relay(&[("FED_BBPT_MODEL_API_KEY", "no key")]).expect(
        2,
        &[
            "FED_BBPT_MODEL_API_KEY is called FED_BBPT_MODEL_KEY now",
            "the key is empty or holds",
        ],
    );
}
