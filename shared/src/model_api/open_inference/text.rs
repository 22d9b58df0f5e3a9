//! Texts over the Open Inference Protocol: `BYTES` tensors, each element its length in four bytes, little-endian,
//! and then its bytes.
//!
//! Inputs: the texts [B], the label words [C], and for sentence encoders the label templates [B]; for soft prompts
//! also `prompt_embeddings` (FP32 [P, tokens, hidden]) and `text_prompt` or `template_prompt` (INT32 [B]), which
//! name the prompt of each text or template: additions of `fed-bbpt model-api`. Output: scores [B, C]. A model's kind, its largest batch and its mask token stand in the `parameters` of its description, as
//! `fed-bbpt model-api` writes them; other servers may leave them out.

use serde_json::{Value, json};

use super::description::{self, both, check_classes, missing, number, strings};
use super::{
    Description, ModelApiError, ModelSpec, Request, Response, Scores, answer, check_status,
    infer_request, metadata_request, path_of,
};
use crate::model_api::{Protocol, TextDialect, TextQueries};
use crate::task::text::TextTask;

/// The dialect, configured for one model and one task.
pub(in crate::model_api) struct OpenInferenceText {
    spec: ModelSpec,
    task: TextTask,
    path: String,
}

impl OpenInferenceText {
    /// `spec` must be free of faults.
    pub(in crate::model_api) fn new(spec: ModelSpec, task: TextTask) -> Self {
        let path = path_of(&spec);
        Self { spec, task, path }
    }
}

impl Protocol for OpenInferenceText {
    fn describe_request(&self) -> Request {
        metadata_request(&self.path)
    }

    fn limit_request(&self) -> Option<Request> {
        Some(super::config_request(&self.path))
    }

    fn limit(&self, response: &Response<'_>) -> Option<usize> {
        description::configured(response)
    }

    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        check_status(response, &self.spec.name)?;
        let metadata = description::read(response.body)?;
        let (inputs, outputs) = both(&metadata)?;
        let mut faults = Vec::new();
        let tensors = &self.task.tensors;
        let wanted = [
            Some(&tensors.text),
            Some(&tensors.labels),
            self.task.has_template().then_some(&tensors.template),
        ];
        for name in wanted.into_iter().flatten() {
            match inputs.iter().find(|tensor| tensor.name == name) {
                None => faults.push(missing("input", name, &inputs)),
                Some(tensor) if tensor.datatype != "BYTES" => faults.push(format!(
                    "the task sends `{name}` as BYTES, the model takes {}",
                    tensor.datatype
                )),
                Some(_) => {}
            }
        }
        match outputs
            .iter()
            .find(|tensor| tensor.name == self.spec.output.name)
        {
            None => faults.push(missing("output", &self.spec.output.name, &outputs)),
            Some(tensor) => check_classes(self.spec.output.classes, tensor, &mut faults),
        }
        let parameters = &metadata["parameters"];
        faults.extend(self.kind_fault(parameters));
        faults.extend(self.soft_fault(parameters));
        if faults.is_empty() {
            let limit = |key: &str| number(&parameters[key]).filter(|limit| *limit > 0);
            Ok(Description {
                max_batch: limit("max_batch").or_else(|| limit("max_batch_size")),
                labels: strings(&parameters["labels"]),
                platform: metadata["platform"].as_str().unwrap_or_default().to_owned(),
            })
        } else {
            Err(ModelApiError::Disagrees { faults })
        }
    }

    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        check_status(response, &self.spec.name)?;
        answer::read(&self.spec.output, response, count, false)
    }
}

impl TextDialect for OpenInferenceText {
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        let tensors = &self.task.tensors;
        let mut inputs = vec![
            (&tensors.text, &queries.texts),
            (&tensors.labels, &self.task.words),
        ];
        if !queries.templates.is_empty() {
            inputs.push((&tensors.template, &queries.templates));
        }
        let (mut described, mut raw) = (Vec::new(), Vec::new());
        if let Some(soft) = &queries.soft {
            let size = (soft.tokens * soft.hidden).max(1);
            let shape = [soft.embeddings.len() / size, soft.tokens, soft.hidden];
            described.push(json!({
                "name": "prompt_embeddings",
                "shape": shape,
                "datatype": "FP32",
                "parameters": { "binary_data_size": 4 * soft.embeddings.len() },
            }));
            raw.extend(soft.embeddings.iter().flat_map(|x| x.to_le_bytes()));
            let whose = ["text_prompt", "template_prompt"][usize::from(soft.before_label)];
            described.push(json!({
                "name": whose,
                "shape": [soft.of_text.len()],
                "datatype": "INT32",
                "parameters": { "binary_data_size": 4 * soft.of_text.len() },
            }));
            raw.extend(soft.of_text.iter().flat_map(|x| x.to_le_bytes()));
        }
        for (name, elements) in inputs {
            let before = raw.len();
            for element in elements {
                // No text is longer than a few thousand characters.
                raw.extend_from_slice(&(element.len() as u32).to_le_bytes());
                raw.extend_from_slice(element.as_bytes());
            }
            described.push(json!({
                "name": name,
                "shape": [elements.len()],
                "datatype": "BYTES",
                "parameters": { "binary_data_size": raw.len() - before },
            }));
        }
        let header = json!({
            "inputs": described,
            "outputs": [{ "name": self.spec.output.name, "parameters": { "binary_data": true } }],
            "parameters": { "binary_data_output": true },
        });
        let mut body = header.to_string().into_bytes();
        let header_length = body.len();
        body.append(&mut raw);
        Ok(infer_request(&self.path, body, header_length))
    }
}

