//! `cma-es`: covariance matrix adaptation (Hansen and Ostermeier, 2001), as Black-Box Tuning uses
//! it (Sun et al., ICML 2022). It asks a population of λ points m + σ A n, n ~ N(0, I), whose
//! better half moves m, σ and C = A Aᵀ ([`super::search`]).
//!
//! It needs no gradient and no small step; only the order of the losses counts. It works well up to
//! about 600 parameters, and with `covariance = "diagonal"` (Ros and Hansen, PPSN 2008) beyond.
//!
//! `federation.rule` chooses among three ways to share it. `scalars`: all participants ask the same
//! population, and the sum of their losses orders it (ours). `fedbpt`: each participant searches
//! alone for some steps, and the aggregator takes their means for a population
//! ([`SharedSearch::combine`]). `fedavg`: θ becomes the mean of the participants' means, and each
//! round begins with C = I again.

use super::points::Points;
use super::search::Search;
use super::{
    AskAhead, Candidate, DirectionKey, Entry, Needs, Optimizer, Plan, SharedSearch, Space, State,
    TellError, Tries, check_losses,
};
use crate::optimizer::individual::Individual;
use ground::fault::Reader;
use ground::form::About;
use ground::order;
use ground::rng::{Stream, derive_key, purpose};

/// Maximum number of parameters for a full covariance, which takes d²/2 numbers of 8 bytes from
/// every participant.
const MOST_FULL: usize = 2048;

/// The `cma-es` optimiser with its settings.
#[derive(Clone, Debug)]
pub struct CmaEs {
    key: DirectionKey,
    population: u32,
    sigma: f64,
    bound: f64,
    diagonal: bool,
}

/// The optimiser as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    about: About::of("CMA-ES: a cloud of points that moves and changes its shape"),
    tries: Some(Tries {
        setting: "population",
        usual: Some(20),
        what: "points",
    }),
    needs: Needs {
        ask_ahead: AskAhead::Never("cma-es asks around the mean that the step before has moved"),
        ..Needs::NOTHING
    },
    build,
};

/// Reads `population` λ, `sigma` σ₀, `bound` and `covariance`.
fn build(reader: &mut Reader<'_>, key: DirectionKey, _: Plan, _: Space) -> Box<dyn Optimizer> {
    Box::new(CmaEs {
        key,
        population: reader.whole("population", 2..=256, Some(20)) as u32,
        sigma: reader.exact_number("sigma", 1e-6..=1e3, Some(1.0)),
        bound: reader.exact_number("bound", 0.0..=1e6, Some(0.0)),
        diagonal: reader.choice("covariance", &["full", "diagonal"], Some("full")) == 1,
    })
}

impl CmaEs {
    /// The search with which a round starts: the one that is known, or a new one around θ.
    fn search(&self, state: &State) -> Search {
        let known = state.search.as_ref();
        let fits = |s: &&Search| s.mean().len() == state.theta.len();
        let new = || Search::new(&state.theta, self.sigma, self.diagonal);
        known.filter(fits).cloned().unwrap_or_else(new)
    }

    /// The population of the state's current step, in the order in which its points are asked.
    fn population(&self, search: &Search, state: &State) -> Vec<Vec<f64>> {
        let point = |number: u32| {
            let [a, b] = self.key.0;
            let key = derive_key(&[a, b, purpose::DIRECTION, state.round, state.step, number]);
            let mut stream = Stream::with_key(key);
            let normal: Vec<f64> = (0..state.theta.len())
                .map(|_| f64::from(stream.normal()))
                .collect();
            search.point(&normal, self.bound)
        };
        (0..self.population).map(point).collect()
    }

    /// Learns one generation from the losses of its population.
    fn generation(&self, state: &mut State, losses: &[f32]) -> bool {
        let mut search = self.search(state);
        let population = self.population(&search, state);
        // Ties go to the point that was asked first.
        let order = order::sorted(population.len(), &|a, b| losses[a].total_cmp(&losses[b]));
        let sorted: Vec<&[f64]> = order.iter().map(|at| &population[*at][..]).collect();
        search.learn(&sorted);
        keep(state, search)
    }
}

/// Puts a search into the state if all its numbers are finite; returns whether they are.
fn keep(state: &mut State, search: Search) -> bool {
    let sound = search.is_sound(state.theta.len());
    if sound {
        state.theta = search.theta();
        state.search = Some(search);
    }
    sound
}

