//! `openai`: OpenAI's completions and chat completions, as OpenAI, vLLM, llama.cpp, Ollama and many
//! others serve them.
//!
//! The model is asked for one token and for the log-probabilities of the likeliest tokens
//! ([`words::scores`]), which makes a language model a classifier whose classes are the label
//! words. Reasoning models, which write many tokens before they answer, and APIs that do not return
//! log-probabilities cannot be used; they are refused with that reason.
//!
//! * chat: <https://platform.openai.com/docs/api-reference/chat/create>
//! * completions: <https://platform.openai.com/docs/api-reference/completions/create>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Cure, Entry, Help, Labels, Sends, UNREACHABLE};
use crate::prompt_embeds::{Listed, PromptEmbeds, Tried, compare};
use crate::{
    Description, Dialect, Method, ModelApiError, ModelSpec, Protocol, Request, Response, Scores,
    SharedEmbedder, TextDialect, TextQueries, Usage, picture, status, words,
};
use ground::fault::Reader;
use ground::form::{FormField, FormKind};
use std::sync::Arc;
use tuning::wording::TextTask;

/// The dialect as the registry lists it.
pub(super) const ENTRY: Entry = Entry {
    help: HELP.for_pages(),
    sends: Sends::Files,
    labels: Labels::Kept,
    takes_template: false,
    answers_logarithms: true,
    counts_tokens: true,
    runs_here: false,
    read: |r, of_texts| Arc::new(r.table("openai", |r| Settings::read(r, of_texts))),
};

/// Texts for people about the dialect.
const HELP: Help = Help {
    spoken_by: "OpenAI’s form: OpenAI, vLLM, llama.cpp, Ollama and many others",
    listing: "curl {url}/models",
    fields: &[
        FormField {
            options: &[("chat", "chat completions"), ("completions", "completions")],
            ..FormField::new("model.openai.api", "Route", FormKind::Choice, "chat")
        },
        FormField {
            help: "Said before the text, or with the picture: “Which digit is this? Answer with one digit.” Leave the sentence for a label empty, and let what the model reads end where its answer begins: {text} Topic:",
            wide: true,
            ..FormField::new(
                "model.openai.instruction",
                "What it is told",
                FormKind::Paragraph,
                "",
            )
        },
    ],
    cures: &[
        Cure {
            codes: UNREACHABLE,
            who: "Ollama",
            what: "Restart it with",
            setting: "OLLAMA_ORIGINS={page} ollama serve",
            port: 11434,
        },
        Cure {
            codes: UNREACHABLE,
            who: "vLLM",
            what: "Check the key first: to a browser, vLLM’s refusal of a wrong key looks the same. Then start it with",
            setting: "vllm serve … --allowed-origins '[\"{page}\"]'",
            port: 8000,
        },
        Cure {
            codes: UNREACHABLE,
            who: "llama.cpp",
            what: "llama-server and llama-cpp-python allow every page by default. Check the address and the port, and any proxy in front of it",
            setting: "llama-server --host 127.0.0.1 --port 8080",
            port: 8080,
        },
        Cure {
            codes: &["model_not_this_protocol"],
            who: "The organiser",
            what: "The address of an OpenAI-compatible server ends with its version:",
            setting: "{versioned}",
            port: 0,
        },
        Cure {
            codes: &["model_no_logprobs"],
            who: "Ollama",
            what: "It returns log-probabilities from version 0.12.11 on. To see yours:",
            setting: "ollama --version",
            port: 0,
        },
        Cure {
            codes: &["model_no_logprobs"],
            who: "vLLM",
            what: "It lists at most 20 by default. In the task, ask for no more:",
            setting: "model.openai.top_logprobs = 20",
            port: 0,
        },
        Cure {
            codes: &["model_no_logprobs"],
            who: "OpenAI",
            what: "Models that reason before they answer return none. Use one that does not, such as gpt-4o-mini or gpt-4.1-mini.",
            setting: "",
            port: 0,
        },
        Cure {
            codes: &["model_no_prompt_embeds"],
            who: "vLLM",
            what: "Only vLLM accepts prompts as embeddings, and only when it is started with",
            setting: "vllm serve … --enable-prompt-embeds",
            port: 0,
        },
        Cure {
            codes: &["model_other_embeddings"],
            who: "The organiser",
            what: "The tokenizer and the table must come from the very model that the server runs. This command extracts them and prints the lines for the task:",
            setting: "fed-bbpt embeddings --model FOLDER --output embeddings",
            port: 0,
        },
        Cure {
            codes: &["model_other_embeddings"],
            who: "The model’s provider",
            what: "A fine-tuned model has its own table. Check which model the server was started with (models that scale their embeddings after the look-up, such as Gemma, cannot be used):",
            setting: "curl {url}/models",
            port: 0,
        },
    ],
};

