//! Reading `[model]` and `[data]`, with all of their faults.

use super::text::Tensors;
use crate::fault::Reader;
use crate::image::Fit;
use crate::model_api::{
    Calls, DIALECTS, Datatype, InputSpec, Layout, ModelSpec, OutputKind,
    OutputSpec, Own, Price, Sent,
};

/// Reads `url`: an address without a slash at its end.
pub(crate) fn read_url(r: &mut Reader<'_>) -> String {
    let url = r.text("url", None).trim_end_matches('/').to_owned();
    if r.has("url") && origin_of(&url).is_none() {
        r.fault(
            "url",
            "must be an http:// or https:// address with a host, such as http://127.0.0.1:8701",
        );
    }
    // People are shown commands with it: nothing that a shell would take for its own.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/%:@[]+,=".contains(c);
    if !url.chars().all(plain) {
        r.fault(
            "url",
            "may hold letters, digits and - . _ ~ / % : @ [ ] + , = only, without a query or fragment",
        );
    }
    url
}

/// `scheme://host[:port]` of an http(s) address; nothing for anything else. Small on purpose: the browser
/// and the native client parse the whole address again with libraries.
#[must_use]
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_at_checked(url.find("://")?)?;
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let authority = rest[3..].split(['/', '?', '#']).next()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let has_host =
        !authority.is_empty() && !authority.starts_with(':') && authority.chars().all(allowed);
    has_host.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// `[model]`, and the tensors of a model of texts.
pub(super) fn read_model(r: &mut Reader<'_>) -> (ModelSpec, Option<Tensors>) {
    let dialect = DIALECTS[r.choice("dialect", DIALECTS, Some(DIALECTS[0]))].to_owned();
    let url = read_url(r);
    let name = r.text("name", None);
    if r.has("name")
        && (name.is_empty()
            || name.len() > 200
            || !name.chars().all(|c| {
                c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/')
            }))
    {
        r.fault("name", "must be 1 to 200 letters, digits, or - _ . : @ /");
    }
    let of_protocol = matches!(&*dialect, "open-inference" | "on-device");
    let (input, tensors) = r.table("input", |r| read_input(r, of_protocol));
    let is_text = tensors.is_some();
    let own = Own::read(r, &dialect, is_text);
    let output = r.table("output", |r| read_output(r, is_text, &own));
    let version = if of_protocol {
        r.text("version", Some(""))
    } else {
        String::new()
    };
    // Where calls cost money, and where a search asks the same again and again.
    let cache = if own.sends_files() || is_text {
        16_384
    } else {
        0
    };
    let model = ModelSpec {
        dialect,
        url,
        name,
        input,
        output,
        version,
        calls: r.table("calls", |r| Calls::read(r, cache)),
        price: r.has("price").then(|| r.table("price", Price::read)),
        own,
    };
    let by_tokens = |price: &Price| {
        price.per_million_input_tokens > 0.0 || price.per_million_output_tokens > 0.0
    };
    if model.price.as_ref().is_some_and(by_tokens) && model.dialect != "openai" {
        r.fault(
            "price.per_million_input_tokens",
            "can only be counted with the dialect \"openai\", whose answers name their tokens; use per_call or per_query",
        );
    }
    (model, tensors)
}

/// What an API that is asked about words is asked: the labels, if the task says nothing else.
pub(super) fn name_classes(r: &mut Reader<'_>, output: &mut OutputSpec, labels: &[String]) {
    if output.words.is_empty() {
        output.words = labels.to_vec();
    }
    if output.classes == 0 {
        output.classes = output.words.len();
    }
    if output.words.len() != output.classes {
        let (words, classes) = (output.words.len(), output.classes);
        let message = format!("holds {words} words, but model.output.classes says {classes}");
        r.fault("model.output.words", message);
    }
}

