//! The forms of OpenAI's API for models that are not chat models: reads requests and writes
//! answers. No IO.
//!
//! An answer is always exactly one token: for a classifier the name of a class, for a masked
//! language model the token at the mask, for a sentence encoder a label. Its log-probability and
//! those of the alternatives are real.
//!
//! <https://platform.openai.com/docs/api-reference>

mod answer;
mod request;

use serde_json::{Value, json};

use crate::TextKind;
use crate::endpoint::{Endpoint, ImageEndpoint, Reply, TextEndpoint, bytes};
use crate::error::ApiError;
use crate::keys::Caller;
use crate::picture::{self, Decoded};
use crate::protocol::{MAX_LABELS, MAX_TEXT_BYTES};

use answer::{Names, Tokens};
use request::{Chat, Completion, Embedding, Message};

pub(crate) use answer::now;
pub(crate) use request::model;

/// The form of an answer's scores.
pub(crate) enum Form {
    Chat(Tokens),
    Completion(Tokens),
    Embeddings {
        width: usize,
        base64: bool,
        tokens: usize,
    },
}

impl Form {
    /// The answer's JSON. `endpoint` is the model that was asked.
    pub(crate) fn answer(&self, endpoint: &Endpoint, scores: &[f32]) -> Value {
        match self {
            Self::Chat(tokens) => tokens.chat(endpoint, scores),
            Self::Completion(tokens) => tokens.completion(endpoint, scores),
            Self::Embeddings {
                width,
                base64,
                tokens,
            } => answer::embeddings(endpoint.name(), scores, *width, *base64, *tokens),
        }
    }
}

/// An entry in the list at `GET /v1/models`.
pub(crate) fn entry(endpoint: &Endpoint, created: u64) -> Value {
    json!({ "id": endpoint.name(), "object": "model", "created": created, "owned_by": "model-api" })
}

/// Reads `POST /v1/chat/completions` and queues it.
pub(crate) fn chat(
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
) -> Result<(Form, Reply), ApiError> {
    let chat: Chat = request::parse(body)?;
    chat.options.check()?;
    let top = chat.top()?;
    let choices = chat.options.choices()?;
    let (reply, tokens) = match endpoint {
        Endpoint::Images(images) => see(images, caller, &chat.messages, choices, top)?,
        Endpoint::Texts(texts) => {
            let text = words(&chat.messages)?;
            read(texts, caller, &[text], choices, top)?
        }
    };
    let form = Form::Chat(tokens);
    Ok((form, reply))
}

/// Reads `POST /v1/completions` and queues it.
pub(crate) fn complete(
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
) -> Result<(Form, Reply), ApiError> {
    let completion: Completion = request::parse(body)?;
    completion.options.check()?;
    let top = completion.top()?;
    let choices = completion.options.choices()?;
    let Endpoint::Texts(texts) = endpoint else {
        return Err(bad(format!(
            "`{}` takes images: send a message with an image_url to /v1/chat/completions",
            endpoint.name()
        )));
    };
    let prompts = completion.prompt.list(texts.info.max_batch)?;
    let (reply, tokens) = read(texts, caller, prompts, choices, top)?;
    let form = Form::Completion(tokens);
    Ok((form, reply))
}

/// Reads `POST /v1/embeddings` and queues it.
pub(crate) fn embed(
    endpoint: &Endpoint,
    caller: &Caller,
    body: &[u8],
) -> Result<(Form, Reply), ApiError> {
    let embedding: Embedding = request::parse(body)?;
    let Endpoint::Texts(texts) = endpoint else {
        return Err(bad(format!(
            "embeddings are for texts, and `{}` takes images",
            endpoint.name()
        )));
    };
    let width = texts.model.width();
    let base64 = embedding.is_base64()?;
    if embedding.dimensions.is_some_and(|asked| asked != width) {
        return Err(bad(format!(
            "embeddings have {width} dimensions, and cannot be cut"
        )));
    }
    let inputs = embedding.input.list(texts.info.max_batch)?;
    let reply = texts.embed(caller, inputs)?;
    let form = Form::Embeddings {
        width,
        base64,
        tokens: count_tokens(texts, inputs),
    };
    Ok((form, reply))
}

