//! Points at which losses are wanted and that no direction names.

/// Coordinates of a step's points, one for each candidate; none where the candidates' directions
/// name them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    given: Vec<Vec<f32>>,
}

impl Points {
    /// Of these coordinates.
    #[must_use]
    pub fn given(given: Vec<Vec<f32>>) -> Self {
        Self { given }
    }

    /// Whether the candidates' directions say it all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.get(0).is_none()
    }

    /// That of a candidate, if it is given here.
    #[must_use]
    pub fn get(&self, candidate: usize) -> Option<&[f32]> {
        self.given.get(candidate).map(Vec::as_slice)
    }
}