/// The table `[model.openai]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The route that is asked.
    pub api: Api,
    /// The system message of a chat. With images it is the question.
    pub instruction: String,
    /// Number of tokens whose log-probabilities are requested.
    pub top_logprobs: u32,
    /// Log-probability of a label word that is not among the listed tokens.
    pub floor: f32,
    /// The files for soft prompts, which are sent as embeddings together with the text around them;
    /// `None` for prompts of words.
    pub prompt_embeds: Option<Box<PromptEmbeds>>,
}

/// The routes of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Chat completions, `/chat/completions`.
    Chat,
    /// Completions, `/completions`.
    Completions,
}

/// Default log-probability of a label word that is not listed.
const FLOOR: f64 = -15.0;

impl Settings {
    fn read(r: &mut Reader<'_>, of_texts: bool) -> Self {
        let api =
            [Api::Chat, Api::Completions][r.choice("api", &["chat", "completions"], Some("chat"))];
        let instruction = r.text("instruction", Some(""));
        if api == Api::Completions && !of_texts {
            r.fault("api", "must be \"chat\": completions take no images");
        }
        if api == Api::Completions && !instruction.is_empty() {
            r.fault(
                "instruction",
                "belongs to chats; with completions put it into text.input",
            );
        }
        if !of_texts && instruction.is_empty() {
            r.fault(
                "instruction",
                "is missing: with images the model is asked something, such as \"Which digit is this? Answer with one digit.\"",
            );
        }
        let prompt_embeds = r
            .has("prompt_embeds")
            .then(|| Box::new(r.table("prompt_embeds", PromptEmbeds::read)));
        if api == Api::Chat && prompt_embeds.is_some() {
            r.fault(
                "prompt_embeds",
                "belongs to api = \"completions\": chats take no embeddings",
            );
        }
        // OpenAI lists up to 20 tokens in chats and 5 in completions.
        let most = if api == Api::Chat { 20 } else { 5 };
        Self {
            api,
            instruction,
            top_logprobs: r.whole("top_logprobs", 1..=1000, Some(most)) as u32,
            floor: r.number("floor", -1000.0..=-1.0, Some(FLOOR)),
            prompt_embeds,
        }
    }
}

impl super::Settings for Settings {
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        Ok(Box::new(OpenAi::new(spec, self, &spec.output.words)))
    }

    fn texts(
        &self,
        spec: &ModelSpec,
        text: &TextTask,
        embedder: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        Ok(Box::new(OpenAi {
            embedder,
            harmless: text.harmless(),
            ..OpenAi::new(spec, self, &text.words)
        }))
    }

    fn text_faults(&self, text: &TextTask) -> Option<(&'static str, &'static str)> {
        text.has_template().then_some((
            "text.template",
            "must be left out: a language model goes on where text.input ends, such as \"{text}\\nTopic:\"",
        ))
    }

    fn takes_embeddings(&self) -> bool {
        self.prompt_embeds.is_some()
    }

    fn prompt_embeds(&self) -> Option<&PromptEmbeds> {
        self.prompt_embeds.as_deref()
    }
}

/// The dialect, configured for one model and one task.
struct OpenAi {
    spec: ModelSpec,
    own: Settings,
    words: Vec<String>,
    /// Makes embeddings of prompts. The text reveals nothing about anyone.
    embedder: Option<SharedEmbedder>,
    harmless: String,
}

impl OpenAi {
    /// Makes the dialect. `spec` must be free of faults; `words` are the names of the classes.
    fn new(spec: &ModelSpec, own: &Settings, words: &[String]) -> Self {
        Self {
            spec: spec.clone(),
            own: own.clone(),
            words: words.to_vec(),
            embedder: None,
            harmless: String::new(),
        }
    }

