//! The ONNX network of a text model: tokens in, one tensor of floats out.

use std::path::Path;
use std::sync::Arc;

use rten::{Dimension, Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use super::embeddings::{Spread, WordEmbeddings};
use super::error::TextLoadError;
use super::folder::Folder;
use crate::{RunError, parallel};

/// Maximum number of tokens in one run: more make it no faster, and cost memory.
const RUN_TOKENS: usize = 2048;
/// Maximum number of values that one run answers (64 MB): the logits of a whole vocabulary are
/// large.
const RUN_VALUES: usize = 1 << 24;

/// Purpose of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ids,
    /// The tokens' embeddings, instead of the tokens.
    Embeds,
    /// The attention mask: 1 for tokens, 0 for padding.
    Mask,
    /// Which of two sentences a token belongs to; always the first.
    Types,
}

/// One of the network's outputs, tried on one text.
#[derive(Debug)]
pub(crate) struct Output {
    id: NodeId,
    pub name: String,
    pub shape: Vec<usize>,
}

/// A text as the network takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// Its tokens, with arbitrary tokens in the places of the soft prompt.
    pub ids: &'a [i32],
    /// Position of the soft prompt among them, and its embeddings, [tokens, hidden].
    pub soft: Option<(usize, &'a [f32])>,
}

impl<'a> From<&'a [i32]> for Row<'a> {
    fn from(ids: &'a [i32]) -> Self {
        Self { ids, soft: None }
    }
}

/// A loaded network.
pub(crate) struct Network {
    model: Model,
    /// The word embeddings; `None` if they cannot be reached.
    embeddings: Option<WordEmbeddings>,
    /// All threads for one run, for less work than there are threads.
    together: Arc<ThreadPool>,
    /// One thread each for parallel runs: threads that never wait for each other get more done.
    apart: Vec<Arc<ThreadPool>>,
    inputs: Vec<(NodeId, Role)>,
    outputs: Vec<NodeId>,
    pad: i32,
    /// The batch size and length that the file fixes.
    exact_batch: Option<usize>,
    exact_length: Option<usize>,
    /// Maximum number of texts in a run.
    batch: usize,
}

impl Network {
    /// Loads the network in `NAME.onnx` of the folder.
    pub(crate) fn load(
        folder: &Folder,
        file: &str,
        threads: usize,
        pad: i32,
    ) -> Result<Self, TextLoadError> {
        let path = folder.onnx(file)?;
        let model = folder.network(&path)?;
        let mut inputs = Vec::new();
        for &id in model.input_ids() {
            inputs.push((id, role(&name(&model, id))?));
        }
        let tokens = |(_, role): &&(NodeId, Role)| matches!(role, Role::Ids | Role::Embeds);
        let mut found = inputs.iter().filter(tokens);
        let (Some(&(ids, kind)), None) = (found.next(), found.next()) else {
            let names = model.input_ids().iter().map(|&id| name(&model, id));
            return Err(TextLoadError::NoIds(names.collect()));
        };
        let shape = model.node_info(ids).and_then(|info| info.shape());
        let fixed = |at: usize| match shape.as_ref().and_then(|shape| shape.get(at)) {
            // Zero stands for "any" in the files of some exporters.
            Some(Dimension::Fixed(size)) if *size > 0 => Some(*size),
            _ => None,
        };
        let threads = threads.max(1);
        let together = Arc::new(ThreadPool::with_num_threads(threads));
        let embeddings = match kind {
            Role::Embeds => Some(table(folder, &path, ids, &together)?),
            _ => None,
        };
        Ok(Self {
            exact_batch: fixed(0),
            exact_length: fixed(1),
            outputs: model.output_ids().to_vec(),
            model,
            embeddings,
            together,
            apart: (0..threads)
                .map(|_| Arc::new(ThreadPool::with_num_threads(1)))
                .collect(),
            inputs,
            pad,
            batch: 1,
        })
    }

    /// The length of texts, if the file fixes it.
    pub(crate) fn exact_length(&self) -> Option<usize> {
        self.exact_length
    }

