//! Reading `[data]`, with all of its faults.

use ground::fault::Reader;
use ground::image::Fit;
use ground::order::distinct;
use model_client::InputSpec;
use tuning::wording::Tensors;

/// The task's inputs, as far as `[data]` describes them.
pub(super) enum Unworded {
    Images(Fit),
    /// Texts, whose wording follows from `[text]` and from the labels.
    Texts(Tensors),
}

pub(super) fn read_data(
    r: &mut Reader<'_>,
    input: &InputSpec,
    tensors: Option<Tensors>,
) -> (Vec<String>, Unworded, f32) {
    let labels = r.list("labels", None, "texts", |v| {
        v.as_str().map(|s| s.trim().to_owned())
    });
    let usable = (2..=10_000).contains(&labels.len())
        && distinct(&labels) == labels.len()
        && !labels.iter().any(String::is_empty);
    if r.has("labels") && !usable {
        r.fault(
            "labels",
            "must hold 2 to 10,000 different, non-empty labels",
        );
    }
    let holdout = r.number("holdout", 0.0..=0.9, Some(0.2));
    let inputs = match tensors {
        Some(tensors) => Unworded::Texts(tensors),
        None => Unworded::Images(read_fit(r, input)),
    };
    (labels, inputs, holdout)
}

fn read_fit(r: &mut Reader<'_>, input: &InputSpec) -> Fit {
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
    Fit {
        width: input.width,
        height: input.height,
        inner_width,
        inner_height,
        background: r.whole("background", 0..=255, Some(0)) as u8,
        invert: r.flag("invert", false),
        keep_aspect: r.flag("keep_aspect", true),
    }
}
