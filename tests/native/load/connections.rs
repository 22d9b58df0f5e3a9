//! Peers that take or send nothing, and one that keeps all event streams to itself.

use crate::support::{Watch, host, send, status, take_part};
use tests::process::{Process, create, model_api};

const READERS: usize = 300;
const SENDERS: usize = 1_100;
const STREAMS: usize = 256;
/// Of the large file, which does not compress.
const LARGE: usize = 4 << 20;

/// Pages with one large file.
fn pages(folder: &std::path::Path) {
    std::fs::create_dir_all(folder.join("assets")).unwrap();
    std::fs::write(folder.join("index.html"), "<!doctype html>").unwrap();
    let noise = (0..LARGE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    let noise: Vec<u8> = noise.collect();
    std::fs::write(folder.join("assets/large-01234567.wasm"), noise).unwrap();
}

#[test]
fn peers_that_do_nothing_keep_nobody_from_taking_part() {
    assert!(
        listener::raise_descriptors() > 2_500,
        "the attackers need descriptors, too"
    );
    let home = tempfile::tempdir().unwrap();
    let web = home.path().join("web");
    pages(&web);
    let database = home.path().join("a.sqlite");
    // As a service has it, unless somebody says otherwise; and behind a proxy, which is us.
    let mut aggregator = Process::start_under(
        "ulimit -Sn 1024",
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            database.to_str().unwrap(),
            "--web",
            web.to_str().unwrap(),
            "--trusted-proxies",
            "127.0.0.1",
        ],
        &[("NO_COLOR", "1")],
    );
    let server = aggregator.line("the aggregator's address", |line| {
        line.strip_prefix("aggregator at ").map(str::to_owned)
    });
    let descriptors = aggregator.line("how many descriptors it has", |line| {
        let (_, number) = line.split_once("descriptors=")?;
        number.split(' ').next()?.parse::<u64>().ok()
    });
    assert!(descriptors > 2_500, "{descriptors}");
    let (_model, model) = model_api();
    let (id, _) = create(&server, &model, &[]);

    let watch = Watch::start(aggregator.id(), &server, "/healthz");
    let at = host(&server);
    let large = "GET /assets/large-01234567.wasm HTTP/1.1\r\n";
    let readers = watch.open(READERS, |_| send(at, large, b""));
    let half = |number: usize| {
        let sender = number % 50;
        let head = format!(
            "POST /v1/federations/{id}/participants HTTP/1.1\r\nx-forwarded-for: 203.0.113.{sender}\r\n\
             content-type: application/json\r\ncontent-length: 60000\r\n"
        );
        send(at, &head, &[b' '; 30_000])
    };
    let senders = watch.open(SENDERS, half);
    let follow = |of: &str| {
        let head = format!("GET /v1/federations/{id}/events HTTP/1.1\r\nx-forwarded-for: {of}\r\n");
        let stream = send(at, &head, b"");
        (status(&stream), stream)
    };
    let hoard = watch.open(STREAMS, |_| follow("198.51.100.1"));
    let granted = hoard.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(granted, 64, "its share");
    assert_eq!(follow("198.51.100.2").0, 200, "and others have theirs");

    take_part(home.path(), &server, &model, "");
    watch.end();
    // All of them were there until now.
    drop((readers, senders, hoard));
}

/// What is no HTTP costs the log nothing, and a refusal no more than a warning.
#[test]
fn a_malformed_request_is_no_error_of_the_servers() {
    let home = tempfile::tempdir().unwrap();
    let (aggregator, server) = tests::process::serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let (model_api, model) = model_api();
    for (server, process) in [(server, aggregator), (model, model_api)] {
        let at = host(&server);
        for broken in [
            "GET / HTTP/9.9\r\n",
            "\x16\x03\x01\x02",
            "GET /\x01 HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\ncontent-length: -1\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n",
            "POST /v1/federations HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 1\r\n",
        ] {
            let status = status(&send(at, broken, b"{"));
            assert!(matches!(status, 0 | 400..=499), "{status}: {broken:?}");
        }
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n", "x".repeat(300_000));
        assert!(matches!(status(&send(at, &long, b"")), 0 | 400..=499));
        let said = process.killed();
        assert!(!said.iter().any(|line| line.contains("ERROR")), "{said:#?}");
    }
}