    /// Runs one text; returns the float outputs and their shapes.
    pub(crate) fn outputs(&self, text: &[i32]) -> Result<Vec<Output>, RunError> {
        let mut found = Vec::new();
        let values = self.run_raw(&self.together, &[text.into()], &self.outputs)?;
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

    /// Makes `output` the answer of all later runs.
    pub(crate) fn choose(&mut self, output: &Output) {
        self.outputs = vec![output.id];
    }

    /// Sets how many texts may share a run: `asked`; or 1, if other texts change the answer to
    /// `short` by more than rounding; else `usual`. Tries `long` in any case.
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
        let (short, long) = (Row::from(short), Row::from(long));
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

    /// Finds out whether soft prompts can be put in; returns the number of values in a token's
    /// embedding and the table's spread. `text` begins with two different tokens and is tried;
    /// there are `vocabulary` tokens.
    pub(crate) fn find_embeddings(
        &mut self,
        text: &[i32],
        vocabulary: usize,
    ) -> Result<Option<(usize, Spread)>, RunError> {
        let &[a, b, ..] = text else {
            return Ok(None);
        };
        if self.embeddings.is_none()
            && let Some(&(ids, _)) = self.inputs.iter().find(|(_, role)| *role == Role::Ids)
            // A probe of four tokens does not fit a network with another fixed size.
            && self.exact_batch.is_none_or(|batch| batch == 1)
            && self.exact_length.is_none()
        {
            self.embeddings = WordEmbeddings::inside(&self.model, ids, [a, b], &self.together);
        }
        let Some(embeddings) = &self.embeddings else {
            return Ok(None);
        };
        // Changing what is put in must matter, and putting back what was read must change nothing.
        let hidden = embeddings.hidden;
        let own = embeddings.of(&self.model, &text[1..2], 1, &self.together);
        let all = |row| self.run(&self.together, &[row], |view| view.to_vec());
        let plain = all(text.into())?;
        let (same, other) = match own {
            Ok(own) => {
                let other = vec![0.0; hidden];
                let with = |soft| {
                    all(Row {
                        ids: text,
                        soft: Some((1, soft)),
                    })
                };
                (with(&own)?, with(&other)?)
            }
            Err(_) => (Vec::new(), plain.clone()),
        };
        if same != plain || other == plain {
            self.embeddings = self.embeddings.take().filter(WordEmbeddings::is_before);
            return Ok(None);
        }
        let spread = embeddings.spread(&self.model, vocabulary, &self.together)?;
        Ok(Some((hidden, spread)))
    }

    /// Maximum number of texts in a run.
    #[cfg(test)]
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Runs all texts on several threads, similar lengths together so that padding is cheap, and
    /// returns what `read` makes of each. `read` gets the output, the row in it, and the text's
    /// index.
    ///
    /// `width` is the number of values that the network answers for a token.
    pub(crate) fn run_all<T: Send>(
        &self,
        texts: &[Row<'_>],
        width: usize,
        read: impl Fn(&TensorView<'_, f32>, usize, usize) -> Result<T, RunError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // Stable, so that the same texts are always grouped in the same way.
        order.sort_by_key(|&at| texts[at].ids.len());
        let mut groups: Vec<&[usize]> = Vec::new();
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let fits = |count: usize| {
                // Sorted: the last of a group is its longest.
                let tokens = count * texts[rest[count - 1]].ids.len();
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
            let parts: Vec<Row<'_>> = group.iter().map(|&at| texts[at]).collect();
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

    /// Runs the network once; returns what `read` makes of the chosen output.
    fn run<R>(
        &self,
        pool: &Arc<ThreadPool>,
        texts: &[Row<'_>],
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
        texts: &[Row<'_>],
        outputs: &[NodeId],
    ) -> Result<Vec<rten::Value>, RunError> {
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let length = self.exact_length.unwrap_or(longest).max(longest);
        let rows = self.exact_batch.unwrap_or(texts.len()).max(texts.len());
        let failed = |error: &dyn std::fmt::Display| RunError::Model(error.to_string());
        // A row without any token would be divided by zero, so the batch is filled up with copies.
        let texts = || texts.iter().chain(std::iter::repeat(&texts[0])).take(rows);
        let filled = |of_token: fn(i32) -> i32, of_padding| {
            let mut data = Vec::with_capacity(rows * length);
            for text in texts() {
                data.extend(text.ids.iter().map(|&token| of_token(token)));
                data.resize(data.len() + length - text.ids.len(), of_padding);
            }
            data
        };
        let mut inputs = Vec::with_capacity(self.inputs.len() + 1);
        for &(id, role) in &self.inputs {
            let data = match role {
                Role::Ids => filled(|token| token, self.pad),
                Role::Mask => filled(|_| 1, 0),
                Role::Types => filled(|_| 0, 0),
                Role::Embeds => continue,
            };
            let tensor =
                Tensor::try_from_data(&[rows, length][..], data).map_err(|error| failed(&error))?;
            inputs.push((id, tensor.into()));
        }
        if let Some(embeddings) = self.embeddings.as_ref()
            && (embeddings.is_before() || texts().any(|text| text.soft.is_some()))
        {
            let ids = filled(|token| token, self.pad);
            let mut data = embeddings.of(&self.model, &ids, length, pool)?;
            let hidden = embeddings.hidden;
            for (row, text) in texts().enumerate() {
                let Some((at, soft)) = text.soft else {
                    continue;
                };
                let begin = (row * length + at) * hidden;
                data.get_mut(begin..begin + soft.len())
                    .ok_or_else(|| RunError::Model("a soft prompt is longer than its text".into()))?
                    .copy_from_slice(soft);
            }
            let tensor = Tensor::try_from_data(&[rows, length, hidden][..], data)
                .map_err(|error| failed(&error))?;
            inputs.push((embeddings.input, tensor.into()));
        }
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
        self.model
            .run(inputs, outputs, Some(options))
            .map_err(|error| failed(&error))
    }
}

/// The word embeddings of a network in `path` that takes them at `input`, from `embed_tokens.onnx`
/// beside it.
fn table(
    folder: &Folder,
    path: &Path,
    input: NodeId,
    pool: &Arc<ThreadPool>,
) -> Result<WordEmbeddings, TextLoadError> {
    let path = path.with_file_name("embed_tokens.onnx");
    if !folder.has(&path) {
        return Err(TextLoadError::NoTable(path));
    }
    let model = folder.network(&path)?;
    // Any two tokens will do.
    WordEmbeddings::before(model, input, [0, 1], pool).ok_or(TextLoadError::NoTable(path))
}

fn role(name: &str) -> Result<Role, TextLoadError> {
    let lower = name.to_ascii_lowercase();
    if lower.contains("embeds") {
        Ok(Role::Embeds)
    } else if lower.contains("type") || lower.contains("segment") {
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
