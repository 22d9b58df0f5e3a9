//! Runs one federation. Participants take turns in a fixed order, so the result does not depend on
//! threads.

use super::SimulateError;
use super::attack::Attack;
use super::measure::{measure, parallel};
use super::model::ModelError;
use super::report::{Chosen, Outcome, Point, Setting};
use super::run::Context;
use super::secrets::{self, Clock};
use crate::commands::word;
use crate::data::hold_out;
use federation::engine::local::Local;
use federation::engine::memory::Memory;
use federation::round::client::{Action, Client, Event, StopReason};
use federation::round::messages::RoundRecord;
use federation::round::phase::Phase;
use federation::round::server::Round;
use federation::round::workbench::{Labelled, Workbench};
use federation::rules::choice::Keep;
use federation::task::Task;
use ground::wire;
use indicatif::{ProgressBar, ProgressStyle};
use model_client::caller::CallError;
use model_client::purse::Purse;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use tuning::objective::mapping::Mappings;

struct Participant {
    number: u32,
    bench: Workbench,
    client: Client,
    action: Action,
    /// The attack of a bad participant; `None` for an honest one.
    attack: Option<Attack>,
    /// The participant's own money for the model API.
    purse: Purse,
    bytes_up: u64,
    bytes_down: u64,
    /// Whether the participant has left, out of queries or money.
    left: bool,
}

/// The results of a federation that has ended.
pub(super) struct Run {
    pub outcome: Outcome,
    pub federation: Local,
}

/// The name of the federation in records of simulations.
const FEDERATION: &str = "hub";

/// Maximum number of aborted rounds in a row. They leave θ unchanged, and so would more of them.
const ABORTED_IN_A_ROW: u32 = 20;

/// Checks that the federation does not go on for ever, and that no participant stopped unnoticed.
fn check(records: &[RoundRecord], participants: &[Participant]) -> Result<(), SimulateError> {
    let failed = |r: &&RoundRecord| r.phase == Phase::Aborted;
    let aborted = records.iter().rev().take_while(failed).count() as u32;
    if aborted >= ABORTED_IN_A_ROW {
        let reason = records.last().and_then(|r| r.reason);
        return Err(SimulateError::Stuck(aborted, word(&reason)));
    }
    for participant in participants {
        let Action::Stop(reason @ (StopReason::Inconsistent | StopReason::Unauthorized)) =
            participant.action
        else {
            continue;
        };
        // A bad participant's message may be refused completely, which puts the participant out.
        if participant.attack.is_none() {
            let why = participant.client.suspicion();
            let why = why.map_or_else(|| word(&reason), str::to_owned);
            return Err(SimulateError::Stopped(participant.number, why));
        }
    }
    Ok(())
}

