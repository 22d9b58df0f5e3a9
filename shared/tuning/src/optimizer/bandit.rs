//! `bandit`: finds the best of M instructions from their rewards alone.
//!
//! The rule is ours. In a round all participants try the same K instructions ("arms"), each
//! participant on the same examples of their own for every arm (common random numbers: what makes a
//! batch hard is the same for all K). An update holds, for each arm tried, its mean reward and the
//! count 1. So FedAvg's mean over the participants, weighted by examples, is the reward on all
//! their examples together, and again the count 1; the server adds it to θ as it is (`sgd` at rate
//! 1). Participants send nothing more, and under masks only the cohort's means can be seen.
//!
//! Which K arms a round tries follows from θ, the round and the federation's seed, by one of three
//! rules. m_k is an arm's mean reward, N_k the number of rounds in which it was tried, and c the
//! setting `exploration`:
//!
//! * `halving`, after sequential halving (Karnin, Koren and Somekh, ICML 2013): the run is cut into
//!   P = ⌈log₂ M⌉ phases of equally many rounds. In phase p = 0, 1, … the ⌈M/2^p⌉ arms with the
//!   largest posterior means are in (but at least K), and of these the K that were tried least are
//!   tried. Unlike in the paper an arm that was cut comes back if those that were kept fall behind
//!   it, so the set follows from θ alone and a rounded sum cannot confuse it.
//! * `ucb`, after UCB1 (Auer, Cesa-Bianchi and Fischer, Machine Learning 47, 2002), K arms at once
//!   (combinatorial bandits: Chen, Wang and Yuan, ICML 2013): the largest m_k + c·√(ln Σ_j N_j /
//!   N_k), arms that were never tried first.
//! * `thompson` (Thompson, 1933; Russo et al., Foundations and Trends in Machine Learning 11,
//!   2018), with Gaussian posteriors (Agrawal and Goyal, AISTATS 2013): the largest draws from
//!   N(posterior mean, c²/(N_k + 1)). The draws come from Philox through `libm`, the same on every
//!   machine.
//!
//! The reward of a round is a mean over n examples, for which UCB1 would set c = √(2/n): 0.1 for
//! 200 examples.

use super::{
    AskAhead, Candidate, DirectionKey, Domain, Entry, Needs, Optimizer, Plan, Space, State,
    TellError, Tries, check_losses,
};
use crate::generator::instruction::{Evidence, best};
use crate::objective::Outcome;
use ground::fault::Reader;
use ground::form::About;
use ground::rng::{Direction, Distribution, Stream, derive_key, purpose};

/// Default number of arms tried in a round, if the task has that many.
const ARMS: usize = 8;
/// Added to an arm's sum of rewards to name the arm in [`Bandit::ask`]: far more than the rewards
/// of any run add up to.
const CERTAIN: f32 = 1e9;

/// The `bandit` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct Bandit {
    key: [u32; 2],
    plan: Plan,
    /// Number M of arms.
    arms: usize,
    /// Number K of arms tried in a round.
    tried: usize,
    rule: Rule,
    reward: Reward,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    Halving,
    Ucb { exploration: f32 },
    Thompson { exploration: f32 },
}

#[derive(Clone, Copy, Debug)]
enum Reward {
    /// The share of right answers, from 0 to 1.
    Accuracy,
    /// 1 − mean loss/bound, or 0 if that is negative.
    Loss { bound: f32 },
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("tries whole instructions and keeps asking about the better ones"),
    tries: Some(Tries {
        setting: "arms",
        usual: None,
        what: "instructions",
    }),
    needs: Needs {
        nodes: false,
        domain: Domain::Arms,
        ask_ahead: AskAhead::Never("which instructions a round tries follows from its θ"),
    },
    build,
};

/// Reads `rule`, `arms` K, `exploration` c, `reward` and `loss_bound`.
fn build(
    reader: &mut Reader<'_>,
    key: DirectionKey,
    plan: Plan,
    space: Space,
) -> Box<dyn Optimizer> {
    let arms = space.size.max(1);
    let most = arms as u64;
    let rule = reader.choice("rule", &["halving", "ucb", "thompson"], Some("halving"));
    let tried = reader.whole("arms", 1..=most, Some(most.min(ARMS as u64))) as usize;
    let rule = if rule == 0 {
        let rounds = plan.rounds.div_ceil(phases(arms));
        if (rounds as usize).saturating_mul(tried) < arms {
            let message = format!(
                "{tried} in each round are too few: {} rounds are {} phases, and in the first all {arms} instructions must be tried; see federation.rounds, or rule = \"ucb\"",
                plan.rounds,
                phases(arms)
            );
            reader.fault("arms", message);
        }
        Rule::Halving
    } else {
        let exploration = reader.number("exploration", 0.0..=10.0, Some(0.1));
        if rule == 1 {
            Rule::Ucb { exploration }
        } else {
            Rule::Thompson { exploration }
        }
    };
    let reward = if reader.choice("reward", &["accuracy", "loss"], Some("accuracy")) == 0 {
        Reward::Accuracy
    } else {
        Reward::Loss {
            bound: reader.number("loss_bound", 1e-3..=1e3, Some(4.0)),
        }
    };
    Box::new(Bandit {
        key: key.0,
        plan,
        arms,
        tried,
        rule,
        reward,
    })
}

