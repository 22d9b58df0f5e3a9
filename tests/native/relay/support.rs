//! An upstream that does what its path says and remembers what it was asked, and a page that writes HTTP by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::PATIENCE;
use tests::http;
use tests::process::Process;

pub const KEY: &str = "sk-a1b2c3-of-the-owner";
pub const PAGE: &str = "http://127.0.0.1:8700";
/// A text that is in every body.
pub const PRIVATE: &str = "a-private-text";

/// One request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, in lower case.
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(": ").filter(|(n, _)| *n == name))
            .map(|(_, value)| value)
            .collect()
    }
}

/// A model API; its threads end with the test's process.
pub struct Upstream {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Pieces of bodies as they come.
    pub pieces: Mutex<Receiver<Vec<u8>>>,
    /// Lets `/stream` go on.
    pub go_on: Sender<()>,
}

impl Upstream {
    pub fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (piece, pieces) = channel();
        let (go_on, held) = channel();
        let (log, held) = (Arc::clone(&seen), Arc::new(Mutex::new(held)));
        let piece = Mutex::new(piece);
        let url = http::listen(move |stream| {
            let piece = piece.lock().unwrap().clone();
            serve(stream, &log, &piece, &held)
        });
        Self {
            url,
            seen,
            pieces: Mutex::new(pieces),
            go_on,
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    piece: &Sender<Vec<u8>>,
    held: &Mutex<Receiver<()>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let seen = Seen {
        head: head.to_ascii_lowercase(),
        body: Vec::new(),
        whole: false,
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    let take = |bytes: &[u8]| {
        log.lock().unwrap()[number].body.extend_from_slice(bytes);
        // Perhaps no test waits for it.
        let _ = piece.send(bytes.to_vec());
    };
    if let Some(length) = seen.header("content-length").first() {
        let mut left: usize = length.parse().unwrap();
        while left > 0 {
            let some = reader.fill_buf()?;
            if some.is_empty() {
                return Ok(());
            }
            let count = some.len().min(left);
            take(&some[..count]);
            reader.consume(count);
            left -= count;
        }
    } else if !seen.header("transfer-encoding").is_empty() {
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
            take(&chunk[..size]);
        }
    }
    log.lock().unwrap()[number].whole = true;
    let body = log.lock().unwrap()[number].body.clone();
    let path = head.split(' ').nth(1).unwrap_or_default();
    answer(&mut stream, path, &body, held)
}

fn answer(
    stream: &mut TcpStream,
    path: &str,
    body: &[u8],
    held: &Mutex<Receiver<()>>,
) -> std::io::Result<()> {
    let kind = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    match kind {
        "leak" => http::write(
            stream,
            401,
            &format!("content-type: text/plain\r\nretry-after: {KEY}\r\nx-echo: {KEY}\r\n"),
            format!("Incorrect API key provided: {KEY}. {PRIVATE}").as_bytes(),
        ),
        "busy" => http::write(
            stream,
            429,
            "content-type: application/json\r\nretry-after: 7\r\nset-cookie: session=1\r\nkeep-alive: timeout=5\r\nx-request-id: 5\r\naccess-control-allow-origin: *\r\n",
            b"{}",
        ),
        "tensor" => http::write(
            stream,
            200,
            "content-type: application/octet-stream\r\ninference-header-content-length: 2\r\n",
            b"{}\x00\x01\x02\xff",
        ),
        "switch" => stream.write_all(
            format!("HTTP/1.1 101 {KEY}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n{KEY}")
                .as_bytes(),
        ),
        "compressed" => http::write(stream, 200, "content-encoding: gzip\r\n", b"\x1f\x8b"),
        "large" => http::write(stream, 200, "", &vec![b'x'; 5000]),
        "cut" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhalf"),
        "endless" => {
            stream.write_all(chunked.as_bytes())?;
            loop {
                stream.write_all(format!("64\r\n{}\r\n", "x".repeat(0x64)).as_bytes())?;
            }
        }
        // Waits until the client goes away.
        "never" => stream.read(&mut [0]).map(drop),
        "stream" => {
            stream.write_all(chunked.as_bytes())?;
            stream.write_all(b"5\r\nfirst\r\n")?;
            stream.flush()?;
            if held.lock().unwrap().recv_timeout(PATIENCE).is_ok() {
                stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n")?;
            }
            Ok(())
        }
        _ => match path.strip_prefix("/v1/moved?to=") {
            Some(target) => http::write(
                stream,
                307,
                &format!("location: {target}/steal?secret=1\r\n"),
                b"",
            ),
            None => http::write(stream, 200, "content-type: application/json\r\n", body),
        },
    }
}

/// A relay to an upstream's `/v1`.
pub struct Relay {
    process: Process,
    /// `127.0.0.1:PORT`.
    pub host: String,
    pub token: String,
}

impl Relay {
    pub fn start(upstream: &Upstream, more: &[&str]) -> Self {
        Self::to(&format!("{}/v1", upstream.url), more)
    }

