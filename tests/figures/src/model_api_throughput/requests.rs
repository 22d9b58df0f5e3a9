//! Binary inference requests of the Open Inference Protocol, all different, so that no cache
//! answers for the model.

use serde_json::{Value, json};

/// Makes whole HTTP requests for one model.
pub trait Requests: Sync {
    /// Makes request number `number`, with `batch` inputs.
    fn request(&self, number: u64, batch: usize) -> Vec<u8>;
}

/// Square images of bytes: UINT8 [batch, 3, side, side].
pub struct Images {
    pub model: &'static str,
    /// Name of the model's input.
    pub input: &'static str,
    pub side: usize,
}

/// Short texts, four labels and a template, all BYTES.
pub struct Texts {
    pub model: &'static str,
}

const LABELS: [&str; 4] = ["world", "sports", "business", "science"];
const TEMPLATE: &str = "This text is about {}.";
/// Number of words in one text.
const LENGTH: usize = 14;
const WORDS: [&str; 32] = [
    "the", "market", "game", "team", "rose", "fell", "city", "study", "after", "before", "new",
    "old", "report", "court", "space", "bank", "player", "virus", "oil", "phone", "school",
    "music", "of", "and", "in", "with", "year", "week", "price", "final", "minister", "river",
];

impl Requests for Images {
    fn request(&self, number: u64, batch: usize) -> Vec<u8> {
        let size = batch * 3 * self.side * self.side;
        let mut random = Random::new(number);
        let mut pixels = Vec::with_capacity(size + 8);
        while pixels.len() < size {
            pixels.extend_from_slice(&random.next().to_le_bytes());
        }
        pixels.truncate(size);
        let shape = json!([batch, 3, self.side, self.side]);
        request(self.model, &[(self.input, "UINT8", shape, pixels)])
    }
}

impl Requests for Texts {
    fn request(&self, number: u64, batch: usize) -> Vec<u8> {
        let mut random = Random::new(number);
        let texts = (0..batch).map(|at| {
            let words = (0..LENGTH).map(|_| WORDS[(random.next() % WORDS.len() as u64) as usize]);
            // Its own number makes it unique.
            format!("{} {number} {at}", words.collect::<Vec<_>>().join(" "))
        });
        let texts: Vec<String> = texts.collect();
        request(
            self.model,
            &[
                ("text", "BYTES", json!([batch]), strings(&texts)),
                ("labels", "BYTES", json!([LABELS.len()]), strings(&LABELS)),
                ("template", "BYTES", json!([1]), strings(&[TEMPLATE])),
            ],
        )
    }
}

/// The texts as `BYTES`, each with its length in four bytes before it.
fn strings(texts: &[impl AsRef<str>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        let text = text.as_ref().as_bytes();
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text);
    }
    bytes
}

/// Makes the request from `tensors`: name, datatype, shape and bytes of each.
fn request(model: &str, tensors: &[(&str, &str, Value, Vec<u8>)]) -> Vec<u8> {
    let inputs: Vec<Value> = tensors
        .iter()
        .map(|(name, datatype, shape, bytes)| {
            json!({
                "name": name, "datatype": datatype, "shape": shape,
                "parameters": { "binary_data_size": bytes.len() },
            })
        })
        .collect();
    let outputs = json!([{ "name": "logits", "parameters": { "binary_data": true } }]);
    let json = json!({ "inputs": inputs, "outputs": outputs }).to_string();
    let size = json.len() + tensors.iter().map(|tensor| tensor.3.len()).sum::<usize>();
    let mut out = format!(
        "POST /v2/models/{model}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n\
         Inference-Header-Content-Length: {}\r\nContent-Length: {size}\r\n\r\n{json}",
        json.len()
    )
    .into_bytes();
    for (_, _, _, bytes) in tensors {
        out.extend_from_slice(bytes);
    }
    out
}

/// SplitMix64 (Steele, Lea and Flood, 2014), a random number generator.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_hold_what_they_say() {
        let images = Images {
            model: "m",
            input: "x",
            side: 4,
        };
        let request = images.request(1, 2);
        let text = String::from_utf8_lossy(&request);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let number = |name: &str| -> usize {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse().unwrap()
        };
        let json = number("Inference-Header-Content-Length:");
        let read: Value = serde_json::from_str(&body[..json]).unwrap();
        assert_eq!(read["inputs"][0]["shape"], json!([2, 3, 4, 4]));
        assert_eq!(number("Content-Length:"), json + 96);
        assert_eq!(request.len(), head.len() + 4 + json + 96);
        assert_ne!(request, images.request(2, 2));
        let texts = Texts { model: "m" };
        assert_ne!(texts.request(1, 1), texts.request(2, 1));
        assert_eq!(texts.request(1, 3), texts.request(1, 3));
    }
}
