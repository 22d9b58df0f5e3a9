//! Turns the owner's pictures into [`Examples`]. The Worker opens, unpacks and decodes files
//! (`web/src/worker/files.ts`); what they are, and what is wrong with them, is decided here and in
//! [`owner_data`].

use std::cell::RefCell;
use std::rc::Rc;

use federation::task::Inputs;
use ground::image::Image;
use owner_data::files;
use owner_data::files::{LabelTable, PlannedFile, PlannedKind};
use owner_data::labels::Labels;
use owner_data::{DataError, Example, check_size, csv, handwriting, idx};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

use super::data::take;
use super::examples::Examples;
use super::notes::{Notes, code, sentence, shortened};
use super::owner::Owner;
use super::session::Session;

/// Maximum number of bytes of images; of more, an even sample is taken.
const MOST_BYTES: usize = 128 << 20;

/// Collects examples for one session. Errors are thrown as texts for the person; the code is in
/// [`finish`](Self::finish)'s trouble.
#[wasm_bindgen]
pub struct Loader {
    owner: Rc<Owner>,
    labels: Labels,
    plan: RefCell<Vec<PlannedFile>>,
    images: RefCell<Vec<u8>>,
    classes: RefCell<Vec<u32>>,
    unknown: RefCell<Vec<String>>,
    notes: Notes,
}

#[wasm_bindgen]
impl Loader {
    /// Starts an empty collection for a session.
    #[wasm_bindgen(constructor)]
    pub fn new(session: &Session) -> Self {
        let owner = session.owner();
        Self {
            labels: Labels::new(&owner.task().labels),
            owner,
            plan: RefCell::default(),
            images: RefCell::default(),
            classes: RefCell::default(),
            unknown: RefCell::default(),
            notes: Notes::default(),
        }
    }

    /// The file that gives pictures their labels, if there is one: the caller reads it and passes
    /// it to `plan`.
    #[wasm_bindgen(js_name = labelTable)]
    pub fn label_table(&self, paths: Vec<String>) -> Option<String> {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        files::find_label_table(&paths).map(str::to_owned)
    }

    /// Decides what to do with each file: a JSON list of `{path, gzip, kind, partner}` with the
    /// kind `image`, `csv` or `idx-images` (whose partner holds its labels). Files to be left alone
    /// are not in the list.
    pub fn plan(
        &self,
        paths: Vec<String>,
        table_path: Option<String>,
        table: Option<Vec<u8>>,
    ) -> Result<String, String> {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let planned = table_path
            .zip(table)
            .map(|(path, bytes)| LabelTable::parse(&path, &bytes))
            .transpose()
            .and_then(|table| files::plan(&paths, &self.owner.task().labels, table.as_ref()));
        let planned = planned.map_err(|fault| self.remember(fault))?;
        for warning in &planned.warnings {
            self.notes.warn(warning.to_string());
        }
        let mut out = Vec::new();
        for (number, file) in planned.files.iter().enumerate() {
            let (kind, partner) = match &file.kind {
                PlannedKind::Image(_) => ("image", None),
                PlannedKind::Csv => ("csv", None),
                PlannedKind::IdxImages(labels) => ("idx-images", Some(labels)),
                PlannedKind::IdxLabels(_) | PlannedKind::LabelTable => continue,
                PlannedKind::Skip(reason) => {
                    self.skip(&file.path, &reason.to_string());
                    continue;
                }
            };
            out.push(json!({ "number": number, "path": file.path, "gzip": file.gzip, "kind": kind, "partner": partner }));
        }
        // The plan names only the first of the skipped files.
        let named = planned
            .files
            .iter()
            .filter(|file| matches!(file.kind, PlannedKind::Skip(_)))
            .count();
        self.notes
            .add_skipped(planned.skipped.saturating_sub(named));
        *self.plan.borrow_mut() = planned.files;
        Ok(Value::Array(out).to_string())
    }

    /// Checks that a file's first bytes are what its name promises.
    pub fn check(&self, number: usize, head: &[u8]) -> Result<(), String> {
        let fault = match self.plan.borrow().get(number) {
            Some(file) => files::check_kind(&file.path, &file.kind, head).err(),
            None => None,
        };
        fault.map_or(Ok(()), |fault| Err(self.remember(fault)))
    }

    /// Adds a decoded picture of the plan.
    #[wasm_bindgen(js_name = addPicture)]
    pub fn add_picture(
        &self,
        number: usize,
        width: u32,
        height: u32,
        rgba: &[u8],
    ) -> Result<(), String> {
        let Some((path, label)) =
            self.plan
                .borrow()
                .get(number)
                .and_then(|file| match &file.kind {
                    PlannedKind::Image(label) => Some((file.path.clone(), label.clone())),
                    _ => None,
                })
        else {
            return Ok(());
        };
        check_size(&path, width, height).map_err(|fault| self.remember(fault))?;
        self.add_rgba(&path, &label, width, height, rgba)
    }

    /// Notes a picture that the browser could not decode; returns the text for it.
    pub fn undecodable(&self, path: &str, cause: &str) -> String {
        self.remember(DataError::Picture {
            file: path.to_owned(),
            cause: cause.to_owned(),
        })
    }

    /// Adds a drawing from the page.
    #[wasm_bindgen(js_name = addDrawing)]
    pub fn add_drawing(
        &self,
        label: &str,
        width: u32,
        height: u32,
        rgba: &[u8],
    ) -> Result<(), String> {
        self.add_rgba("drawing", label, width, height, rgba)
    }