impl OpenInferenceText {
    /// Whether soft prompts of the task's size can be put into the model.
    fn soft_fault(&self, parameters: &Value) -> Option<String> {
        let wanted = self.task.soft?;
        let stated = &parameters["soft_prompts"];
        let (Some(hidden), Some(most)) = (number(&stated["hidden"]), number(&stated["max_tokens"]))
        else {
            return Some(
                "the task has soft prompts, which this model does not take (its metadata have no `soft_prompts`); generator.kind = \"discrete\" needs none"
                    .to_owned(),
            );
        };
        (hidden != wanted.hidden || wanted.tokens > most).then(|| {
            format!(
                "the task's soft prompts have {} tokens of {} numbers, the model takes up to {most} of {hidden}",
                wanted.tokens, wanted.hidden
            )
        })
    }

    /// What the model says of itself, and the task was not written for.
    fn kind_fault(&self, parameters: &Value) -> Option<String> {
        let template = self.task.has_template();
        match parameters["kind"].as_str()? {
            "sentence-encoder" if !template => Some(
                "the model is a sentence encoder, which needs text.template, such as \"This text is about {}.\""
                    .to_owned(),
            ),
            "masked-lm" if template => Some(
                "the model is a masked language model: leave text.template out and put the mask into text.input"
                    .to_owned(),
            ),
            "masked-lm" => {
                let mask = parameters["mask_token"].as_str()?;
                let fault = || format!("the model's mask is {mask}, which text.input does not hold");
                (!self.task.holds(mask)).then(fault)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::HEADER_LENGTH;
    use super::*;
    use crate::model_api::text_dialect;
    use crate::task::Task;

    fn task(text: Value) -> Task {
        Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "mini lm".replace(' ', "-"), "input": { "kind": "text" } },
            "data": { "labels": ["1", "2", "3"] },
            "text": text,
            "generator": { "candidates": ["", "a"] },
        }))
        .unwrap()
    }

    fn dialect(text: Value) -> Box<dyn TextDialect> {
        text_dialect(&task(text)).unwrap()
    }

    fn encoder() -> Box<dyn TextDialect> {
        dialect(json!({ "template": "About {}.", "words": ["wörld", "sport", "money"] }))
    }

    fn answer(body: &[u8]) -> Response<'_> {
        Response {
            status: 200,
            headers: &[],
            body,
        }
    }

    /// The elements of a BYTES tensor, as a server reads them.
    fn elements(mut bytes: &[u8]) -> Vec<String> {
        let mut elements = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (element, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            elements.push(String::from_utf8(element.to_vec()).unwrap());
            bytes = rest;
        }
        assert!(bytes.is_empty());
        elements
    }

    #[test]
    fn a_request_by_the_wire_contract() {
        let queries = TextQueries {
            texts: vec!["a text".into(), String::new()],
            templates: vec!["About {}.".into(), "news About {}.".into()],
            soft: None,
        };
        let request = encoder().infer_request(&queries).unwrap();
        assert_eq!(request.path, "/v2/models/mini-lm/infer");
        let length = request
            .headers
            .iter()
            .find(|(name, _)| name == HEADER_LENGTH);
        let (header, mut raw) = request.body.split_at(length.unwrap().1.parse().unwrap());
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["parameters"]["binary_data_output"], true);
        let mut found = Vec::new();
        for input in header["inputs"].as_array().unwrap() {
            assert_eq!(input["datatype"], "BYTES");
            let size = input["parameters"]["binary_data_size"].as_u64().unwrap() as usize;
            let (own, rest) = raw.split_at(size);
            let elements = elements(own);
            assert_eq!(input["shape"], json!([elements.len()]));
            found.push((input["name"].as_str().unwrap().to_owned(), elements));
            raw = rest;
        }
        assert!(raw.is_empty());
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("text".to_owned(), queries.texts),
                ("labels".to_owned(), strings(&["wörld", "sport", "money"])),
                ("template".to_owned(), queries.templates),
            ]
        );
        let masked = dialect(json!({ "input": "{text} <mask>" })).infer_request(&TextQueries {
            texts: vec!["x <mask>".into()],
            templates: Vec::new(),
            soft: None,
        });
        let masked = masked.unwrap();
        assert!(!String::from_utf8_lossy(&masked.body).contains("template"));
    }

    #[test]
    fn soft_prompts_come_first_and_are_named() {
        let task = Task::from_value(json!({
            "name": "Topics",
            "model": { "url": "http://127.0.0.1:8701", "name": "mini-lm", "input": { "kind": "text" } },
            "data": { "labels": ["1", "2"] },
            "text": { "template": "About {}." },
            "generator": { "kind": "soft", "tokens": 2, "hidden": 3, "deviation": 0.1 },
            "optimizer": { "kind": "cma-es" },
        }))
        .unwrap();
        let dialect = text_dialect(&task).unwrap();
        let soft = crate::model_api::SoftQueries {
            embeddings: (0..12).map(|i| i as f32).collect(),
            tokens: 2,
            hidden: 3,
            of_text: vec![1, 0, 1],
            before_label: true,
        };
        assert_eq!(soft.prompt(0), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        let queries = TextQueries {
            texts: vec!["a".into(), "b".into(), "c".into()],
            templates: vec!["About {}.".into(); 3],
            soft: Some(soft),
        };
        let part = queries.part(1..3);
        assert_eq!(
            (part.texts.len(), part.soft.unwrap().of_text),
            (2, vec![0, 1])
        );
        let request = dialect.infer_request(&queries).unwrap();
        let length = request
            .headers
            .iter()
            .find(|(name, _)| name == HEADER_LENGTH);
        let (header, raw) = request.body.split_at(length.unwrap().1.parse().unwrap());
        let header: Value = serde_json::from_slice(header).unwrap();
        let tensor = |at: usize| &header["inputs"][at];
        assert_eq!(
            (&tensor(0)["name"], &tensor(0)["shape"]),
            (&json!("prompt_embeddings"), &json!([2, 2, 3]))
        );
        assert_eq!(
            (&tensor(1)["name"], &tensor(1)["shape"]),
            (&json!("template_prompt"), &json!([3]))
        );
        assert_eq!(raw[4..8], 1.0_f32.to_le_bytes());
        assert_eq!(raw[48..60], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);

        let faults = |parameters: Value| match dialect
            .check_description(&answer(&description(parameters)))
        {
            Err(ModelApiError::Disagrees { faults }) => faults.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(faults(json!({})), 1);
        assert_eq!(
            faults(json!({ "soft_prompts": { "hidden": 4, "max_tokens": 9 } })),
            1
        );
        assert_eq!(
            faults(json!({ "soft_prompts": { "hidden": 3, "max_tokens": 1 } })),
            1
        );
        let good = description(json!({ "soft_prompts": { "hidden": 3, "max_tokens": 2 } }));
        assert!(dialect.check_description(&answer(&good)).is_ok());
    }

    fn description(parameters: Value) -> Vec<u8> {
        let input = |name: &str| json!({ "name": name, "datatype": "BYTES", "shape": [-1] });
        json!({
            "name": "mini-lm", "platform": "onnx_rten",
            "inputs": [input("text"), input("labels"), input("template")],
            "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, -1] }],
            "parameters": parameters,
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn descriptions_are_compared() {
        let body = description(json!({ "kind": "sentence-encoder", "max_batch": 16 }));
        let described = encoder().check_description(&answer(&body)).unwrap();
        assert_eq!(
            (described.max_batch, &*described.platform),
            (Some(16), "onnx_rten")
        );
        let masked = dialect(json!({ "input": "{text} <mask>" }));
        let faults = |dialect: &dyn TextDialect, body: &[u8]| match dialect
            .check_description(&answer(body))
        {
            Err(ModelApiError::Disagrees { faults }) => faults.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(faults(&*masked, &body), 1);
        let bert = description(json!({ "kind": "masked-lm", "mask_token": "[MASK]" }));
        assert_eq!(faults(&*encoder(), &bert), 1);
        assert_eq!(faults(&*masked, &bert), 1);
        let roberta = description(json!({ "kind": "masked-lm", "mask_token": "<mask>" }));
        assert!(masked.check_description(&answer(&roberta)).is_ok());
        // A server that says nothing more is believed.
        assert!(
            encoder()
                .check_description(&answer(&description(json!({}))))
                .is_ok()
        );
        let images = json!({
            "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 3, 32, 32] }, { "name": "text", "datatype": "FP32", "shape": [-1] }],
            "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, 10] }],
        });
        assert_eq!(faults(&*encoder(), images.to_string().as_bytes()), 4);
        for nonsense in ["", "[]", "<html>", "{}"] {
            let refused = encoder().check_description(&answer(nonsense.as_bytes()));
            assert!(
                matches!(refused, Err(ModelApiError::NotThisProtocol { .. })),
                "{nonsense}"
            );
        }
    }

    #[test]
    fn answers_are_read_and_checked() {
        let scores = |shape: Value, data: Value| {
            let body = json!({ "outputs": [{ "name": "logits", "datatype": "FP32", "shape": shape, "data": data }] });
            encoder().parse(&answer(body.to_string().as_bytes()), 2)
        };
        let good = scores(json!([2, 3]), json!([1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(good.row(1), [4.0, 5.0, 6.0]);
        assert!(scores(json!([2, 2]), json!([1, 2, 3, 4])).is_err());
        let missing = Response {
            status: 404,
            ..answer(b"{}")
        };
        assert!(matches!(
            encoder().parse(&missing, 2),
            Err(ModelApiError::NotFound { .. })
        ));
    }
}
