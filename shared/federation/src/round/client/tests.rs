//! Every transition of the participant's machine, and what it makes of answers that come late,
//! twice or wrong.

use super::asked::{batch, turn};
use super::*;
use crate::round::phase::AbortReason;
use crate::rules::advance::Sums;
use ground::hash::theta_hash;
use ground::wire;
use serde_json::{Value, json};
use tuning::objective::counts;
use tuning::objective::mapping::Mapping;
use tuning::optimizer::Candidate;

mod examples;
mod memory;

const TRAINING: usize = 5;
const HOLDOUT: usize = 2;
/// Queries of a step: one two-sided direction, a batch of two.
const STEP: u64 = 4;

struct Fixture {
    task: Task,
    optimizer: Box<dyn Optimizer>,
    theta: Vec<f32>,
    holdout: usize,
    /// How far every done round moves each entry of θ.
    moves: f32,
}

impl Fixture {
    fn new(mapping: &str, budget: u64) -> Self {
        let task = Task::from_value(json!({
            "name": "t",
            "model": { "url": "http://127.0.0.1:1", "name": "m", "input": { "height": 8, "width": 8 }, "output": { "classes": 2 } },
            "data": { "labels": ["a", "b"] },
            "mapping": if mapping == "identity" { json!({}) } else { json!({ "kind": mapping, "learn": "alone" }) },
            "generator": { "kind": "statistic", "grid": 2, "statistics": 0 },
            "optimizer": { "kind": "zo-sgd", "directions": 1 },
            "federation": { "rounds": 3, "local_steps": 2, "batch": 2, "query_budget": budget, "ask_ahead": false },
        }))
        .unwrap();
        Self::of(task)
    }

    fn of(task: Task) -> Self {
        let theta = task.generator().unwrap().initial();
        Self {
            optimizer: task.optimizer(0).unwrap(),
            task,
            theta,
            holdout: HOLDOUT,
            moves: 1.0,
        }
    }

    fn env(&self) -> Environment<'_> {
        Environment {
            task: &self.task,
            optimizer: &*self.optimizer,
            dim: self.theta.len(),
            training: TRAINING,
            holdout: self.holdout,
            secrets: None,
        }
    }

    /// The record before round `round`: the first `step` rounds are done, those after them were
    /// aborted.
    fn record(&self, step: u32, round: u32) -> (Replay, Vec<String>) {
        let mut record = Replay::new(&self.task).unwrap();
        let mut lines = vec![record.open(&self.task, "f")];
        for number in 0..round {
            let outcome = if number < step {
                Ok(Sums::Plain {
                    mean: vec![self.moves; self.theta.len()],
                    metrics: Metrics::default(),
                })
            } else {
                Err(AbortReason::TooFewUpdates)
            };
            lines.push(record.conclude(&self.task, number, outcome, None).1);
        }
        assert_eq!(record.step(), step);
        (record, lines)
    }

    /// θ_t in this test.
    fn theta_at(&self, step: u32) -> Vec<f32> {
        self.record(step, step).0.parameters().to_vec()
    }

    /// The aggregator's answer when the record is read from line `from`.
    fn lines(&self, from: u32, step: u32, round: u32) -> Event {
        Event::Lines(self.record(step, round).1.split_off(from as usize))
    }

    /// Answers the open [`Action::Read`].
    fn read(&self, client: &mut Client, step: u32, round: u32) -> Action {
        let Action::Read { from } = client.step(&self.env(), Event::Start) else {
            panic!("the record is not wanted")
        };
        client.step(&self.env(), self.lines(from, step, round))
    }

    fn view(
        &self,
        version: u64,
        step: u32,
        round: u32,
        phase: Phase,
        standing: Standing,
    ) -> RoundView {
        let (record, _) = self.record(step, round);
        RoundView {
            version,
            status: FederationStatus::Running,
            step,
            round,
            phase,
            theta: record.theta().clone(),
            lines: record.lines(),
            record: record.head().clone(),
            registered: 0,
            attempt: 0,
            standing,
            enrolled: 0,
            cohort: 0,
            delivered: 0,
            live: 1,
            deadline_ms: None,
        }
    }

    fn open(&self, version: u64, step: u32, round: u32) -> Event {
        Event::View(self.view(version, step, round, Phase::Open, Standing::Idle))
    }

    /// Answers an evaluation; the second candidate is the worse one.
    fn answer(&self, client: &mut Client, evaluation: &Evaluation) -> Action {
        let total = evaluation.examples.len() as u32;
        let outcomes = (0..evaluation.candidates.len().max(1))
            .map(|i| Outcome {
                loss: f64::from(total) * (1.0 + i as f64),
                correct: 1,
                total,
            })
            .collect();
        client.step(
            &self.env(),
            Event::Evaluated {
                outcomes,
                means: None,
                memory: None,
            },
        )
    }

    /// Answers all evaluations until something else is to be done.
    fn work(&self, client: &mut Client, mut action: Action) -> Action {
        while let Action::Evaluate(evaluation) = &action {
            action = self.answer(client, evaluation);
        }
        action
    }

    /// A participant who has an update for θ_0 and syncs.
    fn trained(&self) -> Client {
        let mut client = Client::new(0);
        client.step(&self.env(), self.open(1, 0, 0));
        let action = self.read(&mut client, 0, 0);
        assert_eq!(self.work(&mut client, action), Action::Sync { after: None });
        client
    }

    /// A participant who is about to upload in round 0.
    fn uploading(&self) -> (Client, Update) {
        let mut client = self.trained();
        let view = self.view(5, 0, 0, Phase::Upload, Standing::InCohort);
        let Action::Upload(update) = client.step(&self.env(), Event::View(view)) else {
            panic!("no upload")
        };
        (client, update)
    }
}