impl SharedSearch for CmaEs {
    fn refuses(&self, dim: usize) -> Option<String> {
        (!self.diagonal && dim > MOST_FULL).then(|| {
            format!(
                "\"full\" has d²/2 numbers, too many for {dim} parameters (at most {MOST_FULL}): take \"diagonal\""
            )
        })
    }

    /// The aggregator's step of FedBPT (Sun et al., ICML 2024): the participants' means are a
    /// population, and their losses order it. Each update holds θ's movement, the loss, and Σ_j
    /// σ_j² over the local steps.
    ///
    /// While the search learns, σ' = 2·√(Σ_{k∈S'} Σ_j σ_{k,j}² / (|S|·λ)) over the better half
    /// S'. Then σ, from which participants start again, changes by the factor by which σ' has
    /// changed, as in the released code (NVFlare).
    fn combine(&self, state: &mut State, updates: &[Individual]) -> bool {
        let mut search = self.search(state);
        let dim = state.theta.len();
        let mut ranked: Vec<(f32, f64, Vec<f64>)> = Vec::with_capacity(updates.len());
        for Individual { update, .. } in updates {
            // An update without content is skipped, so that no participant can stop the others with
            // one.
            let &[ref moved @ .., loss, squares] = &update[..] else {
                continue;
            };
            if moved.len() != dim || squares <= 0.0 || !update.iter().all(|x| x.is_finite()) {
                continue;
            }
            let point = moved.iter().zip(search.mean());
            let point = point.map(|(moved, mean)| mean + f64::from(*moved));
            ranked.push((loss, f64::from(squares), point.collect()));
        }
        if ranked.is_empty() {
            return false;
        }
        let order = order::sorted(ranked.len(), &|a, b| ranked[a].0.total_cmp(&ranked[b].0));
        let best = (ranked.len() / 2).max(1);
        let squares: f64 = order[..best].iter().map(|at| ranked[*at].1).sum();
        let share = squares / (ranked.len() as f64 * f64::from(self.population));
        let (local, wide) = (search.sigma(), 2.0 * share.sqrt());
        search.set_sigma(wide);
        let points: Vec<&[f64]> = order.iter().map(|at| &ranked[*at].2[..]).collect();
        search.learn(&points);
        search.set_sigma(local * (search.sigma() / wide));
        keep(state, search)
    }

    /// Takes the step that follows from the sum of all participants' losses, the same for everyone.
    fn tell_all(&self, state: &mut State, losses: &[f32]) -> bool {
        losses.len() == self.batches_per_step() && self.generation(state, losses)
    }
}

impl Optimizer for CmaEs {
    fn ask(&self, _: &State) -> Vec<Candidate> {
        vec![Candidate::BASE; self.batches_per_step()]
    }

    fn points(&self, state: &State) -> Points {
        let population = self.population(&self.search(state), state);
        let rounded = |point: Vec<f64>| point.into_iter().map(|x| x as f32).collect();
        Points::given(population.into_iter().map(rounded).collect())
    }

    fn tell(&self, state: &mut State, losses: &[f32]) -> Result<(), TellError> {
        check_losses(self.batches_per_step(), losses)?;
        let mean = losses.iter().map(|l| f64::from(*l)).sum::<f64>() / losses.len() as f64;
        let sigma = self.search(state).sigma();
        let before = self.report(state)[1];
        // A search that has left all bounds stays where it was.
        self.generation(state, losses);
        state.moments = vec![vec![mean as f32, before + (sigma * sigma) as f32]];
        // Only the order counts, so the mean of the losses is not sent.
        let deviations = losses.iter().map(|l| (f64::from(*l) - mean) as f32);
        state.scalars.extend(deviations);
        state.step += 1;
        Ok(())
    }

    fn batches_per_step(&self) -> usize {
        self.population as usize
    }

    fn scalars_per_step(&self) -> Option<usize> {
        Some(self.batches_per_step())
    }

    /// The mean loss of the last population, which stands for the loss at m, and Σ σ² over the
    /// steps so far.
    fn report(&self, state: &State) -> [f32; 2] {
        match state.moments.first().map(Vec::as_slice) {
            Some(&[loss, squares]) => [loss, squares],
            _ => [0.0, 0.0],
        }
    }

    fn shared_search(&self) -> Option<&dyn SharedSearch> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
