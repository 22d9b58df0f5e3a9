//! The tasks of Hugging Face's Inference API: reads their requests and writes their answers. No IO.
//!
//! What `huggingface_hub.InferenceClient` sends and reads:
//! <https://huggingface.co/docs/inference-providers/tasks/index>, and `tasks/*/spec/*.json` in
//! <https://github.com/huggingface/huggingface.js>.

mod answer;
mod request;

use std::borrow::Cow;

use serde_json::Value;

use crate::TextKind;
use crate::endpoint::{Endpoint, ImageEndpoint, Reply, TextEndpoint};
use crate::error::ApiError;
use crate::keys::Caller;
use crate::picture::{self, Decoded};
use crate::protocol::{MAX_LABELS, MAX_TEXT_BYTES};

use answer::{Apply, Fills, Labelled};
use request::{Inputs, Parameters, Request};

/// The task of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    ImageClassification,
    ZeroShotImageClassification,
    TextClassification,
    ZeroShotClassification,
    FillMask,
    FeatureExtraction,
    SentenceSimilarity,
}

impl Task {
    const ALL: [Self; 7] = [
        Self::ImageClassification,
        Self::ZeroShotImageClassification,
        Self::TextClassification,
        Self::ZeroShotClassification,
        Self::FillMask,
        Self::FeatureExtraction,
        Self::SentenceSimilarity,
    ];

    /// The task's name in the path.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImageClassification => "image-classification",
            Self::ZeroShotImageClassification => "zero-shot-image-classification",
            Self::TextClassification => "text-classification",
            Self::ZeroShotClassification => "zero-shot-classification",
            Self::FillMask => "fill-mask",
            Self::FeatureExtraction => "feature-extraction",
            Self::SentenceSimilarity => "sentence-similarity",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// Finds the task from the model and the body, because the client posts every task to the
    /// model's own address.
    fn of(endpoint: &Endpoint, request: &Request) -> Self {
        let labels = request.parameters.candidate_labels.is_some();
        match endpoint {
            Endpoint::Images(_) if labels => Self::ZeroShotImageClassification,
            Endpoint::Images(_) => Self::ImageClassification,
            Endpoint::Texts(_) if labels => Self::ZeroShotClassification,
            Endpoint::Texts(texts) => match (texts.model.kind(), &request.inputs) {
                (TextKind::SentenceEncoder, Inputs::Similar { .. }) => Self::SentenceSimilarity,
                // A text is classified by the labels that the server was started with.
                _ if !texts.defaults.labels.is_empty() && !request.is_about_tokens() => {
                    Self::TextClassification
                }
                (TextKind::SentenceEncoder, _) => Self::FeatureExtraction,
                (TextKind::MaskedLm, _) => Self::FillMask,
            },
        }
    }
}

/// The form of an answer's scores.
pub(crate) enum Form {
    Labelled(Labelled),
    Fills(Fills),
    /// Rows of `width` values; a single row is not wrapped in a list.
    Vectors {
        width: usize,
        lone: bool,
    },
    /// The cosines of the first row with the others.
    Similarities {
        width: usize,
    },
}

impl Form {
    /// The answer's JSON. `endpoint` is the model that was asked.
    pub(crate) fn answer(&self, endpoint: &Endpoint, scores: &[f32]) -> Value {
        match (self, endpoint) {
            (Self::Labelled(labelled), _) => labelled.answer(scores),
            (Self::Fills(fills), Endpoint::Texts(texts)) => fills.answer(texts, scores),
            (Self::Vectors { width, lone }, _) => answer::vectors(scores, *width, *lone),
            (Self::Similarities { width }, _) => answer::similarities(scores, *width),
            // Only text models fill masks.
            (Self::Fills(_), Endpoint::Images(_)) => Value::Null,
        }
    }
}