    fn describe(&self) -> Request {
        Request {
            method: Method::Get,
            path: "/models".into(),
            headers: vec![("accept".into(), "application/json".into())],
            body: Vec::new(),
        }
    }

    /// Checks that the server's list of models, if it has one, holds ours. A server without such a
    /// list is believed.
    fn check(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        let described = Description {
            max_batch: Some(self.batch()),
            labels: Vec::new(),
            platform: "openai".to_owned(),
        };
        if matches!(response.status, 404 | 405) && !status::is_html(response.body) {
            return Ok(described);
        }
        check_status(response, &self.spec.name)?;
        let list = read(response.body)?;
        let Some(models) = list["data"].as_array() else {
            return Err(other("its list of models has no `data`"));
        };
        let ids: Vec<&str> = models
            .iter()
            .filter_map(|model| model["id"].as_str())
            .collect();
        if ids.is_empty() || ids.contains(&&*self.spec.name) {
            return Ok(described);
        }
        let some: Vec<String> = ids.iter().take(12).map(|id| format!("`{id}`")).collect();
        Err(ModelApiError::Disagrees {
            faults: vec![format!(
                "the API has no model `{}`, but {}{}",
                self.spec.name,
                some.join(", "),
                if ids.len() > some.len() {
                    " and others"
                } else {
                    ""
                }
            )],
        })
    }

    /// Number of inputs in one request: several prompts in a completion request, one in a chat.
    fn batch(&self) -> usize {
        match self.own.api {
            Api::Chat => 1,
            // Not every server takes a list of prompts.
            Api::Completions => (self.spec.calls.batch as usize).max(1),
        }
    }

    fn post(&self, path: &str, mut body: Map<String, Value>) -> Request {
        body.insert("model".into(), json!(self.spec.name));
        body.insert("max_tokens".into(), json!(1));
        body.insert("temperature".into(), json!(0));
        post(path, &Value::Object(body))
    }

    fn chat(&self, messages: Value) -> Request {
        let mut body = Map::new();
        body.insert("messages".into(), messages);
        body.insert("logprobs".into(), json!(true));
        body.insert("top_logprobs".into(), json!(self.own.top_logprobs));
        self.post("/chat/completions", body)
    }

    fn ask(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        if let Some(soft) = &queries.soft {
            let texts = queries.texts.iter().enumerate();
            let prompts: Result<Vec<String>, _> = texts
                .map(|(at, text)| self.embedded(text, soft.prompt(at)))
                .collect();
            return Ok(self.complete("prompt_embeds", &prompts?));
        }
        Ok(match (self.own.api, &queries.texts[..]) {
            (Api::Chat, texts) => {
                let mut messages = Vec::new();
                if !self.own.instruction.is_empty() {
                    messages.push(json!({ "role": "system", "content": self.own.instruction }));
                }
                messages.extend(
                    texts
                        .iter()
                        .map(|text| json!({ "role": "user", "content": text })),
                );
                self.chat(Value::Array(messages))
            }
            (Api::Completions, texts) => self.complete("prompt", texts),
        })
    }

    /// The request to complete `prompts`, which `key` says to be `prompt` or `prompt_embeds`.
    fn complete(&self, key: &str, prompts: &[String]) -> Request {
        let mut body = Map::new();
        let prompt = match prompts {
            [one] => json!(one),
            several => json!(several),
        };
        body.insert(key.to_owned(), prompt);
        body.insert("logprobs".into(), json!(self.own.top_logprobs));
        self.post("/completions", body)
    }

    /// A text after a soft prompt, in vLLM's form: the base64 of a tensor in the file format of
    /// `torch.save`.
    fn embedded(&self, text: &str, soft: &[f32]) -> Result<String, ModelApiError> {
        let failed = |detail: String| ModelApiError::NoEmbeddings { detail };
        let Some(embedder) = &self.embedder else {
            return Err(failed("nothing was loaded that makes them".to_owned()));
        };
        let file = embedder.embed(text, soft).map_err(failed)?;
        Ok(STANDARD.encode(file))
    }