fn queries(action: &Action) -> u32 {
    if let Action::Upload(update) = action {
        update.metrics.queries
    } else {
        panic!("{action:?}")
    }
}

#[test]
fn a_round_from_the_first_view_to_the_next_theta() {
    let f = Fixture::new("identity", 0);
    let (env, mut client) = (f.env(), Client::new(0));
    assert_eq!(
        client.step(&env, Event::Start),
        Action::Sync { after: None }
    );
    assert_eq!(client.activity(&f.task), ("syncing", 0, 2));
    assert_eq!(client.step(&env, f.open(1, 0, 0)), Action::Read { from: 0 });
    assert_eq!(client.activity(&f.task).0, "loading");

    // Unprompted accuracy, once in a life.
    let Action::Evaluate(baseline) = client.step(&env, f.lines(0, 0, 0)) else {
        panic!()
    };
    assert_eq!(
        (baseline.purpose, baseline.part, baseline.candidates.len()),
        (Purpose::Measure, Part::Holdout, 0)
    );
    let Action::Evaluate(measure) = f.answer(&mut client, &baseline) else {
        panic!()
    };
    assert_eq!(
        (measure.purpose, &measure.candidates[..]),
        (Purpose::Measure, &[Candidate::BASE][..])
    );
    assert_eq!(client.before().unwrap().total, 2);
    let Action::Evaluate(first) = f.answer(&mut client, &measure) else {
        panic!()
    };
    assert_eq!(
        (first.purpose, first.part, first.queries()),
        (Purpose::Step, Part::Training, STEP as u32)
    );
    assert_eq!(client.curve().len(), 1);
    assert_eq!(client.activity(&f.task), ("training", 0, 2));
    let Action::Evaluate(second) = f.answer(&mut client, &first) else {
        panic!()
    };
    assert_ne!(second.theta, first.theta, "the step moved nothing");
    assert_eq!(client.activity(&f.task), ("training", 1, 2));
    assert_eq!(f.answer(&mut client, &second), Action::Sync { after: None });
    assert_eq!(client.spent(), 2 + 2 + 2 * STEP);

    let body = Enrolment {
        theta: theta_hash(&f.theta),
        waits: false,
    };
    assert_eq!(
        client.step(&env, f.open(1, 0, 0)),
        Action::Enrol { round: 0, body }
    );
    assert_eq!(
        client.step(&env, Event::Accepted),
        Action::Sync { after: Some(1) }
    );
    assert_eq!(client.activity(&f.task).0, "waiting");
    let cohort = f.view(3, 0, 0, Phase::Upload, Standing::InCohort);
    let Action::Upload(update) = client.step(&env, Event::View(cohort)) else {
        panic!()
    };
    assert_eq!(
        (update.round, update.examples, update.metrics.queries),
        (0, TRAINING as u32, 12)
    );
    assert_eq!((update.metrics.correct, update.metrics.total), (1, 2));
    assert_eq!(update.validate(f.theta.len()), Ok(()));
    assert!(update.delta.iter().any(|d| *d != 0.0));
    assert_eq!(client.activity(&f.task).0, "uploading");
    assert_eq!(
        client.step(&env, Event::Accepted),
        Action::Sync { after: Some(3) }
    );
    assert_eq!(client.delivered(), 1);

    // The next θ: no baseline again, and only new queries are reported.
    assert_eq!(client.step(&env, f.open(4, 1, 1)), Action::Read { from: 1 });
    let action = f.read(&mut client, 1, 1);
    let Action::Evaluate(measure) = &action else {
        panic!()
    };
    assert_eq!(measure.candidates, [Candidate::BASE]);
    assert_eq!(f.work(&mut client, action), Action::Sync { after: None });
    let cohort = f.view(6, 1, 1, Phase::Upload, Standing::InCohort);
    assert_eq!(queries(&client.step(&env, Event::View(cohort))), 10);
    assert_eq!(client.spent(), 22);
}