    /// Starts a relay that logs as much as it can.
    pub fn to(url: &str, more: &[&str]) -> Self {
        let arguments = [
            "relay",
            "--upstream",
            url,
            "--listen",
            "127.0.0.1:0",
            "-vvv",
        ];
        let mut process = Process::start_with(
            &[&arguments[..], more].concat(),
            &[
                ("FED_BBPT_MODEL_KEY", KEY),
                ("RUST_LOG", "trace"),
                ("NO_COLOR", "1"),
            ],
        );
        let (host, token) = process.line("the relay's address", |line| {
            let (host, token) = line.split_once("http://127.0.0.1:")?.1.split_once('/')?;
            line.starts_with("the model's address")
                .then(|| (format!("127.0.0.1:{host}"), token.to_owned()))
        });
        assert_eq!(token.len(), 64, "{token}");
        Self {
            process,
            host,
            token,
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A request of the page's: method, path behind the token, more header lines, body.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let head = format!(
            "{method} /{}{path} HTTP/1.1\r\nhost: {}\r\norigin: {PAGE}\r\nconnection: close\r\n{length}{headers}\r\n",
            self.token, self.host
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Sends these bytes as they are; returns what comes back until the end.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // It may answer and close before all is written.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    pub fn signal(&self) {
        self.process.signal("-TERM");
    }

    /// Waits for lines of the log that say this.
    pub fn logged(&mut self, text: &str) {
        self.process
            .line(text, |line| line.contains(text).then_some(()));
    }

    /// Ends the relay, and searches everything that it logged.
    pub fn end(self) -> Vec<String> {
        self.process.signal("-TERM");
        self.ended()
    }

    /// Waits for a relay that was told to end, and searches everything that it logged.
    pub fn ended(self) -> Vec<String> {
        let (code, said) = self.process.end();
        assert_eq!(code, Some(0), "{said:#?}");
        let address = |line: &&String| line.starts_with("the model's address on the page: ");
        assert_eq!(said.iter().filter(address).count(), 1, "{said:#?}");
        assert!(
            said.iter().any(|line| line.contains("relayed")),
            "{said:#?}"
        );
        for line in said.iter().filter(|line| !address(line)) {
            let lower = line.to_ascii_lowercase();
            // The first characters as well: part of a secret would be a leak too.
            for secret in [
                KEY,
                &KEY[..9],
                &self.token,
                &self.token[..12],
                PRIVATE,
                "panicked",
            ] {
                assert!(!lower.contains(secret), "{secret} was logged: {line}");
                let bytes = format!("{:?}", &secret.as_bytes()[..8]);
                let bytes = bytes.trim_matches(['[', ']']);
                assert!(
                    !lower.contains(bytes),
                    "{secret} was logged as bytes: {line}"
                );
            }
        }
        said
    }
}

/// The answer that the page got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether it ended as it announced.
    pub whole: bool,
}

impl Answer {
    /// Reads one answer, up to the connection's end. Without one the status is 0.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A connection that is reset has already sent what it had to send.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let Some(end) = end else {
            return Self {
                status: 0,
                head: String::new(),
                body: bytes,
                whole: false,
            };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
            whole: true,
        };
        if answer.header("transfer-encoding").is_some() {
            answer.unchunk();
        } else if let Some(length) = answer.header("content-length") {
            answer.whole = length.parse() == Ok(answer.body.len());
        }
        answer
    }

    fn unchunk(&mut self) {
        let raw = std::mem::take(&mut self.body);
        let mut rest = &raw[..];
        self.whole = false;
        while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            rest = &rest[end + 2..];
            if size == 0 {
                self.whole = true;
                return;
            }
            self.body.extend_from_slice(&rest[..size.min(rest.len())]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1);
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = values.next();
        assert!(
            values.next().is_none(),
            "{name} is there twice: {}",
            self.head
        );
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads until a text has come.
pub fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    let mut byte = [0; 256];
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    while !String::from_utf8_lossy(&got).contains(text) {
        let count = stream.read(&mut byte).unwrap();
        assert!(
            count > 0,
            "{text} did not come: {}",
            String::from_utf8_lossy(&got)
        );
        got.extend_from_slice(&byte[..count]);
    }
    String::from_utf8_lossy(&got).into_owned()
}