/// Number of phases of `halving`, P = ⌈log₂ M⌉.
fn phases(arms: usize) -> u32 {
    (usize::BITS - (arms.max(2) - 1).leading_zeros()).max(1)
}

/// A count of tries as it was before sums were rounded.
fn whole(tries: f32) -> f32 {
    libm::roundf(tries)
}

impl Bandit {
    /// The K arms that all participants try in the round that begins at θ.
    fn chosen(&self, theta: &[f32], round: u32) -> Vec<usize> {
        let evidence = Evidence::of(theta);
        let scores: Vec<f32> = match self.rule {
            Rule::Halving => return self.halved(&evidence, round),
            Rule::Ucb { exploration } => {
                let logarithm = libm::logf(evidence.all_tries().max(1.0));
                let index = |arm| {
                    if whole(evidence.tries(arm)) == 0.0 {
                        return f32::INFINITY;
                    }
                    let width = (logarithm / evidence.tries(arm)).sqrt();
                    evidence.mean(arm) + exploration * width
                };
                (0..self.arms).map(index).collect()
            }
            Rule::Thompson { exploration } => {
                let name = [self.key[0], self.key[1], purpose::ARMS, round];
                let mut stream = Stream::with_key(derive_key(&name));
                let means = evidence.posterior().into_iter().enumerate();
                means
                    .map(|(arm, mean)| {
                        let deviation = exploration / (evidence.tries(arm) + 1.0).sqrt();
                        mean + deviation * stream.normal()
                    })
                    .collect()
            }
        };
        best(&scores, self.tried)
    }

    fn halved(&self, evidence: &Evidence<'_>, round: u32) -> Vec<usize> {
        let phases = phases(self.arms);
        let done = u64::from(phases) * u64::from(round) / u64::from(self.plan.rounds.max(1));
        let phase = (done as u32).min(phases - 1);
        let kept = self.arms.div_ceil(1 << phase).max(self.tried);
        let kept = best(&evidence.posterior(), kept);
        // The arms that were tried least; ties go to the better one.
        let seldom: Vec<f32> = kept
            .iter()
            .map(|arm| -whole(evidence.tries(*arm)))
            .collect();
        best(&seldom, self.tried)
            .into_iter()
            .map(|place| kept[place])
            .collect()
    }

    /// The K arms of the round that the state is in.
    fn of_round(&self, state: &State) -> Vec<usize> {
        // After the first step θ has moved on, for this participant alone.
        let began = state.moments.first().unwrap_or(&state.theta);
        self.chosen(began, state.round)
    }
}

impl Optimizer for Bandit {
    /// Names one point for each arm tried, at which that arm's sum of rewards exceeds all others.
    fn ask(&self, state: &State) -> Vec<Candidate> {
        let names = |arm: usize| Candidate {
            direction: Some(Direction {
                key: [0, 0],
                counter: [arm as u32, 0, 0],
                distribution: Distribution::Coordinate,
            }),
            scale: CERTAIN,
        };
        self.of_round(state).into_iter().map(names).collect()
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.tried, losses)?;
        let tried = self.of_round(state);
        if state.moments.is_empty() {
            state.moments.push(state.theta.clone());
        }
        // All steps of a round together are one try.
        let share = 1.0 / self.plan.local_steps.max(1) as f32;
        for (arm, cost) in tried.into_iter().zip(losses) {
            state.theta[arm] += share * (1.0 - (*cost).clamp(0.0, 1.0));
            state.theta[self.arms + arm] += share;
        }
        state.step += 1;
        Ok(())
    }

    /// 1 − reward, so that less is better.
    fn cost(&self, outcome: &Outcome) -> f32 {
        match self.reward {
            Reward::Accuracy => 1.0 - outcome.accuracy(),
            Reward::Loss { bound } => outcome.mean_loss() / bound,
        }
    }

    fn batches_per_step(&self) -> usize {
        self.tried
    }
}

#[cfg(test)]
mod tests;
