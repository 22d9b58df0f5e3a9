//! Texts over the Open Inference Protocol, as `BYTES` tensors: each element is its length in four
//! bytes, little-endian, and then its bytes.
//!
//! The inputs are the texts `[B]`, the label words `[C]`, and for sentence encoders the label
//! templates `[B]`. For soft prompts there are also `prompt_embeddings` (FP32 `[P, tokens,
//! hidden]`) and `text_prompt` or `template_prompt` (INT32 `[B]`), which name the prompt of each
//! text or template; these are additions of `fed-bbpt model-api`. The output is the scores `[B,
//! C]`. `fed-bbpt model-api` writes a model's kind, its largest batch and its mask token into the
//! `parameters` of its description; other servers may leave them out.

use serde_json::{Value, json};

use super::description::{self, both, check_classes, missing, number, strings};
use super::{
    Description, ModelApiError, ModelSpec, Request, Response, Scores, answer, check_status,
    infer_request, metadata_request, path_of,
};
use crate::{Protocol, TextDialect, TextQueries};
use tuning::wording::TextTask;

/// The dialect, configured for one model and one task.
pub(crate) struct OpenInferenceText {
    spec: ModelSpec,
    task: TextTask,
    path: String,
}

impl OpenInferenceText {
    /// Makes the dialect. `spec` must be free of faults.
    pub(crate) fn new(spec: ModelSpec, task: TextTask) -> Self {
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
    /// Why soft prompts of the task's size cannot be put into the model; `None` if they can.
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

    /// In what the model, by its own description, differs from the model that the task was written
    /// for; `None` if in nothing.
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
