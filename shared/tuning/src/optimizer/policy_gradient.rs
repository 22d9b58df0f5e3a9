//! `policy-gradient`: learns which category to choose in each row of θ from the losses of whole
//! draws.
//!
//! A step draws I prompts, one category j_i for each row i, and asks for the loss L of each. By
//! default θ holds logits, p_i = softmax(θ_i), and the estimate is RLOO (REINFORCE, leave one out:
//! Kool, van Hoof and Welling, 2019):
//!
//! ```text
//! ĝ = 1/I Σ_k (L_k − mean_{l≠k} L_l) ∇ Σ_i log p_i[j_ik]
//!   = 1/(I−1) Σ_k (L_k − mean L) ∇ Σ_i log p_i[j_ik]
//! ∂ log p_i[j] / ∂θ_im = 1{m = j} − p_im
//! ```
//!
//! The factors L_k − mean L add up to 0, so the terms −p_im cancel and only drawn categories move.
//! Leaving these terms out is more than brevity: rounding leaves some 10⁻⁹ of what should cancel,
//! which Adam would blow up to whole steps.
//!
//! `form = "released"` is BDPL as its code does it (Diao et al., TMLR 2023), for comparison: θ
//! holds the probabilities, scores are ±1/p, the gradient's norm is clipped to 3, the step is
//! AdamW's, and bisection brings each row back to the simplex. For the reason above, scores of both
//! signs give exactly twice what the drawn categories alone give; so categories with p = 0 need no
//! score (the released code computes −1/0 there, and then NaN).
//!
//! Adam begins anew in every round, like all local state.

use super::{
    AskAhead, Candidate, DirectionKey, Domain, Entry, Needs, Optimizer, Plan, Space, State,
    TellError, Tries, check_losses, direction,
};
use crate::objective::loss::argmax;
use ground::fault::Reader;
use ground::form::{About, FormField, FormKind};
use ground::rng::Distribution;

/// Smallest probability by which a score is divided.
const FLOOR: f32 = 1e-6;
/// Norm to which the released code clips the gradient.
const LARGEST_NORM: f64 = 3.0;

/// The `policy-gradient` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct PolicyGradient {
    key: DirectionKey,
    plan: Plan,
    columns: usize,
    draws: u32,
    learning_rate: f32,
    decay: bool,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// RLOO on logits; whether advantages are divided by their standard deviation; Adam's β, or
    /// plain steps.
    Logits {
        normalise: bool,
        betas: Option<[f32; 2]>,
    },
    /// BDPL as released, with AdamW's weight decay.
    Released { weight_decay: f32 },
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("draws prompts and learns from their scores").offered(
        "draws prompts and learns from their scores",
        &[FormField {
            help: "Each is asked with every text of the step.",
            ..FormField::new(
                "optimizer.draws",
                "Prompts tried in a step",
                FormKind::Whole,
                "20",
            )
        }],
    ),
    tries: Some(Tries {
        setting: "draws",
        usual: Some(20),
        what: "prompts",
    }),
    needs: Needs {
        nodes: false,
        domain: Domain::Categories,
        // Which categories were drawn follows from the θ that was asked from.
        ask_ahead: AskAhead::Never("policy-gradient learns from draws at the very θ that it moves"),
    },
    build,
};

/// Reads `form`, `draws` I, `learning_rate` and `decay`; for logits also `normalise`, `adam`,
/// `beta1` and `beta2`; for the released form also `weight_decay`.
fn build(
    reader: &mut Reader<'_>,
    key: DirectionKey,
    plan: Plan,
    space: Space,
) -> Box<dyn Optimizer> {
    let released = reader.choice("form", &["rloo", "released"], Some("rloo")) == 1;
    let rate = if released { 1e-4 } else { 0.3 };
    let form = if released {
        Form::Released {
            weight_decay: reader.number("weight_decay", 0.0..=1.0, Some(0.1)),
        }
    } else {
        let betas = [
            reader.number("beta1", 0.0..=0.9999, Some(0.9)),
            reader.number("beta2", 0.0..=0.99999, Some(0.99)),
        ];
        Form::Logits {
            normalise: reader.flag("normalise", true),
            betas: reader.flag("adam", true).then_some(betas),
        }
    };
    Box::new(PolicyGradient {
        key,
        plan,
        columns: space.size.max(1),
        draws: reader.whole("draws", 2..=256, Some(20)) as u32,
        learning_rate: reader.number("learning_rate", 0.0..=100.0, Some(rate)),
        decay: reader.choice("decay", &["linear", "none"], Some("none")) == 0,
        form,
    })
}

impl PolicyGradient {
    /// The distribution of a perturbation whose largest entry in a row is a draw from that row's
    /// categories.
    fn distribution(&self) -> Distribution {
        match self.form {
            Form::Logits { .. } => Distribution::Gumbel,
            Form::Released { .. } => Distribution::GumbelOfLog,
        }
    }

    fn candidate(&self, state: &State, draw: u32) -> Candidate {
        Candidate {
            direction: Some(direction(self.key, state, draw, self.distribution())),
            scale: 1.0,
        }
    }

