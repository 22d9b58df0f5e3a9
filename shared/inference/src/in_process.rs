//! A model API without HTTP: the routes of the Open Inference Protocol for one model, answered in
//! this process.
//!
//! A participant whose task says `dialect = "on-device"` talks to it as to any server, so that
//! requests and answers need no second form; the content of a request never leaves the process.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::protocol::{
    self, AnswerHead, HEADER_LENGTH, LOGITS, ModelInfo, TextInfo, VERSION, answer,
};
use crate::{Classifier, RequestError, RunError, TextModel};

/// One model with its form of requests.
pub enum InProcess {
    /// A model that takes images.
    Images(ModelInfo, Box<Classifier>),
    /// A model that takes texts.
    Texts(TextInfo, Box<TextModel>),
}

/// The answer that a server would give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers: lower-case names, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there are no scores.
enum InferError {
    Request(RequestError),
    Run(RunError),
}

impl From<RequestError> for InferError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<RunError> for InferError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl InProcess {
    /// Serves an image classifier under `name`, with at most `max_batch` images in one request.
    #[must_use]
    pub fn images(name: String, max_batch: usize, classifier: Classifier) -> Self {
        let info = ModelInfo::new(name, max_batch, &classifier);
        Self::Images(info, Box::new(classifier))
    }

    /// Serves a text model under `name`, with at most `max_batch` texts in one request.
    #[must_use]
    pub fn texts(name: String, max_batch: usize, model: TextModel) -> Self {
        let info = TextInfo::new(name, max_batch, &model);
        Self::Texts(info, Box::new(model))
    }

    /// Answers a request to `path` (`/v2/models/NAME` or `/v2/models/NAME/infer`); `header_length`
    /// is the value of [`HEADER_LENGTH`], if there is one. Every request gets an answer.
    #[must_use]
    pub fn answer(&self, path: &str, header_length: Option<&str>, body: &Bytes) -> Answer {
        match self.route(path) {
            Some("") => Answer::json(200, &self.metadata()),
            Some("ready") => Answer::json(200, &json!({})),
            Some("infer") => match self.infer(header_length, body) {
                Ok((body, length)) => Answer::scores(body, length),
                Err(InferError::Request(error)) => Answer::error(400, &error.to_string()),
                Err(InferError::Run(error)) => Answer::error(500, &error.to_string()),
            },
            _ => Answer::error(
                404,
                &format!("no such route or model; here is `{}`", self.name()),
            ),
        }
    }

    /// Returns the part of the path after the model.
    fn route<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path
            .strip_prefix("/v2/models/")?
            .strip_prefix(self.name())?;
        let version = format!("/versions/{VERSION}");
        let rest = rest.strip_prefix(&version).unwrap_or(rest);
        match rest {
            "" => Some(""),
            rest => rest.strip_prefix('/').filter(|route| !route.is_empty()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Images(info, _) => &info.name,
            Self::Texts(info, _) => &info.name,
        }
    }

    fn metadata(&self) -> Value {
        match self {
            Self::Images(info, _) => info.metadata(),
            Self::Texts(info, _) => info.metadata(),
        }
    }

    /// Returns the body of the scores, and the length of its JSON if bytes follow.
    fn infer(
        &self,
        header_length: Option<&str>,
        body: &Bytes,
    ) -> Result<(Vec<u8>, Option<usize>), InferError> {
        match self {
            Self::Images(info, classifier) => {
                let request = protocol::parse_images(info, body, header_length)?;
                let scores = classifier.run_batch(&[request.images.pixels()])?;
                let head = AnswerHead {
                    model: &info.name,
                    output: &info.output,
                    classes: info.classes,
                    id: request.id.as_deref(),
                };
                Ok(answer(head, scores.values(), request.binary_output))
            }
            Self::Texts(info, model) => {
                let request = protocol::parse_texts(info, body, header_length)?;
                let labels: Vec<&str> = request.labels.iter().map(String::as_str).collect();
                let prepared = model
                    .prepare(&request.queries(), &labels)
                    .map_err(|error| RequestError(error.to_string()))?;
                let scores = model.run(&[&prepared])?.concat();
                let head = AnswerHead {
                    model: &info.name,
                    output: LOGITS,
                    classes: labels.len(),
                    id: request.id.as_deref(),
                };
                Ok(answer(head, &scores, request.binary_output))
            }
        }
    }
}

impl Answer {
    fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            body: value.to_string().into_bytes(),
        }
    }

    fn error(status: u16, text: &str) -> Self {
        Self::json(status, &json!({ "error": text }))
    }

    fn scores(body: Vec<u8>, header_length: Option<usize>) -> Self {
        let kind = match header_length {
            Some(_) => "application/octet-stream",
            None => "application/json",
        };
        let length = header_length.map(|length| (HEADER_LENGTH.to_owned(), length.to_string()));
        let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
        headers.extend(length);
        Self {
            status: 200,
            headers,
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use model_client::Layout;

    use super::*;
    use crate::ClassifierOptions;

    const DIGITS: &[u8] =
        include_bytes!("../../../server/model-api/models/printed-digits/printed-digits.onnx");

    fn digits() -> InProcess {
        let classifier = Classifier::load(DIGITS.to_vec(), &ClassifierOptions::default()).unwrap();
        InProcess::images("digits.onnx".into(), 16, classifier)
    }

    fn status(model: &InProcess, path: &str) -> u16 {
        model.answer(path, None, &Bytes::new()).status
    }

    #[test]
    fn it_answers_as_the_server_does() {
        let model = digits();
        let InProcess::Images(_, classifier) = &model else {
            panic!("not of images")
        };
        assert_eq!(classifier.layout(), Layout::Nchw);
        let pixels: Vec<u8> = (0..2 * 3 * 32 * 32).map(|i| (i * 7 % 256) as u8).collect();
        let head = json!({ "id": "a", "inputs": [{ "name": "image", "datatype": "UINT8",
            "shape": [2, 3, 32, 32], "parameters": { "binary_data_size": pixels.len() } }],
            "parameters": { "binary_data_output": true } })
        .to_string();
        let body = Bytes::from([head.as_bytes(), &pixels].concat());
        let length = head.len().to_string();
        let answer = model.answer("/v2/models/digits.onnx/infer", Some(&length), &body);
        assert_eq!(answer.status, 200);
        let split: usize = answer.headers[1].1.parse().unwrap();
        let head: Value = serde_json::from_slice(&answer.body[..split]).unwrap();
        assert_eq!(head["outputs"][0]["shape"], json!([2, 10]));
        let scores = classifier.run(&pixels).unwrap();
        let bytes: Vec<u8> = scores
            .values()
            .iter()
            .flat_map(|score| score.to_le_bytes())
            .collect();
        assert_eq!(answer.body[split..], bytes);
    }

    #[test]
    fn whatever_is_asked_gets_an_answer() {
        let model = digits();
        assert_eq!(status(&model, "/v2/models/digits.onnx"), 200);
        assert_eq!(status(&model, "/v2/models/digits.onnx/versions/1"), 200);
        assert_eq!(status(&model, "/v2/models/digits.onnx/infer"), 400);
        for path in [
            "",
            "/v2/models/other",
            "/v2/models/digits.onnx2",
            "/v2/models/digits.onnx/",
            "/v2/models/digits.onnx/versions/2",
        ] {
            assert_eq!(status(&model, path), 404, "{path}");
        }
    }
}
