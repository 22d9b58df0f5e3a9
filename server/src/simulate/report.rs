//! The results of a simulation, as JSON and as a table.

use super::attack::AttackReport;
use super::templates::TemplateReport;
use clap::ValueEnum;
use federation::rules::choice::{Choice, Keep};
use serde::{Deserialize, Serialize};
use tuning::wording::Ranked;

/// A way to train: who trains, and with whose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// All participants together.
    Federated,
    /// Each participant alone; results are means over participants.
    Local,
    /// One participant with all the data.
    Centralised,
}

/// One point of a learning curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number of updates of θ before this point.
    pub step: u32,
    /// Accuracy on the test data, from 0 to 1.
    pub test_accuracy: f64,
    /// Mean loss on the test data.
    pub test_loss: f64,
    /// Number of training and measuring queries so far of the participant with the most.
    pub queries_per_participant: u64,
}

/// The results of one setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The setting.
    pub setting: Setting,
    /// Number of updates of θ; fewer than the task's rounds if the privacy budget is spent earlier.
    pub updates: u32,
    /// Final accuracy on the test data; for `local`, the mean over participants.
    pub test_accuracy: f64,
    /// Final mean loss on the test data.
    pub test_loss: f64,
    /// The result that the held-out part chose to keep; `None` without a held-out part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chosen: Option<Chosen>,
    /// The accuracies of the worst and the best participant (`local` only).
    pub range: Option<(f64, f64)>,
    /// Number of queries of the participant with the most.
    pub queries_per_participant: u64,
    /// Cost of the queries of the participant who paid most; `None` without a price, or if no model
    /// API is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost_per_participant: Option<f64>,
    /// Total number of bytes of updates and other messages that a participant sends. For secure
    /// sums without masks it counts only the vectors.
    pub bytes_up_per_participant: u64,
    /// Total number of bytes that a participant loads: of the record, from which θ follows, and of
    /// what secure sums need.
    pub bytes_down_per_participant: u64,
    /// The learning curve (not for `local`).
    pub curve: Vec<Point>,
    /// SHA-256 of the final θ (not for `local`).
    pub theta: Option<String>,
    /// The prompt that was found, in words (for texts; not for `local`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<String>,
    /// The instructions to choose from, the best first, with what was found about them (not for
    /// `local`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ranking: Vec<Ranked>,
}

/// The cost of calling the model API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The currency of the amounts.
    pub currency: String,
    /// Cost of queries that no participant made: measuring on the test data, with and without
    /// prompts.
    pub measuring: f64,
    /// Total cost, of measuring and of all participants in all settings.
    pub all: f64,
}

/// An instruction and its result on the test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnTest {
    /// The instruction.
    pub instruction: String,
    /// Accuracy on the test data, from 0 to 1.
    pub test_accuracy: f64,
}

/// What the held-out part chose: no prompt, an earlier θ, or the last one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its accuracy on the test data; for `local`, the mean over participants.
    pub test_accuracy: f64,
    /// The accuracy without a prompt on the same data, with the mapping that this federation learnt
    /// from what it does not hold out. Taking part should lose none of it.
    pub unprompted_accuracy: f64,
    /// The choice and its reasons (not for `local`).
    pub choice: Option<Choice>,
}

/// How updates are summed under masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecureReport {
    /// Number of groups, each with its own sum.
    pub groups: u32,
    /// Whether masks were added; otherwise the same vectors were summed without them.
    pub masks: bool,
}

/// The privacy loss of a participant who was in every round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrivacyReport {
    /// ε at the end.
    pub epsilon: f64,
    /// The δ of the task, for which ε holds.
    pub delta: f32,
    /// The limit of ε, which no round may exceed.
    pub limit: f32,
    /// Standard deviation of a sum's noise as a multiple of its sensitivity.
    pub noise_multiplier: f64,
    /// ε after each round.
    pub epsilon_by_round: Vec<f64>,
}

/// How the federation combines updates. The baselines have one participant each, and neither bound
/// nor noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `fedavg`, `scalars` or `fedbpt`.
    pub rule: String,
    /// Number of values in one participant's update.
    pub update_length: usize,
    /// Maximum L2 norm of an update; 0 for no bound.
    pub clip: f32,
    /// How participants, or groups, are combined: `mean`, `median` or `trimmed-mean`.
    pub combine: String,
    /// How sums are made under masks; `None` for plain updates.
    pub secure: Option<SecureReport>,
    /// The privacy loss; `None` without noise.
    pub privacy: Option<PrivacyReport>,
    /// The attack; `None` without bad participants.
    pub attack: Option<AttackReport>,
}

/// Time and memory of a run, which differ from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Peak resident memory of the process in KiB, if the system states it.
    pub peak_memory_kib: Option<u64>,
}

/// The report of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The task's name.
    pub task: String,
    /// The task's hash.
    pub task_hash: String,
    /// The seed of the run.
    pub seed: u64,
    /// Number of participants.
    pub clients: usize,
    /// How the data was split, such as `dirichlet:0.5`.
    pub partition: String,
    /// Number of training examples of each participant.
    pub examples: Vec<usize>,
    /// Number of test examples.
    pub test_examples: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// How the federation combines updates.
    pub federation: RuleReport,
    /// Label templates that were compared without a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub templates: Vec<TemplateReport>,
    /// Accuracy on the test data without a prompt, from 0 to 1.
    pub zero_shot: f64,
    /// The result of each instruction on the test data, in the task's order (`--oracle`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub oracle: Vec<OnTest>,
    /// The results of each setting.
    pub outcomes: Vec<Outcome>,
    /// The cost, if a model API with a price is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<Cost>,
    /// Time and memory, only with `--timings`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timings: Option<Timings>,
}

