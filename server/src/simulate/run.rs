//! The simulation itself: participants take turns in a fixed order, so the result does not depend on threads.

use super::attack::{self, Attack, AttackReport};
use super::model::{Model, ModelError, cores};
use super::report::{
    Chosen, OnTest, Outcome, Point, PrivacyReport, Report, RuleReport, SecureReport, Setting,
    Timings,
};
use super::secrets::{self, Clock};
use super::split::split;
use super::{SimulateArgs, SimulateError, templates};
use crate::data::hold_out;
use crate::participant::caller::CallError;
use crate::participant::purse::Purse;
use crate::task_source;
use indicatif::{ProgressBar, ProgressStyle};
use shared::federation::combine::Combine;
use shared::model_api::Scores;
use shared::objective;
use shared::objective::counts::Counts;
use shared::objective::mapping::{Mapping, Mappings};
use shared::optimizer::Candidate;
use shared::optimizer::points::Points;
use shared::round::client::{Action, Client, Evaluation, Event, Part, Purpose, StopReason};
use shared::round::hub::Hub;
use shared::round::messages::RoundRecord;
use shared::round::phase::Phase;
use shared::round::server::Round;
use shared::round::wire;
use shared::round::workbench::{Labelled, Workbench};
use shared::task::{Rule, Task};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

struct Participant {
    number: u32,
    bench: Workbench,
    client: Client,
    action: Action,
    /// Sends bad updates.
    attack: Option<Attack>,
    /// Its own money for the model API.
    purse: Purse,
    bytes_up: u64,
    bytes_down: u64,
    /// Spent their queries or their money, and said so.
    left: bool,
}

struct Context<'a> {
    /// The federation's.
    task: &'a Task,
    /// Of whoever trains alone: nothing is summed, bounded or noisy.
    alone: &'a Task,
    /// What the model as it is is measured with, and participants who have each learnt mappings alone: those of
    /// everybody's answers.
    mappings: &'a Mappings,
    /// Who is bad.
    bad: &'a [u32],
    model: &'a Model,
    test: &'a Workbench,
    args: &'a SimulateArgs,
}

