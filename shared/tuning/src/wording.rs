//! The part of a task that only texts have: the input tensors of its model API, and how an owner's
//! text and a label become what the model is asked.

use crate::query::TextQueries;
use ground::fault::Reader;
use ground::order::distinct;
use owner_data::texts::Text;
use serde::{Deserialize, Serialize};

/// Names of a text model's input tensors; see [`TextQueries`] for what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensors {
    /// Name of the tensor with the texts.
    pub text: String,
    /// Name of the tensor with the label words.
    pub labels: String,
    /// Name of the tensor with the label templates, which only sentence encoders get.
    pub template: String,
}

impl Tensors {
    /// Reads `name`, `labels_name`, `template_name` of `[model.input]`.
    pub fn read(r: &mut Reader<'_>) -> Self {
        let tensors = Self {
            text: r.text("name", Some("text")),
            labels: r.text("labels_name", Some("labels")),
            template: r.text("template_name", Some("template")),
        };
        for (key, name) in [
            ("name", &tensors.text),
            ("labels_name", &tensors.labels),
            ("template_name", &tensors.template),
        ] {
            if name.is_empty() {
                r.fault(key, "must not be empty");
            }
        }
        tensors
    }
}

/// The size of a soft prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SoftShape {
    /// Number n of tokens.
    pub tokens: usize,
    /// Number H of values in the embedding of one token.
    pub hidden: usize,
}

/// A soft prompt: embeddings in the place of words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SoftPrompt {
    /// Numbers of tokens and of values in each.
    pub shape: SoftShape,
    /// The embeddings, `[tokens][hidden]`.
    pub embeddings: Vec<f32>,
    /// Whether the prompt stands before the label template and not before the input.
    pub before_label: bool,
}

/// What a prompt generator puts before what the model is asked: words, or embeddings. Empty ones
/// change nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Prompt {
    /// Words before the model's input text.
    pub input: String,
    /// Words before the label template.
    pub label: String,
    /// A label template in place of the task's own, with `{}` once.
    pub template: Option<String>,
    /// Embeddings; `None` from a generator of words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soft: Option<SoftPrompt>,
}

/// An instruction among which a generator chooses, with what the participants found about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// The instruction as it stands in the task file.
    pub instruction: String,
    /// Posterior mean of its reward, from 0 to 1.
    pub mean: f32,
    /// Number of rounds in which it was tried.
    pub tries: f32,
}

/// A piece of the task file's `input` setting.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    /// `{text}`: both texts, with a space between.
    Both,
    /// `{first}`: the first of two texts.
    First,
    /// `{second}`: the second of two texts.
    Second,
}

/// The settings of a task of texts: the task file's `[text]` table, with the names of the tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTask {
    /// The names of the model API's input tensors.
    pub tensors: Tensors,
    /// One or a few words for each label, in the order of the labels.
    pub words: Vec<String>,
    /// The size of the generator's prompts if they are embeddings; `None` for words.
    pub soft: Option<SoftShape>,
    template: Option<String>,
    input: Vec<Piece>,
}

impl TextTask {
    /// Reads `template`, `input` and `words` of `[text]`.
    pub fn read(r: &mut Reader<'_>, tensors: Tensors, labels: &[String]) -> Self {
        let template = r.has("template").then(|| r.text("template", None));
        if template
            .as_deref()
            .is_some_and(|t| t.matches("{}").count() != 1)
        {
            r.fault("template", "must hold {} once, where the label word goes");
        }
        let has_input = r.has("input");
        if template.is_none() && !has_input {
            r.fault(
                "template",
                "is missing: a template such as \"This text is about {}.\" is needed, or, for a masked language model, input such as \"{text} It was <mask>.\"",
            );
        }
        let input = match pieces(&r.text("input", Some("{text}"))) {
            Ok(pieces) => pieces,
            Err(message) => {
                r.fault("input", message);
                Vec::new()
            }
        };
        let words = r.list("words", Some(labels.to_vec()), "texts", |v| {
            v.as_str().map(|s| s.trim().to_owned())
        });
        if r.has("words")
            && (words.len() != labels.len()
                || distinct(&words) != words.len()
                || words.iter().any(String::is_empty))
        {
            r.fault(
                "words",
                format!(
                    "must hold one word for each of the {} labels, all different and none empty",
                    labels.len()
                ),
            );
        }
        Self {
            tensors,
            words,
            soft: None,
            template,
            input,
        }
    }

