//! Long polls and event streams.

use crate::support::*;
use federation::round::messages::Progress;
use futures::StreamExt as _;
use reqwest::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The events of a stream, one by one.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(api: &Api, federation: &str) -> Self {
        let response = api
            .get(&format!("/v1/federations/{federation}/events"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; nothing at the end of the stream.
    async fn next(&mut self) -> Option<Progress> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                if event.starts_with(':') {
                    continue;
                }
                let data = event
                    .strip_prefix("event: progress\ndata: ")
                    .expect("a progress event");
                return Some(serde_json::from_str(data).unwrap());
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn until(&mut self, wish: impl Fn(&Progress) -> bool) -> Progress {
        loop {
            let progress = self.next().await.expect("the stream goes on");
            if wish(&progress) {
                return progress;
            }
        }
    }
}

#[tokio::test]
async fn a_long_poll_answers_at_a_change_and_not_before() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(2, 2)).await;
    let [ann, bob] = &server.api.members(&invite, 2).await[..] else {
        panic!()
    };
    let view = ann.view().await;
    // An old version: at once.
    assert_eq!(
        ann.wait(view.version - 1, 25_000).await.version,
        view.version
    );
    // Nothing happens: the same view after the wait.
    let begun = Instant::now();
    assert_eq!(ann.wait(view.version, 300).await.version, view.version);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    // Something happens.
    let (seen, _) = tokio::join!(ann.wait(view.version, 25_000), bob.enrol());
    assert_eq!((seen.enrolled, seen.version > view.version), (1, true));
    server.stop().await;
}

#[tokio::test]
async fn many_long_polls_leave_the_database_to_others() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(2, 1)).await;
    let members = server.api.members(&invite, 20).await;
    let version = members[0].view().await.version;
    let waiting: Vec<_> = members[1..]
        .iter()
        .cloned()
        .map(|m| tokio::spawn(async move { m.wait(version, 25_000).await }))
        .collect();
    // With a connection held for each of them this would have to wait for them.
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(members[0].view().await.version, version);
    }
    members[0].enrol().await;
    for poll in waiting {
        assert!(poll.await.unwrap().version > version);
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
    server.stop().await;
}

#[tokio::test]
async fn events_tell_of_rounds() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(3, 1)).await;
    let member = server.api.join(&invite).await;
    let mut events = Events::open(&server.api, &invite.federation).await;
    let first = events.next().await.unwrap();
    assert_eq!(
        (first.participants, first.current.step, first.finished),
        (1, 0, None)
    );
    member.enrol().await;
    member.deliver(1.0, 1).await;
    let progress = events.until(|p| p.current.step == 1).await;
    assert_eq!(progress.finished.unwrap().delivered, 1);
    server.api.join(&invite).await;
    let progress = events.until(|p| p.participants == 2).await;
    assert_eq!(progress.finished, None);
    server.stop().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_reader_who_does_not_read_blocks_nobody() {
    let (_home, server) = Server::fresh().await;
    let rounds = 60;
    let invite = server.api.create(task(rounds, 1)).await;
    let member = server.api.join(&invite).await;
    // It asks, and then never reads; its receive window is small.
    let address = server.api.url.strip_prefix("http://").unwrap();
    let mut lazy = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /v1/federations/{}/events HTTP/1.1\r\nHost: x\r\n\r\n",
        invite.federation
    );
    lazy.write_all(head.as_bytes()).await.unwrap();
    let mut events = Events::open(&server.api, &invite.federation).await;
    let begun = Instant::now();
    for _ in 0..rounds {
        member.enrol().await;
        member.deliver(0.0, 1).await;
    }
    let last = events.until(|p| p.current.step == rounds).await;
    assert_eq!(last.current.step, rounds);
    assert!(begun.elapsed() < PATIENCE);
    // Nor does it keep the server from ending.
    let begun = Instant::now();
    server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "took {:?}",
        begun.elapsed()
    );
    let mut rest = Vec::new();
    let _ = lazy.read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn streams_are_limited_and_places_come_back() {
    let home = Home::new();
    let config = aggregator::AggregatorConfig {
        max_streams: 2,
        ..home.config()
    };
    let server = Server::start(config, Arc::new(aggregator::RealClock)).await;
    let invite = server.api.create(task(1, 1)).await;
    let path = format!("/v1/federations/{}/events", invite.federation);
    let mut one = Events::open(&server.api, &invite.federation).await;
    let mut two = Events::open(&server.api, &invite.federation).await;
    one.next().await.unwrap();
    two.next().await.unwrap();
    expect(
        server.api.get(&path).send().await.unwrap(),
        429,
        "rate_limited",
    )
    .await;
    drop(one);
    // The server notices at its next write, which a change causes.
    let begun = Instant::now();
    loop {
        server.api.join(&invite).await;
        let again = server.api.get(&path).send().await.unwrap();
        if again.status() == 200 {
            let mut stream = again.bytes_stream();
            stream.next().await.unwrap().unwrap();
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the place does not come back");
        two.next().await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_waiting_poll_does_not_hold_up_the_end() {
    let (_home, server) = Server::fresh().await;
    let invite = server.api.create(task(1, 1)).await;
    let member = server.api.join(&invite).await;
    let version = member.view().await.version;
    let (asked, has_asked) = tokio::sync::oneshot::channel();
    let poll = tokio::spawn(async move {
        let request = member.request(
            reqwest::Method::GET,
            &format!("round?after={version}&wait_ms=25000"),
        );
        let sending = tokio::spawn(request.send());
        // A second request on the same connections shows that the first has been sent.
        member.view().await;
        asked.send(()).unwrap();
        sending.await.unwrap()
    });
    has_asked.await.unwrap();
    let begun = Instant::now();
    server.stop().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "took {:?}",
        begun.elapsed()
    );
    // Either the same view, or a connection that was closed before it was read.
    if let Ok(response) = poll.await.unwrap() {
        assert_eq!(response.status(), 200);
    }
}
