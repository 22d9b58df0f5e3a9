//! Peers that misbehave, over real connections.

use super::*;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as Stream};

/// More than the system's buffers of a connection take.
const LARGE: usize = 32 << 20;

/// A server in a thread of its own, which ends with it.
struct Running {
    address: SocketAddr,
    handle: actix_server::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let serving = move || {
            actix_rt::System::new().block_on(async move {
                let large = web::Bytes::from(vec![7; LARGE]);
                let server = serve(listener, settings, move || {
                    let large = large.clone();
                    let answer = move || std::future::ready(HttpResponse::Ok().body(large.clone()));
                    App::new()
                        .wrap(from_fn(crate::in_pieces))
                        .route("/large", web::to(answer))
                        .route("/", web::to(|| async { "ok" }))
                });
                let server = server.unwrap();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        };
        let thread = Some(std::thread::spawn(serving));
        let handle = receiver.recv().unwrap();
        Self {
            address,
            handle,
            thread,
        }
    }

    fn connect(&self) -> Stream {
        let stream = Stream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        stream
    }

    fn ask(&self, path: &str) -> Stream {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        // A refused connection may be closed before.
        let _ = stream.write_all(request.as_bytes());
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// All that comes until the connection's end.
fn read(mut stream: Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is reset has said what it had to say.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

#[test]
fn who_does_not_read_is_cut_off_and_who_reads_gets_all() {
    let running = Running::start(Settings {
        patience: Duration::from_millis(300),
        ..Settings::default()
    });
    let stalled = running.ask("/large");
    let whole = read(running.ask("/large"));
    assert!(whole.ends_with(&[7; 100]) && whole.len() > LARGE);
    // Longer than its patience; only time in which something waits counts against a connection.
    std::thread::sleep(Duration::from_secs(1));
    let rest = read(stalled);
    assert!(rest.len() < LARGE, "all {} bytes came", rest.len());
}

#[test]
fn a_slow_reader_is_waited_for() {
    let running = Running::start(Settings {
        patience: Duration::from_secs(3),
        ..Settings::default()
    });
    let mut stream = running.ask("/large");
    let mut piece = vec![0; 4 << 20];
    let mut all = 0;
    // Each pause is within its patience, all of them together are not.
    while all < LARGE {
        std::thread::sleep(Duration::from_millis(500));
        stream.read_exact(&mut piece).unwrap();
        all += piece.len();
    }
}

#[test]
fn there_is_room_for_so_many_connections_and_for_a_next_one_when_one_ends() {
    let running = Running::start(Settings {
        connections: 3,
        ..Settings::default()
    });
    let mut open: Vec<_> = (0..3).map(|_| running.connect()).collect();
    for stream in &mut open {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert!(read(running.ask("/")).is_empty());
    drop(open.pop());
    let end = std::time::Instant::now() + Duration::from_secs(30);
    // The server sees the end when it comes to it.
    while read(running.ask("/")).is_empty() {
        assert!(std::time::Instant::now() < end, "no room again");
    }
}