/// Runs all settings that the arguments ask for.
pub fn run(args: &SimulateArgs) -> Result<Report, SimulateError> {
    let begun = Instant::now();
    let mut task = load_task(args, args.templates.first().map(String::as_str))?;
    let bad = attack::draw(args.bad.unwrap_or(0.0), args.clients, args.seed);
    let model = Model::open(
        &with_all_budgets(&task, args.clients),
        args.model_file.as_deref(),
        args.model_dir.as_deref(),
        &args.range,
        args.output.as_deref(),
        args.model_key.clone(),
    )?;
    let (training, test) = split(args, &task)?;
    let load = |template: &str| load_task(args, Some(template));
    let templates = templates::compare(args, &model, &training, &test, load)?;
    if let Some(taken) = templates.iter().find(|t| t.taken) {
        task = load(&taken.template)?;
    }
    let alone = alone(&task)?;
    let labels: Vec<usize> = training.iter().map(|e| e.label).collect();
    let parts = args.partition.split(&labels, args.clients, args.seed)?;
    let of = |indices: &[usize]| -> Vec<Labelled> {
        indices.iter().map(|i| training[*i].clone()).collect()
    };
    let bench = Workbench::new(task.clone(), 0, Vec::new(), test)?;
    let theta = task.initial()?;
    let mut outcomes = Vec::new();
    let chosen = |s: Setting| args.only.is_empty() || args.only.contains(&s);
    let mappings = match task.mapping.fixed() {
        Some(mappings) => mappings,
        None => fit_mappings(&task, &model, &training)?,
    };
    let context = Context {
        task: &task,
        alone: &alone,
        mappings: &mappings,
        bad: &bad,
        model: &model,
        test: &bench,
        args,
    };
    // The model as it is, though some generators' first prompts are not nothing.
    let (zero_shot, _) = measure(&model, &bench, &mappings, None)?;
    let oracle = if args.oracle {
        oracle(&context)?
    } else {
        Vec::new()
    };
    let mut hub = None;
    if chosen(Setting::Federated) {
        let benches = parts.iter().map(|p| of(p)).collect();
        let run = federate(&context, benches, Setting::Federated)?;
        outcomes.push(run.outcome);
        hub = Some(run.hub);
    }
    if let (Some(path), Some(hub)) = (&args.record, &hub) {
        let lines: Vec<String> = hub.lines(0).iter().map(|l| format!("{l}\n")).collect();
        std::fs::write(path, lines.concat()).map_err(|cause| SimulateError::Write {
            path: path.clone(),
            cause,
        })?;
    }
    if chosen(Setting::Local) {
        let bar = progress("Local", "participant", parts.len() as u64);
        let each = parallel(&parts, |part| {
            let run = federate(&context, vec![of(part)], Setting::Local);
            bar.inc(1);
            run.map(|run| run.outcome)
        })?;
        bar.finish_and_clear();
        outcomes.extend(mean_of(each));
    }
    if chosen(Setting::Centralised) {
        let union = vec![training.clone()];
        outcomes.push(federate(&context, union, Setting::Centralised)?.outcome);
    }
    Ok(Report {
        task: task.name.clone(),
        task_hash: task.hash(),
        seed: args.seed,
        clients: args.clients,
        partition: args.partition.to_string(),
        examples: parts.iter().map(Vec::len).collect(),
        test_examples: bench.environment().holdout,
        parameters: theta.len(),
        federation: rules(&context, hub.as_ref()),
        templates,
        zero_shot,
        oracle,
        outcomes,
        cost: model.cost(&task),
        timings: args.timings.then(|| Timings {
            seconds: begun.elapsed().as_secs_f64(),
            peak_memory_kib: peak_memory(),
        }),
    })
}

/// What measuring on the test data may cost whoever runs the simulation: as much as all participants together, lest a
/// test set that is too large for the money goes unnoticed.
fn with_all_budgets(task: &Task, clients: usize) -> Task {
    let mut task = task.clone();
    if let Some(price) = &mut task.model.price {
        price.budget *= clients as f64;
    }
    task
}

/// The task as the arguments change it, with one of their templates where they have some.
fn load_task(args: &SimulateArgs, template: Option<&str>) -> Result<Task, SimulateError> {
    let mut set = overrides(args);
    set.extend(template.map(templates::setting));
    let task = task_source::load(&args.task, &set)?;
    let Some(secure) = &task.federation.secure else {
        return Ok(task);
    };
    let cohort_min = secure.policy.cohort_min;
    if (args.clients as u64) < u64::from(cohort_min) {
        return Err(SimulateError::TooFew {
            cohort_min,
            clients: args.clients,
        });
    }
    if args.masks && args.bad.is_some_and(|part| part > 0.0) {
        return Err(SimulateError::MaskedAttack);
    }
    set.push(format!("federation.secure_sum.masks={}", args.masks));
    task_source::load(&args.task, &set)
}

/// The same task for one participant alone.
fn alone(task: &Task) -> Result<Task, SimulateError> {
    let mut source = task.source().clone();
    if let Some(federation) = source["federation"].as_object_mut() {
        for protection in ["secure_sum", "privacy", "clip", "active"] {
            federation.remove(protection);
        }
    }
    Ok(Task::from_value(source)?)
}

