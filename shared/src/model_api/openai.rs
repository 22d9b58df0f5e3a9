//! OpenAI's completions and chat completions, as OpenAI, vLLM, llama.cpp, Ollama and many others serve them.
//!
//! The model is asked for one token, and for the logarithms of the probabilities of the likeliest ones
//! ([`words::scores`]): so a language model is a classifier whose classes are the label words. Reasoning models, which
//! write many tokens before they answer, and APIs that keep these numbers to themselves cannot be used, and are
//! refused with that reason.
//!
//! * chat: <https://platform.openai.com/docs/api-reference/chat/create>
//! * completions: <https://platform.openai.com/docs/api-reference/completions/create>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::prompt_embeds::{Listed, PromptEmbeds, Tried, compare};
use super::{
    Description, Dialect, Method, ModelApiError, ModelSpec, Protocol, Request, Response, Scores,
    SharedEmbedder, TextDialect, TextQueries, Usage, picture, status, words,
};
use crate::fault::Reader;

/// The dialect's name in a task file.
pub const NAME: &str = "openai";

/// `[model.openai]`
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which route.
    pub api: Api,
    /// For chats: what the model is told before the input. With images it is the question.
    pub instruction: String,
    /// How many tokens are to be listed.
    pub top_logprobs: u32,
    /// What a label word gets that is not among them.
    pub floor: f32,
    /// What soft prompts need: they are sent as embeddings, and so is what stands around them.
    pub prompt_embeds: Option<Box<PromptEmbeds>>,
}

/// The route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/chat/completions`
    Chat,
    /// `/completions`
    Completions,
}

/// What a label word that is not listed gets.
const FLOOR: f64 = -15.0;

