//! A disk that takes no more.

use crate::support::{answer, host};
use tests::eventually;
use tests::process::{Process, run};

#[test]
fn a_server_that_cannot_write_says_that_it_is_not_well() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("a.sqlite");
    // No file may grow beyond some 400 KB: the database's log of changes soon would. A write beyond it fails, as it
    // does when the disk is full.
    let mut aggregator = Process::start_under(
        "trap '' XFSZ; ulimit -f 800",
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--database",
            database.to_str().unwrap(),
        ],
        &[],
    );
    let server = aggregator.line("the aggregator's address", |line| {
        line.strip_prefix("aggregator at ").map(str::to_owned)
    });
    let health = || {
        answer(
            host(&server),
            "GET /healthz HTTP/1.1\r\nconnection: close\r\n",
            b"",
        )
    };
    let first = health();
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let mut made = 0;
    let refused = eventually("the disk is full", || {
        let arguments = ["federation", "--server", &server, "create", "handwriting"];
        let more = ["--set", "model.url=http://127.0.0.1:1"];
        let ended = run(&[&arguments[..], &more].concat());
        made += usize::from(ended.code == Some(0));
        (ended.code != Some(0)).then_some(ended)
    });
    assert!(made > 0, "{refused:?}");
    let ill = health();
    assert!(ill.starts_with("HTTP/1.1 503"), "{ill}");
    assert!(ill.contains("takes no writes"), "{ill}");
    // What can be read can still be read.
    let read = run(&["federation", "--server", &server, "list"]);
    read.expect(0, &[]);
    assert_eq!(read.out.matches("running").count(), made, "{read:?}");
}
