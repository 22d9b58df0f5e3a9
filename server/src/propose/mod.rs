//! Instructions that an LLM proposes before a federation begins.
//!
//! The organiser asks; no owner and no owner's data are involved. What the LLM is told is in
//! `prompts.rs`, how its answer is read in `answer.rs`.

mod answer;
pub mod prompts;

use crate::native::transport::{HttpCaller, model_api};
use federation::task::Task;
use ground::fault::Faults;
use model_client::ModelApiError;
use model_client::caller::CallError;
use model_client::chat::{Answer, Limit, Question};
use model_client::tally::Tally;
use prompts::{SYSTEM, Subject};
use serde_json::json;

/// Minimum and maximum number of instructions for which one request asks.
const IN_REQUEST: (usize, usize) = (5, 20);
/// Number of requests in a row without anything new after which no more are made.
const IN_VAIN: usize = 3;
/// Maximum number of entries of an answer that are read.
const ENTRIES: usize = 200;
/// Maximum number of characters of an LLM's message that are shown.
const QUOTED: usize = 120;
/// Maximum time to wait for an answer, in milliseconds: some hundreds of words, perhaps on a CPU.
const PATIENCE_MS: u32 = 300_000;
/// Number of tokens of an answer with this many instructions.
fn tokens(instructions: usize) -> u32 {
    256 + 64 * instructions as u32
}
/// Additional tokens for the thoughts of a reasoning model, where these count.
const THOUGHTS: u32 = 8192;

/// Why an LLM proposed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The address or the name cannot be used.
    #[error("{0}")]
    Address(Faults),
    /// The API key is missing or not accepted (401, for example).
    #[error(
        "the LLM's server refuses the key: put a valid one into {place}, or ask for access to the model"
    )]
    Key {
        /// The place that the key comes from.
        place: String,
    },
    /// The server has no such model.
    #[error("the LLM's server has no model `{model}`{known}: choose another with --llm-model")]
    Model {
        /// The model that was asked for.
        model: String,
        /// The models that the server has, if it lists them.
        known: String,
    },
    /// The server speaks another protocol.
    #[error(
        "{url} does not answer as chat completions do ({detail}): --llm-url is what stands before /chat/completions, such as https://api.example.com/v1"
    )]
    Form {
        /// The address of the API.
        url: String,
        /// What came instead.
        detail: String,
    },
    /// The server does not accept the request.
    #[error("the LLM's server does not take the request: {0}")]
    Request(String),
    /// Any other failure.
    #[error("asking the LLM: {0}")]
    Call(CallError),
}

/// An LLM, and the way to it.
pub struct Llm {
    caller: HttpCaller,
    url: String,
    model: String,
    key_place: String,
    max_tokens: Option<u32>,
}

impl Llm {
    /// Makes the client of an LLM. `key_place` is where the key comes from, for error messages;
    /// `max_tokens` is the maximum length of an answer, or `None` for what the instructions need.
    ///
    /// # Errors
    /// The address or the name cannot be used.
    pub fn new(
        url: &str,
        model: &str,
        key: Option<String>,
        key_place: &str,
        max_tokens: Option<u32>,
    ) -> Result<Self, ProposeError> {
        // The client of model APIs is made for a task; this one has nothing but the LLM. It sends
        // one request at a time, and takes no answer from a cache, because the same question is
        // asked for other answers.
        let task = json!({
            "name": "LLM",
            "model": {
                "dialect": "openai", "url": url, "name": model, "input": { "kind": "text" },
                "calls": { "time_out_ms": PATIENCE_MS, "cache": 0, "concurrency": 1 },
            },
            "data": { "labels": ["a", "b"] },
            "text": { "input": "{text}" },
            "generator": { "kind": "instruction", "instructions": ["a", "b"] },
        });
        let task = Task::from_value(task).map_err(ProposeError::Address)?;
        Ok(Self {
            caller: model_api(&task, key, None).map_err(ProposeError::Call)?,
            url: url.to_owned(),
            model: model.to_owned(),
            key_place: key_place.to_owned(),
            max_tokens,
        })
    }

