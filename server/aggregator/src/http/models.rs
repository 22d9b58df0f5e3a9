//! Models that run on participants' devices, or whose embeddings are made there: the files of one
//! folder and the embedded model of printed digits, for anyone to read. Only files of models are
//! served. A file with a compressed copy beside it (`tokenizer.json.br`) is sent compressed.

use super::encoding::{COMPRESSED, is_known, negotiate};
use super::folder::safe;
use crate::app::App;
use crate::failure::Failure;
use actix_web::http::header::{self, ContentEncoding, EntityTag, HeaderValue};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use federation::round::refusal::Refusal;
use futures::stream;
use ground::hash::sha256_hex;
use std::io;
use std::path::Path;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// The embedded model, which is always offered, so that a first federation needs no file.
const EMBEDDED: (&str, &[u8]) = (
    "printed-digits.onnx",
    include_bytes!("../../../model-api/models/printed-digits/printed-digits.onnx"),
);
static EMBEDDED_TAG: LazyLock<EntityTag> =
    LazyLock::new(|| EntityTag::new_strong(sha256_hex(EMBEDDED.1)));
/// Bytes read from the disk at once; a reader who does not go on holds that much.
const CHUNK: usize = 64 << 10;

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.service(
        web::resource("/models/{file:.*}")
            .default_service(web::to(super::wrong_method))
            .route(super::reading().to(model)),
    );
}

async fn model(
    request: HttpRequest,
    app: Data<App>,
    name: web::Path<String>,
) -> Result<HttpResponse, Failure> {
    let relative = safe(&name).ok_or(Refusal::NotFound)?;
    let kind = match relative.extension().and_then(|e| e.to_str()) {
        Some("onnx") => "application/octet-stream",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        // Only this name: whole models that are not meant to be served may lie beside it.
        Some("safetensors") if relative.ends_with("embeddings.safetensors") => {
            "application/octet-stream"
        }
        _ => return Err(Refusal::NotFound.into()),
    };
    if let Some(root) = app.config.models.clone() {
        let forms = web::block(move || forms(&root, &relative))
            .await
            .map_err(|e| Failure::Internal(e.to_string()))?;
        if let Ok(forms) = forms {
            let (encoding, form) = negotiate(&request, forms)?;
            let (mut answer, unchanged) = head(&request, kind, form.tag);
            if unchanged {
                return Ok(answer.finish());
            }
            if encoding != ContentEncoding::Identity {
                answer.insert_header((header::CONTENT_ENCODING, encoding));
            }
            return Ok(answer
                .no_chunking(form.length)
                .streaming(chunks(File::from_std(form.file), form.length)));
        }
    }
    if *name != EMBEDDED.0 {
        return Err(Refusal::NotFound.into());
    }
    let (mut answer, unchanged) = head(&request, kind, EMBEDDED_TAG.clone());
    Ok(if unchanged {
        answer.finish()
    } else {
        answer.body(EMBEDDED.1)
    })
}

/// An opened file in one encoding.
struct Form {
    file: std::fs::File,
    /// The length in bytes.
    length: u64,
    tag: EntityTag,
}

/// The forms of the file `relative` below `root`: the plain one and the compressed copies beside
/// it.
fn forms(root: &Path, relative: &Path) -> io::Result<Vec<(ContentEncoding, Form)>> {
    let root = root.canonicalize()?;
    let open = |relative: &Path, ending: &str| {
        let path = root.join(relative).canonicalize()?;
        let metadata = path.metadata()?;
        // A link in the folder must not lead out of it.
        if !path.starts_with(&root) || !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
        let stamp = modified.map_or(0, |time| time.as_nanos());
        let length = metadata.len();
        Ok(Form {
            file: std::fs::File::open(path)?,
            length,
            tag: EntityTag::new_strong(format!("{length:x}-{stamp:x}{ending}")),
        })
    };
    let plain = open(relative, "")?;
    let copies = COMPRESSED.iter().filter_map(|(encoding, ending)| {
        let mut name = relative.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        let form = open(Path::new(&name), &format!("-{ending}")).ok()?;
        Some((*encoding, form))
    });
    let mut forms: Vec<_> = copies.collect();
    forms.push((ContentEncoding::Identity, plain));
    Ok(forms)
}

/// The head of an answer, and whether it is the whole answer because the client has the file.
fn head(request: &HttpRequest, kind: &'static str, tag: EntityTag) -> (HttpResponseBuilder, bool) {
    let unchanged = is_known(request, &tag);
    let mut answer = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .content_type(kind)
        .insert_header(header::ETag(tag))
        .insert_header((header::VARY, "Accept-Encoding"))
        // A task names the file's hash, under which browsers keep it, and not under its address.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // These models are open: pages of any origin may fetch them, and can only read.
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((
            header::CROSS_ORIGIN_RESOURCE_POLICY,
            HeaderValue::from_static("cross-origin"),
        ));
    (answer, unchanged)
}

/// The first `length` bytes of a file. If it becomes shorter meanwhile, the connection ends.
fn chunks(file: File, length: u64) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return None;
        }
        let size = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; size];
        let read = file.read_exact(&mut chunk).await;
        // The file is not read on after an error.
        let left = if read.is_ok() { left - size as u64 } else { 0 };
        Some((read.map(|_| Bytes::from(chunk)), (file, left)))
    })
}