#[test]
fn a_step_asked_ahead_is_known_before_the_one_before_it_is_answered() {
    let mut source = Fixture::new("identity", 0).task.source().clone();
    source["federation"]["ask_ahead"] = json!(true);
    source["federation"]["local_steps"] = json!(4);
    let f = Fixture::of(Task::from_value(source).unwrap());
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    let mut action = f.read(&mut client, 0, 0);
    let mut asked: Vec<Evaluation> = Vec::new();
    while let Action::Evaluate(evaluation) = action {
        let upcoming = client.upcoming(&f.env());
        action = f.answer(&mut client, &evaluation);
        match upcoming {
            Some(upcoming) => assert_eq!(action, Action::Evaluate(upcoming)),
            // Before θ_t is measured it is not; and after the last step nothing is.
            None => assert!(asked.is_empty() || matches!(action, Action::Sync { .. })),
        }
        if evaluation.purpose == Purpose::Step {
            asked.push(evaluation);
        }
    }
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[0].theta, asked[1].theta);
    assert_ne!(asked[1].theta, asked[2].theta);
    assert_ne!(asked[0].candidates, asked[1].candidates);
}

#[test]
fn a_learnt_mapping_comes_first_and_only_once() {
    let f = Fixture::new("frequency", 0);
    let (env, mut client) = (f.env(), Client::new(0));
    client.step(&env, f.open(1, 0, 0));
    let Action::Evaluate(fit) = client.step(&env, f.lines(0, 0, 0)) else {
        panic!()
    };
    assert_eq!(
        (fit.purpose, fit.part, fit.examples.len()),
        (Purpose::Mapping, Part::Training, TRAINING)
    );
    assert_eq!(client.mappings(&f.task), None);
    // Without counts nothing is learnt, and nothing is paid for.
    assert_eq!(f.answer(&mut client, &fit), Action::Evaluate(fit.clone()));
    assert_eq!(client.spent(), 0);
    let mut counts = counts::Counts::new(counts::Counted::Probabilities, 2, 2);
    counts.count(&[0.0, 5.0], 0, model_client::OutputKind::Logits);
    counts.count(&[5.0, 0.0], 1, model_client::OutputKind::Logits);
    let event = Event::Evaluated {
        outcomes: Vec::new(),
        means: Some(counts.means()),
        memory: None,
    };
    let Action::Evaluate(baseline) = client.step(&env, event) else {
        panic!()
    };
    assert_eq!(baseline.purpose, Purpose::Measure);
    assert_eq!(client.spent(), TRAINING as u64);
    let mappings = client.mappings(&f.task).unwrap();
    assert_eq!(mappings.unprompted, mappings.prompted);
    let Mapping::Groups { groups, .. } = mappings.prompted else {
        panic!()
    };
    assert_eq!(groups, [[1], [0]]);
}

#[test]
fn framed_images_have_a_mapping_of_their_own() {
    for learn in ["alone", "together"] {
        let mut source = Fixture::new("frequency", 0).task.source().clone();
        source["mapping"]["learn"] = json!(learn);
        source["generator"] = json!({ "kind": "frame", "inner": 4 });
        let f = Fixture::of(Task::from_value(source).unwrap());
        let (env, mut client) = (f.env(), Client::new(0));
        client.step(&env, f.open(1, 0, 0));
        let Action::Evaluate(bare) = client.step(&env, f.lines(0, 0, 0)) else {
            panic!()
        };
        assert_eq!((bare.purpose, bare.candidates.len()), (Purpose::Mapping, 0));
        let counted = |likely: [f32; 2]| {
            let mut counts = counts::Counts::new(counts::Counted::Probabilities, 2, 2);
            let reversed = [likely[1], likely[0]];
            counts.count(&likely, 0, model_client::OutputKind::Logits);
            counts.count(&reversed, 1, model_client::OutputKind::Logits);
            counts.means()
        };
        let answer = |means: &[f32]| Event::Evaluated {
            outcomes: Vec::new(),
            means: Some(means.to_vec()),
            memory: None,
        };
        let [as_they_are, framed] = [counted([5.0, 0.0]), counted([0.0, 5.0])];
        let Action::Evaluate(prompted) = client.step(&env, answer(&as_they_are)) else {
            panic!()
        };
        // The same examples, as θ₀ prompts them; also after a reload.
        assert_eq!(prompted.theta, f.task.initial().unwrap());
        assert_eq!(prompted.candidates, [Candidate::BASE]);
        assert_eq!(prompted.examples, bare.examples);
        client = wire::decode(&wire::encode(&client)).unwrap();
        let action = client.step(&env, Event::Start);
        assert_eq!(action, Action::Evaluate(prompted));
        let action = client.step(&env, answer(&framed));
        assert_eq!(client.spent(), 2 * TRAINING as u64);
        let both = [as_they_are, framed].concat();
        if learn == "together" {
            assert_eq!(f.task.length_of(RoundKind::Counting), both.len());
            assert_eq!(client.work.as_ref().unwrap().delta, Some(both));
            continue;
        }
        let Action::Evaluate(baseline) = action else {
            panic!()
        };
        assert_eq!(
            (baseline.purpose, baseline.candidates.len()),
            (Purpose::Measure, 0)
        );
        let mappings = client.mappings(&f.task).unwrap();
        let groups = |mapping: &Mapping| match mapping {
            Mapping::Groups { groups, .. } => groups.clone(),
            Mapping::Identity => panic!(),
        };
        assert_eq!(groups(mappings.of(false)), [[0], [1]]);
        assert_eq!(groups(mappings.of(true)), [[1], [0]]);
        // Two evaluations are to be paid for.
        let mut source = f.task.source().clone();
        source["federation"]["query_budget"] = json!(2 * 512 + 8);
        assert_eq!(
            Task::from_value(source.clone()).unwrap().federation.rounds,
            1
        );
        source["federation"]["query_budget"] = json!(2 * 512 + 7);
        assert!(Task::from_value(source).is_err());
    }
}

