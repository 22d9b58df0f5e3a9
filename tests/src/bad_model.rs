//! A model API that answers as a test tells it to.

// A helper of tests, in which a failure fails the test.
#![allow(clippy::expect_used)]

use crate::http::{self, Asked};
use serde_json::json;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Number of classes of the handwriting task.
const CLASSES: usize = 10;

/// One answer to an inference request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Logits, as a good model gives them.
    Good,
    /// A status with additional headers and a body.
    Status(u16, &'static str, &'static str),
    /// Scores of one class too few.
    WrongShape,
    /// Numbers that JSON cannot hold, which some servers write nevertheless.
    NotANumber,
    /// The connection breaks in the middle of the answer.
    Cut,
    /// Logits for at most this many images, and 413 for more.
    AtMost(usize),
    /// Logits for at most this many images, which the model's configuration states in advance, as
    /// Triton's does; more are a fault.
    Stated(usize),
}

/// A running server; its thread ends with the test's process.
pub struct BadModel {
    /// The server's address.
    pub url: String,
    asked: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl BadModel {
    /// Starts a server that describes itself as `printed-digits`. It answers the first inference
    /// requests with `first`, and all others with `then`.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(first: Vec<Answer>, then: Answer) -> Self {
        let (asked, answered) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let times = Arc::new(Mutex::new(Vec::new()));
        let (count, images, log) = (asked.clone(), answered.clone(), times.clone());
        let url = http::listen(move |stream| serve(stream, &first, &then, [&count, &images], &log));
        Self {
            url,
            asked,
            answered,
            times,
        }
    }

    /// Number of inference requests so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Number of images that were answered with [`Answer::AtMost`] and [`Answer::Stated`].
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// The times at which inference requests came.
    ///
    /// # Panics
    /// If the server's thread panicked.
    #[must_use]
    pub fn times(&self) -> Vec<Instant> {
        self.times.lock().expect("the server lives").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    first: &[Answer],
    then: &Answer,
    [count, answered]: [&AtomicUsize; 2],
    log: &Mutex<Vec<Instant>>,
) -> std::io::Result<()> {
    let Asked {
        head,
        body,
        json_length,
        ..
    } = http::read(&stream)?;
    if !head.contains("/infer") {
        let config = head.contains("/config ");
        let (status, body) = match then {
            Answer::Stated(most) if config => (200, json!({ "max_batch_size": most })),
            _ if config => (404, json!({ "detail": "Not Found" })),
            _ => (200, description()),
        };
        return http::write(
            &mut stream,
            status,
            "content-type: application/json\r\n",
            body.to_string().as_bytes(),
        );
    }
    let number = count.fetch_add(1, Ordering::SeqCst);
    if let Ok(mut log) = log.lock() {
        log.push(Instant::now());
    }
    let json_length = if json_length == 0 {
        body.len()
    } else {
        json_length
    };
    let images = serde_json::from_slice::<serde_json::Value>(&body[..json_length])
        .ok()
        .and_then(|v| v["inputs"][0]["shape"][0].as_u64())
        .unwrap_or(1) as usize;
    let answer = |classes: usize, value: &str| {
        let values = vec![value; images * classes].join(",");
        format!(
            r#"{{"model_name":"printed-digits","outputs":[{{"name":"logits","datatype":"FP32","shape":[{images},{classes}],"data":[{values}]}}]}}"#
        )
    };
    let json = "content-type: application/json\r\n";
    match first.get(number).unwrap_or(then) {
        Answer::AtMost(most) if images > *most => http::write(&mut stream, 413, "", b"too large"),
        Answer::Stated(most) if images > *most => http::write(&mut stream, 400, "", b"too many"),
        Answer::AtMost(_) | Answer::Stated(_) => {
            answered.fetch_add(images, Ordering::SeqCst);
            http::write(&mut stream, 200, json, answer(CLASSES, "0.5").as_bytes())
        }
        Answer::Good => http::write(&mut stream, 200, json, answer(CLASSES, "0.5").as_bytes()),
        Answer::WrongShape => http::write(
            &mut stream,
            200,
            json,
            answer(CLASSES - 1, "0.5").as_bytes(),
        ),
        Answer::NotANumber => {
            http::write(&mut stream, 200, json, answer(CLASSES, "NaN").as_bytes())
        }
        Answer::Status(status, headers, body) => {
            http::write(&mut stream, *status, headers, body.as_bytes())
        }
        Answer::Cut => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"outputs\":")
        }
    }
}

fn description() -> serde_json::Value {
    json!({
        "name": "printed-digits", "platform": "test",
        "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 3, 32, 32] }],
        "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, CLASSES] }],
    })
}
