//! A language model's tokenizer and its table of input embeddings: all of the model that a soft
//! prompt needs if a server takes whole prompts as embeddings (`model_client::prompt_embeds`).

use half::{bf16, f16};
use model_client::prompt_embeds::{Embedder, PromptEmbeds};
use thiserror::Error;
use tokenizers::Tokenizer;

use crate::fetched::{self, FileError};
use crate::safetensors_header::Header;
use crate::text::frame;
use crate::torch_save::torch_save;

/// Number format of a table and of embeddings as they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// bfloat16, the upper half of [`Element::F32`].
    Bf16,
}

impl Element {
    const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// The format's name in safetensors files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Finds the format by its name in safetensors files.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Bytes of one number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Rows of embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Format of the numbers.
    pub element: Element,
    /// Number of values in a row; never 0.
    pub hidden: usize,
    /// Values [tokens, hidden], row by row, little-endian.
    pub bytes: Vec<u8>,
}

impl Embedded {
    /// Number of rows.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.bytes.len() / (self.hidden * self.element.size()).max(1)
    }
}

/// Why the files cannot be used.
#[derive(Debug, Error)]
pub enum EmbeddingsError {
    /// A file is missing, or differs from the task's.
    #[error(transparent)]
    Fetched(#[from] FileError),
    /// A file is not what it should be.
    #[error("{path} is not usable: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The table is missing, or is not a table.
    #[error("{path}: {cause}; its tensors are {}", some(.tensors))]
    Table {
        /// The file.
        path: String,
        /// What is wrong.
        cause: String,
        /// Names of the tensors that the file has.
        tensors: Vec<String>,
    },
    /// The task's soft prompts have another size.
    #[error(
        "the model's embeddings have {hidden} numbers each, but generator.hidden is {wanted}; the task is for another model, or should say {hidden}"
    )]
    Hidden {
        /// Values in a row of the table.
        hidden: usize,
        /// Values in a token of the task's soft prompts.
        wanted: usize,
    },
}

impl EmbeddingsError {
    /// A code for programs: `model_missing`, `model_hash`, or `model_unusable`, as for a model on
    /// the device.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetched(error) => error.code(),
            Self::File { .. } | Self::Table { .. } | Self::Hidden { .. } => "model_unusable",
        }
    }
}

fn some(tensors: &[String]) -> String {
    let most = 8;
    let more = if tensors.len() > most { ", …" } else { "" };
    format!("{}{more}", tensors[..tensors.len().min(most)].join(", "))
}

/// A table of embeddings, [rows, hidden].
#[derive(Debug)]
pub struct Table {
    element: Element,
    hidden: usize,
    bytes: Vec<u8>,
}

impl Table {
    /// Reads the tensor `name` of a safetensors file; messages call the file `path`.
    ///
    /// # Errors
    /// [`EmbeddingsError`], if there is no such tensor, or it is not a table of floating-point
    /// numbers of 16 or 32 bits.
    pub fn read(path: &str, mut file: Vec<u8>, name: &str) -> Result<Self, EmbeddingsError> {
        let broken = |cause: String| EmbeddingsError::File {
            path: path.to_owned(),
            cause,
        };
        let header = Header::of(&file).map_err(broken)?;
        let wrong = |cause: String| EmbeddingsError::Table {
            path: path.to_owned(),
            cause,
            tensors: header.names().map(str::to_owned).collect(),
        };
        let Some(tensor) = header.tensor(name).map_err(wrong)? else {
            return Err(wrong(format!("it holds no tensor {name}")));
        };
        let Some(element) = Element::named(&tensor.dtype) else {
            return Err(wrong(format!(
                "{name} holds numbers of the type {}, but F32, F16 or BF16 is needed (take the model that is not quantised)",
                tensor.dtype
            )));
        };
        let [rows, hidden] = tensor.shape[..] else {
            return Err(wrong(format!("{name} has the shape {:?}", tensor.shape)));
        };
        let [begin, end] = tensor.bytes;
        let bytes = rows
            .checked_mul(hidden)
            .and_then(|n| n.checked_mul(element.size() as u64));
        if bytes != Some(end - begin) || begin == end || (file.len() as u64) < end {
            return Err(wrong(format!("{name} is empty, or cut off")));
        }
        // All are below the file's length.
        let (begin, end, hidden) = (begin as usize, end as usize, hidden as usize);
        // Of a whole model, only the table is kept.
        file.truncate(end);
        file.drain(..begin);
        file.shrink_to_fit();
        Ok(Self {
            element,
            hidden,
            bytes: file,
        })
    }

    /// Number of rows: tokens that have an embedding.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.bytes.len() / self.row_bytes()
    }

    /// Number of values in a row.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Format of its numbers.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// Standard deviation of all its numbers, by which a generator scales soft prompts.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        let count = (self.bytes.len() / self.element.size()).max(1) as f64;
        for number in self.bytes.chunks_exact(self.element.size()) {
            let value = f64::from(decode(self.element, number));
            sum += value;
            squares += value * value;
        }
        let mean = sum / count;
        (squares / count - mean * mean).max(0.0).sqrt()
    }

    fn row_bytes(&self) -> usize {
        self.hidden * self.element.size()
    }

    fn row(&self, token: u32) -> Option<&[u8]> {
        let begin = (token as usize).checked_mul(self.row_bytes())?;
        self.bytes.get(begin..begin + self.row_bytes())
    }
}

