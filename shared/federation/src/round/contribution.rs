//! What one participant adds to a secure sum, as integers, and what the sum means.
//!
//! Without noise: the update clipped to the norm C, times w = min(n, N)/N for n of at most N
//! examples, in fixed point; and counters, which stay exact: examples, the metrics' sums, and the
//! number of clipped updates. The mean is Σ w_i Δ_i / Σ w_i.
//!
//! With noise (participant-level differential privacy) all weights are equal, accuracy and loss
//! become two more coordinates, and everything together has a norm of at most C·√(1 + 2μ²).
//! Counters that would reveal something about the data are left out.
//!
//! With noise for single examples, each example's part of an update of B examples has at most the
//! norm C/B, and the noise is measured by that. The owner's number of examples is no secret. Held-out
//! examples are in every sum: their accuracy takes so small a share that all rounds cost one of them
//! no more than its participations cost a training example. No loss is reported, since one example's
//! has no bound.
//!
//! In a counting round ([`tuning::objective::counts`]) the vector is a list of means in [−1, 1]
//! instead: weighted in the same way, bounded entry by entry, so that no accepted cohort's sum
//! leaves the ring, and never with noise.

use super::messages::Metrics;
use crate::rules::combine::bound_norm;
use crate::rules::settings::{Federation, Privacy, Unit};
use privacy::{Ledger, Mechanism, PrivacyError, l2_clip, noise_multiplier};
use secure_sum::Bytes32;
use secure_sum::encoding::{EncodingError, FixedPoint, Layout, RingVector};
use secure_sum::keystream::Keystream;

/// μ: the share of the clip norm that accuracy and loss each take.
const METRICS_SHARE: f64 = 0.25;
/// Upper bound of reported losses under noise; the lower bound is 0.
const LOSS_RANGE: f64 = 10.0;
/// Number of examples per participant for which noisy metrics are reported.
const METRICS_EXAMPLES: u32 = 1_000;
/// Exact loss sums are in units of 2⁻¹⁶, up to 2⁴⁰ of them.
const LOSS_UNIT: f64 = 65_536.0;
const LOSS_MOST: f64 = 1_099_511_627_776.0;
/// Number of counters after the entries.
const COUNTERS: usize = 7;

/// Why an update cannot be encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ContributionError {
    /// The update does not fit into the ring.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// The noise cannot be added.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The update holds NaN or infinity.
    #[error("the update holds a number that is not finite")]
    NotFinite,
}

/// How updates of one task are encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution {
    length: usize,
    clip: f32,
    max_examples: u32,
    layout: Layout,
    fixed: FixedPoint,
    noise: Option<Noise>,
    /// Whether `clip` bounds every entry instead of the norm.
    entrywise: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Noise {
    mechanism: Mechanism,
    /// Standard deviation of the noise in units of what one unit of privacy changes.
    multiplier: f64,
    /// Norm of everything that one participant contributes, before noise.
    norm: f32,
    /// The share of the clip norm that accuracy takes.
    metrics_share: f64,
    /// Number of held-out examples from which on accuracy has all of its share; 0 if any have.
    metrics_full: u32,
    limits: Privacy,
}

/// What a sum means.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The mean update.
    pub mean: Vec<f32>,
    /// Weight of the mean: examples; under noise, participants.
    pub weight: f64,
    /// The metrics' sums.
    pub metrics: Metrics,
    /// Number of updates that were longer than the norm bound; unknown (0) under noise.
    pub clipped: u32,
}

impl Contribution {
    /// The encoding of updates with `length` numbers; `None` if updates are sent in plain.
    pub fn new(federation: &Federation, length: usize) -> Result<Option<Self>, ContributionError> {
        let Some(secure) = &federation.secure else {
            return Ok(None);
        };
        let cohort_max = secure.cohort_max;
        let clip = federation.clip;
        let (entries, fixed, noise) = match federation.privacy {
            None => (length, FixedPoint::choose(cohort_max, clip, 0)?, None),
            Some(limits) => {
                let entries = length + 2;
                let least = secure.survivors_min;
                let (fixed, noise) = Noise::new(federation, limits, entries, (least, cohort_max))?;
                (entries, fixed, Some(noise))
            }
        };
        Ok(Some(Self {
            length,
            clip,
            max_examples: secure.max_examples,
            layout: Layout {
                ring: fixed.ring,
                entries,
                tail: COUNTERS,
            },
            fixed,
            noise,
            entrywise: false,
        }))
    }

    /// The encoding of a mapping's counts, `length` numbers; `None` if counts are sent in plain.
    pub fn counting(
        federation: &Federation,
        length: usize,
    ) -> Result<Option<Self>, ContributionError> {
        let plain = Federation {
            clip: 1.0,
            privacy: None,
            ..federation.clone()
        };
        let entrywise = |made: Self| Self {
            entrywise: true,
            ..made
        };
        Ok(Self::new(&plain, length)?.map(entrywise))
    }