/// Runs one federation of these participants from θ₀ to its end.
pub(super) fn federate(
    context: &Context<'_>,
    owners: Vec<Vec<Labelled>>,
    setting: Setting,
) -> Result<Run, SimulateError> {
    // All participants are present from the start: a task for many, run by fewer or by one alone,
    // would wait for ever.
    let mut task = match setting {
        Setting::Federated => context.task.clone(),
        Setting::Local | Setting::Centralised => context.alone.clone(),
    };
    for limits in [
        &mut task.federation.policy.open,
        &mut task.federation.policy.upload,
    ] {
        limits.count_min = limits.count_min.min(owners.len() as u32);
    }
    if let (Setting::Centralised, Some(learnt)) = (setting, task.mapping.learnt.as_mut()) {
        // As many examples as all participants have together.
        learnt.examples = learnt.examples.saturating_mul(context.args.clients as u32);
    }
    let task = &task;
    let mut federation = Local::new(Memory::default(), FEDERATION, task, 0)?;
    let (mut now, clock) = (0, Clock::default());
    let mut participants = Vec::new();
    for examples in owners {
        let number = participants.len() as u32;
        let secrets = secrets::secrets(context.args.seed, number, &clock);
        let number = federation.join(now, Some(secrets.identity.public()))?;
        let (training, holdout) = hold_out(task, number, examples);
        let bench = Workbench::new(task.clone(), number, training, holdout)?;
        let bench = bench.with_secrets(secrets);
        let is_bad = setting == Setting::Federated && context.bad.contains(&number);
        let mut client = Client::new(number);
        let action = client.step(&bench.environment(), Event::Start);
        participants.push(Participant {
            number,
            bench,
            client,
            action,
            attack: context.args.attack.filter(|_| is_bad),
            purse: Purse::new(task.model.price.clone()),
            bytes_up: 0,
            bytes_down: 0,
            left: false,
        });
    }
    let bar = match setting {
        // Several of these run at once and share one bar.
        Setting::Local => ProgressBar::hidden(),
        Setting::Federated | Setting::Centralised => {
            progress(&word(&setting), "round", task.federation.rounds.into())
        }
    };
    let (mut curve, mut before) = (Vec::new(), None);
    let (mut seen, mut measured) = (0, 0);
    while participants
        .iter()
        .any(|p| !matches!(p.action, Action::Stop(_)))
    {
        // If all wait for time to pass, it passes at once.
        now = if waits(&participants, &federation, before.as_ref()) {
            federation
                .round()
                .wake_at(&task.federation.policy, now)
                .unwrap_or(now + 1)
        } else {
            now + 1
        };
        before = Some(federation.round().clone());
        work(context, &mut participants)?;
        for participant in &mut participants {
            clock.store(federation.round().number, Ordering::Relaxed);
            talk(&mut federation, participant, now)?;
        }
        federation.tick(now)?;
        let done = federation.records().len();
        if done > seen {
            seen = done;
            check(federation.records(), &participants)?;
            let step = federation.record().step();
            bar.set_position(u64::from(step));
            let due = step % context.args.eval_every.max(1) == 0 && setting != Setting::Local;
            if due && step > measured && step < task.federation.rounds {
                measured = step;
                let mappings = mappings_of(context, task, &federation, &participants);
                curve.push(point(context, &mappings, &federation, &participants, step)?);
            }
        }
    }
    bar.finish_and_clear();
    check(federation.records(), &participants)?;
    let updates = federation.record().step();
    let mappings = mappings_of(context, task, &federation, &participants);
    let last = point(context, &mappings, &federation, &participants, updates)?;
    let on_test = |theta: Option<&[f32]>| {
        let measured = measure(context.model, context.test, &mappings, theta);
        measured.map(|(accuracy, _)| accuracy)
    };
    let chosen = match federation.record().choice() {
        Some(choice) => {
            let unprompted_accuracy = on_test(None)?;
            Some(Chosen {
                test_accuracy: match choice.keep {
                    Keep::Unprompted => unprompted_accuracy,
                    Keep::Last => last.test_accuracy,
                    Keep::Earlier => on_test(federation.record().kept())?,
                },
                unprompted_accuracy,
                choice: (setting != Setting::Local).then_some(choice),
            })
        }
        None => None,
    };
    if curve.last().is_some_and(|p: &Point| p.step == updates) {
        curve.pop();
    }
    let most = |f: fn(&Participant) -> u64| participants.iter().map(f).max().unwrap_or(0);
    curve.push(last.clone());
    let outcome = Outcome {
        setting,
        updates,
        test_accuracy: last.test_accuracy,
        test_loss: last.test_loss,
        chosen,
        range: None,
        queries_per_participant: last.queries_per_participant,
        cost_per_participant: context.model.cost(task).and_then(|_| {
            participants
                .iter()
                .filter_map(|p| p.purse.cost())
                .reduce(f64::max)
        }),
        bytes_up_per_participant: most(|p| p.bytes_up),
        bytes_down_per_participant: most(|p| p.bytes_down),
        curve: if setting == Setting::Local {
            Vec::new()
        } else {
            curve
        },
        theta: (setting != Setting::Local).then(|| ground::hash::theta_hash(federation.theta())),
        prompt: (setting != Setting::Local)
            .then(|| task.prompt(federation.theta()))
            .flatten()
            .zip(task.inputs.texts())
            .map(|(prompt, text)| text.shown(&prompt)),
        ranking: match setting {
            Setting::Local => Vec::new(),
            Setting::Federated | Setting::Centralised => task.ranking(federation.theta()),
        },
    };
    Ok(Run {
        outcome,
        federation,
    })
}

/// The mappings with which a federation measures: those of its record if they were learnt together;
/// those of the only participant; or, if each participant has its own, those from all participants'
/// answers.
fn mappings_of(
    context: &Context<'_>,
    task: &Task,
    federation: &Local,
    participants: &[Participant],
) -> Mappings {
    let own = || match participants {
        [alone] => alone.client.mappings(task),
        _ => None,
    };
    let learnt = federation.record().mappings(task).or_else(own);
    learnt.unwrap_or_else(|| context.mappings.clone())
}

