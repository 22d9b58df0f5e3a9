//! The zeroth-order gradient estimate that `zo-adam`, `zo-sgd` and `hiso` share.
//!
//! Two-sided: ĝ = 1/K Σ_k (L(θ+cΔ_k) − L(θ−cΔ_k)) / 2c · Δ_k, 2K batches.
//! Forward: ĝ = 1/K Σ_k (L(θ+cΔ_k) − L(θ)) / c · Δ_k, K+1 batches, with a bias of order c.
//! Δ is Rademacher, for which 1/Δ_i = Δ_i. ĝ is then clipped to the norm √d (ZIP, ICLR 2025).

use super::{Candidate, DirectionKey, State, TellError, check_losses, direction};
use ground::fault::Reader;
use ground::form::{FormField, FormKind};
use ground::rng::{Direction, Distribution};

/// The form's field for the number of directions.
pub(super) const DIRECTIONS: FormField = FormField::new(
    "optimizer.directions",
    "Directions in a step",
    FormKind::Whole,
    "15",
);

/// The form's fields of every optimiser that estimates by differences.
pub(super) const FIELDS: &[FormField] = &[
    DIRECTIONS,
    FormField {
        options: &[
            ("forward", "one try"),
            ("two-sided", "two tries, forwards and backwards"),
        ],
        ..FormField::new(
            "optimizer.differences",
            "Along each direction",
            FormKind::Choice,
            "forward",
        )
    },
    FormField::new(
        "optimizer.perturbation",
        "Size of a try",
        FormKind::Number,
        "0.05",
    ),
    FormField::new(
        "optimizer.learning_rate",
        "Learning rate",
        FormKind::Number,
        "0.02",
    ),
];

/// The settings with which a gradient is estimated.
#[derive(Clone, Debug)]
pub(super) struct Estimator {
    key: DirectionKey,
    directions: u32,
    perturbation: f32,
    forward: bool,
    clip: bool,
}

impl Estimator {
    /// Reads `directions` K, `perturbation` c, `differences` and `clip`.
    pub fn read(reader: &mut Reader<'_>, key: DirectionKey) -> Self {
        Self {
            key,
            directions: reader.whole("directions", 1..=64, Some(5)) as u32,
            perturbation: reader.number("perturbation", 1e-6..=10.0, Some(0.05)),
            forward: reader.choice("differences", &["two-sided", "forward"], Some("two-sided"))
                == 1,
            clip: reader.flag("clip", true),
        }
    }

    pub fn batches(&self) -> usize {
        self.directions as usize * if self.forward { 1 } else { 2 } + usize::from(self.forward)
    }

    pub fn ask(&self, state: &State) -> Vec<Candidate> {
        let c = self.perturbation;
        let base = self.forward.then_some(Candidate::BASE);
        let rest = (0..self.directions).flat_map(|k| {
            let direction = Some(direction(self.key, state, k, Distribution::Rademacher));
            let minus = (!self.forward).then_some(Candidate {
                direction,
                scale: -c,
            });
            std::iter::once(Candidate {
                direction,
                scale: c,
            })
            .chain(minus)
        });
        base.into_iter().chain(rest).collect()
    }

    /// Number K of directions in one step.
    pub fn directions(&self) -> usize {
        self.directions as usize
    }

    /// Moves θ by −`rate` along `gradient`, appends the factors of that movement (`shares` times
    /// −`rate`) to the state's scalars, and counts the step.
    pub fn descend(state: &mut State, gradient: &[f32], shares: &[f32], rate: f32) {
        for (theta, g) in state.theta.iter_mut().zip(gradient) {
            *theta -= rate * g;
        }
        state.scalars.extend(shares.iter().map(|s| -rate * s));
        state.step += 1;
    }

    /// Adds Σ_k `scalars`_k Δ_k to `out`, over all directions of a round, step by step.
    pub fn replay(&self, round: u32, scalars: &[f32], out: &mut [f32]) {
        for (step, scalars) in scalars.chunks(self.directions()).enumerate() {
            self.replay_step(round, step as u32, scalars, out);
        }
    }

    /// Adds Σ_k `scalars`_k Δ_k to `out`, over the directions of one step.
    pub fn replay_step(&self, round: u32, step: u32, scalars: &[f32], out: &mut [f32]) {
        for (number, scalar) in scalars.iter().enumerate() {
            let direction = Direction {
                key: self.key.0,
                counter: [number as u32, step, round],
                distribution: Distribution::Rademacher,
            };
            direction.for_each(out.len(), |i, delta| out[i] += scalar * delta);
        }
    }

    /// The estimate ĝ (d numbers) from the losses of exactly the points asked for, and its factors:
    /// ĝ = Σ_k share_k Δ_k.
    pub fn gradient(
        &self,
        state: &State,
        losses: &[f32],
    ) -> Result<(Vec<f32>, Vec<f32>), TellError> {
        check_losses(self.batches(), losses)?;
        let mut shares = Vec::with_capacity(self.directions());
        let mut gradient = vec![0f32; state.theta.len()];
        for k in 0..self.directions {
            let i = k as usize;
            let slope = if self.forward {
                (losses[i + 1] - losses[0]) / self.perturbation
            } else {
                (losses[2 * i] - losses[2 * i + 1]) / (2.0 * self.perturbation)
            };
            let share = slope / self.directions as f32;
            shares.push(share);
            direction(self.key, state, k, Distribution::Rademacher)
                .for_each(gradient.len(), |i, delta| gradient[i] += share * delta);
        }
        if self.clip {
            let factor = clip(&mut gradient);
            shares.iter_mut().for_each(|s| *s *= factor);
        }
        Ok((gradient, shares))
    }
}

/// Shortens a gradient (d numbers) to the norm √d if it is longer. Returns the factor by which it was
/// shortened, 1 if it was not.
pub(super) fn clip(gradient: &mut [f32]) -> f32 {
    let factor = factor(gradient, (gradient.len() as f64).sqrt());
    if factor < 1.0 {
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
    factor
}

/// The factor that brings a vector to the norm `limit`; 1 if it is no longer than that.
pub(super) fn factor(vector: &[f32], limit: f64) -> f32 {
    let square = vector.iter().map(|g| f64::from(*g) * f64::from(*g));
    let norm = square.sum::<f64>().sqrt();
    if norm <= limit {
        1.0
    } else {
        (limit / norm) as f32
    }
}

/// Moves θ by −`rate` along a gradient, which is clipped first if `clips`, and counts the step.
///
/// # Errors
/// The gradient has another length than θ, or a number in it is not finite. The state is then
/// unchanged.
pub(super) fn descend(
    state: &mut State,
    gradient: &[f32],
    clips: bool,
    rate: f32,
) -> Result<(), TellError> {
    check_losses(state.theta.len(), gradient)?;
    let mut gradient = gradient.to_vec();
    if clips {
        clip(&mut gradient);
    }
    for (theta, g) in state.theta.iter_mut().zip(&gradient) {
        *theta -= rate * g;
    }
    state.step += 1;
    Ok(())
}