#[test]
fn without_held_out_examples_training_begins_at_once() {
    let f = Fixture {
        holdout: 0,
        ..Fixture::new("identity", 0)
    };
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    let Action::Evaluate(step) = f.read(&mut client, 0, 0) else {
        panic!()
    };
    assert_eq!(step.purpose, Purpose::Step);
}

#[test]
fn a_theta_that_was_not_announced_is_never_used() {
    let f = Fixture::new("identity", 0);
    let good = f.view(1, 0, 0, Phase::Open, Standing::Idle);
    for wrong in [
        RoundView {
            theta: theta_hash(&f.theta_at(7)),
            ..good.clone()
        },
        RoundView {
            step: 1,
            ..good.clone()
        },
        RoundView {
            record: "0".repeat(64),
            ..good.clone()
        },
        // A line that nobody can read.
        RoundView {
            lines: 2,
            ..good.clone()
        },
    ] {
        let mut client = Client::new(0);
        client.step(&f.env(), Event::View(wrong.clone()));
        let mut action = client.step(&f.env(), f.lines(0, 0, 0));
        if let Action::Read { from } = action {
            // There might be more.
            action = client.step(&f.env(), f.lines(from, 0, 0));
        }
        assert_eq!(action, Action::Sync { after: None }, "{wrong:?}");
        assert_eq!(client.theta(), None);
        assert_eq!(
            client.step(&f.env(), f.open(1, 0, 0)),
            Action::Read { from: 1 }
        );
        assert!(matches!(
            client.step(&f.env(), f.lines(1, 0, 0)),
            Action::Evaluate(_)
        ));
    }
    // Not asked for: ignored.
    let mut client = Client::new(0);
    assert_eq!(
        client.step(&f.env(), f.lines(0, 0, 0)),
        Action::Sync { after: None }
    );
    assert_eq!(client, Client::new(0));
}

#[test]
fn an_aggregator_that_keeps_contradicting_itself_is_left() {
    let f = Fixture::new("identity", 0);
    let good = f.view(1, 0, 0, Phase::Open, Standing::Idle);
    let foreign = RoundView {
        theta: theta_hash(&f.theta_at(7)),
        ..good.clone()
    };
    let withheld = RoundView { lines: 2, ..good };
    for view in [foreign, withheld] {
        let mut client = Client::new(0);
        client.step(&f.env(), Event::View(view.clone()));
        client.step(&f.env(), f.lines(0, 0, 0));
        let mut looks = 0;
        let stop = loop {
            let action = match client.step(&f.env(), Event::Start) {
                Action::Read { from } => client.step(&f.env(), f.lines(from, 0, 0)),
                _ => client.step(&f.env(), Event::View(view.clone())),
            };
            if let Action::Stop(reason) = action {
                break reason;
            }
            assert_eq!(client.theta(), None);
            looks += 1;
            assert!(looks <= 3 * MISMATCHES, "{view:?}");
        };
        assert_eq!(stop, StopReason::Inconsistent);
        assert!(client.suspicion().is_some());
    }
}