    /// Layout of the sum's vector.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// ρ that one sum costs (zCDP); 0 without noise, which is not a promise at all.
    #[must_use]
    pub fn rho(&self) -> f64 {
        self.noise.as_ref().map_or(0.0, |n| n.mechanism.rho())
    }

    /// Whether noise hides single examples: then each of them is counted, and not the participant.
    #[must_use]
    pub fn hides_examples(&self) -> bool {
        self.limits().is_some_and(|l| l.unit == Unit::Example)
    }

    /// Adds one sum to `spent`, unless as many are paid as any single example may be in.
    ///
    /// # Errors
    /// The cost does not fit into the ledger.
    pub fn pay(&self, spent: &mut Ledger) -> Result<(), PrivacyError> {
        if self.hides_examples() && self.is_paid(spent) {
            return Ok(());
        }
        spent.compose(self.rho())
    }

    /// Returns whether one sum more would bring the ε of what `spent` holds above the task's.
    #[must_use]
    pub fn would_exceed(&self, spent: &Ledger) -> bool {
        self.limits()
            .is_some_and(|limits| spent.would_exceed(self.rho(), limits.epsilon, limits.delta))
    }

    /// Returns whether `spent` is the cost of as many sums as one participant's updates may be in.
    #[must_use]
    pub fn is_paid(&self, spent: &Ledger) -> bool {
        let most = self.limits().and_then(|limits| limits.participations);
        // The sum of equal terms is off by rounding only.
        most.is_some_and(|most| spent.rho() > (f64::from(most) - 0.5) * self.rho())
    }

    /// Standard deviation of the sum's noise in units of its sensitivity.
    #[must_use]
    pub fn noise_multiplier(&self) -> Option<f64> {
        self.noise.as_ref().map(|n| n.multiplier)
    }

    /// ε and δ that must not be exceeded.
    #[must_use]
    pub fn limits(&self) -> Option<Privacy> {
        self.noise.as_ref().map(|n| n.limits)
    }

    /// Encodes an update. Rounding and noise follow from the seed, so that a repeated message is
    /// the same.
    pub fn encode(
        &self,
        update: &[f32],
        examples: u32,
        metrics: &Metrics,
        seed: &Bytes32,
    ) -> Result<RingVector, ContributionError> {
        if !update.iter().all(|x| x.is_finite()) {
            return Err(ContributionError::NotFinite);
        }
        let mut update = update.to_vec();
        let clipped = if self.entrywise {
            let (least, most) = (-self.clip, self.clip);
            let outside = update.iter().any(|x| *x < least || *x > most);
            update.iter_mut().for_each(|x| *x = x.clamp(least, most));
            outside
        } else {
            bound_norm(&mut update, self.clip)
        };
        let mut rng = Keystream::new(seed, b"rounding");
        let mut integers = Vec::with_capacity(self.layout.entries + COUNTERS);
        match &self.noise {
            None => {
                let examples = examples.min(self.max_examples);
                let weight = f64::from(examples) / f64::from(self.max_examples);
                for x in &update {
                    integers.push(self.fixed.quantise(weight * f64::from(*x), &mut rng)?);
                }
                let loss = (metrics.loss * LOSS_UNIT).clamp(-LOSS_MOST, LOSS_MOST);
                integers.extend([
                    i64::from(examples),
                    i64::from(metrics.correct),
                    i64::from(metrics.total),
                    loss as i64,
                    i64::from(metrics.queries),
                    i64::from(clipped),
                    metrics.unprompted.map_or(0, i64::from),
                ]);
            }
            Some(noise) => {
                let total = f64::from(metrics.total.max(1));
                let share = noise.metrics_share * f64::from(self.clip);
                let loss = (metrics.loss / total).clamp(0.0, LOSS_RANGE) / LOSS_RANGE;
                let of = total.max(noise.metrics_full.into());
                update.push((share * f64::from(metrics.correct) / of) as f32);
                update.push(if noise.metrics_full > 0 {
                    0.0
                } else {
                    (share * loss) as f32
                });
                // It is within the bound except for f32's rounding.
                l2_clip(&mut update, noise.norm)?;
                let mut words = || rng.next_u64();
                integers.extend(noise.mechanism.contribution(&update, &mut words)?);
                integers.extend([1, 0, 0, 0, 0, 0, 0]);
            }
        }
        Ok(RingVector::from_integers(self.layout, &integers)?)
    }

