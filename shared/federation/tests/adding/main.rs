//! What `docs/adding.md` promises: a program can register a generator, an optimiser, a mapping and
//! a dialect of its own, each one file and one line, and run tasks that use them. The files beside
//! this one are whole examples.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod brightness;
mod csv;
mod logged;
mod one_plus_one;
mod reversed;
mod urgency;

use std::sync::Arc;

use federation::catalogue::Catalogue;
use federation::engine::local::Local;
use federation::round::client::{Evaluation, Part, Purpose};
use federation::round::workbench::{Input, Labelled, Workbench};
use federation::task::Task;
use ground::fault::Faults;
use model_client::{Response, Scores};
use owner_data::texts::Text;
use serde_json::{Value, json};
use tuning::optimizer::State;
use tuning::query::Queries;

/// The built-in entries, and one more of each kind.
fn catalogue() -> Arc<Catalogue> {
    let built_in = Catalogue::default();
    Arc::new(Catalogue {
        generators: built_in.generators.with("brightness", brightness::ENTRY),
        text_generators: built_in.text_generators.with("urgency", urgency::ENTRY),
        optimizers: built_in
            .optimizers
            .with("one-plus-one", one_plus_one::ENTRY),
        mappings: built_in.mappings.with("reversed", reversed::build),
        dialects: built_in.dialects.with("csv", csv::ENTRY),
    })
}

fn images() -> Value {
    json!({
        "name": "Bright or dark",
        "model": {
            "dialect": "csv", "url": "http://127.0.0.1:9", "name": "eye",
            "csv": { "separator": ";" },
            "input": { "height": 4, "width": 4 }, "output": { "classes": 2 },
        },
        "data": { "labels": ["dark", "bright"] },
        "mapping": { "kind": "reversed" },
        "generator": { "kind": "brightness" },
        "optimizer": { "kind": "one-plus-one", "step": 0.125 },
        "federation": { "local_steps": 4 },
    })
}

fn texts() -> Value {
    json!({
        "name": "Now or later",
        "model": {
            "dialect": "csv", "url": "http://127.0.0.1:9", "name": "reader",
            "input": { "kind": "text" },
        },
        "data": { "labels": ["later", "now"] },
        "text": { "template": "This is for {}." },
        "generator": { "kind": "urgency", "word": "Urgent!" },
        "optimizer": { "kind": "one-plus-one" },
    })
}

/// Steps of the task's optimiser from θ₀ with a model's losses, where `answer` is the model's
/// answer to a request's body; returns θ after each step.
fn train(bench: &Workbench, steps: u32, answer: impl Fn(&[u8]) -> String) -> Vec<f32> {
    let task = bench.task();
    let optimizer = bench.environment().optimizer;
    let mapping = task.mapping.fixed().unwrap();
    let objective = task.objective(mapping.of(true).clone());
    let mut state = State::new(task.initial().unwrap(), 0);
    let mut thetas = Vec::new();
    for _ in 0..steps {
        let evaluation = Evaluation {
            purpose: Purpose::Step,
            theta: state.theta.clone(),
            candidates: optimizer.ask(&state),
            points: optimizer.points(&state),
            part: Part::Training,
            examples: vec![0],
        };
        let count = Workbench::groups(&evaluation);
        let scores = ask(task, bench.queries(&evaluation, 0..count), count, &answer);
        let labels = bench.labels(&evaluation);
        let losses: Vec<f32> = (0..count)
            .map(|i| objective.score(scores.row(i), labels[0]).mean_loss())
            .collect();
        optimizer.tell(&mut state, &losses).unwrap();
        thetas.push(state.theta[0]);
    }
    thetas
}

/// Sends queries through the task's dialect.
fn ask(task: &Task, queries: Queries, count: usize, answer: impl Fn(&[u8]) -> String) -> Scores {
    let parse = |protocol: &dyn model_client::Protocol, body: &[u8]| {
        let body = answer(body);
        let response = Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        };
        protocol.parse(&response, count).unwrap()
    };
    match queries {
        Queries::Images { bytes, count } => {
            let dialect = model_client::dialect(&task.model).unwrap();
            let request = dialect.infer_request(&bytes, count).unwrap();
            assert_eq!(request.path, "/classify/eye");
            parse(&*dialect, &request.body)
        }
        Queries::Texts(queries) => {
            let dialect = task.text_dialect(None).unwrap();
            let request = dialect.infer_request(&queries).unwrap();
            parse(&*dialect, &request.body)
        }
    }
}

