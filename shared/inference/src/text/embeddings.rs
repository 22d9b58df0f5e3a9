//! Finds where a network's word embeddings can be read and replaced, which soft prompts need.
//!
//! rten runs a network from and to any of its values. The word embeddings are the first value that
//! is computed from the tokens alone, has the shape [B, T, hidden], and has equal rows for equal
//! tokens. They are found by trying, so that no exporter's names need to be known. Exports that
//! take `inputs_embeds` instead of tokens have their table in `embed_tokens.onnx` beside them.

use std::sync::Arc;

use rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use crate::RunError;

/// Maximum number of values of a network that are tried; they are counted from 0.
const MOST_VALUES: u32 = 1 << 20;
/// Number of tokens that are looked up at once.
const CHUNK: usize = 1024;

/// The place of the word embeddings in the network, or before it.
pub(super) struct WordEmbeddings {
    /// The network that holds the table, if it is not the network itself.
    table: Option<Model>,
    ids: NodeId,
    output: NodeId,
    /// The value at which embeddings are put in.
    pub(super) input: NodeId,
    pub(super) hidden: usize,
}

/// Mean and standard deviation of all entries of the table, by which a prompt generator scales its
/// prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub mean: f64,
    pub deviation: f64,
}

impl WordEmbeddings {
    /// Searches `model`, which takes its tokens at `ids`, for the word embeddings; `tokens` are two
    /// different ones.
    pub(super) fn inside(
        model: &Model,
        ids: NodeId,
        tokens: [i32; 2],
        pool: &Arc<ThreadPool>,
    ) -> Option<Self> {
        let values = (0..MOST_VALUES).map(NodeId::from_u32);
        values
            .take_while(|&id| model.node_info(id).is_some())
            .filter(|id| !model.input_ids().contains(id))
            .find_map(|output| Self::at(model, ids, output, tokens, pool))
            .map(|(hidden, output)| Self {
                table: None,
                ids,
                output,
                input: output,
                hidden,
            })
    }

    /// The word embeddings of a network that takes them at `input`, from the network `table`.
    pub(super) fn before(
        table: Model,
        input: NodeId,
        tokens: [i32; 2],
        pool: &Arc<ThreadPool>,
    ) -> Option<Self> {
        let (&[ids], &[output, ..]) = (table.input_ids(), table.output_ids()) else {
            return None;
        };
        let (hidden, output) = Self::at(&table, ids, output, tokens, pool)?;
        Some(Self {
            table: Some(table),
            ids,
            output,
            input,
            hidden,
        })
    }

    /// Returns the number of values of an embedding if the embeddings are at `output`.
    fn at(
        model: &Model,
        ids: NodeId,
        output: NodeId,
        [a, b]: [i32; 2],
        pool: &Arc<ThreadPool>,
    ) -> Option<(usize, NodeId)> {
        // A value that depends on anything but tokens cannot be computed here, and one that depends
        // on the position has different rows for one token.
        let values = look_up(model, ids, output, &[a, b, a, b], 4, pool).ok()?;
        let hidden = values.len() / 4;
        let rows: Vec<&[f32]> = values.chunks_exact(hidden.max(1)).collect();
        let fits = rows.len() == 4
            && hidden > 1
            && rows[0] == rows[2]
            && rows[1] == rows[3]
            && rows[0] != rows[1];
        fits.then_some((hidden, output))
    }

    /// Looks up `ids` in rows of `length` tokens: [rows, length, hidden].
    pub(super) fn of(
        &self,
        model: &Model,
        ids: &[i32],
        length: usize,
        pool: &Arc<ThreadPool>,
    ) -> Result<Vec<f32>, RunError> {
        let table = self.table.as_ref().unwrap_or(model);
        let values = look_up(table, self.ids, self.output, ids, length, pool)?;
        if values.len() == ids.len() * self.hidden {
            Ok(values)
        } else {
            Err(RunError::Model(
                "its word embeddings change their size".into(),
            ))
        }
    }

    /// Returns whether the network takes embeddings and nothing else.
    pub(super) fn is_before(&self) -> bool {
        self.table.is_some()
    }

    /// Computes mean and deviation over the whole table of `vocabulary` tokens.
    pub(super) fn spread(
        &self,
        model: &Model,
        vocabulary: usize,
        pool: &Arc<ThreadPool>,
    ) -> Result<Spread, RunError> {
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for begin in (0..vocabulary).step_by(CHUNK) {
            let end = vocabulary.min(begin + CHUNK);
            let ids: Vec<i32> = (begin..end)
                .map(|id| i32::try_from(id).unwrap_or(i32::MAX))
                .collect();
            for value in self.of(model, &ids, ids.len(), pool)? {
                let value = f64::from(value);
                count += 1.0;
                sum += value;
                squares += value * value;
            }
        }
        let mean: f64 = sum / f64::max(count, 1.0);
        let variance: f64 = squares / f64::max(count, 1.0) - mean * mean;
        Ok(Spread {
            mean,
            deviation: variance.max(0.0).sqrt(),
        })
    }
}

/// Computes the value `output` for tokens in rows of `length`, flat.
fn look_up(
    model: &Model,
    input: NodeId,
    output: NodeId,
    ids: &[i32],
    length: usize,
    pool: &Arc<ThreadPool>,
) -> Result<Vec<f32>, RunError> {
    let failed = |error: &dyn std::fmt::Display| RunError::Model(error.to_string());
    let rows = ids.len() / length.max(1);
    let tensor =
        Tensor::try_from_data(&[rows, length][..], ids.to_vec()).map_err(|error| failed(&error))?;
    let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
    let values = model
        .run(vec![(input, tensor.into())], &[output], Some(options))
        .map_err(|error| failed(&error))?;
    let value = values.first().map(TensorView::<'_, f32>::try_from);
    match value {
        Some(Ok(view)) if view.ndim() == 3 && view.shape()[..2] == [rows, length] => {
            Ok(view.to_vec())
        }
        _ => Err(RunError::Model(
            "it has no word embeddings of the shape [batch, tokens, hidden]".into(),
        )),
    }
}