/// Reads a request and queues it. `task` is the one in the path, if any.
pub(crate) fn accept(
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
    task: Option<Task>,
) -> Result<(Form, Reply), ApiError> {
    // Clients state no content type for bytes, so the bytes themselves must show what they are.
    if let Endpoint::Images(images) = endpoint
        && picture::is_image(body)
    {
        return match task {
            None | Some(Task::ImageClassification) => {
                classify(images, caller, &[body.into()], &Request::default())
            }
            Some(task) => Err(bad(format!(
                "{} needs JSON, not an image alone",
                task.name()
            ))),
        };
    }
    let request = Request::parse(body)?;
    let task = task.unwrap_or_else(|| Task::of(endpoint, &request));
    match (task, endpoint) {
        (Task::ImageClassification, Endpoint::Images(images)) => {
            classify(images, caller, &files(images, &request.inputs)?, &request)
        }
        (Task::ZeroShotImageClassification, Endpoint::Images(images)) => {
            zero_shot_images(images, caller, &request)
        }
        (Task::ImageClassification | Task::ZeroShotImageClassification, Endpoint::Texts(texts)) => {
            Err(texts.not_for(task.name(), "image models"))
        }
        (_, Endpoint::Images(images)) => Err(bad(format!(
            "{} is for text models, and `{}` takes images",
            task.name(),
            images.info.name
        ))),
        (Task::TextClassification, Endpoint::Texts(texts)) => {
            classify_texts(texts, caller, &request)
        }
        (Task::ZeroShotClassification, Endpoint::Texts(texts)) => {
            zero_shot_texts(texts, caller, &request)
        }
        (Task::FillMask, Endpoint::Texts(texts)) => fill(texts, caller, &request),
        (Task::FeatureExtraction, Endpoint::Texts(texts)) => embed(texts, caller, &request),
        (Task::SentenceSimilarity, Endpoint::Texts(texts)) => similar(texts, caller, &request),
    }
}

/// The files of all images.
fn files(images: &ImageEndpoint, inputs: &Inputs) -> Result<Vec<Cow<'static, [u8]>>, ApiError> {
    let texts = inputs.list("inputs", images.info.max_batch, usize::MAX)?;
    texts.iter().map(|text| picture::from_text(text)).collect()
}

/// Default number of classes in an answer, as in `transformers`.
const TOP_CLASSES: usize = 5;

