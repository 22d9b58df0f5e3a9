//! Reads a task file's `[model]` table and reports all of its faults.

use ground::fault::Reader;
use ground::registry::Registry;
use tuning::query::OutputKind;
use tuning::wording::Tensors;

use crate::address::read_url;
use crate::dialects::{Entry, Own, Sends};
use crate::{Calls, Datatype, InputSpec, Layout, ModelSpec, OutputSpec, Price, Sent};

/// Reads `[model]`, with a dialect out of `dialects`, and the names of the tensors of a model of
/// texts.
pub fn read_model(dialects: &Registry<Entry>, r: &mut Reader<'_>) -> (ModelSpec, Option<Tensors>) {
    let (dialect, entry) = dialects.choose(r, "dialect", |_| true);
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
    let of_protocol = entry.sends == Sends::Tensors;
    let (input, tensors) = r.table("input", |r| read_input(r, of_protocol));
    let is_text = tensors.is_some();
    let own = Own::read(r, dialect, entry, is_text);
    let output = r.table("output", |r| read_output(r, is_text, &own));
    let version = if of_protocol {
        r.text("version", Some(""))
    } else {
        String::new()
    };
    // Cached where calls cost money, and where a search asks the same inputs again and again.
    let cache = if own.sends_files() || is_text {
        16_384
    } else {
        0
    };
    let model = ModelSpec {
        dialect: dialect.to_owned(),
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
    if model.price.as_ref().is_some_and(by_tokens) && !entry.counts_tokens {
        let counting: Vec<String> = dialects
            .iter()
            .filter(|(_, entry)| entry.counts_tokens)
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        r.fault(
            "price.per_million_input_tokens",
            format!("can only be counted with the dialect {}, whose answers name their tokens; use per_call or per_query", counting.join(" or ")),
        );
    }
    (model, tensors)
}

/// Names the classes for an API that is asked about words: the labels, unless the task says
/// otherwise.
pub fn name_classes(r: &mut Reader<'_>, output: &mut OutputSpec, labels: &[String]) {
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
    if own.answers_logarithms() && kind == OutputKind::Probabilities {
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
    // A model of texts scores any labels that it is given, and so does one that is asked about
    // words.
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
