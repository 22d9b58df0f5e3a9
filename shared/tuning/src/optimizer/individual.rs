//! Updates that are not summed: what FedBPT's rule needs, which ranks participants by their losses.

use ground::packed::f32s;
use serde::{Deserialize, Serialize};

/// One participant's update as the record holds it. Whose it is does not stand there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Individual {
    /// Training examples.
    pub examples: u32,
    /// θ's movement, the loss, Σ σ².
    #[serde(with = "f32s")]
    pub update: Vec<f32>,
}