fn rules(context: &Context<'_>, hub: Option<&Hub>) -> RuleReport {
    let (task, federation) = (context.task, &context.task.federation);
    let by_round = || hub.into_iter().flat_map(Hub::records);
    let privacy = task.contribution().and_then(|contribution| {
        let limits = contribution.limits()?;
        let epsilon_by_round: Vec<f64> = by_round().filter_map(|r| r.epsilon).collect();
        Some(PrivacyReport {
            epsilon: epsilon_by_round.last().copied().unwrap_or(0.0),
            delta: limits.delta as f32,
            limit: limits.epsilon as f32,
            noise_multiplier: contribution.noise_multiplier()?,
            epsilon_by_round,
        })
    });
    let attack = context.args.attack.map(|attack| AttackReport {
        attack: attack.to_string(),
        participants: context.bad.to_vec(),
    });
    RuleReport {
        rule: match federation.rule {
            Rule::FedAvg => "fedavg",
            Rule::Scalars => "scalars",
            Rule::FedBpt => "fedbpt",
        }
        .to_owned(),
        update_length: task.update_length(),
        clip: federation.clip,
        combine: match federation.combine {
            Combine::Mean => "mean",
            Combine::Median => "median",
            Combine::TrimmedMean(_) => "trimmed-mean",
        }
        .to_owned(),
        secure: federation.secure.map(|secure| SecureReport {
            groups: secure.policy.groups,
            masks: secure.masks,
        }),
        privacy,
        attack,
    }
}

/// The task's settings that a simulation replaces. Everything is trained on, unless `--holdout` says otherwise: the test
/// data does the measuring.
fn overrides(args: &SimulateArgs) -> Vec<String> {
    let mut set = vec![
        format!("data.holdout={}", args.holdout),
        format!("seed={}", args.seed),
    ];
    set.extend(args.rounds.map(|r| format!("federation.rounds={r}")));
    set.extend(args.set.iter().cloned());
    set
}

/// The mappings that all training examples give.
fn fit_mappings(
    task: &Task,
    model: &Model,
    training: &[Labelled],
) -> Result<Mappings, SimulateError> {
    let Some(learnt) = task.mapping.learnt else {
        return Ok(Mapping::Identity.into());
    };
    let output = &task.model.output;
    let bench = Workbench::new(task.clone(), 0, Vec::new(), training.to_vec())?;
    let count = |theta: Option<&[f32]>| {
        let mut counts = Counts::new(learnt.counted, task.labels.len(), output.classes);
        for (labels, scores) in answers(model, &bench, theta)? {
            for (i, label) in labels.into_iter().enumerate() {
                counts.count(scores.row(i), label, output.kind);
            }
        }
        Ok::<_, SimulateError>(counts.means())
    };
    let mut means = count(None)?;
    if task.counts_twice() {
        means.extend(count(Some(&task.initial()?))?);
    }
    Ok(task.fit_mappings(&means))
}

/// The model's answers to the held-out examples of `bench`, and their labels, prompted by θ or not prompted at all.
fn answers(
    model: &Model,
    bench: &Workbench,
    theta: Option<&[f32]>,
) -> Result<Vec<(Vec<usize>, Scores)>, SimulateError> {
    let size = bench.environment().holdout as u32;
    let starts: Vec<u32> = (0..size).step_by(256).collect();
    parallel(&starts, |&start| {
        let evaluation = Evaluation {
            purpose: Purpose::Measure,
            theta: theta.unwrap_or_default().to_vec(),
            candidates: theta.map(|_| Candidate::BASE).into_iter().collect(),
            points: Points::default(),
            part: Part::Holdout,
            examples: (start..size.min(start + 256)).collect(),
        };
        let queries = bench.queries(&evaluation, 0..evaluation.examples.len());
        let scores = model.ask(queries, bench.task())?;
        Ok((bench.labels(&evaluation), scores))
    })
}

/// Accuracy and mean loss on the held-out examples of `bench`, prompted by θ or not prompted at all.
pub(super) fn measure(
    model: &Model,
    bench: &Workbench,
    mappings: &Mappings,
    theta: Option<&[f32]>,
) -> Result<(f64, f64), SimulateError> {
    let mapping = mappings.of(theta.is_some()).clone();
    let objective = bench.task().objective(mapping);
    // Summed in the order of the examples: the sum depends on it in its last bits.
    let mut sum = objective::Outcome::default();
    for (labels, scores) in answers(model, bench, theta)? {
        for (i, label) in labels.into_iter().enumerate() {
            sum.add(&objective.score(scores.row(i), label));
        }
    }
    let total = f64::from(sum.total.max(1));
    Ok((f64::from(sum.correct) / total, sum.loss / total))
}

