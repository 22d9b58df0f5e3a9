//! Finds a tensor in a safetensors file (<https://github.com/huggingface/safetensors#format>):
//! eight bytes with the length of the header, the header in JSON, then the tensors' bytes. Read
//! here because the crate `safetensors` counts a tensor's bits in `usize`: in a browser no tensor
//! could be larger than 512 MiB, and tables of embeddings are.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Number of bytes before the header.
pub const PREFIX: usize = 8;
/// Maximum length of a header; no real model's comes near it.
const MOST: u64 = 100 << 20;

/// A file's header.
pub struct Header {
    tensors: Map<String, Value>,
    /// Length of the header with the [`PREFIX`]: the offset at which the tensors begin.
    end: u64,
}

/// What the header says of one tensor.
#[derive(Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Number format, such as `F32`.
    pub dtype: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// Offsets in the file of the first byte and of the end.
    pub bytes: [u64; 2],
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Header {
    /// Reads the length of the header from the file's first bytes.
    ///
    /// # Errors
    /// A sentence for people, if they are not the start of such a file.
    pub fn length(prefix: [u8; PREFIX]) -> Result<usize, String> {
        let length = u64::from_le_bytes(prefix);
        if length > MOST {
            return Err("it is no safetensors file".to_owned());
        }
        Ok(length as usize)
    }

    /// Reads the header itself.
    ///
    /// # Errors
    /// A sentence for people, if it is not such a header.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let tensors = serde_json::from_slice(json)
            .map_err(|error| format!("it is no safetensors file ({error})"))?;
        Ok(Self {
            tensors,
            end: (PREFIX + json.len()) as u64,
        })
    }

    /// Reads the header of a whole file.
    ///
    /// # Errors
    /// A sentence for people, if the file has no header, or ends within it.
    pub fn of(file: &[u8]) -> Result<Self, String> {
        let (prefix, rest) = file.split_first_chunk().ok_or("it is empty")?;
        let json = rest.get(..Self::length(*prefix)?);
        Self::parse(json.ok_or("it ends within its header, or is no safetensors file")?)
    }

    /// Names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.tensors.keys().map(String::as_str);
        names.filter(|name| *name != "__metadata__")
    }

    /// Finds the tensor `name`; `None` if there is none.
    ///
    /// # Errors
    /// A sentence for people, if the header's entry makes no sense.
    pub fn tensor(&self, name: &str) -> Result<Option<TensorInfo>, String> {
        let Some(value) = self.tensors.get(name) else {
            return Ok(None);
        };
        let broken = || format!("what its header says of {name} makes no sense");
        let info = Info::deserialize(value).map_err(|_| broken())?;
        let at = |offset: u64| self.end.checked_add(offset).ok_or_else(broken);
        let [begin, end] = info.data_offsets;
        if begin > end {
            return Err(broken());
        }
        Ok(Some(TensorInfo {
            dtype: info.dtype,
            shape: info.shape,
            bytes: [at(begin)?, at(end)?],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> Vec<u8> {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        file
    }

    #[test]
    fn tensors_of_any_size_are_found() {
        // More bits than 32 can count.
        let json = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[128256,4096],"data_offsets":[8,1050673160]}}"#;
        let header = Header::of(&file(json)).unwrap();
        assert_eq!(header.names().collect::<Vec<_>>(), ["a"]);
        let tensor = header.tensor("a").unwrap().unwrap();
        let begin = 16 + json.len() as u64;
        assert_eq!(
            (&*tensor.dtype, &tensor.shape[..]),
            ("BF16", &[128_256, 4096][..])
        );
        assert_eq!(tensor.bytes, [begin, begin + 1_050_673_152]);
        assert_eq!(header.tensor("b").unwrap(), None);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            &[][..],
            &[7; 7],
            &[255; 16],
            &[40, 0, 0, 0, 0, 0, 0, 0, b'{'],
        ] {
            assert!(Header::of(bytes).is_err(), "{bytes:?}");
        }
        assert!(Header::of(&file("[]")).is_err());
        for info in [
            r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#,
            r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
            r#"{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}"#,
            "7",
        ] {
            let header = Header::of(&file(&format!(r#"{{"a":{info}}}"#))).unwrap();
            assert!(header.tensor("a").is_err(), "{info}");
        }
    }
}
