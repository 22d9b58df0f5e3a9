//! The ONNX network of a text model: tokens in, one tensor of floats out.

use std::path::Path;
use std::sync::Arc;

use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use super::error::TextLoadError;
use crate::classifier::load_file;
use crate::{RunError, parallel};

/// Most tokens in one run: more make it no faster, and cost memory.
const RUN_TOKENS: usize = 2048;
/// Most values that one run answers (64 MB): the logits of a whole vocabulary are large.
const RUN_VALUES: usize = 1 << 24;

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ids,
    /// 1 for tokens, 0 for padding.
    Mask,
    /// Which of two sentences; always the first.
    Types,
}

/// One of the network's outputs, tried on one text.
#[derive(Debug)]
pub(crate) struct Output {
    id: NodeId,
    pub name: String,
    pub shape: Vec<usize>,
}

/// A loaded network.
pub(crate) struct Network {
    model: Model,
    /// All threads for one run: for less work than there are threads.
    together: Arc<ThreadPool>,
    /// A thread each for runs side by side: threads that never wait for each other get more done.
    apart: Vec<Arc<ThreadPool>>,
    inputs: Vec<(NodeId, Role)>,
    outputs: Vec<NodeId>,
    pad: i32,
    /// The batch and the length that the file insists on.
    exact_batch: Option<usize>,
    exact_length: Option<usize>,
    /// Most texts in a run.
    batch: usize,
}

impl Network {
    pub(crate) fn load(path: &Path, threads: usize, pad: i32) -> Result<Self, TextLoadError> {
        let model = load_file(path).map_err(|cause| TextLoadError::Onnx {
            path: path.to_owned(),
            cause,
        })?;
        let mut inputs = Vec::new();
        for &id in model.input_ids() {
            inputs.push((id, role(&name(&model, id))?));
        }
        let Some(&(ids, _)) = inputs.iter().find(|(_, role)| *role == Role::Ids) else {
            let names = model.input_ids().iter().map(|&id| name(&model, id));
            return Err(TextLoadError::NoIds(names.collect()));
        };
        let shape = model.node_info(ids).and_then(|info| info.shape());
        let fixed = |at: usize| match shape.as_ref().and_then(|shape| shape.get(at)) {
            // Zero stands for "any" in some exporters' files.
            Some(Dimension::Fixed(size)) if *size > 0 => Some(*size),
            _ => None,
        };
        let threads = threads.max(1);
        Ok(Self {
            exact_batch: fixed(0),
            exact_length: fixed(1),
            outputs: model.output_ids().to_vec(),
            model,
            together: Arc::new(ThreadPool::with_num_threads(threads)),
            apart: (0..threads)
                .map(|_| Arc::new(ThreadPool::with_num_threads(1)))
                .collect(),
            inputs,
            pad,
            batch: 1,
        })
    }

    /// The one length of texts that the file takes, if it takes only one.
    pub(crate) fn exact_length(&self) -> Option<usize> {
        self.exact_length
    }