    /// Whether the model scores labels through a template, as a sentence encoder does.
    #[must_use]
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Whether every model input holds `mask`, the mask token of a masked language model.
    #[must_use]
    pub fn holds(&self, mask: &str) -> bool {
        let holds = |piece: &Piece| matches!(piece, Piece::Words(words) if words.contains(mask));
        self.input.iter().any(holds)
    }

    /// The model's input for a text under a prompt.
    #[must_use]
    pub fn input(&self, text: &Text, prompt: &Prompt) -> String {
        let mut input = String::new();
        for piece in &self.input {
            match piece {
                Piece::Words(words) => input.push_str(words),
                Piece::First => input.push_str(&text.first),
                Piece::Second => input.push_str(&text.second),
                Piece::Both => {
                    input.push_str(&text.first);
                    if !text.first.is_empty() && !text.second.is_empty() {
                        input.push(' ');
                    }
                    input.push_str(&text.second);
                }
            }
        }
        before(&prompt.input, &input)
    }

    /// The queries about several texts under the same prompt.
    #[must_use]
    pub fn queries<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a Text>,
        prompt: &Prompt,
    ) -> TextQueries {
        let mut queries = TextQueries::default();
        queries.begin(prompt);
        for text in texts {
            self.ask(&mut queries, text, prompt);
        }
        queries
    }

    /// Adds a text under the prompt that was begun last ([`TextQueries::begin`]).
    pub fn ask(&self, queries: &mut TextQueries, text: &Text, prompt: &Prompt) {
        queries.texts.push(self.input(text, prompt));
        queries.templates.extend(self.template(prompt));
        if let Some(soft) = &mut queries.soft {
            let prompts = soft.embeddings.len() / (soft.tokens * soft.hidden).max(1);
            soft.of_text.push(prompts.saturating_sub(1) as u32);
        }
    }

    /// A model input that reveals nothing about anyone.
    #[must_use]
    pub fn harmless(&self) -> String {
        let word = || "A text.".to_owned();
        let text = Text {
            first: word(),
            second: word(),
        };
        self.input(&text, &Prompt::default())
    }

    /// A prompt as people see it, with embeddings only counted: the label template under the
    /// prompt; or, if the words stand before the input or there is no template, the input with the
    /// names of its places.
    #[must_use]
    pub fn shown(&self, prompt: &Prompt) -> String {
        let places = Text {
            first: "{first}".to_owned(),
            second: "{second}".to_owned(),
        };
        let soft = prompt.soft.as_ref();
        let on_input = !prompt.input.is_empty() || soft.is_some_and(|soft| !soft.before_label);
        let template = self.template(prompt).filter(|_| !on_input);
        let shown = template.unwrap_or_else(|| {
            let shown = self.input(&places, prompt);
            shown.replace("{first} {second}", "{text}")
        });
        match soft {
            None => shown,
            Some(soft) => format!("[{} soft tokens] {shown}", soft.shape.tokens),
        }
    }

    /// The label template under a prompt; `None` for models without one.
    #[must_use]
    pub fn template(&self, prompt: &Prompt) -> Option<String> {
        let template = self.template.as_ref()?;
        Some(before(
            &prompt.label,
            prompt.template.as_ref().unwrap_or(template),
        ))
    }
}

fn before(words: &str, text: &str) -> String {
    if words.is_empty() {
        text.to_owned()
    } else {
        [words, " ", text].concat()
    }
}

