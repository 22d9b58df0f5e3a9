//! The bodies of answers.

use serde::Serialize;

use super::VERSION;

/// The part of an answer that does not depend on the scores.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHead<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Name of the output.
    pub output: &'a str,
    /// Number of scores for each input.
    pub classes: usize,
    /// The request's id, returned.
    pub id: Option<&'a str>,
}

#[derive(Serialize)]
struct RawAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    model_name: &'a str,
    model_version: &'static str,
    outputs: [RawScores<'a>; 1],
}

#[derive(Serialize)]
struct RawScores<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

/// Returns the body of an answer, and the length of its JSON if bytes follow.
pub fn answer(head: AnswerHead<'_>, scores: &[f32], binary: bool) -> (Vec<u8>, Option<usize>) {
    let size = size_of_val(scores);
    let raw = RawAnswer {
        id: head.id,
        model_name: head.model,
        model_version: VERSION,
        outputs: [RawScores {
            name: head.output,
            datatype: "FP32",
            shape: [scores.len() / head.classes, head.classes],
            parameters: binary.then_some(BinarySize {
                binary_data_size: size,
            }),
            data: (!binary).then_some(scores),
        }],
    };
    let mut body = Vec::with_capacity(size + 256);
    // Unwrap safety: strings and finite numbers always become JSON, and a Vec takes any bytes.
    #[allow(clippy::expect_used)]
    serde_json::to_writer(&mut body, &raw).expect("plain data");
    let header_length = binary.then_some(body.len());
    if binary {
        body.extend(scores.iter().flat_map(|score| score.to_le_bytes()));
    }
    (body, header_length)
}
