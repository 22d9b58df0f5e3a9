//! Bodies that flow, break off, grow too large or never come; and how the relay ends.

use super::support::{Answer, PAGE, PRIVATE, Relay, Upstream, read_until};
use std::io::Write as _;
use std::time::Instant;
use tests::{PATIENCE, eventually};

fn head(relay: &Relay, path: &str, lines: &str) -> String {
    format!(
        "POST /{}/{path} HTTP/1.1\r\nhost: {}\r\norigin: {PAGE}\r\nconnection: close\r\n{lines}\r\n",
        relay.token, relay.host
    )
}

#[test]
fn bodies_flow_piece_by_piece() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    // Requests flow: the first piece arrives before the second is sent.
    let mut stream = relay.connect();
    stream
        .write_all(head(&relay, "echo", "transfer-encoding: chunked\r\n").as_bytes())
        .unwrap();
    stream.write_all(b"5\r\nfirst\r\n").unwrap();
    let pieces = upstream.pieces.lock().unwrap();
    assert_eq!(pieces.recv_timeout(PATIENCE).unwrap(), b"first");
    stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!(
        (answer.status, answer.text()),
        (200, "firstsecond".to_owned())
    );
    // Answers flow too.
    let mut stream = relay.connect();
    stream
        .write_all(head(&relay, "stream", "content-length: 2\r\n").as_bytes())
        .unwrap();
    stream.write_all(b"{}").unwrap();
    let begun = read_until(&mut stream, "first");
    assert!(
        begun.to_ascii_lowercase().contains("text/event-stream"),
        "{begun}"
    );
    upstream.go_on.send(()).unwrap();
    read_until(&mut stream, "second");
    relay.end();
}

#[test]
fn large_bodies_are_cut_and_never_look_whole() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--max-body", "1000"]);
    let large = vec![b'x'; 1001];
    let stated = relay.ask("POST", "/echo", "", &large);
    assert_eq!(stated.status, 413, "{stated:?}");
    assert_eq!(stated.header("access-control-allow-origin"), Some(PAGE));
    assert!(stated.text().contains("--max-body"), "{stated:?}");
    assert!(upstream.seen().is_empty());
    let chunks = format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3);
    let grown = relay.raw(
        format!(
            "{}{chunks}0\r\n\r\n",
            head(&relay, "echo", "transfer-encoding: chunked\r\n")
        )
        .as_bytes(),
    );
    assert_eq!(grown.status, 413, "{grown:?}");
    eventually("the upstream's connection is closed", || {
        let seen = upstream.seen();
        (seen
            .iter()
            .all(|seen| !seen.whole && seen.body.len() <= 1000))
        .then_some(())
    });
    assert_eq!(relay.ask("POST", "/echo", "", &large[..1000]).status, 200);
    // Answers.
    let answer = relay.ask("POST", "/large", "", b"{}");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("1000 bytes"), "{answer:?}");
    let answer = relay.ask("POST", "/endless", "", b"{}");
    assert!(
        answer.status == 200 && !answer.whole && answer.body.len() <= 1000,
        "{answer:?}"
    );
    relay.end();
}

#[test]
fn what_breaks_off_is_not_passed_on_as_whole() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let answer = relay.ask("POST", "/cut", "", b"{}");
    assert!(answer.status == 200 && !answer.whole, "{answer:?}");
    // A page that goes away in the middle of its body.
    for lines in ["content-length: 500\r\n", "transfer-encoding: chunked\r\n"] {
        let before = upstream.seen().len();
        let mut stream = relay.connect();
        stream
            .write_all(format!("{}5\r\n{PRIVATE}", head(&relay, "echo", lines)).as_bytes())
            .unwrap();
        if lines.starts_with("content-length") {
            eventually("the request begins", || {
                (upstream.seen().len() > before).then_some(())
            });
        }
        drop(stream);
    }
    assert_eq!(relay.ask("POST", "/echo", "", b"{}").status, 200);
    let whole = upstream.seen().iter().filter(|seen| seen.whole).count();
    assert_eq!(whole, 2, "{:#?}", upstream.seen());
    relay.end();
}

#[test]
fn nobody_waits_for_ever() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &["--timeout", "1"]);
    let begun = Instant::now();
    let late = relay.ask("POST", "/never", "", b"{}");
    assert_eq!(late.status, 504, "{late:?}");
    assert!(late.text().contains("--timeout"), "{late:?}");
    // A body that does not come.
    let slow = relay.raw(head(&relay, "echo", "content-length: 5\r\n").as_bytes());
    assert_eq!(slow.status, 408, "{slow:?}");
    assert!(begun.elapsed() < PATIENCE / 2);
    relay.end();
    // An upstream that is not there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let relay = Relay::to(&nowhere, &[]);
    let gone = relay.ask("POST", "/echo", "", b"{}");
    assert_eq!(gone.status, 502);
    assert!(
        gone.text().contains("refused") && !gone.text().contains(&nowhere),
        "{gone:?}"
    );
    relay.end();
}

#[test]
fn a_signal_lets_what_is_under_way_finish() {
    let upstream = Upstream::start();
    let relay = Relay::start(&upstream, &[]);
    let mut stream = relay.connect();
    stream
        .write_all(head(&relay, "stream", "content-length: 2\r\n").as_bytes())
        .unwrap();
    stream.write_all(b"{}").unwrap();
    read_until(&mut stream, "first");
    relay.signal();
    eventually("nobody new is let in", || {
        std::net::TcpStream::connect(&relay.host)
            .is_err()
            .then_some(())
    });
    upstream.go_on.send(()).unwrap();
    read_until(&mut stream, "second");
    let said = relay.ended();
    assert!(
        said.iter()
            .any(|line| line.contains("status=200") && line.contains("received=11")),
        "{said:#?}"
    );
}