    /// The requests and tokens so far.
    pub fn tally(&self) -> Tally {
        self.caller.purse().tally()
    }

    async fn ask(&self, user: &str, limit: Limit) -> Result<Answer, ProposeError> {
        let question = Question {
            model: &self.model,
            system: SYSTEM,
            user,
        };
        let request = question.request(limit);
        let asked = self
            .caller
            .converse(&request, |response| question.read(response));
        match asked.await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// Turns an error of the model API into one that the person who chose the LLM can act on.
    async fn explained(&self, error: CallError) -> ProposeError {
        let CallError::Model(cause) = error else {
            return ProposeError::Call(error);
        };
        match cause {
            ModelApiError::Unauthorized => ProposeError::Key {
                place: self.key_place.clone(),
            },
            ModelApiError::NotFound { model } => ProposeError::Model {
                model,
                known: self.known().await,
            },
            ModelApiError::NotThisProtocol { detail } => ProposeError::Form {
                url: self.url.clone(),
                detail,
            },
            ModelApiError::BadRequest { detail } => ProposeError::Request(detail),
            other => ProposeError::Call(CallError::Model(other)),
        }
    }

    /// The models that the server lists, without the one that was asked for.
    async fn known(&self) -> String {
        match self.caller.describe().await {
            Err(CallError::Model(ModelApiError::Disagrees { faults })) => {
                format!(" ({})", faults.join("; "))
            }
            _ => String::new(),
        }
    }
}

/// The instructions that an LLM proposed.
#[derive(Debug, Default)]
pub struct Proposals {
    /// The proposals: all different, and different from those that were given.
    pub found: Vec<String>,
    /// Entries that the task file would refuse, with the reasons.
    pub refused: Vec<(String, String)>,
    /// Number of entries that were known already.
    pub repeated: usize,
    /// Why there are fewer than were wanted, if there are.
    pub trouble: Option<String>,
}

/// Asks until there are `wanted` instructions, until `most` requests were made, or until nothing
/// new comes.
///
/// # Errors
/// A request failed before anything was found. If one fails later, the result has what was found,
/// and the reason.
pub async fn propose(
    llm: &Llm,
    subject: &Subject,
    wanted: usize,
    most: usize,
) -> Result<Proposals, ProposeError> {
    let mut got = Proposals::default();
    let (mut in_vain, mut whole, mut request) = (0, false, 0);
    while got.found.len() < wanted {
        if in_vain == IN_VAIN || request == most {
            let why = || match request == most {
                true => format!("{most} requests were not enough: allow more with --requests"),
                false => "the LLM repeats itself, or proposes what cannot be used".to_owned(),
            };
            got.trouble = Some(got.trouble.take().unwrap_or_else(why));
            return Ok(got);
        }
        let count = (wanted - got.found.len()).clamp(IN_REQUEST.0, IN_REQUEST.1);
        let limit = match whole {
            false => Limit::Answer(llm.max_tokens.unwrap_or(tokens(count))),
            true => Limit::Whole(llm.max_tokens.unwrap_or(tokens(count) + THOUGHTS)),
        };
        let question = subject.question(count, request, &got.found);
        let answer = match llm.ask(&question, limit).await {
            Ok(answer) => answer,
            Err(error) if got.found.is_empty() => return Err(error),
            Err(error) => {
                got.trouble = Some(error.to_string());
                return Ok(got);
            }
        };
        if answer == Answer::OtherLimit && !whole {
            whole = true;
            continue;
        }
        request += 1;
        let before = got.found.len();
        got.trouble = got.take(answer, subject, wanted);
        in_vain = if got.found.len() > before {
            0
        } else {
            in_vain + 1
        };
    }
    got.trouble = None;
    Ok(got)
}

impl Proposals {
    /// Takes what is new in an answer; returns why there is nothing in it, if so.
    fn take(&mut self, answer: Answer, subject: &Subject, wanted: usize) -> Option<String> {
        let (text, cut) = match answer {
            Answer::Text { text, cut } => (text, cut),
            Answer::Refusal(said) => return Some(format!("the LLM refuses: {}", quoted(&said))),
            Answer::ThoughtsOnly => {
                return Some(
                    "the LLM thinks until its answer has no room any more: give it more with --llm-max-tokens, or choose one \
                     that does not reason"
                        .to_owned(),
                );
            }
            Answer::Nothing => return Some("the LLM answers nothing".to_owned()),
            Answer::OtherLimit => {
                return Some("the LLM's server takes no limit of an answer".to_owned());
            }
        };
        let entries = answer::entries(&text, cut);
        if entries.is_empty() {
            return Some(format!("the LLM answers no list, but {}", quoted(&text)));
        }
        for entry in entries.into_iter().take(ENTRIES) {
            match answer::instruction(&entry, subject.place) {
                _ if self.found.len() == wanted => break,
                Err(why) => self.refused.push((quoted(&entry), why)),
                Ok(new) if self.has(&new, subject) => self.repeated += 1,
                Ok(new) => self.found.push(new),
            }
        }
        None
    }