/// Every instruction on the test data.
fn oracle(context: &Context<'_>) -> Result<Vec<OnTest>, SimulateError> {
    let (dim, mappings) = (context.task.dim(), context.mappings);
    let mut found = Vec::new();
    for arm in 0..dim / 2 {
        // The arm's sum of rewards alone: then it is the best.
        let mut theta = vec![0.0; dim];
        theta[arm] = 1.0;
        let best = context.task.ranking(&theta).into_iter().next();
        let instruction = best.ok_or(SimulateError::NoInstructions)?.instruction;
        let (test_accuracy, _) = measure(context.model, context.test, mappings, Some(&theta))?;
        found.push(OnTest {
            instruction,
            test_accuracy,
        });
    }
    Ok(found)
}

/// A federation that has ended.
struct Run {
    outcome: Outcome,
    hub: Hub,
}

/// Aborted rounds leave θ as it was, and so does another like them: after so many in a row nothing will change.
const ABORTED_IN_A_ROW: u32 = 20;

/// Nothing goes on for ever, and nobody stops unseen.
fn check(records: &[RoundRecord], participants: &[Participant]) -> Result<(), SimulateError> {
    let failed = |r: &&RoundRecord| r.phase == Phase::Aborted;
    let aborted = records.iter().rev().take_while(failed).count() as u32;
    if aborted >= ABORTED_IN_A_ROW {
        let reason = records.last().and_then(|r| r.reason);
        return Err(SimulateError::Stuck(aborted, reason));
    }
    for participant in participants {
        let Action::Stop(reason @ (StopReason::Inconsistent | StopReason::Unauthorized)) =
            participant.action
        else {
            continue;
        };
        // What somebody bad sends may be beyond what is taken at all: then they are out.
        if participant.attack.is_none() {
            let why = participant.client.suspicion();
            let why = why.map_or_else(|| format!("{reason:?}"), str::to_owned);
            return Err(SimulateError::Stopped(participant.number, why));
        }
    }
    Ok(())
}