    fn read(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        check_status(response, &self.spec.name)?;
        let answer = read(response.body)?;
        let Some(choices) = answer["choices"].as_array() else {
            return Err(other("its answer has no `choices`"));
        };
        if choices.len() != count {
            return Err(ModelApiError::WrongShape {
                expected: format!("{count} answers"),
                got: format!("{}", choices.len()),
            });
        }
        let thought = answer["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64();
        let mut rows = vec![Vec::new(); count];
        for (at, choice) in choices.iter().enumerate() {
            let message = &choice["message"];
            if thinks(message) || thought.unwrap_or(0) > 0 {
                return Err(ModelApiError::NoLogProbs {
                    detail: "it is a reasoning model, which writes many tokens before it answers"
                        .to_owned(),
                });
            }
            let listed = listed(choice)?;
            let index = choice["index"].as_u64().map_or(at, |index| index as usize);
            let scores = words::scores(&self.words, &listed, self.own.floor.into());
            match rows.get_mut(index) {
                Some(row) if row.is_empty() => *row = scores,
                _ => return Err(malformed(&format!("it numbers an answer {index}"))),
            }
        }
        Scores::new(self.words.len(), rows.concat())
    }
}

/// A POST request to `path` with a JSON body.
pub(crate) fn post(path: &str, body: &Value) -> Request {
    Request {
        method: Method::Post,
        path: path.to_owned(),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("accept".into(), "application/json".into()),
        ],
        body: body.to_string().into_bytes(),
    }
}

/// Turns a status into its error, and recognises some of OpenAI's own codes.
pub(crate) fn check_status(response: &Response<'_>, model: &str) -> Result<(), ModelApiError> {
    let error = match status::check(response, model) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let said: Value = serde_json::from_slice(response.body).unwrap_or_default();
    let (code, param) = (&said["error"]["code"], &said["error"]["param"]);
    let detail = status::detail(response.body);
    Err(match error {
        // The quota is spent, so waiting does not help.
        ModelApiError::Busy { .. } if code == "insufficient_quota" => {
            ModelApiError::OutOfQuota { detail }
        }
        // vLLM and llama-cpp-python say "Not Found" about a path; about an unknown model they say
        // its name.
        ModelApiError::NotFound { .. } if detail == "Not Found" => {
            other("it knows no path like /v1/chat/completions")
        }
        // vLLM says this if it was started without that flag, or if its model has another size.
        ModelApiError::BadRequest { .. } if detail.contains("--enable-prompt-embeds") => {
            ModelApiError::NoPromptEmbeds { detail }
        }
        ModelApiError::BadRequest { .. }
            if param == "prompt_embeds" && detail.contains("does not match") =>
        {
            ModelApiError::OtherEmbeddings { detail }
        }
        // vLLM says this about more tokens than its `--max-logprobs`.
        ModelApiError::BadRequest { .. }
            if detail.contains("logprobs of") && detail.contains("max allowed") =>
        {
            ModelApiError::NoLogProbs {
                detail: format!(
                    "{detail}: set model.openai.top_logprobs lower, or let the server list more"
                ),
            }
        }
        ModelApiError::BadRequest { .. }
            if param == "logprobs" || param == "top_logprobs" || detail.contains("logprobs") =>
        {
            ModelApiError::NoLogProbs { detail }
        }
        ModelApiError::BadRequest { .. } if detail.contains("max_completion_tokens") => {
            ModelApiError::NoLogProbs {
                detail: "it is a reasoning model, which writes many tokens before it answers"
                    .to_owned(),
            }
        }
        other => other,
    })
}

/// Whether a message contains what a reasoning model wrote before its answer.
pub(crate) fn thinks(message: &Value) -> bool {
    ["reasoning", "reasoning_content"]
        .iter()
        .any(|key| message[*key].as_str().is_some_and(|t| !t.is_empty()))
}