fn decode(element: Element, number: &[u8]) -> f32 {
    match (element, number) {
        (Element::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (Element::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
        (Element::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
        _ => 0.0,
    }
}

/// Writes `value` rounded to the nearest representable number, ties to even; never infinite.
fn encode(element: Element, value: f32, bytes: &mut Vec<u8>) {
    match element {
        Element::F32 => bytes.extend(value.clamp(-f32::MAX, f32::MAX).to_le_bytes()),
        Element::F16 => {
            let most = f16::MAX.to_f32();
            bytes.extend(f16::from_f32(value.clamp(-most, most)).to_le_bytes());
        }
        Element::Bf16 => {
            let most = bf16::MAX.to_f32();
            bytes.extend(bf16::from_f32(value.clamp(-most, most)).to_le_bytes());
        }
    }
}

/// A tokenizer and its table.
#[derive(Debug)]
pub struct Embeddings {
    tokenizer: Tokenizer,
    /// Number of special tokens before every text; soft prompts follow them.
    opening: usize,
    table: Table,
}

impl Embeddings {
    /// Combines a table with `tokenizer`, the bytes of a tokenizer.json; messages call it `path`.
    ///
    /// # Errors
    /// [`EmbeddingsError::File`] if the bytes are not a tokenizer.
    pub fn new(path: &str, tokenizer: &[u8], table: Table) -> Result<Self, EmbeddingsError> {
        let broken = |cause: tokenizers::Error| EmbeddingsError::File {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        let mut tokenizer = Tokenizer::from_bytes(tokenizer).map_err(broken)?;
        // A prompt is sent in full; the server says if it is too long.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(broken)?;
        let (opening, _) = frame(&tokenizer).map_err(broken)?;
        Ok(Self {
            tokenizer,
            opening,
            table,
        })
    }
}

impl Embedder for Embeddings {
    fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String> {
        Ok(torch_save(&self.rows(text, soft)?))
    }
}

impl Embeddings {
    fn rows(&self, text: &str, soft: &[f32]) -> Result<Embedded, String> {
        let encoding = self.tokenizer.encode_fast(text, true);
        let encoding = encoding.map_err(|error| error.to_string())?;
        let ids = encoding.get_ids();
        let (hidden, element) = (self.table.hidden, self.table.element);
        if !soft.len().is_multiple_of(hidden) {
            return Err(format!(
                "{} numbers are no soft prompt of {hidden} a token",
                soft.len()
            ));
        }
        let mut bytes =
            Vec::with_capacity((ids.len() + soft.len() / hidden) * self.table.row_bytes());
        let prompt = |bytes: &mut Vec<u8>| soft.iter().for_each(|x| encode(element, *x, bytes));
        for (at, id) in ids.iter().enumerate() {
            if at == self.opening {
                prompt(&mut bytes);
            }
            let row = self.table.row(*id).ok_or_else(|| {
                let rows = self.table.rows();
                format!("the tokenizer knows a token {id}, but the table has {rows} rows: they are not of one model")
            })?;
            bytes.extend_from_slice(row);
        }
        if ids.len() <= self.opening {
            prompt(&mut bytes);
        }
        if bytes.is_empty() {
            return Err("the text is empty".to_owned());
        }
        Ok(Embedded {
            element,
            hidden,
            bytes,
        })
    }
}

/// A task's files on their way into embeddings; each is checked.
pub struct Fetched {
    wanted: PromptEmbeds,
    hidden: usize,
    files: [Option<Vec<u8>>; 2],
}

impl Fetched {
    /// Starts without files; `hidden` is the number of values in a token of the task's soft
    /// prompts.
    #[must_use]
    pub fn new(wanted: PromptEmbeds, hidden: usize) -> Self {
        Self {
            wanted,
            hidden,
            files: [None, None],
        }
    }

    /// Takes the bytes of file number `at` of [`PromptEmbeds::files`]. Numbers beyond the list are
    /// ignored.
    ///
    /// # Errors
    /// [`EmbeddingsError::Fetched`] if the task names another file.
    pub fn add(&mut self, at: usize, bytes: Vec<u8>) -> Result<(), EmbeddingsError> {
        let (Some(file), Some(place)) = (self.wanted.files.get(at), self.files.get_mut(at)) else {
            return Ok(());
        };
        fetched::check(file, &bytes)?;
        *place = Some(bytes);
        Ok(())
    }

    /// Reads the tokenizer and the table.
    ///
    /// # Errors
    /// [`EmbeddingsError`], which says what is missing or does not fit.
    pub fn load(self) -> Result<Embeddings, EmbeddingsError> {
        let [tokenizer, table] = self.wanted.files;
        let [first, second] = self.files;
        let first = first.ok_or_else(|| FileError::Missing(tokenizer.path.clone()))?;
        let second = second.ok_or_else(|| FileError::Missing(table.path.clone()))?;
        let table = Table::read(&table.path, second, &self.wanted.tensor)?;
        if table.hidden != self.hidden {
            return Err(EmbeddingsError::Hidden {
                hidden: table.hidden,
                wanted: self.hidden,
            });
        }
        Embeddings::new(&tokenizer.path, &first, table)
    }
}

#[cfg(test)]
mod tests;
