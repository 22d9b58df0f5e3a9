//! Images in the forms that some servers need: one channel, rows of numbers, no batch dimension,
//! numbers as JSON.

use serde_json::json;

use super::{Datatype, Layout, Method, ModelApiError, ModelSpec, Request, encode, infer_request};

/// The shape of a tensor of `count` images in the task's form. `None` if there is no batch
/// dimension and more than one image.
pub(super) fn shape(spec: &ModelSpec, count: usize) -> Option<Vec<usize>> {
    let (input, sent) = (&spec.input, &spec.input.sent);
    let channels = sent.channels();
    let mut shape = Vec::new();
    if !sent.unbatched {
        shape.push(count);
    } else if count != 1 {
        return None;
    }
    match (sent.flat, input.layout) {
        (true, _) => shape.push(channels * input.height * input.width),
        (false, Layout::Nchw) => shape.extend([channels, input.height, input.width]),
        (false, Layout::Nhwc) => shape.extend([input.height, input.width, channels]),
    }
    Some(shape)
}

/// The request about `count` images, whose number of bytes was checked.
pub(super) fn request(
    spec: &ModelSpec,
    path: &str,
    images: &[u8],
    count: usize,
) -> Result<Request, ModelApiError> {
    let (input, sent) = (&spec.input, &spec.input.sent);
    let shape = shape(spec, count).ok_or_else(|| ModelApiError::InvalidSpec {
        faults: vec!["input.unbatched: one image a request; set calls.batch = 1".to_owned()],
    })?;
    let plane = input.height * input.width;
    let grey: Vec<u8>;
    let mut raw = Vec::new();
    if sent.grey {
        grey = images
            .chunks_exact(3 * plane)
            .flat_map(|image| {
                (0..plane).map(|at| luma(image[at], image[plane + at], image[2 * plane + at]))
            })
            .collect();
        super::encode_one_channel(input, &grey, &mut raw);
    } else {
        encode(input, images, &mut raw);
    }
    let (name, output) = (&input.name, &spec.output.name);
    let datatype = input.datatype.name();
    if !sent.json {
        let header = json!({
            "inputs": [{ "name": name, "shape": shape, "datatype": datatype, "parameters": { "binary_data_size": raw.len() } }],
            "outputs": [{ "name": output, "parameters": { "binary_data": true } }],
            "parameters": { "binary_data_output": true },
        });
        let mut body = header.to_string().into_bytes();
        let header_length = body.len();
        body.append(&mut raw);
        return Ok(infer_request(path, body, header_length));
    }
    let data = match input.datatype {
        Datatype::Uint8 => json!(raw),
        Datatype::Fp32 => {
            let numbers = raw
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            json!(numbers.collect::<Vec<f32>>())
        }
    };
    let body = json!({
        "inputs": [{ "name": name, "shape": shape, "datatype": datatype, "data": data }],
        "outputs": [{ "name": output }],
    });
    // The binary extension's header is left out, because servers without the extension do not list
    // it in their CORS rules.
    Ok(Request {
        method: Method::Post,
        path: format!("{path}/infer"),
        headers: vec![
            ("content-type".into(), "application/json".into()),
            ("accept".into(), "application/json".into()),
        ],
        body: body.to_string().into_bytes(),
    })
}

/// The luma of ITU-R BT.601, rounded, as PIL's mode `L` and OpenCV compute it.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    ((sum + 500) / 1000) as u8
}
