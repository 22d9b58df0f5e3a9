//! A small HTTP server for model APIs in tests: HTTP/1.1, one request on each connection.

// A helper of tests, in which a failure fails the test.
#![allow(clippy::expect_used)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request that was received.
pub struct Asked {
    /// Its request line.
    pub head: String,
    /// Its header lines, in lower case.
    pub headers: Vec<String>,
    /// Its whole body.
    pub body: Vec<u8>,
    /// Number of bytes of the body that are JSON, before tensors; 0 if it does not say.
    pub json_length: usize,
}

/// Serves every connection on a free port, each in its own thread, until the test's process ends.
/// Returns the server's address.
///
/// # Panics
/// If no port is free.
pub fn listen(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that goes away is not the server's business.
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    url
}

/// Reads a request.
///
/// # Errors
/// A failure of the connection.
pub fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length, mut json_length) = (String::new(), 0, 0);
    let mut headers = Vec::new();
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
        } else {
            headers.push(lower.trim_end().to_owned());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Asked {
        head,
        headers,
        body,
        json_length,
    })
}

/// Writes an answer; `headers` are whole lines.
///
/// # Errors
/// A failure of the connection.
pub fn write(
    stream: &mut TcpStream,
    status: u16,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