#[test]
fn a_record_that_ran_ahead_of_the_view_is_no_contradiction() {
    let f = Fixture::new("identity", 0);
    // Between the two answers a round was aborted.
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    assert!(matches!(f.read(&mut client, 0, 1), Action::Evaluate(_)));
    // Or θ moved on: then the next view fits.
    let mut client = f.trained();
    for step in (1..2 * MISMATCHES).step_by(2) {
        let version = u64::from(step);
        client.step(&f.env(), f.open(version, step, step));
        let ahead = f.read(&mut client, step + 1, step + 1);
        assert_eq!(ahead, Action::Sync { after: None });
        client.step(&f.env(), f.open(version + 1, step + 1, step + 1));
        let action = f.read(&mut client, step + 1, step + 1);
        assert!(matches!(action, Action::Evaluate(_)), "{action:?}");
        assert_eq!(f.work(&mut client, action), Action::Sync { after: None });
    }
}

#[test]
fn stale_views_change_nothing() {
    let f = Fixture::new("identity", 0);
    let (mut client, update) = f.uploading();
    let before = client.clone();
    let old = f.view(4, 0, 0, Phase::Open, Standing::Enrolled);
    assert_eq!(
        client.step(&f.env(), Event::View(old)),
        Action::Upload(update)
    );
    assert_eq!(client, before);
}

#[test]
fn a_theta_that_did_not_move_is_still_another_round() {
    let f = Fixture {
        moves: 0.0,
        ..Fixture::new("identity", 0)
    };
    let (mut client, _) = f.uploading();
    client.step(&f.env(), Event::Accepted);
    let view = f.view(6, 1, 1, Phase::Open, Standing::Idle);
    assert_eq!(view.theta, theta_hash(&f.theta));
    assert_eq!(
        client.step(&f.env(), Event::View(view)),
        Action::Read { from: 1 }
    );
    assert!(matches!(f.read(&mut client, 1, 1), Action::Evaluate(_)));
    // And the last one ends the federation also then.
    let mut view = f.view(9, 3, 3, Phase::Open, Standing::Idle);
    assert_eq!(view.theta, theta_hash(&f.theta));
    view.status = FederationStatus::Finished;
    client.step(&f.env(), Event::View(view));
    let action = f.read(&mut client, 3, 3);
    assert_eq!(
        f.work(&mut client, action),
        Action::Stop(StopReason::Finished)
    );
}

#[test]
fn late_answers_do_not_disturb_an_evaluation() {
    let f = Fixture::new("identity", 0);
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    let mut action = f.read(&mut client, 0, 0);
    while let Action::Evaluate(evaluation) = &action {
        let before = client.clone();
        for event in [
            Event::Accepted,
            Event::Refused(Refusal::WrongRound),
            Event::Refused(Refusal::Duplicate),
            Event::Refused(Refusal::TooLarge),
            f.lines(0, 1, 1),
            f.lines(1, 1, 1),
            Event::Start,
            f.open(1, 0, 0),
        ] {
            assert_eq!(client.step(&f.env(), event.clone()), action, "{event:?}");
            assert_eq!(client, before, "{event:?}");
        }
        action = f.answer(&mut client, evaluation);
    }
}

#[test]
fn answers_that_do_not_fit_are_not_taken() {
    let f = Fixture::new("identity", 0);
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    let baseline = f.read(&mut client, 0, 0);
    let one = Outcome {
        loss: 1.0,
        correct: 1,
        total: 2,
    };
    let two = || Event::Evaluated {
        outcomes: vec![one, one],
        means: None,
        memory: None,
    };
    assert_eq!(client.step(&f.env(), two()), baseline);
    let Action::Evaluate(evaluation) = &baseline else {
        panic!()
    };
    let measure = f.answer(&mut client, evaluation);
    let Action::Evaluate(evaluation) = &measure else {
        panic!()
    };
    let step = f.answer(&mut client, evaluation);
    let spent = client.spent();
    let nan = Outcome {
        loss: f64::NAN,
        ..one
    };
    for outcomes in [vec![], vec![one], vec![one, nan], vec![one; 3]] {
        assert_eq!(
            client.step(
                &f.env(),
                Event::Evaluated {
                    outcomes,
                    means: None,
                    memory: None
                }
            ),
            step
        );
    }
    assert_eq!(client.spent(), spent);
}

#[test]
fn refusals_of_an_enrolment() {
    let f = Fixture::new("identity", 0);
    let mut enrolling = f.trained();
    let enrol = enrolling.step(&f.env(), f.open(2, 0, 0));
    assert!(matches!(enrol, Action::Enrol { .. }));
    let sync = Action::Sync { after: Some(2) };
    for (refusal, action) in [
        (Refusal::Duplicate, sync.clone()),
        (Refusal::WrongRound, sync.clone()),
        (Refusal::TooLate, sync.clone()),
        (Refusal::CohortFull, sync.clone()),
        (Refusal::FederationFinished, sync.clone()),
        (Refusal::WrongTheta, sync),
        (Refusal::FederationClosed, Action::Stop(StopReason::Closed)),
        (
            Refusal::Unauthorized,
            Action::Stop(StopReason::Unauthorized),
        ),
        (Refusal::NotFound, Action::Stop(StopReason::Unauthorized)),
        (Refusal::Malformed, Action::Stop(StopReason::Inconsistent)),
    ] {
        let mut client = enrolling.clone();
        assert_eq!(
            client.step(&f.env(), Event::Refused(refusal)),
            action,
            "{refusal:?}"
        );
        assert_eq!(client.delivered(), 0);
    }
}