fn read_output(r: &mut Reader<'_>, is_text: bool, own: &Own) -> OutputSpec {
    let name = r.text("name", Some("logits"));
    let kinds = [OutputKind::Logits, OutputKind::Probabilities];
    let kind = kinds[r.choice("kind", &["logits", "probabilities"], Some("logits"))];
    if own.answers_logs() && kind == OutputKind::Probabilities {
        r.fault(
            "kind",
            "must be \"logits\": this dialect's answers are made into logarithms of probabilities",
        );
    }
    let words = if own.sends_files() && !is_text {
        r.list("words", Some(Vec::new()), "texts", |v| {
            v.as_str().map(|s| s.trim().to_owned())
        })
    } else {
        Vec::new()
    };
    // A model of texts scores whatever labels it is given, and so does one that is asked about words.
    let free = is_text || own.sends_files();
    let classes = r.whole("classes", 2..=100_000, free.then_some(words.len() as u64)) as usize;
    OutputSpec {
        name,
        kind,
        classes,
        words,
    }
}

fn read_input(r: &mut Reader<'_>, of_protocol: bool) -> (InputSpec, Option<Tensors>) {
    let image = |name, height, width| InputSpec {
        name,
        datatype: Datatype::Uint8,
        layout: Layout::Nchw,
        height,
        width,
        low: 0.0,
        high: 1.0,
        sent: Sent::default(),
    };
    if r.choice("kind", &["image", "text"], Some("image")) == 1 {
        let tensors = Tensors::read(r);
        return (image(tensors.text.clone(), 0, 0), Some(tensors));
    }
    let name = r.text("name", Some("image"));
    let input = InputSpec {
        datatype: [Datatype::Uint8, Datatype::Fp32]
            [r.choice("datatype", &["UINT8", "FP32"], Some("UINT8"))],
        layout: [Layout::Nchw, Layout::Nhwc][r.choice("layout", &["nchw", "nhwc"], Some("nchw"))],
        low: r.number("low", -1e4..=1e4, Some(0.0)),
        high: r.number("high", -1e4..=1e4, Some(1.0)),
        sent: Sent::read(r, of_protocol),
        ..image(
            name,
            r.whole("height", 4..=1024, None) as usize,
            r.whole("width", 4..=1024, None) as usize,
        )
    };
    (input, None)
}

pub(super) fn read_data(
    r: &mut Reader<'_>,
    input: &InputSpec,
    is_text: bool,
) -> (Vec<String>, Fit, f32) {
    let labels = r.list("labels", None, "texts", |v| {
        v.as_str().map(|s| s.trim().to_owned())
    });
    if r.has("labels") {
        let mut sorted = labels.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if labels.len() < 2
            || labels.len() > 10_000
            || sorted.len() != labels.len()
            || labels.iter().any(String::is_empty)
        {
            r.fault(
                "labels",
                "must hold 2 to 10,000 different, non-empty labels",
            );
        }
    }
    if is_text {
        let holdout = r.number("holdout", 0.0..=0.9, Some(0.2));
        return (labels, NO_FIT, holdout);
    }
    let inner = r.list(
        "inner",
        Some(vec![input.height as u64, input.width as u64]),
        "two whole numbers (height, width)",
        serde_json::Value::as_u64,
    );
    let (inner_height, inner_width) = match inner[..] {
        [h, w] if h >= 1 && w >= 1 && h <= input.height as u64 && w <= input.width as u64 => {
            (h as usize, w as usize)
        }
        _ => {
            r.fault(
                "inner",
                format!(
                    "must be [height, width] within the model's {}×{}",
                    input.height, input.width
                ),
            );
            (input.height, input.width)
        }
    };
    let fit = Fit {
        width: input.width,
        height: input.height,
        inner_width,
        inner_height,
        background: r.whole("background", 0..=255, Some(0)) as u8,
        invert: r.flag("invert", false),
        keep_aspect: r.flag("keep_aspect", true),
    };
    (labels, fit, r.number("holdout", 0.0..=0.9, Some(0.2)))
}

/// Of a task without images.
const NO_FIT: Fit = Fit {
    width: 0,
    height: 0,
    inner_width: 0,
    inner_height: 0,
    background: 0,
    invert: false,
    keep_aspect: true,
};
