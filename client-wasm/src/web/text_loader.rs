//! Turns the owner's texts into [`Examples`]. The Worker opens and unpacks files
//! (`web/src/worker/texts.ts`); what they hold, and what is wrong with it, is decided in
//! [`owner_data::texts`].

use std::cell::RefCell;
use std::rc::Rc;

use federation::task::Inputs;
use owner_data::texts;
use owner_data::texts::TextExample;
use owner_data::{DataError, MAX_FILES};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use super::data::take;
use super::examples::Examples;
use super::notes::{Notes, code, sentence, shortened};
use super::owner::Owner;
use super::session::Session;

/// Maximum number of texts; of more, an even sample is taken, because each is sent to the model
/// many times.
const MOST: usize = MAX_FILES;
/// The name that errors give to pasted text.
const PASTED: &str = "what was pasted";

/// Collects texts for one session. Errors are thrown as texts for the person; the code is in
/// [`finish`](Self::finish)'s trouble.
#[wasm_bindgen]
pub struct TextLoader {
    owner: Rc<Owner>,
    /// The texts, each with the name of its file.
    examples: RefCell<Vec<(Rc<str>, TextExample)>>,
    notes: Notes,
}

#[wasm_bindgen]
impl Session {
    /// Whether the federation's data are texts, which a [`TextLoader`] reads, or pictures.
    #[wasm_bindgen(js_name = takesTexts)]
    pub fn takes_texts(&self) -> bool {
        matches!(self.owner().task().inputs, Inputs::Texts(_))
    }
}

#[wasm_bindgen]
impl TextLoader {
    /// Starts an empty collection for a session.
    #[wasm_bindgen(constructor)]
    pub fn new(session: &Session) -> Self {
        Self {
            owner: session.owner(),
            examples: RefCell::default(),
            notes: Notes::default(),
        }
    }

    /// The files to open, as a JSON list of `{path, gzip}`. The others are skipped.
    pub fn plan(&self, paths: Vec<String>) -> String {
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let mut out = Vec::new();
        for (path, taken) in names.iter().zip(texts::taken(&names)) {
            if taken {
                let gzip = path.to_ascii_lowercase().ends_with(".gz");
                out.push(json!({ "path": path, "gzip": gzip }));
            } else {
                self.notes.skip(path, "it is no table of texts");
            }
        }
        Value::Array(out).to_string()
    }

    /// Adds a file's content. If any of it cannot be read, none is taken.
    #[wasm_bindgen(js_name = addFile)]
    pub fn add_file(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        self.add(path, texts::read(path, bytes, &self.owner.task().labels))
    }

    /// Adds lines that the owner typed or pasted.
    #[wasm_bindgen(js_name = addPasted)]
    pub fn add_pasted(&self, content: &str) -> Result<(), String> {
        let labels = &self.owner.task().labels;
        self.add(
            PASTED,
            texts::read_pasted(PASTED, content, labels, self.words()),
        )
    }

    /// Notes a file that is left out, with the reason.
    pub fn skip(&self, name: &str, reason: &str) {
        self.notes.skip(name, reason);
    }

    /// Makes the collection the session's data, saves it and reports it, and returns true. If it
    /// cannot be used, it says why and returns false, and the earlier data stay.
    pub async fn finish(&self) -> bool {
        let (files, mut found): (Vec<Rc<str>>, Vec<TextExample>) =
            self.examples.take().into_iter().unzip();
        let task = self.owner.task();
        let names = texts::naming(&found, &task.labels, self.words());
        let classes: Vec<Option<usize>> = found.iter().map(|e| names.find(&e.label)).collect();
        let unknown = || {
            let pairs = found.iter().zip(&classes);
            pairs.filter_map(|(e, class)| class.is_none().then_some(&*e.label))
        };
        if let Err(fault) = names.resolve(unknown())
            && unknown().next().is_some()
        {
            self.notes.warn(sentence(&fault.to_string()));
            self.notes.remember(fault);
        }
        for ((file, example), class) in files.iter().zip(&found).zip(&classes) {
            if class.is_none() {
                let reason = format!(
                    "row {}: its label {:?} is none of the federation's",
                    example.row,
                    shortened(&example.label)
                );
                self.notes.skip(file, &reason);
            }
        }
        let mut known: Vec<(TextExample, u32)> = found
            .drain(..)
            .zip(classes)
            .filter_map(|(example, class)| Some((example, class? as u32)))
            .collect();
        let count = known.len();
        if count > MOST {
            let mut at = 0;
            known.retain(|_| {
                at += 1;
                at * MOST / count > (at - 1) * MOST / count
            });
            self.notes.warn(format!(
                "{count} texts were chosen; {MOST} of them are used, spread evenly, because each is sent to the model many times."
            ));
        }
        let (texts, labels) = known.into_iter().map(|(e, class)| (e.text, class)).unzip();
        let Some(examples) = Examples::of_texts(task, texts, labels) else {
            self.notes.refuse(&self.owner.host, |fault| {
                let text = match fault {
                    DataError::Empty { file } => format!(
                        "{file}: no labelled text in it; choose CSV, TSV or JSON lines with a label and a text in each row, or lines of a label and a text"
                    ),
                    fault => fault.to_string(),
                };
                (code(fault), sentence(&text))
            });
            return false;
        };
        take(&self.owner, examples, &self.notes).await;
        true
    }
}

impl TextLoader {
    fn words(&self) -> &[String] {
        self.owner
            .task()
            .inputs
            .texts()
            .map_or(&[], |text| &text.words)
    }

    fn add(&self, name: &str, read: Result<Vec<TextExample>, DataError>) -> Result<(), String> {
        let mut examples = read.map_err(|fault| self.notes.remember(fault))?;
        let disputed = texts::leave_out_disputed(&mut examples, &self.owner.task().labels);
        if disputed > 0 {
            let text = format!("{name}: {disputed} texts with the label \"-\" were left out.");
            self.notes.warn(text);
        }
        let name: Rc<str> = name.into();
        let named = examples.into_iter().map(|e| (Rc::clone(&name), e));
        self.examples.borrow_mut().extend(named);
        Ok(())
    }
}