    /// Whether an instruction is known already, ignoring case.
    fn has(&self, instruction: &str, subject: &Subject) -> bool {
        let same = |known: &String| known.to_lowercase() == instruction.to_lowercase();
        self.found.iter().chain(&subject.like).any(same)
    }
}

/// The beginning of an LLM's message, safe to print.
fn quoted(said: &str) -> String {
    let mut beginning: String = said.chars().take(QUOTED).collect();
    if beginning.len() < said.len() {
        beginning.push('…');
    }
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tuning::generator::instruction::Place;

    fn subject() -> Subject {
        Subject {
            name: "News".to_owned(),
            description: String::new(),
            words: ["sport", "world"].map(str::to_owned).to_vec(),
            place: Place::Template,
            frame: String::new(),
            examples: Vec::new(),
            like: vec!["On {}.".to_owned()],
        }
    }

    fn says(text: &str) -> Answer {
        Answer::Text {
            text: text.to_owned(),
            cut: false,
        }
    }

    #[test]
    fn what_is_new_is_taken_and_the_rest_is_counted() {
        let (mut got, subject) = (Proposals::default(), subject());
        let list =
            r#"["On {}.", "ON {}.", "This is {}.", "this is {}.", "nothing", "In {}:", "Of {}"]"#;
        assert_eq!(got.take(says(list), &subject, 2), None);
        assert_eq!(got.found, ["This is {}.", "In {}:"]);
        assert_eq!((got.repeated, got.refused.len()), (3, 1));
        assert_eq!(got.refused[0].0, "\"nothing\"");
        assert!(got.refused[0].1.contains("{} once"));
    }

    #[test]
    fn answers_without_a_list_say_why() {
        let subject = subject();
        for (answer, why) in [
            (Answer::Nothing, "answers nothing"),
            (Answer::ThoughtsOnly, "--llm-max-tokens"),
            (Answer::OtherLimit, "no limit"),
            (
                Answer::Refusal("No.\u{1b}[2J".to_owned()),
                "refuses: \"No.\\u{1b}[2J\"",
            ),
            (says("I cannot do that."), "no list, but \"I cannot"),
        ] {
            let mut got = Proposals::default();
            let said = got.take(answer, &subject, 2).unwrap();
            assert!(said.contains(why), "{said}");
            assert!(got.found.is_empty());
        }
        // Long answers are neither kept nor printed in full.
        let mut got = Proposals::default();
        let lines = "bad line of words\n".repeat(100_000);
        assert_eq!(got.take(says(&lines), &subject, 2), None);
        assert_eq!(got.refused.len(), ENTRIES);
        assert!(quoted(&"ü".repeat(1000)).chars().count() < 200);
    }
}
