//! A model API that answers what a test tells it to. Small on purpose: HTTP/1.1, one request a connection.

// A helper of tests: what cannot be done fails the test.
#![allow(clippy::expect_used)]

use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Classes of the handwriting task.
const CLASSES: usize = 10;

/// One answer to an inference request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Logits, as a model gives them.
    Good,
    /// A status with extra headers and a body.
    Status(u16, &'static str, &'static str),
    /// One class too few.
    WrongShape,
    /// Numbers that JSON cannot hold are written all the same by some servers.
    NotANumber,
    /// The connection breaks in the middle of the answer.
    Cut,
}

/// The server; its thread ends with the test's process.
pub struct BadModel {
    /// Where it listens.
    pub url: String,
    asked: Arc<AtomicUsize>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl BadModel {
    /// Describes itself as `printed-digits`; answers the first inferences with `first`, all others with `then`.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn start(first: Vec<Answer>, then: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let (asked, times) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (count, log) = (asked.clone(), times.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (first, then, count, log) =
                    (first.clone(), then.clone(), count.clone(), log.clone());
                // A client that goes away is none of the server's business.
                std::thread::spawn(move || drop(serve(stream, &first, &then, &count, &log)));
            }
        });
        Self { url, asked, times }
    }

    /// Inference requests so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// When they came.
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
    count: &AtomicUsize,
    log: &Mutex<Vec<Instant>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length, mut json_length) = (String::new(), 0, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        let number = |name: &str| {
            lower
                .strip_prefix(name)
                .and_then(|v| v.trim().parse::<usize>().ok())
        };
        length = number("content-length:").unwrap_or(length);
        json_length = number("inference-header-content-length:").unwrap_or(json_length);
        if head.is_empty() {
            head = line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !head.contains("/infer") {
        let description = json!({
            "name": "printed-digits", "platform": "test",
            "inputs": [{ "name": "image", "datatype": "UINT8", "shape": [-1, 3, 32, 32] }],
            "outputs": [{ "name": "logits", "datatype": "FP32", "shape": [-1, CLASSES] }],
        });
        return write(
            &mut stream,
            200,
            "content-type: application/json\r\n",
            description.to_string().as_bytes(),
        );
    }
    let number = count.fetch_add(1, Ordering::SeqCst);
    if let Ok(mut log) = log.lock() {
        log.push(Instant::now());
    }
    let json_length = if json_length == 0 {
        length
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
        Answer::Good => write(&mut stream, 200, json, answer(CLASSES, "0.5").as_bytes()),
        Answer::WrongShape => write(
            &mut stream,
            200,
            json,
            answer(CLASSES - 1, "0.5").as_bytes(),
        ),
        Answer::NotANumber => write(&mut stream, 200, json, answer(CLASSES, "NaN").as_bytes()),
        Answer::Status(status, headers, body) => {
            write(&mut stream, *status, headers, body.as_bytes())
        }
        Answer::Cut => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"outputs\":")
        }
    }
}

fn write(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