/// Cuts the `input` setting at `{text}`, `{first}` and `{second}`, so that an owner's text is never
/// searched for these.
fn pieces(setting: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), setting);
    while let Some((words, name_on)) = rest.split_once('{') {
        let (name, after) = name_on
            .split_once('}')
            .ok_or("opens a { that is never closed")?;
        if !words.is_empty() {
            pieces.push(Piece::Words(words.to_owned()));
        }
        pieces.push(match name {
            "text" => Piece::Both,
            "first" => Piece::First,
            "second" => Piece::Second,
            _ => {
                return Err(format!(
                    "holds {{{name}}}, which is none of {{text}}, {{first}}, {{second}}"
                ));
            }
        });
        rest = after;
    }
    if pieces.iter().all(|p| matches!(p, Piece::Words(_))) {
        return Err("must hold {text}, {first} or {second}".to_owned());
    }
    if !rest.is_empty() {
        pieces.push(Piece::Words(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(table: &Value, labels: &[&str]) -> Result<TextTask, Vec<String>> {
        let mut faults = Vec::new();
        let mut r = Reader::new("text", table, &mut faults);
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        let tensors = Tensors {
            text: "text".into(),
            labels: "labels".into(),
            template: "template".into(),
        };
        let task = TextTask::read(&mut r, tensors, &labels);
        r.finish();
        if faults.is_empty() {
            Ok(task)
        } else {
            Err(faults.into_iter().map(|f| f.path).collect())
        }
    }

    fn pair(first: &str, second: &str) -> Text {
        Text {
            first: first.into(),
            second: second.into(),
        }
    }

    #[test]
    fn a_template_and_an_input() {
        let task = read(&json!({ "template": "This is about {}." }), &["a", "b"]).unwrap();
        assert_eq!(task.words, ["a", "b"]);
        let none = Prompt::default();
        assert_eq!(task.input(&pair("Title", "body"), &none), "Title body");
        assert_eq!(task.input(&pair("only", ""), &none), "only");
        assert_eq!(task.template(&none).as_deref(), Some("This is about {}."));
        let prompt = Prompt {
            input: "in".into(),
            label: "news of".into(),
            ..Prompt::default()
        };
        assert_eq!(task.input(&pair("x", ""), &prompt), "in x");
        let template = task.template(&prompt);
        assert_eq!(template.as_deref(), Some("news of This is about {}."));
        assert_eq!(task.shown(&prompt), "in {text}");
        assert_eq!(task.shown(&none), "This is about {}.");
        let whole = Prompt {
            template: Some("{}, then".into()),
            ..Prompt::default()
        };
        assert_eq!(task.template(&whole).as_deref(), Some("{}, then"));
        assert_eq!(task.shown(&whole), "{}, then");
        let soft = |before_label| Prompt {
            soft: Some(SoftPrompt {
                shape: SoftShape {
                    tokens: 2,
                    hidden: 1,
                },
                embeddings: vec![0.5, 1.0],
                before_label,
            }),
            ..Prompt::default()
        };
        assert_eq!(task.shown(&soft(true)), "[2 soft tokens] This is about {}.");
        assert_eq!(task.shown(&soft(false)), "[2 soft tokens] {text}");
    }

    #[test]
    fn pairs_and_masks_and_no_second_look() {
        let table = json!({ "input": "{first}? <mask>, {second}", "words": [" yes ", "no"] });
        let task = read(&table, &["1", "0"]).unwrap();
        assert_eq!(task.words, ["yes", "no"]);
        assert!(task.holds("<mask>") && !task.holds("[MASK]") && !task.has_template());
        let asked = task.input(&pair("{second}", "b {}"), &Prompt::default());
        assert_eq!(asked, "{second}? <mask>, b {}");
        assert_eq!(task.template(&Prompt::default()), None);
    }

    #[test]
    fn every_fault_is_told() {
        for (table, paths) in [
            (json!({}), vec!["text.template"]),
            (json!({ "template": "no place" }), vec!["text.template"]),
            (json!({ "template": "{} {}" }), vec!["text.template"]),
            (json!({ "input": "no place" }), vec!["text.input"]),
            (json!({ "input": "{text" }), vec!["text.input"]),
            (json!({ "input": "{text} {word}" }), vec!["text.input"]),
            (
                json!({ "template": 1, "input": "{}", "words": ["a"], "typo": 1 }),
                vec![
                    "text.template",
                    "text.template",
                    "text.input",
                    "text.words",
                    "text.typo",
                ],
            ),
            (
                json!({ "template": "{}", "words": ["a", "a"] }),
                vec!["text.words"],
            ),
            (
                json!({ "template": "{}", "words": ["a", " "] }),
                vec!["text.words"],
            ),
        ] {
            assert_eq!(read(&table, &["x", "y"]).unwrap_err(), paths, "{table}");
        }
    }
}