#[test]
fn refusals_of_an_update() {
    let f = Fixture::new("identity", 0);
    let (uploading, _) = f.uploading();
    let sync = Action::Sync { after: Some(5) };
    for (refusal, action, delivered) in [
        // The first answer was lost; the update was not.
        (Refusal::Duplicate, sync.clone(), 1),
        (Refusal::WrongRound, sync.clone(), 0),
        (Refusal::TooLate, sync.clone(), 0),
        (Refusal::NotInCohort, sync, 0),
        (
            Refusal::NotFinite,
            Action::Stop(StopReason::Inconsistent),
            0,
        ),
        (
            Refusal::OutOfRange,
            Action::Stop(StopReason::Inconsistent),
            0,
        ),
        (Refusal::TooLarge, Action::Stop(StopReason::Inconsistent), 0),
        (
            Refusal::FederationClosed,
            Action::Stop(StopReason::Closed),
            0,
        ),
    ] {
        let mut client = uploading.clone();
        assert_eq!(
            client.step(&f.env(), Event::Refused(refusal)),
            action,
            "{refusal:?}"
        );
        assert_eq!(client.delivered(), delivered, "{refusal:?}");
    }
}

#[test]
fn an_aborted_round_is_tried_again_with_the_same_update() {
    let f = Fixture::new("identity", 0);
    let (mut client, first) = f.uploading();
    client.step(&f.env(), Event::Accepted);
    let Action::Enrol { round, .. } = client.step(&f.env(), f.open(7, 0, 1)) else {
        panic!()
    };
    assert_eq!(round, 1);
    let again = client.step(
        &f.env(),
        Event::View(f.view(8, 0, 1, Phase::Upload, Standing::InCohort)),
    );
    // What the aborted round threw away is counted now.
    assert_eq!(again, Action::Upload(Update { round: 1, ..first }));
}

#[test]
fn queries_whose_upload_has_an_unknown_fate_are_not_reported_twice() {
    let f = Fixture::new("identity", 0);
    let (mut client, update) = f.uploading();
    assert_eq!(update.metrics.queries, 12);
    // It arrived and the round ended; the answer was lost, the second try came too late.
    client.step(&f.env(), Event::Refused(Refusal::WrongRound));
    client.step(&f.env(), f.open(8, 1, 1));
    let action = f.read(&mut client, 1, 1);
    f.work(&mut client, action);
    let upload = client.step(
        &f.env(),
        Event::View(f.view(9, 1, 1, Phase::Upload, Standing::InCohort)),
    );
    assert_eq!(queries(&upload), 10);
}

#[test]
fn queries_that_were_never_offered_are_reported_later() {
    let f = Fixture::new("identity", 0);
    let mut client = f.trained();
    // The others went on without this participant.
    client.step(&f.env(), f.open(8, 1, 1));
    let action = f.read(&mut client, 1, 1);
    f.work(&mut client, action);
    let upload = client.step(
        &f.env(),
        Event::View(f.view(9, 1, 1, Phase::Upload, Standing::InCohort)),
    );
    assert_eq!(queries(&upload), 22);
}

/// A round's training is 8 queries; the measurements are 2 each, one more of them than rounds.
#[test]
fn the_budget_covers_the_rounds_that_are_announced() {
    for budget in 8..40 {
        let f = Fixture::new("identity", budget);
        let rounds = f.task.federation.rounds;
        assert_eq!(u64::from(rounds), (budget / 8).min(3), "budget {budget}");
        assert_eq!(
            (f.task.plan().rounds, f.task.federation.rounds_wanted),
            (rounds, 3)
        );
        let mut client = Client::new(0);
        for round in 0..rounds {
            client.step(&f.env(), f.open(u64::from(round) + 1, round, round));
            let action = f.read(&mut client, round, round);
            let action = f.work(&mut client, action);
            assert_eq!(action, Action::Sync { after: None }, "budget {budget}");
        }
        assert!(client.spent() <= budget, "{} of {budget}", client.spent());
        // Measured as long as that leaves enough for the training, and never without the baseline.
        let measured = client.curve().len() as u64;
        let spare = budget - 8 * u64::from(rounds);
        let expected = (spare / 2).saturating_sub(1).min(u64::from(rounds));
        assert_eq!(measured, expected, "budget {budget}");
        assert_eq!(client.before().is_some(), spare >= 4);
    }
    let mut source = Fixture::new("identity", 8).task.source().clone();
    source["federation"]["query_budget"] = json!(7);
    let ground::fault::Faults(faults) = Task::from_value(source).unwrap_err();
    assert_eq!(faults[0].path, "federation.query_budget");
}

