//! A dialect: `POST /classify/MODEL` with a line for each input, answered with a line of scores for
//! each.

use std::sync::Arc;

use ground::fault::Reader;
use ground::form::{FormField, FormKind};
use model_client::dialects::{Entry, Help, Labels, Sends, Settings};
use model_client::{
    Description, Dialect, Method, ModelApiError, ModelSpec, Protocol, Request, Response, Scores,
    SharedEmbedder, TextDialect, TextQueries,
};
use tuning::wording::TextTask;

pub const ENTRY: Entry = Entry {
    help: Help {
        spoken_by: "lines of comma-separated values",
        listing: "curl {url}/models",
        fields: &[FormField::new(
            "model.csv.separator",
            "Between two numbers",
            FormKind::Text,
            ",",
        )],
        cures: &[],
    },
    sends: Sends::Tensors,
    labels: Labels::Kept,
    takes_template: true,
    answers_logarithms: false,
    counts_tokens: false,
    runs_here: false,
    read: |r, _| Arc::new(r.table("csv", Csv::read)),
};

/// The settings in `[model.csv]`.
#[derive(Clone, Debug)]
struct Csv {
    separator: char,
}

impl Csv {
    /// Reads `separator`.
    fn read(r: &mut Reader<'_>) -> Self {
        let text = r.text("separator", Some(","));
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(separator), None) => Self { separator },
            _ => {
                r.fault("separator", "must be one character");
                Self { separator: ',' }
            }
        }
    }
}

impl Settings for Csv {
    fn images(&self, spec: &ModelSpec) -> Result<Box<dyn Dialect>, ModelApiError> {
        Ok(Box::new(self.of(spec)))
    }

    fn texts(
        &self,
        spec: &ModelSpec,
        _: &TextTask,
        _: Option<SharedEmbedder>,
    ) -> Result<Box<dyn TextDialect>, ModelApiError> {
        Ok(Box::new(self.of(spec)))
    }
}

impl Csv {
    fn of(&self, spec: &ModelSpec) -> Lines {
        Lines {
            own: self.clone(),
            spec: spec.clone(),
        }
    }
}

/// The dialect, configured for one model.
struct Lines {
    own: Csv,
    spec: ModelSpec,
}

impl Lines {
    fn request(&self, method: Method, lines: &[String]) -> Request {
        Request {
            method,
            path: format!("/classify/{}", self.spec.name),
            headers: vec![("content-type".into(), "text/csv".into())],
            body: lines.join("\n").into_bytes(),
        }
    }
}

impl Protocol for Lines {
    fn describe_request(&self) -> Request {
        self.request(Method::Get, &[])
    }

    fn check_description(&self, _: &Response<'_>) -> Result<Description, ModelApiError> {
        Ok(Description::default())
    }

    fn parse(&self, response: &Response<'_>, count: usize) -> Result<Scores, ModelApiError> {
        let body = String::from_utf8_lossy(response.body);
        let mut values = Vec::new();
        for line in body.lines() {
            for number in line.split(self.own.separator) {
                values.push(number.parse().map_err(|_| ModelApiError::Malformed {
                    detail: format!("`{number}` is not a number"),
                })?);
            }
        }
        let classes = self.spec.output.classes;
        if values.len() != count * classes {
            return Err(ModelApiError::WrongShape {
                expected: format!("{count} lines of {classes} numbers"),
                got: format!("{} numbers", values.len()),
            });
        }
        Scores::new(classes, values)
    }
}

impl Dialect for Lines {
    fn infer_request(&self, images: &[u8], count: usize) -> Result<Request, ModelApiError> {
        let per_image = 3 * self.spec.input.height * self.spec.input.width;
        if count == 0 || count.checked_mul(per_image) != Some(images.len()) {
            return Err(ModelApiError::WrongPixels {
                count,
                per_image,
                got: images.len(),
            });
        }
        let separator = self.own.separator.to_string();
        let line = |image: &[u8]| {
            let levels: Vec<String> = image.iter().map(ToString::to_string).collect();
            levels.join(&separator)
        };
        let lines: Vec<String> = images.chunks_exact(per_image).map(line).collect();
        Ok(self.request(Method::Post, &lines))
    }
}

impl TextDialect for Lines {
    fn infer_request(&self, queries: &TextQueries) -> Result<Request, ModelApiError> {
        Ok(self.request(Method::Post, &queries.texts))
    }
}