    /// The factors (L_k − mean L)/(I − 1) of the draws, divided by the losses' standard deviation
    /// if `normalise` says so.
    fn factors(&self, losses: &[f32]) -> Vec<f32> {
        let others = (losses.len() as f64 - 1.0).max(1.0);
        let mean = losses.iter().map(|l| f64::from(*l)).sum::<f64>() / losses.len().max(1) as f64;
        let deviation = |l: &f32| f64::from(*l) - mean;
        let variance = losses
            .iter()
            .map(|l| deviation(l) * deviation(l))
            .sum::<f64>()
            / others;
        let scale = match self.form {
            // Draws that are all equally good say nothing, however small the differences due to
            // rounding.
            Form::Logits {
                normalise: true, ..
            } => 1.0 / (variance.sqrt() + 1e-6),
            _ => 1.0,
        };
        losses
            .iter()
            .map(|l| (deviation(l) * scale / others) as f32)
            .collect()
    }

    /// The estimate ĝ, d numbers, from losses that were checked.
    fn gradient(&self, state: &State, losses: &[f32]) -> Vec<f32> {
        let mut gradient = vec![0f32; state.theta.len()];
        let mut point = Vec::with_capacity(gradient.len());
        for (draw, factor) in self.factors(losses).into_iter().enumerate() {
            self.candidate(state, draw as u32)
                .apply(&state.theta, &mut point);
            for (row, values) in point.chunks_exact(self.columns).enumerate() {
                let drawn = row * self.columns + argmax(values);
                gradient[drawn] += match self.form {
                    Form::Logits { .. } => factor,
                    Form::Released { .. } => 2.0 * factor / state.theta[drawn].max(FLOOR),
                };
            }
        }
        gradient
    }
}

impl Optimizer for PolicyGradient {
    fn ask(&self, state: &State) -> Vec<Candidate> {
        (0..self.draws)
            .map(|draw| self.candidate(state, draw))
            .collect()
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.batches_per_step(), losses)?;
        let mut gradient = self.gradient(state, losses);
        let mut rate = self.learning_rate;
        if self.decay {
            rate *= self.plan.remaining(state);
        }
        match self.form {
            Form::Logits { betas: None, .. } => {
                for (theta, g) in state.theta.iter_mut().zip(&gradient) {
                    *theta -= rate * g;
                }
            }
            Form::Logits {
                betas: Some(betas), ..
            } => adam(state, &gradient, betas, rate),
            Form::Released { weight_decay } => {
                clip(&mut gradient);
                // As in AdamW, the decay comes before the step and apart from the moments.
                let keep = 1.0 - rate * weight_decay;
                state.theta.iter_mut().for_each(|t| *t *= keep);
                adam(state, &gradient, [0.9, 0.999], rate);
                state
                    .theta
                    .chunks_exact_mut(self.columns)
                    .for_each(to_simplex);
            }
        }
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.draws as usize
    }

    /// The released form begins at equal probabilities. Logits begin at the generator's zeros,
    /// which mean the same.
    fn start(&self, initial: Vec<f32>) -> Vec<f32> {
        match self.form {
            Form::Logits { .. } => initial,
            Form::Released { .. } => vec![1.0 / self.columns as f32; initial.len()],
        }
    }
}

/// Takes one step of Adam (Kingma and Ba, ICLR 2015) with bias correction. The moments are kept in
/// the state.
fn adam(state: &mut State, gradient: &[f32], betas: [f32; 2], rate: f32) {
    state.moments.resize(2, Vec::new());
    state
        .moments
        .iter_mut()
        .for_each(|m| m.resize(gradient.len(), 0.0));
    let steps = (state.step + 1) as f32;
    let correction = betas.map(|b| 1.0 - libm::powf(b, steps));
    let [first, second] = &mut state.moments[..] else {
        return;
    };
    for (((theta, g), m), v) in state.theta.iter_mut().zip(gradient).zip(first).zip(second) {
        *m = betas[0] * *m + (1.0 - betas[0]) * g;
        *v = betas[1] * *v + (1.0 - betas[1]) * g * g;
        *theta -= rate * (*m / correction[0]) / ((*v / correction[1]).sqrt() + 1e-8);
    }
}

fn clip(gradient: &mut [f32]) {
    let squares = gradient.iter().map(|g| f64::from(*g) * f64::from(*g));
    let norm = squares.sum::<f64>().sqrt();
    if norm > LARGEST_NORM {
        let factor = (LARGEST_NORM / norm) as f32;
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
}

/// Projects a row onto the simplex as BDPL does: p ← clamp(p − v, 0, 1) with v ∈ [0, max p], found
/// by at most 20 bisections so that the row adds up to 1 within 10⁻³. v is never below 0: a row
/// that adds up to less than 1 is not raised.
fn to_simplex(row: &mut [f32]) {
    let sum = |v: f32| row.iter().map(|p| (p - v).clamp(0.0, 1.0)).sum::<f32>();
    let (mut low, mut high) = (0f32, row.iter().fold(0f32, |a, p| a.max(*p)));
    let mut v = 0.0;
    if sum(v) > 1.0 {
        for _ in 0..20 {
            v = 0.5 * (low + high);
            let over = sum(v) - 1.0;
            if over.abs() < 1e-3 {
                break;
            }
            *(if over > 0.0 { &mut low } else { &mut high }) = v;
        }
    }
    row.iter_mut().for_each(|p| *p = (*p - v).clamp(0.0, 1.0));
}

#[cfg(test)]
mod tests;