#[test]
fn where_the_money_is_spent_nothing_more_is_asked() {
    let f = Fixture::new("identity", 0);
    let mut client = Client::new(0);
    client.step(&f.env(), f.open(1, 0, 0));
    assert!(matches!(f.read(&mut client, 0, 0), Action::Evaluate(_)));
    let stop = Action::Stop(StopReason::MoneySpent);
    assert_eq!(client.step(&f.env(), Event::MoneySpent), stop);
    assert_eq!(client.step(&f.env(), Event::Resume), stop);
    assert!(StopReason::MoneySpent.leaves() && !StopReason::Finished.leaves());

    // The final θ is good also where it cannot be measured.
    let mut client = Client::new(0);
    let mut view = f.view(9, 3, 3, Phase::Open, Standing::Idle);
    view.status = FederationStatus::Finished;
    client.step(&f.env(), Event::View(view));
    assert!(matches!(f.read(&mut client, 3, 3), Action::Evaluate(_)));
    let stop = Action::Stop(StopReason::Finished);
    assert_eq!(client.step(&f.env(), Event::MoneySpent), stop);
}

/// What a view says of a participant who is, or is not, drawn.
#[test]
fn whoever_is_not_drawn_says_so_once_and_asks_nothing() {
    let mut source = Fixture::new("identity", 0).task.source().clone();
    source["federation"]["active"] = json!(1);
    let f = Fixture::of(Task::from_value(source).unwrap());
    let policy = f.task.federation.policy;
    let drawn = |number, attempt| is_drawn(&policy, 0, 0, (4, attempt), number);
    let number = (0..4).find(|n| !drawn(*n, 0) && drawn(*n, 1)).unwrap();
    let mut client = Client::new(number);
    let view = |version, round, attempt| {
        let mut view = f.view(version, 0, round, Phase::Open, Standing::Idle);
        (view.registered, view.attempt) = (4, attempt);
        Event::View(view)
    };
    client.step(&f.env(), view(1, 0, 0));
    let told = f.read(&mut client, 0, 0);
    let body = Enrolment {
        theta: theta_hash(&f.theta),
        waits: true,
    };
    assert_eq!(told, Action::Enrol { round: 0, body });
    assert_eq!(client.activity(&f.task).0, "resting");
    // A lost answer: said again. After that never again, however often the view comes.
    assert_eq!(client.step(&f.env(), Event::Start), told);
    let wait = Action::Sync { after: Some(1) };
    assert_eq!(client.step(&f.env(), Event::Accepted), wait);
    assert_eq!(client.step(&f.env(), view(1, 0, 0)), wait);
    // Nobody came: more are drawn.
    let mut action = client.step(&f.env(), view(2, 1, 1));
    if let Action::Read { .. } = action {
        action = f.read(&mut client, 0, 1);
    }
    assert!(matches!(action, Action::Evaluate(_)), "{action:?}");
    assert_eq!(client.spent(), 0);
}

#[test]
fn the_final_theta_is_measured_and_then_it_is_over() {
    let f = Fixture::new("identity", 0);
    let mut client = f.trained();
    let mut last = f.view(9, 3, 3, Phase::Open, Standing::Idle);
    last.status = FederationStatus::Finished;
    assert!(matches!(
        client.step(&f.env(), Event::View(last.clone())),
        Action::Read { .. }
    ));
    let Action::Evaluate(measure) = f.read(&mut client, 3, 3) else {
        panic!()
    };
    assert_eq!(measure.candidates, [Candidate::BASE]);
    assert_eq!(
        f.answer(&mut client, &measure),
        Action::Stop(StopReason::Finished)
    );
    assert_eq!(client.curve().last().unwrap().step, 3);
    assert_eq!(client.theta(), Some(&f.theta_at(3)[..]));
    // What is over stays over.
    for event in [
        Event::Start,
        Event::Resume,
        Event::Accepted,
        Event::View(last),
        Event::Refused(Refusal::WrongRound),
    ] {
        assert_eq!(
            client.step(&f.env(), event),
            Action::Stop(StopReason::Finished)
        );
    }
    // With nothing left to measure it with, it is over all the same.
    let f = Fixture::new("identity", 13);
    let mut client = f.trained();
    let mut last = f.view(9, 3, 3, Phase::Open, Standing::Idle);
    last.status = FederationStatus::Finished;
    client.step(&f.env(), Event::View(last));
    assert_eq!(
        f.read(&mut client, 3, 3),
        Action::Stop(StopReason::Finished)
    );
}

