//! What a simulation found, as JSON and as a table.

use super::attack::AttackReport;
use super::templates::TemplateReport;
use clap::ValueEnum;
use federation::rules::choice::{Choice, Keep};
use serde::{Deserialize, Serialize};
use tuning::wording::Ranked;

/// Who trains with whose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// All participants together.
    Federated,
    /// Each alone; the mean over participants.
    Local,
    /// One participant with the union of the data.
    Centralised,
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// θ updates before.
    pub step: u32,
    /// On the test data.
    pub test_accuracy: f64,
    /// On the test data.
    pub test_loss: f64,
    /// Training and measuring queries spent so far, by the participant who spent most.
    pub queries_per_participant: u64,
}

/// What one setting reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Who trained.
    pub setting: Setting,
    /// Updates of θ; fewer than the task's rounds where privacy is spent earlier.
    pub updates: u32,
    /// Final accuracy on the test data; for `local`, the mean over participants.
    pub test_accuracy: f64,
    /// Final mean loss on the test data.
    pub test_loss: f64,
    /// With what the held-out part says is to be kept; nothing without a held-out part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chosen: Option<Chosen>,
    /// The worst and the best participant (`local` only).
    pub range: Option<(f64, f64)>,
    /// Queries of the participant who spent most.
    pub queries_per_participant: u64,
    /// What the participant who spent most has paid for queries; nothing without a price, or where no model API is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost_per_participant: Option<f64>,
    /// Bytes of updates and other messages that a participant sends in all; of secure sums without masks those
    /// of the vectors alone.
    pub bytes_up_per_participant: u64,
    /// Bytes of the record, from which θ follows, and of what secure sums need, that a participant loads in all.
    pub bytes_down_per_participant: u64,
    /// The curve (not for `local`).
    pub curve: Vec<Point>,
    /// SHA-256 of the final θ (not for `local`).
    pub theta: Option<String>,
    /// The prompt that was found, in words (of texts; not for `local`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<String>,
    /// The instructions that were to choose from, the best first, with what was found of them (not for `local`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ranking: Vec<Ranked>,
}

/// What calling the model API cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Of the amounts.
    pub currency: String,
    /// What no participant asked: measuring on the test data, with and without prompts.
    pub measuring: f64,
    /// That, and what all participants of all settings asked.
    pub all: f64,
}

/// An instruction and what it gets on the test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnTest {
    /// The instruction.
    pub instruction: String,
    /// Accuracy.
    pub test_accuracy: f64,
}

/// What the held-out part chose: no prompt, an earlier θ or the last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its accuracy on the test data; for `local`, the mean over participants.
    pub test_accuracy: f64,
    /// The same without a prompt, by the mapping that this federation learnt, of what it does not hold out: what may not
    /// be lost by taking part.
    pub unprompted_accuracy: f64,
    /// What, and why (not for `local`).
    pub choice: Option<Choice>,
}

/// How updates are summed under masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecureReport {
    /// Each group has a sum of its own.
    pub groups: u32,
    /// The masks were added; without, the same vectors were.
    pub masks: bool,
}

/// What the federation cost a participant who was in every round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrivacyReport {
    /// ε in the end.
    pub epsilon: f64,
    /// At this δ, as the task says it.
    pub delta: f32,
    /// No round begins that would exceed it.
    pub limit: f32,
    /// Standard deviation of a sum's noise in units of its sensitivity.
    pub noise_multiplier: f64,
    /// ε after each round.
    pub epsilon_by_round: Vec<f64>,
}

/// How the federation's updates become one; the baselines have one participant each, and neither bound nor noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// `fedavg`, `scalars` or `fedbpt`.
    pub rule: String,
    /// Numbers in one participant's update.
    pub update_length: usize,
    /// No update is longer than this (L2); 0 without bound.
    pub clip: f32,
    /// How participants, or groups, are combined: `mean`, `median` or `trimmed-mean`.
    pub combine: String,
    /// Under masks.
    pub secure: Option<SecureReport>,
    /// With noise.
    pub privacy: Option<PrivacyReport>,
    /// Bad participants.
    pub attack: Option<AttackReport>,
}

/// Seconds and memory of a run; differs from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Wall time.
    pub seconds: f64,
    /// Highest resident memory of the process, if the system tells.
    pub peak_memory_kib: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The task's name.
    pub task: String,
    /// Its hash.
    pub task_hash: String,
    /// The seed.
    pub seed: u64,
    /// Participants.
    pub clients: usize,
    /// How the data was split.
    pub partition: String,
    /// Training examples of each participant.
    pub examples: Vec<usize>,
    /// Test examples.
    pub test_examples: usize,
    /// Number of parameters.
    pub parameters: usize,
    /// How the federation combines updates.
    pub federation: RuleReport,
    /// Label templates that were compared without a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub templates: Vec<TemplateReport>,
    /// Accuracy without a prompt.
    pub zero_shot: f64,
    /// Each instruction on the test data, in the task's order (`--oracle`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub oracle: Vec<OnTest>,
    /// What each setting reached.
    pub outcomes: Vec<Outcome>,
    /// What it cost, where a model API with a price is called.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<Cost>,
    /// Only with `--timings`.
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

/// So many instructions are listed in the table.
const RANKS: usize = 5;

/// The instructions that did best where they were tried.
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

/// What was paid, and by whom.
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
