//! Who watches, who attacks, and who takes part meanwhile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tests::PATIENCE;
use tests::process::{create, run_with, show};

/// `127.0.0.1:PORT` of an address.
pub fn host(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

/// A field of `/proc/PID/status` in bytes.
fn bytes(id: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// Time that the processor has spent on a process.
pub fn worked(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // The name may hold spaces; user and system time are the 12th and 13th field behind it, in hundredths of a second.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    let ticks: Vec<u64> = fields
        .skip(11)
        .take(2)
        .map(|f| f.parse().unwrap())
        .collect();
    Duration::from_millis(10 * ticks.iter().sum::<u64>())
}

/// Sends `head` and `body`; the connection is left open.
pub fn send(host: &str, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{head}host: {host}\r\n\r\n");
    // A server may refuse and close before all is written.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    stream
}

/// The status of an answer; 0 if the connection ends without one.
pub fn status(stream: &TcpStream) -> u16 {
    let mut line = String::new();
    // A connection that is reset has no status.
    let _ = BufReader::new(stream).read_line(&mut line);
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    status.unwrap_or(0)
}

/// The whole answer as text.
pub fn answer(host: &str, head: &str, body: &[u8]) -> String {
    let mut text = Vec::new();
    // A connection that is reset has said what it had to say.
    let _ = send(host, head, body).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// One attack at a time: the others would take the processor that a server's second is measured on.
static ALONE: Mutex<()> = Mutex::new(());

/// Connections between two answers.
const AT_ONCE: usize = 100;

/// Asks a server again and again how it is.
pub struct Watch {
    _alone: MutexGuard<'static, ()>,
    id: u32,
    rest: u64,
    over: Arc<AtomicBool>,
    asking: JoinHandle<Vec<(Duration, u16)>>,
    answered: Receiver<()>,
}

impl Watch {
    /// From now on, when the process `id` is at rest.
    pub fn start(id: u32, url: &str, path: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let over = Arc::new(AtomicBool::new(false));
        let (end, host) = (Arc::clone(&over), host(url).to_owned());
        let (tell, answered) = channel();
        let head = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n");
        let ask = move || {
            let mut answers = Vec::new();
            while !end.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let status = status(&send(&host, &head, b""));
                answers.push((begun.elapsed(), status));
                // The test may be over.
                let _ = tell.send(());
                std::thread::sleep(Duration::from_millis(100));
            }
            answers
        };
        Self {
            _alone: alone,
            id,
            rest: bytes(id, "VmRSS:"),
            over,
            asking: std::thread::spawn(ask),
            answered,
        }
    }

    /// Makes `count` connections, some after each answer: what is tried is to hold them, not how fast a server that was
    /// built for tests can take them.
    pub fn open<T>(&self, count: usize, connect: impl Fn(usize) -> T) -> Vec<T> {
        let mut open = Vec::with_capacity(count);
        while open.len() < count {
            let more = AT_ONCE.min(count - open.len());
            open.extend((open.len()..open.len() + more).map(&connect));
            while self.answered.try_recv().is_ok() {}
            self.answered.recv_timeout(PATIENCE).unwrap();
        }
        open
    }

    /// Checks that it was well all the time.
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let answers = self.asking.join().unwrap();
        let ill = answers
            .iter()
            .find(|(took, status)| *status != 200 || *took > Duration::from_secs(1));
        assert_eq!(ill, None, "of {} answers", answers.len());
        assert!(!answers.is_empty());
        let (most, rest) = (bytes(self.id, "VmHWM:"), self.rest);
        assert!(
            most < 2 * rest + (256 << 20),
            "{} MB, {} at rest",
            most >> 20,
            rest >> 20
        );
    }
}

/// A federation of one honest participant, who finishes it.
pub fn take_part(home: &Path, server: &str, model: &str, key: &str) -> String {
    let set = [
        "federation.rounds=2",
        "federation.local_steps=1",
        "federation.batch=2",
        "optimizer.directions=1",
        "federation.open.count_min=1",
        "federation.upload.count_min=1",
    ];
    let (id, link) = create(server, model, &set);
    let state = home.join("state.json");
    let arguments = ["join", &link, "--builtin", "1", "--count", "12", "--state"];
    let arguments = [&arguments[..], &[state.to_str().unwrap()]].concat();
    run_with(&arguments, &[("FED_BBPT_MODEL_KEY", key)]).expect(0, &[]);
    assert_eq!(show(server, &id)["summary"]["status"], "finished");
    id
}
