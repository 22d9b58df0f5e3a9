//! What a model answers: one row of finite numbers for each input.

use super::ModelApiError;

/// A classifier's answers to a batch, `[rows, classes]`, every value finite. The task's
/// [`OutputSpec`](super::OutputSpec) says whether they are logits or probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    classes: usize,
    values: Vec<f32>,
}

impl Scores {
    /// Checks and wraps `values`: rows of `classes` values each, one after another.
    ///
    /// # Errors
    /// [`ModelApiError::WrongShape`] if the last row is incomplete or there is no class,
    /// [`ModelApiError::NotFinite`] with the first row that holds NaN or infinity.
    pub fn new(classes: usize, values: Vec<f32>) -> Result<Self, ModelApiError> {
        if classes == 0 || !values.len().is_multiple_of(classes) {
            return Err(ModelApiError::WrongShape {
                expected: format!("[batch, {classes}]"),
                got: format!("{} values", values.len()),
            });
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(ModelApiError::NotFinite { row: at / classes }),
            None => Ok(Self { classes, values }),
        }
    }

    /// Number of classes, at least 1.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of inputs answered.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.classes
    }

    /// The `classes` scores of input `i`, or `None` past the end.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&[f32]> {
        self.values.chunks_exact(self.classes).nth(i)
    }

    /// The `classes` scores of input `i`.
    ///
    /// # Panics
    /// If `i >= rows()`, like indexing.
    #[must_use]
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.classes..(i + 1) * self.classes]
    }

    /// All values, `rows · classes`, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Unwraps the values, `rows · classes`, row by row.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_given() {
        let scores = Scores::new(3, vec![0., 1., 2., 3., 4., 5.]).unwrap();
        assert_eq!((scores.rows(), scores.classes()), (2, 3));
        assert_eq!(scores.row(1), [3., 4., 5.]);
        assert_eq!(scores.get(2), None);
    }

    #[test]
    fn refuses_what_is_not_finite_or_not_whole() {
        let nan = Scores::new(2, vec![0., 0., f32::NAN, 0.]);
        assert_eq!(nan, Err(ModelApiError::NotFinite { row: 1 }));
        let infinite = Scores::new(2, vec![f32::NEG_INFINITY, 0.]);
        assert_eq!(infinite, Err(ModelApiError::NotFinite { row: 0 }));
        for classes in [0, 2, 3, usize::MAX] {
            let error = Scores::new(classes, vec![0.; 5]).unwrap_err();
            assert_eq!(error.code(), "model_wrong_shape");
        }
    }
}