#[test]
fn closing_stops_at_once() {
    let f = Fixture::new("identity", 0);
    let (mut client, _) = f.uploading();
    let mut view = f.view(9, 0, 0, Phase::Aborted, Standing::InCohort);
    view.status = FederationStatus::Closed;
    assert_eq!(
        client.step(&f.env(), Event::View(view)),
        Action::Stop(StopReason::Closed)
    );
}

#[test]
fn pausing_keeps_everything_and_leaving_ends_it() {
    let f = Fixture::new("identity", 0);
    let (mut client, update) = f.uploading();
    assert_eq!(client.step(&f.env(), Event::Pause), Action::Rest);
    assert!(client.is_paused());
    assert_eq!(client.activity(&f.task).0, "paused");
    assert_eq!(
        client.step(&f.env(), Event::Start),
        Action::Rest,
        "a restart does not resume"
    );
    assert_eq!(client.step(&f.env(), Event::Resume), Action::Upload(update));
    assert_eq!(client.step(&f.env(), Event::Pause), Action::Rest);
    assert_eq!(
        client.step(&f.env(), Event::Leave),
        Action::Stop(StopReason::Left)
    );
    assert_eq!(
        client.step(&f.env(), Event::Resume),
        Action::Stop(StopReason::Left)
    );
    assert_eq!(client.activity(&f.task).0, "stopped");
}

#[test]
fn a_view_while_paused_is_taken_and_acted_on_later() {
    let f = Fixture::new("identity", 0);
    let mut client = f.trained();
    client.step(&f.env(), Event::Pause);
    assert_eq!(client.step(&f.env(), f.open(8, 1, 1)), Action::Rest);
    assert_eq!(
        client.step(&f.env(), Event::Resume),
        Action::Read { from: 1 }
    );
}

#[test]
fn every_state_survives_the_disk() {
    let f = Fixture::new("identity", 0);
    let mut client = Client::new(4);
    let mut action = client.step(&f.env(), f.open(1, 0, 0));
    for _ in 0..8 {
        let binary: Client = wire::decode(&wire::encode(&client)).unwrap();
        let json: Client = serde_json::from_slice(&serde_json::to_vec(&client).unwrap()).unwrap();
        for mut restored in [binary, json] {
            assert_eq!(restored, client);
            assert_eq!(restored.step(&f.env(), Event::Start), action);
        }
        action = match &action {
            Action::Read { from } => client.step(&f.env(), f.lines(*from, 0, 0)),
            Action::Evaluate(evaluation) => f.answer(&mut client, evaluation),
            Action::Sync { .. } => client.step(&f.env(), f.open(1, 0, 0)),
            Action::Enrol { .. } => client.step(&f.env(), Event::Refused(Refusal::TooLate)),
            other => panic!("{other:?}"),
        };
    }
}

#[test]
fn batches_are_a_function_of_the_step_alone() {
    let f = Fixture::new("identity", 0);
    let state = State::new(f.theta.clone(), 1);
    let (a, again) = (
        batch(&f.task, 0, &state, 50, 0),
        batch(&f.task, 0, &state, 50, 0),
    );
    assert_eq!(a, again);
    assert_eq!(a.len(), 2);
    assert_ne!(a[0], a[1]);
    let others = [
        batch(&f.task, 1, &state, 50, 0),
        batch(
            &f.task,
            0,
            &State {
                round: 2,
                ..state.clone()
            },
            50,
            0,
        ),
        // The same step, trained anew.
        batch(&f.task, 0, &state, 50, 1),
    ];
    assert!(others.iter().all(|b| *b != a), "{a:?} {others:?}");
    assert_eq!(batch(&f.task, 0, &state, 1, 0), [0]);
    assert!(batch(&f.task, 0, &state, 0, 0).is_empty());
    // With few examples, too, no batch is drawn twice.
    for training in 2..8 {
        let times = MASKED_MAX.min(training as u32);
        let batches: std::collections::BTreeSet<Vec<u32>> = (0..times)
            .map(|renewed| {
                let mut examples = batch(&f.task, 3, &state, training, renewed);
                examples.sort_unstable();
                examples
            })
            .collect();
        assert_eq!(batches.len(), times as usize, "{training}: {batches:?}");
    }
    // Where a batch holds all examples, half of them are asked the next time.
    assert_eq!(batch(&f.task, 0, &state, 2, 0).len(), 2);
    assert_eq!(batch(&f.task, 0, &state, 2, 1).len(), 1);
}
