//! The model's answers to test data, and the mappings that follow from training data.

use super::SimulateError;
use super::model::{Model, cores};
use federation::round::client::{Evaluation, Part, Purpose};
use federation::round::workbench::{Labelled, Workbench};
use federation::task::Task;
use model_client::Scores;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use tuning::objective;
use tuning::objective::counts::Counts;
use tuning::objective::mapping::{Mapping, Mappings};
use tuning::optimizer::Candidate;
use tuning::optimizer::points::Points;

/// The mappings that follow from all training examples.
pub(super) fn fit_mappings(
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

/// The model's answers to the held-out examples of `bench`, and their labels; with the prompt at θ,
/// or without a prompt.
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

/// Accuracy and mean loss on the held-out examples of `bench`, with the prompt at θ or without a
/// prompt.
pub(super) fn measure(
    model: &Model,
    bench: &Workbench,
    mappings: &Mappings,
    theta: Option<&[f32]>,
) -> Result<(f64, f64), SimulateError> {
    let mapping = mappings.of(theta.is_some()).clone();
    let objective = bench.task().objective(mapping);
    // Summed in the order of the examples, on which the last bits of the sum depend.
    let mut sum = objective::Outcome::default();
    for (labels, scores) in answers(model, bench, theta)? {
        for (i, label) in labels.into_iter().enumerate() {
            sum.add(&objective.score(scores.row(i), label));
        }
    }
    let total = f64::from(sum.total.max(1));
    Ok((f64::from(sum.correct) / total, sum.loss / total))
}

/// Applies `f` to every item on all cores; results are in the order of the items. Of several errors
/// it returns the first item's.
pub(super) fn parallel<T, R, F>(items: &[T], f: F) -> Result<Vec<R>, SimulateError>
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