/// One federation of these participants from θ₀ to the end.
fn federate(
    context: &Context<'_>,
    owners: Vec<Vec<Labelled>>,
    setting: Setting,
) -> Result<Run, SimulateError> {
    // Here all are present from the start: a task for many, run by fewer or by one alone, would wait for ever.
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
        // As many examples as all participants together.
        learnt.examples = learnt.examples.saturating_mul(context.args.clients as u32);
    }
    let task = &task;
    let mut hub = Hub::new(task)?;
    let (mut now, clock) = (0, Clock::default());
    let mut participants = Vec::new();
    for examples in owners {
        let number = participants.len() as u32;
        let secrets = secrets::secrets(context.args.seed, number, &clock);
        let number = hub.join(task, now, Some(secrets.identity.public()));
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
        // Several of these run at once, and share one bar.
        Setting::Local => ProgressBar::hidden(),
        Setting::Federated | Setting::Centralised => progress(
            &format!("{setting:?}"),
            "round",
            task.federation.rounds.into(),
        ),
    };
    let (mut curve, mut before) = (Vec::new(), None);
    let (mut seen, mut measured) = (0, 0);
    while participants
        .iter()
        .any(|p| !matches!(p.action, Action::Stop(_)))
    {
        // Where all wait for time to pass, it passes at once.
        now = if waits(&participants, &hub, before.as_ref()) {
            hub.round()
                .wake_at(&task.federation.policy, now)
                .unwrap_or(now + 1)
        } else {
            now + 1
        };
        before = Some(hub.round().clone());
        work(context, &mut participants)?;
        for participant in &mut participants {
            clock.store(hub.round().number, Ordering::Relaxed);
            talk(&mut hub, task, participant, now);
        }
        hub.tick(task, now);
        hub.conclude(task);
        let done = hub.records().len();
        if done > seen {
            seen = done;
            check(hub.records(), &participants)?;
            let step = hub.record().step();
            bar.set_position(u64::from(step));
            let due = step % context.args.eval_every.max(1) == 0 && setting != Setting::Local;
            if due && step > measured && step < task.federation.rounds {
                measured = step;
                let mappings = mappings_of(context, task, &hub, &participants);
                curve.push(point(context, &mappings, &hub, &participants, step)?);
            }
        }
    }
    bar.finish_and_clear();
    check(hub.records(), &participants)?;
    let updates = hub.record().step();
    let mappings = mappings_of(context, task, &hub, &participants);
    let last = point(context, &mappings, &hub, &participants, updates)?;
    let on_test = |theta: Option<&[f32]>| {
        let measured = measure(context.model, context.test, &mappings, theta);
        measured.map(|(accuracy, _)| accuracy)
    };
    let chosen = match hub.record().choice() {
        Some(choice) => Some(Chosen {
            test_accuracy: on_test(hub.record().kept())?,
            unprompted_accuracy: on_test(None)?,
            choice: (setting != Setting::Local).then_some(choice),
        }),
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
        theta: (setting != Setting::Local).then(|| shared::task::theta_hash(hub.theta())),
        prompt: (setting != Setting::Local)
            .then(|| task.prompt(hub.theta()))
            .flatten()
            .zip(task.text.as_ref())
            .map(|(prompt, text)| text.shown(&prompt)),
        ranking: match setting {
            Setting::Local => Vec::new(),
            Setting::Federated | Setting::Centralised => task.ranking(hub.theta()),
        },
    };
    Ok(Run { outcome, hub })
}

/// The mappings that a federation measures with: those of its record, where they were learnt together; those of the only
/// participant; those of everybody's answers, where each has their own.
fn mappings_of(
    context: &Context<'_>,
    task: &Task,
    hub: &Hub,
    participants: &[Participant],
) -> Mappings {
    let own = || match participants {
        [alone] => alone.client.mappings(task),
        _ => None,
    };
    let learnt = hub.record().mappings(task).or_else(own);
    learnt.unwrap_or_else(|| context.mappings.clone())
}

/// Nobody has anything to do but to ask again, and nothing has happened since `before`.
fn waits(participants: &[Participant], hub: &Hub, before: Option<&Round>) -> bool {
    let idle =
        |p: &Participant| matches!(p.action, Action::Sync { after: Some(_) } | Action::Stop(_));
    before == Some(hub.round()) && participants.iter().all(idle)
}

fn point(
    context: &Context<'_>,
    mappings: &Mappings,
    hub: &Hub,
    participants: &[Participant],
    step: u32,
) -> Result<Point, SimulateError> {
    let (test_accuracy, test_loss) =
        measure(context.model, context.test, mappings, Some(hub.theta()))?;
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

/// Everyone computes, on all cores; nobody sees anybody else.
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

/// `f` of every item on all cores, in the order of the items; of several errors the first item's.
fn parallel<T, R, F>(items: &[T], f: F) -> Result<Vec<R>, SimulateError>
where
    T: Sync,
    R: Send,
    F: Fn(&T) -> Result<R, SimulateError> + Sync,
{
    let threads = cores().min(items.len());
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { break };
                    let result = f(item);
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((at, result));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, result)| result).collect()
}

