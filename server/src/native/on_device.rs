//! The model of a task with the dialect `on-device`: fetched once, checked, and run in this
//! process. It is asked like a model API, through the bytes of the protocol, but nothing is sent.

use super::files::{FetchError, ModelFiles};
use federation::task::Task;
use inference::InProcess;
use inference::on_device::{Fetched, OnDeviceError};
use model_client::on_device::OnDevice;
use model_client::transport::{Answer, Call};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Maximum number of inputs in one request, which need not be small within a process.
const MAX_BATCH: usize = 256;
/// The header that says where the JSON of a body ends.
const HEADER_LENGTH: &str = inference::protocol::HEADER_LENGTH;

/// Why the model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// A file cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file is another one, or is no such model.
    #[error(transparent)]
    Model(#[from] OnDeviceError),
    /// Running the model failed unexpectedly.
    #[error("the model stopped unexpectedly; check its file with onnxruntime")]
    Lost,
}

/// A model that is loaded when it is first asked.
pub struct Device {
    files: ModelFiles,
    model: OnDevice,
    loaded: OnceCell<Arc<InProcess>>,
}

impl Device {
    /// The model for a task; `None` if it is behind an API.
    pub fn of(task: &Task) -> Option<Self> {
        Some(Self::new(task.model.url.clone(), task.on_device.clone()?))
    }

    fn new(url: String, model: OnDevice) -> Self {
        Self {
            files: ModelFiles::new(url, "model.url and model.name"),
            model,
            loaded: OnceCell::new(),
        }
    }

    /// Keeps the fetched files in `folder`, under their hashes.
    pub fn keep_in(&mut self, folder: PathBuf) {
        self.files.keep_in(folder);
    }

    /// The answer that a server would give.
    pub async fn answer(&self, call: &Call<'_>) -> Result<Answer, DeviceError> {
        let model = self.loaded.get_or_try_init(|| self.load()).await?;
        let (model, path) = (Arc::clone(model), call.path.to_owned());
        let mut headers = call.headers.iter();
        let length = headers.find(|(name, _)| *name == HEADER_LENGTH);
        let length = length.map(|(_, value)| (*value).to_owned());
        let body = call.body.unwrap_or_default().to_vec().into();
        let run = move || model.answer(&path, length.as_deref(), &body);
        let answer = tokio::task::spawn_blocking(run).await;
        let answer = answer.map_err(|_| DeviceError::Lost)?;
        Ok(Answer {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    }

    async fn load(&self) -> Result<Arc<InProcess>, DeviceError> {
        let mut fetched = Fetched::new(self.model.clone());
        let add = |at, bytes| Ok::<_, DeviceError>(fetched.add(at, bytes)?);
        self.files.take(&self.model.files, add).await?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        tokio::task::spawn_blocking(move || fetched.load(threads, MAX_BATCH))
            .await
            .map_err(|_| DeviceError::Lost)?
            .map(Arc::new)
            .map_err(DeviceError::Model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ground::hash::sha256_hex;
    use model_api::PRINTED_DIGITS;
    use model_client::on_device::Takes;
    use model_client::{Layout, ModelFile};
    use serde_json::Value;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A model of images of 2×4 pixels that answers with the mean of every channel.
    const MEANS: &[u8] = include_bytes!("../../model-api/tests/models/exact_batch.onnx");

    fn device(url: String, bytes: &[u8], size: (usize, usize), output: &str) -> Device {
        let model = OnDevice {
            name: "means.onnx".into(),
            files: vec![ModelFile {
                path: "means.onnx".into(),
                address: "means.onnx".into(),
                sha256: sha256_hex(bytes),
            }],
            takes: Takes::Images {
                layout: Layout::Nchw,
                height: size.0,
                width: size.1,
                range: "0:1".into(),
                output: output.into(),
            },
        };
        Device::new(url, model)
    }

    fn means(url: &str) -> Device {
        device(url.to_owned(), MEANS, (2, 4), "means")
    }

    /// Answers one request with `body`, and then stops.
    async fn serve_once(body: &'static [u8]) -> String {
        // Fails if another test has done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await.unwrap();
            assert!(head.starts_with(b"GET /models/means.onnx HTTP/1.1\r\n"));
            let start = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(start.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
        });
        format!("http://{address}/models")
    }

    async fn described(device: &Device) -> Result<Value, DeviceError> {
        let call = Call {
            method: "GET",
            base: "",
            path: "/v2/models/means.onnx",
            headers: Vec::new(),
            body: None,
            limit_ms: 0.0,
        };
        let answer = device.answer(&call).await?;
        assert_eq!(answer.status, 200);
        Ok(serde_json::from_slice(&answer.body).unwrap())
    }

    #[tokio::test]
    async fn a_file_is_fetched_once() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        let url = serve_once(MEANS).await;
        // The second one would get no answer from the server.
        for _ in 0..2 {
            let mut device = means(&url);
            device.keep_in(models.clone());
            assert_eq!(described(&device).await.unwrap()["name"], "means.onnx");
        }
        assert_eq!(std::fs::read_dir(models).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn another_file_is_refused_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut device = means(&serve_once(b"something else").await);
        device.keep_in(folder.path().to_owned());
        let error = described(&device).await.unwrap_err();
        assert!(error.to_string().contains("another file"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let gone = described(&device).await.unwrap_err();
        assert!(gone.to_string().contains("cannot be fetched"), "{gone}");
    }

    #[tokio::test]
    async fn the_embedded_model_needs_no_network() {
        let nobody = "http://127.0.0.1:1".to_owned();
        let device = device(nobody, PRINTED_DIGITS, (32, 32), "logits");
        let described = described(&device).await.unwrap();
        assert_eq!(
            described["outputs"][0]["shape"],
            serde_json::json!([-1, 10])
        );
    }
}