/// The tokens listed for the first place, with their log-probabilities.
fn listed(choice: &Value) -> Result<Listed, ModelApiError> {
    let logs = &choice["logprobs"];
    if logs.is_null() {
        return Err(ModelApiError::NoLogProbs {
            detail: "its answer holds no `logprobs`".to_owned(),
        });
    }
    // Servers write minus infinity as null.
    let log = |value: &Value| value.as_f64().unwrap_or(f64::NEG_INFINITY);
    let found: Option<Listed> = match (&logs["content"], &logs["top_logprobs"]) {
        // Chats, and llama.cpp for both routes.
        (Value::Array(places), _) => places.first().and_then(|place| {
            let mut found = Listed::new();
            for entry in place["top_logprobs"].as_array()? {
                found.push((entry["token"].as_str()?.to_owned(), log(&entry["logprob"])));
            }
            if found.is_empty() {
                found.push((place["token"].as_str()?.to_owned(), log(&place["logprob"])));
            }
            Some(found)
        }),
        // Completions: a map for each place.
        (_, Value::Array(places)) => places.first().and_then(|place| {
            let place = place.as_object()?;
            Some(
                place
                    .iter()
                    .map(|(token, value)| (token.clone(), log(value)))
                    .collect(),
            )
        }),
        _ => None,
    };
    match found {
        Some(found) if !found.is_empty() => Ok(found),
        _ => Err(ModelApiError::NoLogProbs {
            detail: "its `logprobs` list no tokens: the answer is empty, or `top_logprobs` is not supported".to_owned(),
        }),
    }
}

/// Parses the JSON object of an answer.
pub(crate) fn read(body: &[u8]) -> Result<Value, ModelApiError> {
    if status::is_html(body) {
        return Err(other(&status::detail(body)));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(other("its answer is not a JSON object")),
        Err(error) => Err(malformed(&format!("its JSON cannot be read ({error})"))),
    }
}

pub(crate) fn other(why: &str) -> ModelApiError {
    ModelApiError::NotThisProtocol {
        detail: format!("{why} (expected OpenAI's)"),
    }
}

fn malformed(detail: &str) -> ModelApiError {
    ModelApiError::Malformed {
        detail: detail.to_owned(),
    }
}

impl Protocol for OpenAi {
    fn describe_request(&self) -> Request {
        self.describe()
    }

    fn check_description(&self, response: &Response<'_>) -> Result<Description, ModelApiError> {
        self.check(response)
    }

    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        self.read(response, count)
    }

    fn usage(&self, response: &Response<'_>) -> Option<Usage> {
        let answer: Value = serde_json::from_slice(response.body).ok()?;
        let tokens = |key: &str| answer["usage"][key].as_u64();
        Some(Usage {
            input_tokens: tokens("prompt_tokens")?,
            output_tokens: tokens("completion_tokens").unwrap_or(0),
        })
    }
}

impl TextDialect for OpenAi {
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        self.ask(queries)
    }

    fn trial(&self) -> Result<Option<[Request; 2]>, ModelApiError> {
        if self.embedder.is_none() {
            return Ok(None);
        }
        let embedded = self.embedded(&self.harmless, &[])?;
        Ok(Some([
            self.complete("prompt", std::slice::from_ref(&self.harmless)),
            self.complete("prompt_embeds", &[embedded]),
        ]))
    }

    fn read_trial(
        &self,
        response: &Response<'_>,
        words: Option<&Tried>,
    ) -> Result<Tried, ModelApiError> {
        let checked = check_status(response, &self.spec.name);
        // The model took the words, and the two requests differ in nothing else.
        checked.map_err(|error| match (error, words) {
            (ModelApiError::BadRequest { detail }, Some(_)) => {
                ModelApiError::NoPromptEmbeds { detail }
            }
            (error, _) => error,
        })?;
        let found = Tried {
            listed: listed(&read(response.body)?["choices"][0])?,
            tokens: self.usage(response).map_or(0, |usage| usage.input_tokens),
        };
        if let Some(words) = words {
            compare(words, &found)?;
        }
        Ok(found)
    }
}

impl Dialect for OpenAi {
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        let file = picture::only(&self.spec, images, count)?;
        let url = picture::data_url(self.spec.input.sent.encoding, &file);
        Ok(self.chat(json!([{
            "role": "user",
            "content": [
                { "type": "text", "text": self.own.instruction },
                { "type": "image_url", "image_url": { "url": url } },
            ],
        }])))
    }
}