/// Whether no participant has anything to do but ask again, and nothing has happened since
/// `before`.
fn waits(participants: &[Participant], federation: &Local, before: Option<&Round>) -> bool {
    let idle =
        |p: &Participant| matches!(p.action, Action::Sync { after: Some(_) } | Action::Stop(_));
    before == Some(federation.round()) && participants.iter().all(idle)
}

fn point(
    context: &Context<'_>,
    mappings: &Mappings,
    federation: &Local,
    participants: &[Participant],
    step: u32,
) -> Result<Point, SimulateError> {
    let (test_accuracy, test_loss) = measure(
        context.model,
        context.test,
        mappings,
        Some(federation.theta()),
    )?;
    let queries_per_participant = participants
        .iter()
        .map(|p| p.client.spent())
        .max()
        .unwrap_or(0);
    Ok(Point {
        step,
        test_accuracy,
        test_loss,
        queries_per_participant,
    })
}

/// Lets all participants compute, on all cores, independently of one another.
fn work(context: &Context<'_>, participants: &mut [Participant]) -> Result<(), SimulateError> {
    if let [alone] = participants {
        return compute(context, alone);
    }
    let slots: Vec<_> = participants.iter_mut().map(Mutex::new).collect();
    parallel(&slots, |slot| match slot.lock() {
        Ok(mut participant) => compute(context, &mut participant),
        // Another thread panicked over this one; the scope will propagate that.
        Err(_) => Ok(()),
    })?;
    Ok(())
}

/// Evaluates until the participant wants to talk to the aggregator.
fn compute(context: &Context<'_>, participant: &mut Participant) -> Result<(), SimulateError> {
    while let Action::Evaluate(evaluation) = &participant.action {
        let requests = Workbench::requests(evaluation, context.model.request()).into_iter();
        let asked = requests.map(|request| {
            let queries = participant.bench.queries(evaluation, request);
            let model = context.model;
            model.ask_for(&participant.purse, queries, context.task)
        });
        let event = match asked.collect::<Result<Vec<_>, _>>() {
            Ok(answers) => participant
                .bench
                .event(&participant.client, evaluation, &answers)
                .map_err(|e| SimulateError::Inconsistent(e.to_string()))?,
            Err(ModelError::Call(CallError::Budget { .. })) => Event::MoneySpent,
            Err(error) => return Err(error.into()),
        };
        participant.action = participant
            .client
            .step(&participant.bench.environment(), event);
    }
    Ok(())
}

/// Exchanges one message with the aggregator.
fn talk(
    federation: &mut Local,
    participant: &mut Participant,
    now: u64,
) -> Result<(), SimulateError> {
    let number = participant.number;
    if let Action::Stop(reason) = participant.action
        && reason.leaves()
        && !participant.left
    {
        participant.left = true;
        // Nobody waits for them any more.
        return Ok(federation.leave(number, now)?);
    }
    if let Some(attack) = participant.attack {
        match &mut participant.action {
            Action::Upload(update) => attack.spoil_update(update),
            Action::Contribute { vector, .. } => {
                let task = federation.task();
                let contribution = task.contribution_of(federation.record().kind(task));
                let spoilt = contribution.and_then(|c| attack.spoil_vector(c.layout(), vector));
                *vector = spoilt.unwrap_or_else(|| vector.clone());
            }
            _ => {}
        }
    }
    participant.bytes_up += match &participant.action {
        Action::Enrol { body, .. } => serde_json::to_vec(body).map_or(0, |b| b.len() as u64),
        Action::Upload(update) => wire::encode(update).len() as u64,
        Action::Contribute { vector, .. } => vector.len() as u64,
        Action::Send { message, .. } => wire::encode(message).len() as u64,
        _ => 0,
    };
    let Some(event) = federation.answer(number, now, &participant.action)? else {
        return Ok(());
    };
    participant.bytes_down += match &event {
        Event::Lines(lines) => lines.iter().map(|l| l.len() as u64 + 1).sum::<u64>(),
        Event::Input(input) => wire::encode(input).len() as u64,
        _ => 0,
    };
    participant.action = participant
        .client
        .step(&participant.bench.environment(), event);
    Ok(())
}

pub(super) fn progress(message: &str, unit: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(&format!(
        "{{msg:12}} {{bar:40}} {unit} {{pos}}/{{len}} {{eta}} left"
    )) {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar
}
