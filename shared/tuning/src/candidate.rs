//! The points at which losses are wanted, and the space in which they lie.

use ground::rng::{Direction, Distribution};
use serde::{Deserialize, Serialize};

/// A point θ + scale·Δ at which the loss is wanted. θ itself has no direction Δ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the direction Δ; `None` for θ itself.
    pub direction: Option<Direction>,
    /// Signed step size ±c along the direction; without a direction it has no effect.
    pub scale: f32,
}

impl Candidate {
    /// The candidate θ itself.
    pub const BASE: Self = Self {
        direction: None,
        scale: 0.0,
    };

    /// Writes the point's coordinates, as many as θ has, into `out`.
    pub fn apply(&self, theta: &[f32], out: &mut Vec<f32>) {
        match self.direction {
            Some(direction) => direction.perturb(theta, self.scale, out),
            None => {
                out.clear();
                out.extend_from_slice(theta);
            }
        }
    }

    /// Writes what the point adds to the node values of picture number `picture` of the batch into
    /// `out` (`nodes` numbers). Points that leave them alone empty it.
    pub fn move_nodes(&self, picture: usize, nodes: usize, out: &mut Vec<f32>) {
        out.clear();
        if let Some(direction) = self.direction
            && direction.distribution == Distribution::Nodes
        {
            direction.for_each_node(picture, nodes, |_, sign| out.push(self.scale * sign));
        }
    }
}

/// What the numbers of θ mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Domain {
    /// Plain numbers, which small steps change.
    #[default]
    Numbers,
    /// A table, row by row: the largest number in a row says which category is chosen there.
    Categories,
    /// What was found about each of several whole prompts ([`crate::generator::instruction`]).
    Arms,
}

/// What an optimiser must know of θ: what its numbers mean, and how many choices there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// What the numbers of θ mean.
    pub domain: Domain,
    /// Number of categories in a row, or number of arms; 0 for plain numbers.
    pub size: usize,
    /// Number of an input's node values ([`Generator::nodes`](crate::generator::Generator::nodes)); 0 if there are none.
    pub nodes: usize,
    /// Number of an input's statistics; 0 if there are none.
    pub statistics: usize,
    /// Number of the task's labels.
    pub labels: usize,
}

impl Space {
    /// Plain numbers.
    pub const NUMBERS: Self = Self {
        domain: Domain::Numbers,
        size: 0,
        nodes: 0,
        statistics: 0,
        labels: 0,
    };

    /// A table of categories, `size` in each row.
    #[must_use]
    pub fn categories(size: usize) -> Self {
        Self {
            domain: Domain::Categories,
            size,
            ..Self::NUMBERS
        }
    }

    /// What was found about `size` arms.
    #[must_use]
    pub fn arms(size: usize) -> Self {
        Self {
            domain: Domain::Arms,
            size,
            ..Self::NUMBERS
        }
    }
}
