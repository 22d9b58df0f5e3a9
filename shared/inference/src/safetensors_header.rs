//! Where a tensor stands in a safetensors file
//! (<https://github.com/huggingface/safetensors#format>): eight bytes say how long the header is,
//! which is JSON, and the tensors' bytes follow. Read here because the crate counts a tensor's bits
//! in `usize`: in a browser no tensor could be larger than 512 MiB, and tables of embeddings are.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes before the header.
pub const PREFIX: usize = 8;
/// No header of a real model comes near it.
const MOST: u64 = 100 << 20;

/// A file's header.
pub struct Header {
    tensors: Map<String, Value>,
    /// Its length with the [`PREFIX`]: there the tensors begin.
    end: u64,
}

/// One tensor.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// What its numbers are, such as `F32`.
    pub dtype: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// First byte in the file, and the one behind the last.
    pub bytes: [u64; 2],
}

#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Header {
    /// The length of the header, which follows, from the file's first bytes.
    ///
    /// # Errors
    /// It is none.
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
    /// It is none.
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
    /// It has none, or ends within it.
    pub fn of(file: &[u8]) -> Result<Self, String> {
        let (prefix, rest) = file.split_first_chunk().ok_or("it is empty")?;
        let json = rest.get(..Self::length(*prefix)?);
        Self::parse(json.ok_or("it ends within its header, or is no safetensors file")?)
    }

    /// What the tensors are called.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.tensors.keys().map(String::as_str);
        names.filter(|name| *name != "__metadata__")
    }

    /// Where the tensor called `name` stands; nothing if there is none.
    ///
    /// # Errors
    /// What is said of it makes no sense.
    pub fn place(&self, name: &str) -> Result<Option<Place>, String> {
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
        Ok(Some(Place {
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
        let place = header.place("a").unwrap().unwrap();
        let begin = 16 + json.len() as u64;
        assert_eq!(
            (&*place.dtype, &place.shape[..]),
            ("BF16", &[128_256, 4096][..])
        );
        assert_eq!(place.bytes, [begin, begin + 1_050_673_152]);
        assert_eq!(header.place("b").unwrap(), None);
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
            assert!(header.place("a").is_err(), "{info}");
        }
    }
}
