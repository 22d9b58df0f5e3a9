//! `instruction`: one of M whole instructions, the one that the participants found to work best.
//!
//! The list is part of the task file, wherever it came from. θ has 2·M numbers that say what was
//! found so far: first, for each instruction, the sum of its rewards over all rounds in which it
//! was tried; then, for each, the number of those rounds. The optimiser `bandit` adds to them. The
//! prompt at θ is the instruction with the largest posterior mean.

use super::{TextEntry, TextGenerator};
use crate::candidate::{Domain, Space};
use crate::objective::loss::argmax;
use crate::wording::{Prompt, Ranked, TextTask};
use ground::fault::Reader;
use ground::form::About;
use ground::order::{distinct, sorted};

/// Maximum number of instructions of a task.
pub const MOST: usize = 1000;
/// Maximum number of letters of one instruction.
pub const LONGEST: usize = 1000;

/// Posterior means are rounded to multiples of 1/4096, so that the rounding of masked sums cannot
/// break ties.
const GRID: f32 = 4096.0;

/// Where an instruction stands in what the model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The instruction is the label template.
    Template,
    /// The instruction precedes the label template.
    Label,
    /// The instruction precedes the input text.
    Input,
}

impl Place {
    /// The names of the places in a task file, in the order of [`Place::ALL`].
    pub const NAMES: [&'static str; 3] = ["template", "label", "input"];
    /// All places.
    pub const ALL: [Self; 3] = [Self::Template, Self::Label, Self::Input];

    /// The place's name in a task file: `template`, `label` or `input`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Returns what makes an instruction unfit for this place, or `None` if it is fit.
    #[must_use]
    pub fn fault(self, instruction: &str) -> Option<String> {
        if instruction.chars().count() > LONGEST {
            return Some(format!("has more than {LONGEST} letters"));
        }
        if instruction.trim() != instruction || instruction.contains(char::is_control) {
            return Some("has blanks around it, or characters that are none".to_owned());
        }
        match (self, instruction.matches("{}").count()) {
            (Self::Template, 1) | (Self::Label | Self::Input, 0) => None,
            (Self::Template, _) => {
                Some("must hold {} once, where the label word goes: it is a label template".into())
            }
            _ => {
                Some("holds {}, but is no label template; place = \"template\" takes those".into())
            }
        }
    }
}

/// A list of M instructions to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    instructions: Vec<String>,
    place: Place,
}

/// The generator as the registry lists it.
pub(super) const ENTRY: TextEntry = TextEntry {
    about: About::of("an instruction from a list"),
    embeddings: false,
    domain: Domain::Arms,
    build,
};

/// Reads `instructions` and `place`.
fn build(reader: &mut Reader<'_>, text: &TextTask) -> Box<dyn TextGenerator> {
    let instructions = reader.list("instructions", None, "texts", |v| {
        v.as_str().map(str::to_owned)
    });
    let default = if text.has_template() {
        "template"
    } else {
        "input"
    };
    let place = Place::ALL[reader.choice("place", &Place::NAMES, Some(default))];
    if place != Place::Input && !text.has_template() {
        reader.fault(
            "place",
            "must be \"input\" without text.template: masked language models have no label template",
        );
    }
    if reader.has("instructions") {
        let different = distinct(&instructions);
        if different != instructions.len() || !(2..=MOST).contains(&different) {
            reader.fault(
                "instructions",
                format!("must hold 2 to {MOST} instructions, all different"),
            );
        }
        for instruction in &instructions {
            if let Some(message) = place.fault(instruction) {
                reader.fault("instructions", format!("{instruction:?} {message}"));
            }
        }
    }
    Box::new(Instruction {
        instructions,
        place,
    })
}

impl TextGenerator for Instruction {
    fn dim(&self) -> usize {
        2 * self.instructions.len()
    }

    fn space(&self) -> Space {
        Space::arms(self.instructions.len())
    }

    fn ranking(&self, theta: &[f32]) -> Vec<Ranked> {
        let evidence = Evidence::of(theta);
        let means = evidence.posterior();
        let ranked = |arm: usize| {
            Some(Ranked {
                instruction: self.instructions.get(arm)?.clone(),
                mean: means[arm],
                tries: evidence.tries(arm),
            })
        };
        best(&means, means.len())
            .into_iter()
            .filter_map(ranked)
            .collect()
    }

    fn prompt(&self, point: &[f32]) -> Prompt {
        let best = argmax(&Evidence::of(point).posterior());
        let instruction = self.instructions.get(best).cloned().unwrap_or_default();
        let mut prompt = Prompt::default();
        match self.place {
            Place::Template => prompt.template = Some(instruction),
            Place::Label => prompt.label = instruction,
            Place::Input => prompt.input = instruction,
        }
        prompt
    }
}

/// θ of the `instruction` generator, read as sums of rewards and numbers of tries.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    sums: &'a [f32],
    tries: &'a [f32],
}

impl<'a> Evidence<'a> {
    /// Reads θ, which has 2·M numbers.
    #[must_use]
    pub fn of(theta: &'a [f32]) -> Self {
        let (sums, tries) = theta.split_at(theta.len() / 2);
        Self { sums, tries }
    }

    /// Number M of instructions.
    #[must_use]
    pub fn arms(&self) -> usize {
        self.sums.len()
    }

    /// Number of rounds in which an arm was tried, at least 0. Sums under masks are rounded, so it
    /// may not be quite whole.
    #[must_use]
    pub fn tries(&self, arm: usize) -> f32 {
        self.tries[arm].max(0.0)
    }

    /// Total number of tries, over all arms.
    #[must_use]
    pub fn all_tries(&self) -> f32 {
        (0..self.arms()).map(|arm| self.tries(arm)).sum()
    }

    /// Mean reward of an arm, or 0 if it was never tried.
    #[must_use]
    pub fn mean(&self, arm: usize) -> f32 {
        match self.tries(arm) {
            0.0 => 0.0,
            tries => self.sums[arm] / tries,
        }
    }

    /// Posterior means of the M arms' rewards, (S_k + μ)/(N_k + 1), where S_k is the sum and N_k
    /// the number of an arm's rewards, and μ the mean of all rewards (from 0 to 1, as rewards are).
    /// This is the posterior mean if an arm's own mean is drawn from a Gaussian around μ with the
    /// variance of one round's reward; μ is estimated from the same rewards (empirical Bayes, as
    /// James and Stein, 1961, shrink means). So no arm that was tried little comes out best by luck
    /// alone, and an arm that was never tried counts as average. Rounded to the nearest multiple of
    /// 2⁻¹². Sums are taken in the order of the arms, so the result is the same bit for bit on
    /// every machine.
    #[must_use]
    pub fn posterior(&self) -> Vec<f32> {
        let (sum, tries) = (self.sums.iter().sum::<f32>(), self.all_tries());
        let mean = if tries > 0.0 {
            (sum / tries).clamp(0.0, 1.0)
        } else {
            0.0
        };
        (0..self.arms())
            .map(|arm| (self.sums[arm] + mean) / (self.tries(arm) + 1.0))
            .map(|mean| libm::roundf(GRID * mean) / GRID)
            .collect()
    }
}

/// The `count` arms with the largest scores, in descending order; ties go to the first.
pub(crate) fn best(scores: &[f32], count: usize) -> Vec<usize> {
    let mut order = sorted(scores.len(), &|a, b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order
}