/// Queues the one image of the messages for a classifier.
fn see(
    images: &ImageEndpoint,
    caller: &Caller,
    messages: &[Message],
    choices: Option<Vec<String>>,
    top: Option<usize>,
) -> Result<(Reply, Tokens), ApiError> {
    let urls: Vec<&str> = messages.iter().flat_map(Message::images).collect();
    let [url] = *urls else {
        return Err(bad(format!(
            "{} images came, but `{}` classifies exactly one: a message whose content has one part \
             {{\"type\": \"image_url\", \"image_url\": {{\"url\": \"data:image/png;base64,…\"}}}}",
            urls.len(),
            images.info.name
        )));
    };
    let (prompts, columns) = match &choices {
        Some(choices) => images.candidates(choices, None)?,
        None => (None, None),
    };
    let files = [picture::from_text(url)?];
    let Decoded { pixels, charge } = picture::decode(caller, &images.info, &files)?;
    let reply = images.score(charge, bytes(pixels, prompts), 1)?;
    let tokens = Tokens {
        names: Names::Labels(choices.unwrap_or_else(|| images.labels())),
        columns,
        top,
        // An image counts as one token.
        prompt_tokens: 1,
    };
    Ok((reply, tokens))
}

/// The texts of the messages in order, which a text model reads as one text.
fn words(messages: &[Message]) -> Result<String, ApiError> {
    if messages.iter().flat_map(Message::images).next().is_some() {
        return Err(bad("a text model takes no images"));
    }
    let texts: Vec<&str> = messages.iter().flat_map(Message::texts).collect();
    let text = texts.join("\n");
    if text.is_empty() {
        return Err(bad("the messages hold no text"));
    }
    if text.len() > MAX_TEXT_BYTES {
        return Err(bad(format!(
            "the messages have {} bytes, but at most {MAX_TEXT_BYTES} are taken",
            text.len()
        )));
    }
    Ok(text)
}

/// Queues the question to a text model, whose answer is one of `choices`, or else of the server's
/// labels, or else (for a masked language model) of the vocabulary.
fn read(
    texts: &TextEndpoint,
    caller: &Caller,
    prompts: &[String],
    choices: Option<Vec<String>>,
    top: Option<usize>,
) -> Result<(Reply, Tokens), ApiError> {
    // Counted after the charge: it is work.
    let tokens = |names| Tokens {
        names,
        columns: None,
        top,
        prompt_tokens: count_tokens(texts, prompts),
    };
    let template = texts.defaults.template.as_deref();
    let own = Some(&texts.defaults.labels).filter(|labels| !labels.is_empty());
    let labels = choices.as_ref().or(own);
    match (texts.model.mask_token(), labels) {
        (None, None) => Err(bad(format!(
            "`{}` is a {}: it chooses among labels; send them as structured_outputs: {{\"choice\": […]}}",
            texts.info.name,
            TextKind::SentenceEncoder
        ))),
        (None, Some(labels)) => {
            let reply = texts.classify(caller, prompts, labels, template)?;
            Ok((reply, tokens(Names::Labels(labels.clone()))))
        }
        (Some(mask), Some(labels)) => {
            let prompts = masked(prompts, mask, template.filter(|_| choices.is_none()));
            let reply = texts.classify(caller, &prompts, labels, Some("{}"))?;
            Ok((reply, tokens(Names::Labels(labels.clone()))))
        }
        (Some(mask), None) => {
            let (fill, charge) = texts.masks(caller, &masked(prompts, mask, None))?;
            let reply = texts.fill(charge, fill)?;
            Ok((reply, tokens(Names::Vocabulary)))
        }
    }
}

/// Gives each prompt one mask: its own, the template's, or one at its end, where the next token
/// belongs.
fn masked(prompts: &[String], mask: &str, template: Option<&str>) -> Vec<String> {
    let put = |prompt: &String| match template {
        _ if prompt.contains(mask) => prompt.clone(),
        Some(template) => template.replacen("{}", prompt, 1),
        None => format!("{} {mask}", prompt.trim_end()),
    };
    prompts.iter().map(put).collect()
}

/// Number of tokens, for `usage`. Texts that cannot be tokenized count as none.
fn count_tokens(texts: &TextEndpoint, prompts: &[String]) -> usize {
    let words = texts.model.words();
    let count = |text: &String| words.tokens(text).map_or(0, |tokens| tokens.ids.len());
    prompts.iter().map(count).sum()
}

fn bad(text: impl Into<String>) -> ApiError {
    ApiError::BadRequest(text.into())
}
