//! Points at which losses are wanted and that no direction names.

/// Coordinates of a step's points, one for each candidate; none where the candidates' directions name them. A build
/// without `cma-es` has no optimiser that gives any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    #[cfg(feature = "cma-es")]
    given: Vec<Vec<f32>>,
}

impl Points {
    /// Of these coordinates.
    #[cfg(feature = "cma-es")]
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
    #[cfg(feature = "cma-es")]
    #[must_use]
    pub fn get(&self, candidate: usize) -> Option<&[f32]> {
        self.given.get(candidate).map(Vec::as_slice)
    }

    /// Nothing.
    #[cfg(not(feature = "cma-es"))]
    #[must_use]
    pub fn get(&self, _candidate: usize) -> Option<&[f32]> {
        None
    }
}