fn classify(
    images: &ImageEndpoint,
    caller: &Caller,
    files: &[Cow<'_, [u8]>],
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let form = Form::Labelled(Labelled {
        labels: images.labels(),
        columns: None,
        top: request.parameters.top_k.unwrap_or(TOP_CLASSES),
        apply: Apply::find(request.parameters.function_to_apply.as_deref())?,
        lone: request.inputs.is_lone(),
    });
    let Decoded { pixels, charge } = picture::decode(caller, &images.info, files)?;
    let work = crate::endpoint::bytes(pixels, None);
    let reply = images.score(charge, work, files.len())?;
    Ok((form, reply))
}

fn zero_shot_images(
    images: &ImageEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let labels = candidates(&request.parameters)?;
    let template = request.parameters.hypothesis_template.as_deref();
    let (prompts, columns) = images.candidates(&labels, template)?;
    let files = files(images, &request.inputs)?;
    let Decoded { pixels, charge } = picture::decode(caller, &images.info, &files)?;
    let work = crate::endpoint::bytes(pixels, prompts);
    let reply = images.score(charge, work, files.len())?;
    let form = Form::Labelled(Labelled::all(labels, columns, request.inputs.is_lone()));
    Ok((form, reply))
}

fn candidates(parameters: &Parameters) -> Result<Vec<String>, ApiError> {
    let labels = parameters.candidate_labels.as_ref();
    let labels = labels.ok_or_else(|| bad("parameters.candidate_labels is missing"))?;
    let labels = labels.list();
    if !(1..=MAX_LABELS).contains(&labels.len()) {
        return Err(bad(format!(
            "{} candidate labels came; send from 1 to {MAX_LABELS}",
            labels.len()
        )));
    }
    Ok(labels)
}

/// Default template into which labels are put, as in `transformers`.
const HYPOTHESIS: &str = "This example is {}.";

fn zero_shot_texts(
    texts: &TextEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    if texts.model.kind() != TextKind::SentenceEncoder {
        return Err(texts.not_for("zero-shot-classification", "sentence encoders"));
    }
    if request.parameters.multi_label == Some(true) {
        return Err(bad(
            "multi_label is for models of entailment; a sentence encoder compares the labels with each other",
        ));
    }
    let labels = candidates(&request.parameters)?;
    let inputs = request
        .inputs
        .list("inputs", texts.info.max_batch, MAX_TEXT_BYTES)?;
    let template = request.parameters.hypothesis_template.as_deref();
    let reply = texts.classify(
        caller,
        inputs,
        &labels,
        Some(template.unwrap_or(HYPOTHESIS)),
    )?;
    let form = Form::Labelled(Labelled::all(labels, None, request.inputs.is_lone()));
    Ok((form, reply))
}

fn classify_texts(
    texts: &TextEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let defaults = &texts.defaults;
    if defaults.labels.is_empty() {
        return Err(bad(format!(
            "`{}` has no labels of its own; start it with --labels FILE, or ask it for {}",
            texts.info.name,
            match texts.model.kind() {
                TextKind::SentenceEncoder => "zero-shot-classification with candidate_labels",
                TextKind::MaskedLm => "fill-mask with targets",
            }
        )));
    }
    let inputs = request
        .inputs
        .list("inputs", texts.info.max_batch, MAX_TEXT_BYTES)?;
    let template = defaults.template.as_deref();
    let reply = texts.classify(caller, inputs, &defaults.labels, template)?;
    let form = Form::Labelled(Labelled {
        top: request.parameters.top_k.unwrap_or(usize::MAX),
        apply: Apply::find(request.parameters.function_to_apply.as_deref())?,
        // The answer to a single text is wrapped in a list too.
        ..Labelled::all(defaults.labels.clone(), None, false)
    });
    Ok((form, reply))
}

/// Default number of tokens in an answer, as in `transformers`.
const TOP_TOKENS: usize = 5;

fn fill(
    texts: &TextEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let inputs = request
        .inputs
        .list("inputs", texts.info.max_batch, MAX_TEXT_BYTES)?;
    let (fill, charge) = texts.masks(caller, inputs)?;
    let targets = match &request.parameters.targets {
        None => None,
        Some(targets) => {
            let targets = targets.targets();
            if !(1..=MAX_LABELS).contains(&targets.len()) {
                return Err(bad(format!(
                    "{} targets came; send from 1 to {MAX_LABELS}",
                    targets.len()
                )));
            }
            let tokens = targets
                .iter()
                .map(|target| texts.model.words().token(target));
            let tokens: Vec<usize> = tokens
                .collect::<Result<_, _>>()
                .map_err(|error| bad(error.to_string()))?;
            let width = texts.model.width();
            if let Some(at) = tokens.iter().position(|&token| token >= width) {
                return Err(bad(format!("the model has no score for `{}`", targets[at])));
            }
            Some(tokens)
        }
    };
    let form = Form::Fills(Fills {
        texts: fill.texts.clone(),
        masks: fill.masks.clone(),
        targets,
        top: request.parameters.top_k.unwrap_or(TOP_TOKENS),
        lone: request.inputs.is_lone(),
    });
    let reply = texts.fill(charge, fill)?;
    Ok((form, reply))
}

fn embed(
    texts: &TextEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let width = texts.model.width();
    request.check_features(width)?;
    let inputs = request
        .inputs
        .list("inputs", texts.info.max_batch, MAX_TEXT_BYTES)?;
    let reply = texts.embed(caller, inputs)?;
    let lone = request.inputs.is_lone();
    let form = Form::Vectors { width, lone };
    Ok((form, reply))
}

fn similar(
    texts: &TextEndpoint,
    caller: &Caller,
    request: &Request,
) -> Result<(Form, Reply), ApiError> {
    let Inputs::Similar {
        source_sentence,
        sentences,
    } = &request.inputs
    else {
        return Err(bad(
            "inputs must be {\"source_sentence\": …, \"sentences\": […]}",
        ));
    };
    let most = texts.info.max_batch.saturating_sub(1);
    request::check("inputs.sentences", sentences, most, MAX_TEXT_BYTES)?;
    let source = std::slice::from_ref(source_sentence);
    request::check("inputs.source_sentence", source, 1, MAX_TEXT_BYTES)?;
    let all = [source, sentences].concat();
    let reply = texts.embed(caller, &all)?;
    let width = texts.model.width();
    let form = Form::Similarities { width };
    Ok((form, reply))
}

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::BadRequest(text.into())
}
