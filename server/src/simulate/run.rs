//! Runs a simulation: the chosen settings, one after another.

use super::attack::{self, AttackReport};
use super::federate::{federate, progress};
use super::measure::{fit_mappings, measure, parallel};
use super::model::Model;
use super::report::{
    Chosen, OnTest, Outcome, PrivacyReport, Report, RuleReport, SecureReport, Setting, Timings,
};
use super::split::{is_own, split};
use super::{SimulateArgs, SimulateError, templates};
use crate::commands::model_key;
use crate::task_source;
use federation::engine::local::Local;
use federation::round::workbench::{Labelled, Workbench};
use federation::rules::combine::Combine;
use federation::task::{Rule, Task};
use std::time::Instant;
use tuning::objective::mapping::Mappings;

pub(super) struct Context<'a> {
    /// The federation's task.
    pub task: &'a Task,
    /// The task of participants who train alone, in which nothing is summed, bounded or noisy.
    pub alone: &'a Task,
    /// The mappings from all participants' answers. The unprompted model is measured with them, and
    /// so are participants who have each learnt their own mapping.
    pub mappings: &'a Mappings,
    /// The numbers of the bad participants.
    pub bad: &'a [u32],
    pub model: &'a Model,
    pub test: &'a Workbench,
    pub args: &'a SimulateArgs,
}

/// Runs all settings that the arguments name.
pub fn run(args: &SimulateArgs) -> Result<Report, SimulateError> {
    let begun = Instant::now();
    let mut task = load_task(args, args.templates.first().map(String::as_str))?;
    let bad = attack::draw(args.bad.unwrap_or(0.0), args.clients, args.seed);
    let model = Model::open(
        &with_all_budgets(&task, args.clients),
        args.model_file.as_deref(),
        args.model_folder.as_deref(),
        &args.range,
        args.output.as_deref(),
        model_key(args.model_key.clone()),
    )?;
    let (training, test) = split(args, &task)?;
    let load = |template: &str| load_task(args, Some(template));
    let templates = templates::compare(args, &model, &training, &test, load)?;
    if let Some(taken) = templates.iter().find(|t| t.taken) {
        task = load(&taken.template)?;
    }
    let alone = alone(&task)?;
    let labels: Vec<usize> = training.iter().map(|e| e.label).collect();
    let parts = if is_own(args) {
        let each = args.each as usize;
        let own = |client: usize| (client * each..(client + 1) * each).collect();
        (0..args.clients).map(own).collect()
    } else {
        args.partition.split(&labels, args.clients, args.seed)?
    };
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
    // Measures the model without a prompt, because some generators' first prompts are not zero.
    let (zero_shot, _) = measure(&model, &bench, &mappings, None)?;
    let oracle = if args.oracle {
        oracle(&context)?
    } else {
        Vec::new()
    };
    let mut federation = None;
    if chosen(Setting::Federated) {
        let benches = parts.iter().map(|p| of(p)).collect();
        let run = federate(&context, benches, Setting::Federated)?;
        outcomes.push(run.outcome);
        federation = Some(run.federation);
    }
    if let (Some(path), Some(federation)) = (&args.record, &federation) {
        let lines: Vec<String> = federation
            .lines(0)
            .iter()
            .map(|l| format!("{l}\n"))
            .collect();
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
        partition: if is_own(args) {
            "own".to_owned()
        } else {
            args.partition.to_string()
        },
        examples: parts.iter().map(Vec::len).collect(),
        test_examples: bench.environment().holdout,
        parameters: theta.len(),
        federation: rules(&context, federation.as_ref()),
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

/// The task with the budget for measuring on the test data: as much as that of all participants
/// together, so that a test set that is too large for the money is noticed.
fn with_all_budgets(task: &Task, clients: usize) -> Task {
    let mut task = task.clone();
    if let Some(price) = &mut task.model.price {
        price.budget *= clients as f64;
    }
    task
}

/// Loads the task with the arguments' changes, and with one of their templates if there are any.
fn load_task(args: &SimulateArgs, template: Option<&str>) -> Result<Task, SimulateError> {
    let mut set = overrides(args);
    set.extend(template.map(templates::setting));
    let tuned = |set: &[String]| -> Result<Task, SimulateError> {
        let task = task_source::load(&args.task, set)?;
        Ok(Task::from_value(Task::tuned_by_default(
            task.source().clone(),
        ))?)
    };
    let task = tuned(&set)?;
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
    tuned(&set)
}

/// The same task for a single participant.
fn alone(task: &Task) -> Result<Task, SimulateError> {
    let mut source = task.source().clone();
    if let Some(federation) = source["federation"].as_object_mut() {
        for protection in ["secure_sum", "privacy", "clip", "active"] {
            federation.remove(protection);
        }
    }
    Ok(Task::from_value(source)?)
}

fn rules(context: &Context<'_>, ended: Option<&Local>) -> RuleReport {
    let (task, federation) = (context.task, &context.task.federation);
    let by_round = || ended.into_iter().flat_map(Local::records);
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

/// The task's settings that a simulation replaces. All examples are trained on unless `--holdout`
/// says otherwise, because the test data do the measuring.
fn overrides(args: &SimulateArgs) -> Vec<String> {
    let mut set = vec![
        format!("data.holdout={}", args.holdout),
        format!("seed={}", args.seed),
    ];
    set.extend(args.rounds.map(|r| format!("federation.rounds={r}")));
    set.extend(args.set.iter().cloned());
    set
}

/// Measures every instruction on the test data.
fn oracle(context: &Context<'_>) -> Result<Vec<OnTest>, SimulateError> {
    let (dim, mappings) = (context.task.dim(), context.mappings);
    let mut found = Vec::new();
    for arm in 0..dim / 2 {
        // With a sum of rewards for this arm alone, it is the best.
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

/// Peak resident memory of this process in KiB, if the system states it (Linux).
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