/// The report as a table for a terminal.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut lines = vec![
        format!(
            "{} · {} participants · {} · seed {}",
            report.task, report.clients, report.partition, report.seed
        ),
        format!(
            "{:<28}{:>10}{:>14}{:>12}{:>12}",
            "", "accuracy", "queries each", "up each", "down each"
        ),
        format!("{:<28}{:>9.1}%", "zero-shot", 100.0 * report.zero_shot),
    ];
    for o in &report.outcomes {
        let name = match (o.setting, o.range) {
            (Setting::Local, Some((low, high))) => {
                format!("local-only ({:.1}–{:.1})", 100.0 * low, 100.0 * high)
            }
            (setting, _) => name_of(setting).to_owned(),
        };
        lines.push(format!(
            "{:<28}{:>9.1}%{:>14}{:>12}{:>12}",
            name,
            100.0 * o.test_accuracy,
            o.queries_per_participant,
            bytes(o.bytes_up_per_participant),
            bytes(o.bytes_down_per_participant),
        ));
    }
    for t in &report.templates {
        lines.push(format!(
            "template {:?}: loss {:.4} and {:.1}% on the training data, {:.1}% on the test data{}",
            t.template,
            t.train_loss,
            100.0 * t.train_accuracy,
            100.0 * t.test_accuracy,
            if t.taken { " (taken)" } else { "" }
        ));
    }
    for o in &report.outcomes {
        let Some(chosen) = o.chosen else { continue };
        let kept = match chosen.choice.map(|c| (c.keep, c.measured.step)) {
            None => "each its own".to_owned(),
            Some((Keep::Unprompted, _)) => "the unprompted model".to_owned(),
            Some((Keep::Earlier, step)) => format!("θ after {step} updates"),
            Some((Keep::Last, _)) => "the last θ".to_owned(),
        };
        lines.push(format!(
            "{:<28}{:>9.1}%  kept by the held-out part: {kept} ({:.1}% without a prompt)",
            format!("chosen, {}", name_of(o.setting)),
            100.0 * chosen.test_accuracy,
            100.0 * chosen.unprompted_accuracy
        ));
    }
    for o in &report.outcomes {
        if let Some(prompt) = &o.prompt {
            lines.push(format!("prompt found, {}: {prompt}", name_of(o.setting)));
        }
    }
    for o in &report.outcomes {
        lines.extend(ranks(o));
    }
    lines.extend(on_test(&report.oracle));
    lines.extend(costs(report));
    lines.extend(notes(report));
    lines.join("\n")
}

fn name_of(setting: Setting) -> &'static str {
    match setting {
        Setting::Federated => "federated",
        Setting::Local => "local-only",
        Setting::Centralised => "centralised",
    }
}

/// Number of instructions that the table lists.
const RANKS: usize = 5;

/// The instructions that did best among those that were tried.
fn ranks(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    if !outcome.ranking.is_empty() {
        let of = outcome.ranking.len();
        let name = name_of(outcome.setting);
        lines.push(format!(
            "best of {of} instructions, {name} (posterior mean, rounds tried):"
        ));
    }
    for ranked in outcome.ranking.iter().take(RANKS) {
        let Ranked {
            instruction,
            mean,
            tries,
        } = ranked;
        lines.push(format!("  {mean:.3} {tries:>4.0}  {instruction}"));
    }
    lines
}

/// The first, the mean and the best of all instructions on the test data.
fn on_test(oracle: &[OnTest]) -> Option<String> {
    let first = oracle.first()?.test_accuracy;
    let mean = oracle.iter().map(|o| o.test_accuracy).sum::<f64>() / oracle.len() as f64;
    let best = oracle
        .iter()
        .max_by(|a, b| a.test_accuracy.total_cmp(&b.test_accuracy))?;
    Some(format!(
        "on the test data: first instruction {:.1}%, mean {:.1}%, best {:.1}%: {}",
        100.0 * first,
        100.0 * mean,
        100.0 * best.test_accuracy,
        best.instruction
    ))
}

/// What was paid, in measuring and by participants.
fn costs(report: &Report) -> Option<String> {
    let cost = report.cost.as_ref()?;
    let each = report.outcomes.iter().filter_map(|o| {
        let most = o.cost_per_participant?;
        Some(format!("{most:.4} each {}, ", name_of(o.setting)))
    });
    Some(format!(
        "cost in {}: {}{:.4} for measuring, {:.4} in all",
        cost.currency,
        each.collect::<String>(),
        cost.measuring,
        cost.all
    ))
}

/// What the federation does beyond averaging plain updates.
fn notes(report: &Report) -> Vec<String> {
    let rule = &report.federation;
    let mut notes = Vec::new();
    if rule.rule != "fedavg" || rule.combine != "mean" || rule.clip > 0.0 {
        notes.push(format!(
            "rule {} ({} numbers an update), {}, norm bound {}",
            rule.rule, rule.update_length, rule.combine, rule.clip
        ));
    }
    if let Some(secure) = &rule.secure {
        let masks = if secure.masks {
            "with masks"
        } else {
            "masks left out, as they cancel"
        };
        notes.push(format!(
            "secure sums in {} group(s), {masks}",
            secure.groups
        ));
    }
    if let Some(privacy) = &rule.privacy {
        notes.push(format!(
            "federated: ε {:.2} of {} at δ {:e}, noise multiplier {:.2}; local-only and centralised carry no noise",
            privacy.epsilon, privacy.limit, privacy.delta, privacy.noise_multiplier
        ));
    }
    if let Some(attack) = &rule.attack {
        notes.push(format!(
            "federated: {} of {} participants send bad updates: {}",
            attack.participants.len(),
            report.clients,
            attack.attack
        ));
    }
    notes
}

fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{} KB", n / 1000),
        _ => format!("{} MB", n / 1_000_000),
    }
}
