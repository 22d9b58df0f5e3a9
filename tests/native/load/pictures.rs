//! Small files of many pixels.

use crate::support::{Watch, answer, host, send, take_part, worked};
use base64::Engine as _;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use ground::hash::sha256_hex;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tests::process::{model_api_of, serve};

/// Pixels of each side of a picture.
const SIDE: u32 = 4096;
/// As many pictures as a request may have, by their pixels.
const PICTURES: usize = 8;
const REQUESTS: usize = 12;

/// A black picture: 50 KB, of which 50 MB are made.
fn picture() -> String {
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        let mut check = flate2::Crc::new();
        check.update(&body);
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], &body, &check.sum().to_be_bytes()].concat()
    };
    let head = [
        &SIDE.to_be_bytes()[..],
        &SIDE.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let mut data = ZlibEncoder::new(Vec::new(), Compression::best());
    let row = vec![0; 1 + 3 * SIDE as usize];
    (0..SIDE).for_each(|_| data.write_all(&row).unwrap());
    let data = data.finish().unwrap();
    let file = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &head),
        chunk(b"IDAT", &data),
        chunk(b"IEND", b""),
    ];
    base64::engine::general_purpose::STANDARD.encode(file.concat())
}

fn request(picture: &str, pictures: usize) -> Vec<u8> {
    serde_json::json!({ "inputs": vec![picture; pictures] })
        .to_string()
        .into_bytes()
}

fn head(key: &str, body: &[u8]) -> String {
    format!(
        "POST /models/printed-digits HTTP/1.1\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    )
}

#[test]
fn small_files_of_many_pixels_cost_no_more_than_they_may() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("keys.toml");
    let key = |name: &str, quota: &str| {
        let digest = sha256_hex(name.as_bytes());
        format!("[[key]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n{quota}\n")
    };
    let all = [
        key("attacker", ""),
        key("spent", "queries_per_day = 2"),
        key("honest", ""),
    ];
    std::fs::write(&keys, all.concat()).unwrap();
    let flags = ["--keys", keys.to_str().unwrap(), "--threads", "2"];
    let (process, model) = model_api_of(&flags);
    let (_aggregator, server) = serve(&home.path().join("a.sqlite"), "127.0.0.1:0");
    let at = host(&model);
    let picture = picture();

    let watch = Watch::start(process.id(), &model, "/v2/health/live");
    let body = request(&picture, PICTURES);
    let attack = || -> Vec<TcpStream> {
        let head = head("attacker", &body);
        (0..REQUESTS).map(|_| send(at, &head, &body)).collect()
    };
    let attackers = attack();
    std::thread::sleep(Duration::from_secs(1));
    drop(attackers);
    take_part(home.path(), &server, &model, "honest");
    // What was begun ends with its picture, and the rest is not begun: all 96 would take a minute and more.
    let since = Instant::now();
    let mut before = worked(process.id());
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = worked(process.id());
        if now - before < Duration::from_millis(300) {
            break;
        }
        before = now;
        assert!(since.elapsed() < Duration::from_secs(20), "it works on");
    }

    // A key that has too little left, and then nothing, costs no work.
    let before = worked(process.id());
    for pictures in [PICTURES, 3] {
        let body = request(&picture, pictures);
        let refused = answer(at, &head("spent", &body), &body);
        assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    }
    let small = request(&picture, 2);
    assert!(answer(at, &head("spent", &small), &small).starts_with("HTTP/1.1 200"));
    let two = worked(process.id()) - before;
    let before = worked(process.id());
    for _ in 0..REQUESTS {
        let refused = answer(at, &head("spent", &body), &body);
        assert!(refused.contains("used up"), "{refused}");
    }
    let refusals = worked(process.id()) - before;
    assert!(
        refusals < two,
        "{refusals:?} for {REQUESTS} refusals, {two:?} for two pictures"
    );

    let many = request(&picture, PICTURES + 1);
    let refused = answer(at, &head("attacker", &many), &many);
    assert!(
        refused.starts_with("HTTP/1.1 400") && refused.contains("--max-pixels"),
        "{refused}"
    );
    watch.end();
}