impl Settings {
    pub(super) fn read(r: &mut Reader<'_>, of_texts: bool) -> Self {
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
        // OpenAI lists 20 in chats and 5 in completions.
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

/// The dialect, configured for one model and one task.
pub(super) struct OpenAi {
    spec: ModelSpec,
    own: Settings,
    words: Vec<String>,
    /// What makes prompts into embeddings, and a text that says nothing about anybody.
    embedder: Option<SharedEmbedder>,
    harmless: String,
}

impl OpenAi {
    /// `spec` must be free of faults; `words`: what the classes are called.
    pub(super) fn new(spec: &ModelSpec, own: &Settings, words: &[String]) -> Self {
        Self {
            spec: spec.clone(),
            own: own.clone(),
            words: words.to_vec(),
            embedder: None,
            harmless: String::new(),
        }
    }

    /// For texts that may be sent as embeddings; `harmless` is sent both ways to compare.
    pub(super) fn with_embeddings(
        self,
        embedder: Option<SharedEmbedder>,
        harmless: String,
    ) -> Self {
        Self {
            embedder,
            harmless,
            ..self
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

    /// The list of models, where there is one, must hold ours. Servers without such a list are believed.
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

    /// Inputs in one request: several prompts are one completion request, a chat is one.
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

    /// `key`: what the prompts are, `prompt` or `prompt_embeds`.
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

    /// A text behind a soft prompt, as vLLM takes it: the base64 of a tensor that torch has saved.
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

/// Asks `path` with a JSON body.
pub(super) fn post(path: &str, body: &Value) -> Request {
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

/// What a status means, with OpenAI's own words for some.
pub(super) fn check_status(response: &Response<'_>, model: &str) -> Result<(), ModelApiError> {
    let error = match status::check(response, model) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let said: Value = serde_json::from_slice(response.body).unwrap_or_default();
    let (code, param) = (&said["error"]["code"], &said["error"]["param"]);
    let detail = status::detail(response.body);
    Err(match error {
        // Waiting does not help.
        ModelApiError::Busy { .. } if code == "insufficient_quota" => {
            ModelApiError::OutOfQuota { detail }
        }
        // vLLM and llama-cpp-python say these two words of a path, and name a model that they do not know.
        ModelApiError::NotFound { .. } if detail == "Not Found" => {
            other("it knows no path like /v1/chat/completions")
        }
        // vLLM's words where it was started without that flag, or its model is of another size.
        ModelApiError::BadRequest { .. } if detail.contains("--enable-prompt-embeds") => {
            ModelApiError::NoPromptEmbeds { detail }
        }
        ModelApiError::BadRequest { .. }
            if param == "prompt_embeds" && detail.contains("does not match") =>
        {
            ModelApiError::OtherEmbeddings { detail }
        }
        // vLLM's words for more than its `--max-logprobs`.
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

/// Whether a message brings what a reasoning model wrote before it answered.
pub(super) fn thinks(message: &Value) -> bool {
    ["reasoning", "reasoning_content"]
        .iter()
        .any(|key| message[*key].as_str().is_some_and(|t| !t.is_empty()))
}

/// The tokens listed for the first place, and their logarithms.
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
        // Chats, and what llama.cpp answers to both.
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

/// The answer's object.
pub(super) fn read(body: &[u8]) -> Result<Value, ModelApiError> {
    if status::is_html(body) {
        return Err(other(&status::detail(body)));
    }
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(other("its answer is not a JSON object")),
        Err(error) => Err(malformed(&format!("its JSON cannot be read ({error})"))),
    }
}

pub(super) fn other(why: &str) -> ModelApiError {
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
        // It took the words, and the two requests differ in nothing else.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_api::prompt_embeds::Embedder;
    use crate::model_api::{Retry, SoftQueries, dialect, text_dialect, text_dialect_with};
    use crate::task::Task;

    fn of_texts(own: Value) -> Box<dyn TextDialect> {
        of_words(own, &[json!("sport"), json!("world")])
    }

    fn of_words(own: Value, words: &[Value]) -> Box<dyn TextDialect> {
        let task = json!({
            "name": "Topics",
            "model": {
                "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
                "openai": own, "calls": { "batch": 8 },
            },
            "data": { "labels": ["1", "2"] },
            "text": { "input": "{text}\nTopic:", "words": words },
            "generator": { "candidates": ["", "a"] },
        });
        text_dialect(&Task::from_value(task).unwrap()).unwrap()
    }

    fn queries(texts: &[&str]) -> TextQueries {
        TextQueries {
            texts: texts.iter().map(|t| (*t).to_owned()).collect(),
            ..TextQueries::default()
        }
    }

    fn parse(own: Value, status: u16, body: Value, count: usize) -> Result<Scores, ModelApiError> {
        let body = body.to_string();
        let response = Response {
            status,
            headers: &[],
            body: body.as_bytes(),
        };
        of_texts(own).parse(&response, count)
    }

    #[test]
    fn a_chat_asks_for_one_token_and_its_likelihoods() {
        let request = of_texts(json!({ "instruction": "Answer with a topic." }))
            .infer_request(&queries(&["A match\nTopic:"]))
            .unwrap();
        assert_eq!(request.path, "/chat/completions");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            json!({
                "model": "tiny", "max_tokens": 1, "temperature": 0, "logprobs": true, "top_logprobs": 20,
                "messages": [
                    { "role": "system", "content": "Answer with a topic." },
                    { "role": "user", "content": "A match\nTopic:" },
                ],
            })
        );
    }

    #[test]
    fn several_prompts_are_one_completion_and_their_order_is_the_index() {
        let own = json!({ "api": "completions" });
        let body: Value = serde_json::from_slice(
            &of_texts(own.clone())
                .infer_request(&queries(&["a", "b"]))
                .unwrap()
                .body,
        )
        .unwrap();
        assert_eq!(
            (&body["prompt"], &body["logprobs"]),
            (&json!(["a", "b"]), &json!(5))
        );
        let choice = |index: u32, sport: f64| json!({ "index": index, "text": "x", "logprobs": { "top_logprobs": [{ " sport": sport, " world": -9.0 }] } });
        let scores = parse(
            own.clone(),
            200,
            json!({ "choices": [choice(1, -1.0), choice(0, -2.0)] }),
            2,
        )
        .unwrap();
        assert_eq!(scores.values(), [-2.0, -9.0, -1.0, -9.0]);
        let twice = parse(
            own,
            200,
            json!({ "choices": [choice(1, -1.0), choice(1, -2.0)] }),
            2,
        );
        assert_eq!(twice.unwrap_err().code(), "model_malformed");
    }

    #[test]
    fn images_go_as_the_address_of_a_file() {
        let task = Task::from_value(json!({
            "name": "Digits",
            "model": {
                "dialect": "openai", "url": "https://api.example.org/v1", "name": "sees",
                "input": { "height": 4, "width": 4, "encoding": "png" },
                "openai": { "instruction": "Which digit?" },
            },
            "data": { "labels": ["0", "1", "2"] },
        }))
        .unwrap();
        assert_eq!(task.model.output.classes, 3);
        let dialect = dialect(&task.model).unwrap();
        let request = dialect.infer_request(&[7; 48], 1).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let content = &body["messages"][0]["content"];
        assert_eq!(content[0]["text"], "Which digit?");
        assert!(
            content[1]["image_url"]["url"]
                .as_str()
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR")
        );
        assert!(dialect.infer_request(&[7; 96], 2).is_err());
    }

    /// Rows of one number: the text's letters, with the soft prompt behind the first.
    struct Letters;

    impl Embedder for Letters {
        fn embed(&self, text: &str, soft: &[f32]) -> Result<Vec<u8>, String> {
            let mut rows: Vec<f32> = text.chars().map(|c| c as u32 as f32).collect();
            if rows.is_empty() {
                return Err("there are no letters".to_owned());
            }
            rows.splice(1..1, soft.iter().copied());
            Ok(rows.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
    }

    fn embedding(embedder: Option<SharedEmbedder>) -> Box<dyn TextDialect> {
        let hash = "0".repeat(64);
        let task = json!({
            "name": "Topics",
            "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" },
                "openai": { "api": "completions", "prompt_embeds":
                    { "url": "https://h", "tokenizer_sha256": hash, "table_sha256": hash } } },
            "data": { "labels": ["sport", "world"] },
            "text": { "input": "{text}:" },
            "generator": { "kind": "soft", "hidden": 1, "deviation": 1, "tokens": 2 },
            "optimizer": { "kind": "cma-es" },
        });
        text_dialect_with(&Task::from_value(task).unwrap(), embedder).unwrap()
    }

    /// The numbers of what is sent.
    fn sent(prompt: &Value) -> Vec<f32> {
        let file = STANDARD.decode(prompt.as_str().unwrap()).unwrap();
        let (numbers, _) = file.as_chunks();
        numbers.iter().map(|x| f32::from_le_bytes(*x)).collect()
    }

    #[test]
    fn soft_prompts_go_with_the_texts_embeddings_and_nothing_else_does() {
        let dialect = embedding(Some(std::sync::Arc::new(Letters)));
        let mut asked = queries(&["ab", "c"]);
        let plain = dialect.infer_request(&asked).unwrap();
        let body: Value = serde_json::from_slice(&plain.body).unwrap();
        assert_eq!(body["prompt"], json!(["ab", "c"]));
        asked.soft = Some(SoftQueries {
            embeddings: vec![0.5, 0.25, -1.0, -2.0],
            tokens: 2,
            hidden: 1,
            of_text: vec![1, 0],
            before_label: false,
        });
        let body: Value =
            serde_json::from_slice(&dialect.infer_request(&asked).unwrap().body).unwrap();
        assert_eq!(body["prompt"], Value::Null);
        assert_eq!(sent(&body["prompt_embeds"][0]), [97.0, -1.0, -2.0, 98.0]);
        assert_eq!(sent(&body["prompt_embeds"][1]), [99.0, 0.5, 0.25]);
        asked.texts[0].clear();
        let code =
            |dialect: Box<dyn TextDialect>| dialect.infer_request(&asked).unwrap_err().code();
        assert_eq!(code(dialect), "model_no_embeddings");
        assert_eq!(code(embedding(None)), "model_no_embeddings");
    }

    #[test]
    fn a_model_is_tried_with_words_and_with_their_embeddings() {
        assert_eq!(embedding(None).trial().unwrap(), None);
        let dialect = embedding(Some(std::sync::Arc::new(Letters)));
        let [words, embeddings] = dialect.trial().unwrap().unwrap();
        let [words, embeddings] =
            [words, embeddings].map(|r| serde_json::from_slice::<Value>(&r.body).unwrap());
        assert_eq!(words["prompt"], "A text. A text.:");
        assert_eq!(sent(&embeddings["prompt_embeds"]).len(), 16);
        let said = |status, body: Value, words: Option<&Tried>| {
            let body = body.to_string();
            let response = Response {
                status,
                headers: &[],
                body: body.as_bytes(),
            };
            dialect.read_trial(&response, words)
        };
        let answer = |it: f64| json!({ "choices": [{ "index": 0, "logprobs": { "top_logprobs": [{ " it": it, "z": -1.5 }] } }] });
        let first = said(200, answer(-0.5), None).unwrap();
        said(200, answer(-0.51), Some(&first)).unwrap();
        let code = |status, body, words| said(status, body, words).unwrap_err().code();
        assert_eq!(
            code(200, answer(-2.5), Some(&first)),
            "model_other_embeddings"
        );
        let refused = |message: &str| json!({ "error": { "message": message, "param": "prompt_embeds", "code": 400 } });
        let without = refused("You must set `--enable-prompt-embeds` to input `prompt_embeds`.");
        assert_eq!(code(400, without, Some(&first)), "model_no_prompt_embeds");
        let size =
            refused("`prompt_embeds` hidden_size 8 does not match the model's hidden_size 64.");
        assert_eq!(code(400, size, Some(&first)), "model_other_embeddings");
        // As OpenAI's own, and whatever else knows prompts only as words.
        let other = json!({ "error": { "message": "you must provide a prompt" } });
        assert_eq!(
            code(400, other.clone(), Some(&first)),
            "model_no_prompt_embeds"
        );
        assert_eq!(code(400, other, None), "model_bad_request");
    }

    /// As llama-cpp-python answers a chat.
    #[test]
    fn what_servers_answer_is_read() {
        let top = json!([
            { "token": " wor", "logprob": -3.5, "bytes": null },
            { "token": "", "logprob": -3.9, "bytes": null },
            { "token": "\u{14}", "logprob": -4.1, "bytes": null },
        ]);
        let answer = json!({
            "choices": [{ "index": 0, "message": { "content": " wor" }, "finish_reason": "length",
                "logprobs": { "content": [{ "token": " wor", "logprob": -3.5, "top_logprobs": top }], "refusal": null } }],
            "usage": { "prompt_tokens": 18, "completion_tokens": 1, "total_tokens": 19 },
        });
        assert_eq!(
            parse(json!({}), 200, answer.clone(), 1).unwrap().values(),
            [-15.0, -3.5]
        );
        assert_eq!(
            parse(json!({ "floor": -30 }), 200, answer.clone(), 1)
                .unwrap()
                .values(),
            [-30.0, -3.5]
        );
        let body = answer.to_string();
        let usage = of_texts(json!({})).usage(&Response {
            status: 200,
            headers: &[],
            body: body.as_bytes(),
        });
        assert_eq!(
            usage,
            Some(Usage {
                input_tokens: 18,
                output_tokens: 1
            })
        );
    }

    /// What vLLM said; `cargo xtask interop vllm` sees it again.
    #[test]
    fn other_servers_are_read() {
        let recorded: Vec<Value> =
            serde_json::from_str(include_str!("../../vectors/openai_servers.json")).unwrap();
        assert!(recorded.len() > 10);
        for each in recorded {
            let source = &each["source"];
            let body = each["body"].to_string();
            let response = Response {
                status: each["status"].as_u64().unwrap() as u16,
                headers: &[],
                body: body.as_bytes(),
            };
            let api = if each["api"] == "chat" {
                "chat"
            } else {
                "completions"
            };
            let mut asked = of_texts(json!({ "api": api }));
            if let Some(words) = each["words"].as_array() {
                asked = of_words(json!({ "api": api }), words);
            }
            if each["api"] == "models" {
                let described = asked.check_description(&response);
                match each["code"].as_str() {
                    Some(code) => assert_eq!(described.unwrap_err().code(), code, "{source}"),
                    None => assert_eq!(described.unwrap().max_batch, Some(8), "{source}"),
                }
                continue;
            }
            let scores = each["scores"].as_array();
            let found = asked.parse(&response, scores.map_or(1, |scores| scores.len() / 2));
            match (each["code"].as_str(), scores) {
                (Some(code), None) => assert_eq!(found.unwrap_err().code(), code, "{source}"),
                (None, Some(scores)) => {
                    let found = found.unwrap();
                    assert_eq!(found.values().len(), scores.len(), "{source}");
                    for (a, b) in found.values().iter().zip(scores) {
                        assert!(
                            (f64::from(*a) - b.as_f64().unwrap()).abs() < 1e-5,
                            "{source}"
                        );
                    }
                }
                _ => panic!("{source} has neither scores nor a code"),
            }
        }
    }

    #[test]
    fn more_than_a_server_lists_is_told_from_none() {
        let said = "Requested sample logprobs of 21, which is greater than max allowed: 20 (parameter=logprobs, value=21)";
        let refused = json!({ "error": { "message": said, "param": "logprobs", "code": 400 } });
        let error = parse(json!({}), 400, refused, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("model.openai.top_logprobs lower"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_scored_is_refused_with_the_reason() {
        let code = |status, body| parse(json!({}), status, body, 1).unwrap_err();
        let plain = json!({ "choices": [{ "index": 0, "message": { "content": "sport" }, "logprobs": null }] });
        assert_eq!(code(200, plain).code(), "model_no_logprobs");
        let thinking = json!({ "choices": [{ "index": 0, "message": { "reasoning_content": "Let me see" } }] });
        assert!(code(200, thinking).to_string().contains("reasoning"));
        let unsupported = json!({ "error": { "message": "This model does not support logprobs.", "param": "logprobs", "code": "unsupported_value" } });
        assert!(
            code(400, unsupported)
                .to_string()
                .contains("does not support")
        );
        let spent = code(
            429,
            json!({ "error": { "message": "You exceeded your quota", "code": "insufficient_quota" } }),
        );
        assert_eq!(
            (spent.code(), spent.retry()),
            ("model_out_of_quota", Retry::Never)
        );
        let busy = code(
            429,
            json!({ "error": { "message": "slow down", "code": "rate_limit_exceeded" } }),
        );
        assert!(matches!(busy.retry(), Retry::Safe { .. }));
        assert_eq!(
            code(401, json!({ "detail": "Invalid API key" })).code(),
            "model_unauthorized"
        );
        assert_eq!(code(200, json!([])).code(), "model_not_this_protocol");
    }

    #[test]
    fn the_list_of_models_tells_a_wrong_name() {
        let check = |status, body: &str| {
            of_texts(json!({})).check_description(&Response {
                status,
                headers: &[],
                body: body.as_bytes(),
            })
        };
        assert_eq!(
            check(200, r#"{"data":[{"id":"tiny"}]}"#).unwrap().max_batch,
            Some(1)
        );
        let wrong = check(200, r#"{"data":[{"id":"huge"}]}"#).unwrap_err();
        assert!(wrong.to_string().contains("`huge`"), "{wrong}");
        assert!(check(404, r#"{"detail":"Not Found"}"#).is_ok());
        assert_eq!(
            check(404, "<html></html>").unwrap_err().code(),
            "model_not_this_protocol"
        );
        assert_eq!(check(401, "{}").unwrap_err().code(), "model_unauthorized");
    }

    #[test]
    fn tasks_that_cannot_be_asked_say_so() {
        let faults = |model: Value, text: Value| {
            let mut task = json!({
                "name": "Topics", "data": { "labels": ["1", "2"] }, "generator": { "candidates": ["", "a"] },
                "model": { "dialect": "openai", "url": "http://127.0.0.1:8000/v1", "name": "tiny", "input": { "kind": "text" } },
            });
            for (key, value) in model.as_object().unwrap() {
                task["model"][key] = value.clone();
            }
            task["text"] = text;
            let faults = Task::from_value(task).unwrap_err().0;
            faults
                .into_iter()
                .map(|fault| fault.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            faults(json!({}), json!({ "template": "About {}." })),
            ["text.template"]
        );
        let own = json!({ "openai": { "api": "completions", "instruction": "x" } });
        assert_eq!(
            faults(own, json!({ "input": "{text}:" })),
            ["model.openai.instruction"]
        );
        let kind = json!({ "output": { "kind": "probabilities" } });
        assert_eq!(
            faults(kind, json!({ "input": "{text}:" })),
            ["model.output.kind"]
        );
        let strange = json!({ "huggingface": { "task": "fill-mask" } });
        assert_eq!(
            faults(strange, json!({ "input": "{text}:" })),
            ["model.huggingface"]
        );
    }
}
