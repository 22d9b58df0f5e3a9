//! Points at which losses are wanted, for optimisers that name points by coordinates and not by
//! directions.

/// The coordinates of a step's points, one list for each candidate. Empty if the candidates'
/// directions name the points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    given: Vec<Vec<f32>>,
}

impl Points {
    /// Points with the given coordinates, one list for each candidate.
    #[must_use]
    pub fn given(given: Vec<Vec<f32>>) -> Self {
        Self { given }
    }

    /// Whether the candidates' directions name all points.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.get(0).is_none()
    }

    /// The coordinates of a candidate, if they are given here.
    #[must_use]
    pub fn get(&self, candidate: usize) -> Option<&[f32]> {
        self.given.get(candidate).map(Vec::as_slice)
    }
}