    /// Adds a table of numbers.
    #[wasm_bindgen(js_name = addCsv)]
    pub fn add_csv(&self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let reader = csv::Reader::new(path, bytes, &csv::Options::default())
            .map_err(|fault| self.remember(fault))?;
        let count = reader.examples();
        self.add_sample(path, count, reader)
    }

    /// Adds images and labels in IDX files.
    #[wasm_bindgen(js_name = addIdx)]
    pub fn add_idx(
        &self,
        images_path: &str,
        images: &[u8],
        labels_path: &str,
        labels: &[u8],
    ) -> Result<(), String> {
        let pair = idx::Pair::new(images_path, images, labels_path, labels)
            .map_err(|fault| self.remember(fault))?;
        self.add_sample(images_path, pair.examples(), pair.iter())
    }

    /// Adds the examples of built-in owner number `owner`.
    #[wasm_bindgen(js_name = addBuiltin)]
    pub fn add_builtin(&self, owner: u32, count: usize) -> Result<(), String> {
        for (grey, digit) in handwriting::owner(owner.into(), count.min(10_000), None) {
            let image = Image::from_grey(handwriting::SIZE, handwriting::SIZE, &grey)
                .map_err(|cause| cause.to_string())?;
            self.add(
                "built-in handwriting",
                &Example {
                    image,
                    label: digit.to_string(),
                },
            );
        }
        Ok(())
    }

    /// Notes a file that is left out, with the reason.
    pub fn skip(&self, name: &str, reason: &str) {
        self.notes.skip(name, reason);
    }

    /// Makes the collection the session's data, saves it and reports it, and returns true. If it
    /// cannot be used, it says why and returns false, and the earlier data stay.
    pub async fn finish(&self) -> bool {
        let (images, classes) = (self.images.take(), self.classes.take());
        self.report_unknown();
        let Some(examples) = Examples::new(self.owner.task(), images, classes) else {
            let known_only = self.unknown.borrow().is_empty();
            self.notes.refuse(&self.owner.host, |fault| {
                let code = if known_only {
                    code(fault)
                } else {
                    "unknown_labels"
                };
                (code, sentence(&fault.to_string()))
            });
            return false;
        };
        take(&self.owner, examples, &self.notes).await;
        true
    }
}

impl Loader {
    fn add_rgba(
        &self,
        path: &str,
        label: &str,
        width: u32,
        height: u32,
        rgba: &[u8],
    ) -> Result<(), String> {
        let background = match &self.owner.task().inputs {
            Inputs::Images(fit) => fit.background,
            // `add` leaves it out.
            Inputs::Texts(_) => 0,
        };
        match Image::from_rgba(width as usize, height as usize, rgba, background) {
            Ok(image) => {
                self.add(
                    path,
                    &Example {
                        image,
                        label: label.to_owned(),
                    },
                );
                Ok(())
            }
            Err(cause) => Err(self.remember(DataError::Image {
                file: path.to_owned(),
                cause,
            })),
        }
    }

    /// Adds an even sample of a large file. If any of its examples is bad, none is taken.
    fn add_sample(
        &self,
        path: &str,
        count: usize,
        examples: impl Iterator<Item = Result<Example, DataError>>,
    ) -> Result<(), String> {
        let share = count.min(self.room());
        let before = (self.images.borrow().len(), self.classes.borrow().len());
        for (i, example) in examples.enumerate() {
            match example {
                Ok(example) if (i + 1) * share / count.max(1) > i * share / count.max(1) => {
                    self.add(path, &example)
                }
                Ok(_) => {}
                Err(fault) => {
                    self.images.borrow_mut().truncate(before.0);
                    self.classes.borrow_mut().truncate(before.1);
                    return Err(self.remember(fault));
                }
            }
        }
        if share < count {
            let text = format!(
                "{path} holds {count} examples; {share} of them are used, spread evenly, because a browser tab's memory is small."
            );
            self.notes.warn(text);
        }
        Ok(())
    }

    fn room(&self) -> usize {
        MOST_BYTES.saturating_sub(self.images.borrow().len()) / self.owner.task().shape().bytes()
    }

    fn add(&self, path: &str, example: &Example) {
        let Some(class) = self.labels.find(&example.label) else {
            self.unknown.borrow_mut().push(example.label.clone());
            self.skip(
                path,
                &format!(
                    "its label {:?} is none of the federation's",
                    shortened(&example.label)
                ),
            );
            return;
        };
        let Inputs::Images(fit) = &self.owner.task().inputs else {
            self.skip(path, "this federation works with texts");
            return;
        };
        if self.room() == 0 {
            self.skip(path, "a browser tab's memory is too small for more");
            return;
        }
        self.images
            .borrow_mut()
            .extend(fit.apply(&example.image).bytes());
        self.classes.borrow_mut().push(class as u32);
    }

    fn remember(&self, fault: DataError) -> String {
        self.notes.remember(fault)
    }

    fn report_unknown(&self) {
        let unknown = self.unknown.borrow();
        if unknown.is_empty() {
            return;
        }
        if let Err(fault) = self.labels.resolve(unknown.iter().map(String::as_str)) {
            self.notes.warn(sentence(&fault.to_string()));
            self.notes.remember(fault);
        }
    }
}