    /// Decodes a sum of `contributors` participants' vectors. `None` if nobody contributed an
    /// example, or the counters are impossible (somebody sent false ones).
    #[must_use]
    pub fn decode(&self, sum: &[i64], contributors: u32) -> Option<Decoded> {
        let entries = sum.get(..self.layout.entries)?;
        let counters = sum.get(self.layout.entries..)?;
        // The last one is missing in records from before it was counted.
        let &[
            weight,
            correct,
            total,
            loss,
            queries,
            clipped,
            ref rest @ ..,
        ] = counters
        else {
            return None;
        };
        let unit = match &self.noise {
            None if weight > 0 => f64::from(self.max_examples) / weight as f64,
            Some(_) if contributors > 0 => 1.0 / f64::from(contributors),
            _ => return None,
        };
        let value = |x: i64| self.fixed.decode(x) * unit;
        let mean: Vec<f32> = entries[..self.length]
            .iter()
            .map(|x| value(*x) as f32)
            .collect();
        let (weight, metrics) = if self.noise.is_none() {
            let metrics = Metrics {
                correct: u32::try_from(correct).ok()?,
                total: u32::try_from(total).ok()?,
                loss: loss as f64 / LOSS_UNIT,
                queries: u32::try_from(queries).unwrap_or(0),
                unprompted: match rest.first() {
                    Some(right) => Some(u32::try_from(*right).ok()?),
                    None => None,
                },
            };
            (weight as f64, metrics)
        } else {
            let &[accuracy, loss] = &entries[self.length..] else {
                return None;
            };
            let share = self
                .noise
                .as_ref()
                .map_or(METRICS_SHARE, |n| n.metrics_share);
            let part = |x: i64| value(x) / (share * f64::from(self.clip));
            let total = METRICS_EXAMPLES.saturating_mul(contributors);
            let metrics = Metrics {
                correct: (part(accuracy).clamp(0.0, 1.0) * f64::from(total)) as u32,
                total,
                loss: part(loss).clamp(0.0, 1.0) * LOSS_RANGE * f64::from(total),
                queries: 0,
                unprompted: None,
            };
            (f64::from(contributors), metrics)
        };
        // Sums may be larger than what one participant may report.
        let possible = metrics.correct <= metrics.total
            && metrics
                .unprompted
                .is_none_or(|right| right <= metrics.total);
        (possible && mean.iter().all(|x| x.is_finite())).then_some(Decoded {
            mean,
            weight,
            metrics,
            clipped: u32::try_from(clipped).unwrap_or(0),
        })
    }
}

impl Noise {
    fn new(
        federation: &Federation,
        limits: Privacy,
        entries: usize,
        (least, most): (u32, u32),
    ) -> Result<(FixedPoint, Self), ContributionError> {
        let (clip, rounds) = (f64::from(federation.clip), federation.rounds);
        let sums = limits.sums(rounds);
        // In how many more sums a held-out example is than one for training.
        let oftener = f64::from(rounds) / f64::from(sums.max(1));
        let by_example = limits.unit == Unit::Example;
        let metrics_share = if by_example {
            METRICS_SHARE.min(oftener.recip().sqrt())
        } else {
            METRICS_SHARE
        };
        let together = clip * (1.0 + 2.0 * metrics_share * metrics_share).sqrt();
        // Rounded up, so that a clipped update is never shortened for the sake of its metrics.
        let norm = (together * (1.0 + 1e-6)) as f32;
        // By how much one example changes a contribution; f32's rounding is within the last factor.
        let part = clip / f64::from(federation.batch) * (1.0 + 1e-4);
        let neighbours = |mechanism: Mechanism| {
            if by_example {
                mechanism.for_difference(part, oftener.sqrt())
            } else {
                mechanism
            }
        };
        // What the multiplier of a contribution's norm is worth in units of what is hidden.
        let unit = if by_example {
            f64::from(norm) / part
        } else {
            1.0
        };
        let mechanism = |scale: f64| {
            let norm = f64::from(norm);
            let multiplier = match limits.noise_multiplier {
                Some(multiplier) => multiplier / unit,
                None => noise_multiplier(
                    (limits.epsilon, limits.delta, sums),
                    norm,
                    scale,
                    entries,
                    least,
                    &neighbours,
                )?,
            };
            let made = Mechanism::new(norm, scale, entries, least, multiplier)?;
            Ok((neighbours(made), multiplier * unit))
        };
        let room = |scale| {
            let made: Result<_, PrivacyError> = mechanism(scale);
            // What cannot be made fits nowhere.
            made.map_or(u64::MAX, |(made, _)| made.noise_bound(most))
        };
        let fixed = FixedPoint::choose_with(most, norm, room)?;
        let (mechanism, multiplier) = mechanism(fixed.scale())?;
        let noise = Self {
            mechanism,
            multiplier,
            norm,
            metrics_share,
            metrics_full: if by_example { federation.batch } else { 0 },
            limits,
        };
        Ok((fixed, noise))
    }
}

#[cfg(test)]
mod tests;
