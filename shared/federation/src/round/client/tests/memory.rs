//! An optimiser that remembers pictures: what it asks, and where its memory is kept.

use super::*;
use tuning::optimizer::memory::{PictureMemory, Remembered};

fn fixture() -> Fixture {
    let mut source = Fixture::new("identity", 0).task.source().clone();
    source["optimizer"] = json!({ "kind": "secants", "until": 2, "finish": { "batch": 4 } });
    Fixture {
        holdout: 0,
        ..Fixture::of(Task::from_value(source).unwrap())
    }
}

#[test]
fn pictures_are_asked_in_turn() {
    let f = fixture();
    for (training, most) in [(10, 3), (7, 7), (5, 9), (2, 1)] {
        let mut times = vec![0; training];
        for step in 0..60 {
            let state = State {
                step: step % 2,
                ..State::new(f.theta.clone(), step / 2)
            };
            let asked = turn(&f.task, 0, &state, training, most);
            assert!(!asked.is_empty() && asked.len() <= most as usize);
            asked.iter().for_each(|i| times[*i as usize] += 1);
            let distinct: std::collections::BTreeSet<_> = asked.iter().collect();
            assert_eq!(distinct.len(), asked.len());
        }
        let (least, greatest) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        // At the end of a turn a picture may be left out once that was asked just before.
        assert!(greatest - least <= 10, "{training} {most}: {times:?}");
    }
    assert!(turn(&f.task, 0, &State::new(Vec::new(), 0), 0, 4).is_empty());
}

#[test]
fn the_memory_is_kept_with_the_state_and_sent_to_nobody() {
    let f = fixture();
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    let mut action = f.read(&mut client, 0, 0);
    let mut memory = PictureMemory::default();
    while let Action::Evaluate(evaluation) = &action {
        assert_eq!(evaluation.candidates.len(), 1);
        memory.pictures.push(Remembered {
            example: evaluation.examples[0],
            nodes: vec![0.123; 4],
            scores: vec![0.5, -0.5],
            correction: vec![0.0; 8],
        });
        let outcome = Outcome {
            loss: 1.0,
            correct: 1,
            total: evaluation.examples.len() as u32,
        };
        let event = Event::Evaluated {
            outcomes: vec![outcome],
            means: Some(vec![0.1; f.theta.len()]),
            memory: Some(memory.clone()),
        };
        action = client.step(&f.env(), event);
    }
    assert_eq!(memory.pictures.len(), 2);
    assert_eq!(client.memory(), &memory);
    let text = serde_json::to_string(&client).unwrap();
    let restored: Client = serde_json::from_str(&text).unwrap();
    assert_eq!(restored.memory(), &memory);
    let view = f.view(5, 0, 0, Phase::Upload, Standing::InCohort);
    let Action::Upload(update) = client.step(&f.env(), Event::View(view)) else {
        panic!("no upload")
    };
    // θ's difference, the number of examples and the metrics: nothing of single pictures.
    assert_eq!(update.delta.len(), f.theta.len());
    let sent = serde_json::to_value(&update).unwrap();
    let keys: Vec<_> = sent.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["delta", "examples", "metrics", "round", "theta"]);
    // A state of before there was a memory is read, too.
    let mut old: Value = serde_json::from_str(&text).unwrap();
    old.as_object_mut().unwrap().remove("memory");
    let old: Client = serde_json::from_value(old).unwrap();
    assert_eq!(old.memory(), &PictureMemory::default());
}