#[test]
fn images_are_prompted_asked_mapped_and_learnt_from() {
    let task = Task::from_value_with(&catalogue(), images()).unwrap();
    assert_eq!((task.dim(), task.update_length()), (1, 1));
    // The entry states that its steps are never asked ahead.
    assert!(!task.federation.ask_ahead);
    let bright = Labelled::image(vec![100; 3 * 16], 1);
    let bench = Workbench::new(task, 0, vec![bright], Vec::new()).unwrap();
    // The model's class 0 is "bright", and the more so the brighter the picture is.
    let answer = |body: &[u8]| {
        let body = std::str::from_utf8(body).unwrap();
        let rows = body.lines().map(|row| {
            let levels: Vec<f32> = row.split(';').map(|n| n.parse().unwrap()).collect();
            assert_eq!(levels.len(), 48);
            format!("{};0", levels[0] / 255.0)
        });
        rows.collect::<Vec<_>>().join("\n")
    };
    let thetas = train(&bench, 8, answer);
    // Each step is taken or not, by 1/8 and never back.
    assert!(thetas.is_sorted() && thetas[7] > 0.0, "{thetas:?}");
    assert!(
        thetas.iter().all(|t| (8.0 * t).fract() == 0.0),
        "{thetas:?}"
    );
}

#[test]
fn texts_are_prompted_and_asked() {
    let task = Task::from_value_with(&catalogue(), texts()).unwrap();
    let text = Labelled {
        input: Input::Text(Text {
            first: "Call me".into(),
            second: String::new(),
        }),
        label: 1,
    };
    let bench = Workbench::new(task, 0, vec![text], Vec::new()).unwrap();
    let answer = |body: &[u8]| {
        let body = std::str::from_utf8(body).unwrap();
        let rows = body.lines().map(|row| match row {
            "Urgent! Call me" => "0,2",
            "Call me" => "2,0",
            other => panic!("{other}"),
        });
        rows.collect::<Vec<_>>().join("\n")
    };
    let thetas = train(&bench, 8, answer);
    assert!(thetas[7] > 0.0, "{thetas:?}");
    assert_eq!(bench.task().prompt(&[thetas[7]]).unwrap().input, "Urgent!");
}

#[test]
fn without_them_the_same_files_have_faults() {
    let paths = |source: Value| {
        let Faults(faults) = Task::from_value(source).unwrap_err();
        let paths = faults.into_iter().map(|fault| fault.path);
        paths.collect::<Vec<_>>()
    };
    let of_images = paths(images());
    for path in [
        "model.dialect",
        "mapping.kind",
        "generator.kind",
        "optimizer.kind",
    ] {
        assert!(of_images.iter().any(|p| p == path), "{path}: {of_images:?}");
    }
    assert!(paths(texts()).contains(&"generator.kind".to_owned()));
}

#[test]
fn what_is_registered_is_checked_as_what_is_built_in() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut source = images();
        change(&mut source);
        let read = Task::from_value_with(&catalogue(), source);
        read.map_err(|Faults(faults)| {
            let paths = faults.into_iter().map(|fault| fault.path);
            paths.collect::<Vec<_>>()
        })
    };
    let wrong = with(&|source| {
        source["model"]["csv"]["separator"] = json!("--");
        source["optimizer"]["step"] = json!(-1);
        source["mapping"]["colour"] = json!(1);
    });
    let expected = ["model.csv.separator", "mapping.colour", "optimizer.step"];
    assert_eq!(wrong.unwrap_err(), expected);
    let tokens =
        with(&|source| source["model"]["price"] = json!({ "per_million_input_tokens": 1 }));
    let expected = ["model.price.per_million_input_tokens"];
    assert_eq!(tokens.unwrap_err(), expected);
    // The catalogue stays with the task.
    let task = with(&|_| {}).unwrap();
    let here = task.with_model_url("http://127.0.0.1:10").unwrap();
    assert_eq!(here.hash(), task.hash());
    assert_eq!(here.generator().unwrap().dim(), 1);
}

/// Runs the whole aggregator over a store from outside, with another program's task.
#[test]
fn an_aggregator_keeps_its_state_elsewhere() {
    let task = Task::from_value_with(&catalogue(), images()).unwrap();
    let mut local = Local::new(logged::Logged::default(), "bright", &task, 0).unwrap();
    assert_eq!(local.join(0, None).unwrap(), 0);
    assert_eq!(local.join(0, None).unwrap(), 1);
    assert_eq!(local.theta(), [0.0]);
    let committed = local.store().committed.lock().unwrap();
    assert_eq!(committed[..3], ["create", "join", "join"]);
}
