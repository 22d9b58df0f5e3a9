//! Optimisers that look at each picture of a batch by itself, and what they see.

use super::memory::PictureMemory;
use super::{State, TellError};
use crate::candidate::Candidate;
use crate::generator::{Generator, Prepared};
use crate::objective::loss::Loss;

/// What was seen of a batch of pictures in one step.
pub struct Seen<'a> {
    /// The prompt generator.
    pub generator: &'a dyn Generator,
    /// The parameters θ around which was asked.
    pub theta: &'a [f32],
    /// All of the participant's training pictures with the numbers of their labels.
    pub pictures: Vec<(&'a Prepared, usize)>,
    /// Indices of those that were asked, in that order.
    pub batch: &'a [u32],
    /// Whether an update from this θ was sent before and not used. Then only the pictures of this batch
    /// may count, or the two updates would be told apart from those of others by what they share.
    pub begun_anew: bool,
    /// Their losses: all pictures at the first point, then all at the second, and so on.
    pub losses: &'a [f32],
    /// Their label scores in the same order, `labels` numbers each.
    pub scores: &'a [f32],
    /// Number of labels.
    pub labels: usize,
    /// The loss.
    pub loss: Loss,
    /// How little one picture may move θ; `None` for any distance.
    pub bound: Option<ExampleBound>,
}

/// A bound of each example's part in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExampleBound {
    /// The norm of the step if all examples moved θ as far as they may, in one direction.
    pub clip: f32,
    /// Number of examples of a step, by which each one's part is divided, also where there are fewer.
    pub batch: u32,
}

impl Seen<'_> {
    /// A training picture.
    #[must_use]
    pub fn picture(&self, example: u32) -> Option<&Prepared> {
        self.pictures.get(example as usize).map(|(p, _)| *p)
    }

    /// The number of a training picture's label.
    #[must_use]
    pub fn label(&self, example: u32) -> usize {
        self.pictures.get(example as usize).map_or(0, |(_, l)| *l)
    }

    /// A training picture's statistics; empty if there are none.
    #[must_use]
    pub fn statistics(&self, example: u32) -> &[f32] {
        self.picture(example).map_or(&[], |p| &p.statistics)
    }

    /// A training picture's node values at θ.
    #[must_use]
    pub fn node_values(&self, example: u32) -> Vec<f32> {
        let mut values = Vec::new();
        if let Some(prepared) = self.picture(example) {
            self.generator
                .node_values(self.theta, prepared, &mut values);
        }
        values
    }

    /// The label scores of the batch's picture number `picture` at the first point.
    #[must_use]
    pub fn scores(&self, picture: usize) -> &[f32] {
        let start = picture * self.labels;
        self.scores.get(start..start + self.labels).unwrap_or(&[])
    }
}

/// An optimiser that looks at each picture of a batch by itself, and not at the batch's mean losses.
/// Its step has two halves: a gradient where the pictures are known, and the step along it.
pub trait ByPicture {
    /// The estimated gradient by θ (d numbers) from what was seen at the points that
    /// [`Optimizer::ask`](super::Optimizer::ask) named, and from what the participant remembers, which this call adds to.
    fn gradient(
        &self,
        candidates: &[Candidate],
        seen: &Seen<'_>,
        memory: &mut PictureMemory,
    ) -> Vec<f32>;

    /// Moves θ by that gradient, in place of [`Optimizer::tell`](super::Optimizer::tell).
    ///
    /// # Errors
    /// The gradient has another length than θ, or a number in it is not finite. The state is then
    /// unchanged.
    fn tell_gradient(&self, state: &mut State, gradient: &[f32]) -> Result<(), TellError>;

    /// Whether it keeps [`Seen::bound`].
    fn bounds_examples(&self) -> bool {
        false
    }

    /// Whether all pictures are asked in turn before any is asked again; otherwise each step draws its
    /// own.
    fn in_turn(&self) -> bool {
        false
    }
}