    /// Runs one text; the outputs of floats and their shapes.
    pub(crate) fn outputs(&self, text: &[i32]) -> Result<Vec<Output>, RunError> {
        let mut found = Vec::new();
        let values = self.run_raw(&self.together, &[text], &self.outputs)?;
        for (&id, value) in self.outputs.iter().zip(&values) {
            if let Ok(view) = TensorView::<'_, f32>::try_from(value) {
                found.push(Output {
                    id,
                    name: name(&self.model, id),
                    shape: view.shape().to_vec(),
                });
            }
        }
        Ok(found)
    }

    /// All later runs answer this output.
    pub(crate) fn choose(&mut self, output: &Output) {
        self.outputs = vec![output.id];
    }

    /// Sets how many texts may share a run: `asked`, or 1 if company moves the answer to `short` by
    /// more than rounding, else `usual`. Tries `long` in any case.
    pub(crate) fn choose_batch(
        &mut self,
        asked: Option<usize>,
        usual: usize,
        short: &[i32],
        long: &[i32],
    ) -> Result<(), RunError> {
        let first = |view: TensorView<'_, f32>| -> Vec<f32> {
            let width = view.shape().last().copied().unwrap_or(0);
            view.iter().take(width).copied().collect()
        };
        self.run(&self.together, &[long], |_| ())?;
        self.batch = match (asked, self.exact_batch) {
            (asked, Some(exact)) => asked.unwrap_or(1).min(exact),
            (Some(asked), None) => asked,
            (None, None) => {
                let alone = self.run(&self.together, &[short], first)?;
                let together = self.run(&self.together, &[short, long], first)?;
                let largest = alone
                    .iter()
                    .fold(0.0_f32, |most, value| most.max(value.abs()));
                let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * largest;
                if alone.iter().zip(&together).all(same) {
                    usual
                } else {
                    1
                }
            }
        }
        .max(1);
        Ok(())
    }

    /// Most texts in a run.
    #[cfg(test)]
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Runs all texts, similar lengths together so that padding is cheap, on several threads; what
    /// `read` makes of each. It is given the output, which row of it, and which text.
    ///
    /// `width` is how many values the network answers for a token.
    pub(crate) fn run_all<T: Send>(
        &self,
        texts: &[&[i32]],
        width: usize,
        read: impl Fn(&TensorView<'_, f32>, usize, usize) -> Result<T, RunError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // Stable, so that the same texts are always grouped in the same way.
        order.sort_by_key(|&at| texts[at].len());
        let mut groups: Vec<&[usize]> = Vec::new();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let fits = |count: usize| {
                // Sorted: the last of a group is its longest.
                let tokens = count * texts[rest[count - 1]].len();
                count <= self.batch
                    && tokens <= RUN_TOKENS
                    && tokens.saturating_mul(width) <= RUN_VALUES
            };
            let count = (2..=rest.len()).take_while(|&count| fits(count)).last();
            let (group, others) = rest.split_at(count.unwrap_or(1));
            groups.push(group);
            rest = others;
        }
        let side_by_side = groups.len() >= self.apart.len();
        let threads = if side_by_side { self.apart.len() } else { 1 };
        let answers = parallel::map(threads, groups.len(), |thread, group| {
            let pool = if side_by_side {
                &self.apart[thread]
            } else {
                &self.together
            };
            let group = groups[group];
            let parts: Vec<&[i32]> = group.iter().map(|&at| texts[at]).collect();
            self.run(pool, &parts, |view| {
                let read = group
                    .iter()
                    .enumerate()
                    .map(|(row, &at)| read(&view, row, at));
                read.collect::<Result<Vec<T>, RunError>>()
            })?
        })?;
        let mut sorted: Vec<(usize, T)> = order
            .iter()
            .copied()
            .zip(answers.into_iter().flatten())
            .collect();
        sorted.sort_unstable_by_key(|(at, _)| *at);
        Ok(sorted.into_iter().map(|(_, answer)| answer).collect())
    }

    /// One run; what `read` makes of the chosen output.
    fn run<R>(
        &self,
        pool: &Arc<ThreadPool>,
        texts: &[&[i32]],
        read: impl FnOnce(TensorView<'_, f32>) -> R,
    ) -> Result<R, RunError> {
        let values = self.run_raw(pool, texts, &self.outputs[..1])?;
        let value = values
            .first()
            .ok_or_else(|| RunError::Model("it gave no output".into()))?;
        let view = TensorView::<'_, f32>::try_from(value)
            .map_err(|_| RunError::NotFloat(name(&self.model, self.outputs[0])))?;
        Ok(read(view))
    }

    fn run_raw(
        &self,
        pool: &Arc<ThreadPool>,
        texts: &[&[i32]],
        outputs: &[NodeId],
    ) -> Result<Vec<rten::Value>, RunError> {
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let length = self.exact_length.unwrap_or(longest).max(longest);
        let rows = self.exact_batch.unwrap_or(texts.len()).max(texts.len());
        let failed = |error: &dyn std::fmt::Display| RunError::Model(error.to_string());
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for &(id, role) in &self.inputs {
            let (of_token, of_padding): (fn(i32) -> i32, i32) = match role {
                Role::Ids => (|token| token, self.pad),
                Role::Mask => (|_| 1, 0),
                Role::Types => (|_| 0, 0),
            };
            let mut data = Vec::with_capacity(rows * length);
            // A row without any token would be divided by zero; what fills the batch is a copy.
            for text in texts.iter().chain(std::iter::repeat(&texts[0])).take(rows) {
                data.extend(text.iter().map(|&token| of_token(token)));
                data.resize(data.len() + length - text.len(), of_padding);
            }
            let tensor =
                Tensor::try_from_data(&[rows, length][..], data).map_err(|error| failed(&error))?;
            inputs.push((id, tensor.into()));
        }
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        self.model
            .run(inputs, outputs, Some(options))
            .map_err(|error| failed(&error))
    }
}

fn role(name: &str) -> Result<Role, TextLoadError> {
    let lower = name.to_ascii_lowercase();
    if lower.contains("type") || lower.contains("segment") {
        Ok(Role::Types)
    } else if lower.contains("position") || lower.contains("decoder") {
        Err(TextLoadError::Input(name.to_owned()))
    } else if lower.contains("mask") {
        Ok(Role::Mask)
    } else if lower.contains("ids") {
        Ok(Role::Ids)
    } else {
        Err(TextLoadError::Input(name.to_owned()))
    }
}

fn name(model: &Model, id: NodeId) -> String {
    model
        .node_info(id)
        .and_then(|info| info.name().map(str::to_owned))
        .unwrap_or_default()
}
