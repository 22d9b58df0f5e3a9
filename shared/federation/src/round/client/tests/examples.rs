//! Noise that hides single examples: no example is in more sums than the task allows, whatever becomes
//! of the rounds.

use super::*;

const MOST: u32 = 2;

fn fixture() -> Fixture {
    let mut source = Fixture::new("identity", 0).task.source().clone();
    source["generator"] = json!({ "kind": "statistic", "grid": 2, "statistics": 1 });
    source["optimizer"] = json!({ "kind": "node-perturbation" });
    source["federation"] = json!({
        "rounds": 50, "local_steps": 1, "batch": 2,
        "secure_sum": { "cohort_min": 3, "masks": false },
        "privacy": { "unit": "example", "participations": MOST },
    });
    Fixture {
        holdout: 0,
        ..Fixture::of(Task::from_value(source).unwrap())
    }
}

/// The examples that are asked in a round from which θ moved on, or not.
fn asked(f: &Fixture, client: &Client, round: u32) -> Vec<u32> {
    let state = State::new(f.theta.clone(), round);
    client.training_step(&f.env(), &state).examples
}

#[test]
fn no_example_is_in_more_sums_than_the_task_allows() {
    let f = fixture();
    let contribution = f.task.contribution().unwrap().clone();
    let mut client = Client::new(0);
    let mut times = [0; TRAINING];
    let mut rounds = 0;
    for round in 0..50 {
        let examples = asked(&f, &client, round);
        if examples.is_empty() {
            continue;
        }
        rounds += 1;
        examples.iter().for_each(|i| times[*i as usize] += 1);
        client.sums.pay(&contribution, &examples).unwrap();
    }
    // All of what may be given is given: five examples, twice each, two in a round.
    assert_eq!(times, [MOST; TRAINING]);
    // At the end of a turn a round may have fewer.
    assert!((5..=6).contains(&rounds), "{rounds}");
    let spent = client.privacy(&f.task).unwrap();
    assert!(
        spent.epsilon <= spent.limit && spent.epsilon > 0.9 * spent.limit,
        "{spent:?}"
    );
    // The state that is stored knows it, too.
    let text = serde_json::to_string(&client).unwrap();
    let client: Client = serde_json::from_str(&text).unwrap();
    assert!((50..60).all(|round| asked(&f, &client, round).is_empty()));
}

#[test]
fn sums_from_before_the_state_was_lost_count_for_all_examples() {
    let f = fixture();
    let mut client = Client::new(0);
    assert_eq!(asked(&f, &client, 0).len(), 2);
    client.sums.unknown = MOST - 1;
    assert_eq!(asked(&f, &client, 0).len(), 2);
    client.sums.unknown = MOST;
    assert!(asked(&f, &client, 0).is_empty());
}

#[test]
fn who_has_given_all_stops_and_says_so() {
    let f = fixture();
    let mut client = Client::new(0);
    client.sums.unknown = MOST;
    client.step(&f.env(), f.open(1, 0, 0));
    let action = f.read(&mut client, 0, 0);
    assert_eq!(action, Action::Stop(StopReason::PrivacySpent));
}
