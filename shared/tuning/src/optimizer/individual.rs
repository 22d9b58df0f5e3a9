//! Updates that are not summed, for the rule `fedbpt`, which ranks participants by their losses.

use ground::packed::f32s;
use serde::{Deserialize, Serialize};

/// One participant's update as the record holds it, without saying which participant's it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Individual {
    /// Number of the participant's training examples.
    pub examples: u32,
    /// θ's movement (d numbers), then the loss and Σ σ² over the local steps.
    #[serde(with = "f32s")]
    pub update: Vec<f32>,
}
