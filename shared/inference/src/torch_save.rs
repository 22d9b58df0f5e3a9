//! Writes a tensor as `torch.save` does, the form in which vLLM takes embeddings: a zip file
//! without compression, whose `data.pkl` is a pickle of the call that makes the tensor again, and
//! whose `data/0` holds its numbers. Only those parts of pickle are used that
//! `torch.load(…, weights_only=True)` accepts.
//!
//! The zip is written here, in forty lines: four stored files of fixed names and date, the same bytes
//! every time. The crate `zip`, which reads owners' archives on the server, would bring its readers and compression
//! into the module that browsers load.
//!
//! * <https://github.com/pytorch/pytorch/blob/main/torch/csrc/jit/serialization/import_read.cpp>
//! * <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use crate::prompt_embeds::{Element, Embedded};

/// Makes the zip file of a tensor [tokens, hidden].
pub(crate) fn torch_save(tensor: &Embedded) -> Vec<u8> {
    let mut zip = Zip::default();
    zip.add("prompt/data.pkl", &pickle(tensor));
    zip.add("prompt/byteorder", b"little");
    zip.add("prompt/data/0", &tensor.bytes);
    zip.add("prompt/version", b"3\n");
    zip.end()
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, (tokens, hidden), (hidden, 1), False, OrderedDict())`,
/// where the storage is the persistent object
/// `('storage', torch.FloatStorage, '0', 'cpu', numbers)`.
fn pickle(tensor: &Embedded) -> Vec<u8> {
    let storage = match tensor.element {
        Element::F32 => "FloatStorage",
        Element::F16 => "HalfStorage",
        Element::Bf16 => "BFloat16Storage",
    };
    let (tokens, hidden) = (tensor.tokens(), tensor.hidden);
    let mut pickle = vec![0x80, 2];
    global(&mut pickle, "torch._utils", "_rebuild_tensor_v2");
    // MARK, and another for the storage's tuple.
    pickle.extend(b"((");
    text(&mut pickle, "storage");
    global(&mut pickle, "torch", storage);
    text(&mut pickle, "0");
    text(&mut pickle, "cpu");
    whole(&mut pickle, tokens * hidden);
    // TUPLE, BINPERSID.
    pickle.extend(b"tQ");
    whole(&mut pickle, 0);
    for pair in [[tokens, hidden], [hidden, 1]] {
        whole(&mut pickle, pair[0]);
        whole(&mut pickle, pair[1]);
        // TUPLE2
        pickle.push(0x86);
    }
    // NEWFALSE
    pickle.push(0x89);
    global(&mut pickle, "collections", "OrderedDict");
    // EMPTY_TUPLE, REDUCE; TUPLE, REDUCE; STOP.
    pickle.extend(b")RtR.");
    pickle
}

fn global(pickle: &mut Vec<u8>, module: &str, name: &str) {
    pickle.extend(format!("c{module}\n{name}\n").bytes());
}

/// Appends BINUNICODE.
fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

/// Appends BININT. No prompt comes near its limit.
fn whole(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend(i32::try_from(number).unwrap_or(i32::MAX).to_le_bytes());
}

/// A zip file in the making: the files as they are, then the list of them.
#[derive(Default)]
struct Zip {
    bytes: Vec<u8>,
    list: Vec<u8>,
    files: u16,
}

/// 1 January 1980, the earliest date of a zip file.
const DATE: u16 = 0x0021;

impl Zip {
    fn add(&mut self, name: &str, content: &[u8]) {
        let begin = (self.bytes.len() as u32).to_le_bytes();
        let (crc, size) = (crc32fast::hash(content), content.len() as u32);
        // Version, flags, method (stored), time, date; CRC, both sizes; lengths of the name and of
        // the extra field.
        let mut head = Vec::new();
        head.extend([20_u16, 0, 0, 0, DATE].map(u16::to_le_bytes).concat());
        head.extend([crc, size, size].map(u32::to_le_bytes).concat());
        head.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&head);
        self.bytes.extend(name.bytes());
        self.bytes.extend(content);
        // The same fields in the list, preceded by the creator's version and followed by comment,
        // disk, attributes and offset.
        self.list.extend(b"PK\x01\x02\x14\0");
        self.list.extend(&head);
        self.list.extend([0; 10]);
        self.list.extend(begin);
        self.list.extend(name.bytes());
        self.files += 1;
    }

    fn end(mut self) -> Vec<u8> {
        let begin = self.bytes.len() as u32;
        let size = self.list.len() as u32;
        self.bytes.append(&mut self.list);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        let files = [self.files, self.files].map(u16::to_le_bytes);
        self.bytes.extend(files.concat());
        self.bytes
            .extend([size, begin].map(u32::to_le_bytes).concat());
        self.bytes.extend([0, 0]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The tensors that `shared/inference/vectors/torch_save.py` has loaded with torch.
    #[test]
    fn files_are_those_that_torch_loads() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("../vectors/torch_save.json")).unwrap();
        assert_eq!(vectors.len(), 3);
        for vector in vectors {
            let element = match vector["dtype"].as_str().unwrap() {
                "float32" => Element::F32,
                "float16" => Element::F16,
                _ => Element::Bf16,
            };
            let unhex = |key: &str| -> Vec<u8> {
                let (pairs, _) = vector[key].as_str().unwrap().as_bytes().as_chunks::<2>();
                let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
                pairs.iter().map(|pair| byte(pair)).collect()
            };
            let tensor = Embedded {
                element,
                hidden: vector["hidden"].as_u64().unwrap() as usize,
                bytes: unhex("bytes"),
            };
            assert_eq!(torch_save(&tensor), unhex("file"), "{}", vector["dtype"]);
        }
    }
}