/// Evaluates until the participant wants to talk.
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
fn talk(hub: &mut Hub, task: &Task, participant: &mut Participant, now: u64) {
    let number = participant.number;
    let event = match &participant.action {
        Action::Sync { .. } => hub
            .view(task, number, now)
            .map_or_else(Event::Refused, Event::View),
        Action::Read { from } => {
            let lines = hub.lines(*from).to_vec();
            participant.bytes_down += lines.iter().map(|l| l.len() as u64 + 1).sum::<u64>();
            Event::Lines(lines)
        }
        Action::Enrol { round, body } => {
            participant.bytes_up += serde_json::to_vec(body).map_or(0, |b| b.len() as u64);
            hub.enrol(task, number, now, *round, body)
                .map_or_else(Event::Refused, |()| Event::Accepted)
        }
        Action::Upload(update) => {
            let mut update = update.clone();
            if let Some(attack) = participant.attack {
                attack.spoil_update(&mut update);
            }
            participant.bytes_up += wire::encode(&update).len() as u64;
            hub.deliver(task, number, now, update)
                .map_or_else(Event::Refused, |()| Event::Accepted)
        }
        Action::Contribute { round, vector } => {
            participant.bytes_up += vector.len() as u64;
            let spoilt = participant
                .attack
                .zip(task.contribution_of(hub.record().kind(task)))
                .and_then(|(attack, c)| attack.spoil_vector(c.layout(), vector));
            let vector = spoilt.unwrap_or_else(|| vector.clone());
            hub.contribute(task, number, now, *round, vector)
                .map_or_else(Event::Refused, |()| Event::Accepted)
        }
        Action::Fetch { round, phase } => match hub.input(task, number, now, *round, *phase) {
            Ok(input) => {
                participant.bytes_down += wire::encode(&input).len() as u64;
                Event::Input(input)
            }
            Err(refusal) => Event::Refused(refusal),
        },
        Action::Send { round, message } => {
            participant.bytes_up += wire::encode(message).len() as u64;
            hub.send(task, number, now, *round, message.clone())
                .map_or_else(Event::Refused, |()| Event::Accepted)
        }
        Action::Stop(reason) if reason.leaves() && !participant.left => {
            participant.left = true;
            // Nobody waits for them any more. They are members, so it is not refused.
            let _ = hub.leave(task, number, now);
            hub.conclude(task);
            return;
        }
        Action::Evaluate(_) | Action::Rest | Action::Stop(_) => return,
    };
    hub.conclude(task);
    participant.action = participant
        .client
        .step(&participant.bench.environment(), event);
}

fn mean_of(each: Vec<Outcome>) -> Option<Outcome> {
    let n = each.len() as f64;
    let accuracies = || each.iter().map(|o| o.test_accuracy);
    Some(Outcome {
        test_accuracy: accuracies().sum::<f64>() / n,
        test_loss: each.iter().map(|o| o.test_loss).sum::<f64>() / n,
        chosen: each
            .iter()
            .map(|o| o.chosen)
            .collect::<Option<Vec<Chosen>>>()
            .map(|all| Chosen {
                test_accuracy: all.iter().map(|c| c.test_accuracy).sum::<f64>() / n,
                unprompted_accuracy: all.iter().map(|c| c.unprompted_accuracy).sum::<f64>() / n,
                choice: None,
            }),
        range: Some((
            accuracies().fold(f64::INFINITY, f64::min),
            accuracies().fold(0.0, f64::max),
        )),
        queries_per_participant: each.iter().map(|o| o.queries_per_participant).max()?,
        cost_per_participant: each
            .iter()
            .filter_map(|o| o.cost_per_participant)
            .reduce(f64::max),
        bytes_up_per_participant: 0,
        bytes_down_per_participant: 0,
        ..each.into_iter().next()?
    })
}

fn progress(message: &str, unit: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(&format!(
        "{{msg:12}} {{bar:40}} {unit} {{pos}}/{{len}} {{eta}} left"
    )) {
        bar.set_style(style);
    }
    bar.set_message(message.to_owned());
    bar
}

/// Highest resident memory of this process in KiB, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
