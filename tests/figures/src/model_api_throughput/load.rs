//! A load generator: several connections, each with one request under way, for a limited time.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One part in this many of the time is only warming up.
const WARMING_UP: u32 = 5;
/// Maximum time for a server to answer; one that needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer of a server.
pub struct Answer {
    /// Number of bytes of the body that are JSON, if others follow them.
    pub json_length: Option<usize>,
    pub body: Vec<u8>,
}

/// The performance of a server under a load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Images or texts answered per second.
    pub per_second: f64,
    /// Median time of a request, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the time of a request, in milliseconds.
    pub p99_ms: f64,
}

/// Sends one request over its own connection.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<Answer> {
    exchange(&mut connect(address)?, request)
}

/// Sends the whole requests `make(0)`, `make(1)`, … over `concurrency` connections. Counts those
/// that end after the warming up and before the end.
pub fn run(
    address: SocketAddr,
    make: &(dyn Fn(u64) -> Vec<u8> + Sync),
    batch: usize,
    concurrency: usize,
    duration: Duration,
) -> Result<Load> {
    let next = AtomicU64::new(0);
    let begin = Instant::now();
    let (first, last) = (begin + duration / WARMING_UP, begin + duration);
    let connection = || -> Result<Vec<Duration>> {
        let mut stream = connect(address)?;
        let mut times = Vec::new();
        while Instant::now() < last {
            let request = make(next.fetch_add(1, Ordering::Relaxed));
            let asked = Instant::now();
            exchange(&mut stream, &request)?;
            if (first..last).contains(&Instant::now()) {
                times.push(asked.elapsed());
            }
        }
        Ok(times)
    };
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..concurrency).map(|_| scope.spawn(connection)).collect();
        let mut all = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(times) => all.extend(times?),
                Err(_) => bail!("a connection's thread panicked"),
            }
        }
        Ok(all)
    })?;
    summarise(times, batch, last - first)
}

fn summarise(mut times: Vec<Duration>, batch: usize, counted: Duration) -> Result<Load> {
    times.sort();
    let at =
        |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let ms = |share| -> Result<f64> {
        let time = at(share).context("no request was answered in time")?;
        Ok(time.as_secs_f64() * 1e3)
    };
    Ok(Load {
        per_second: (times.len() * batch) as f64 / counted.as_secs_f64(),
        p50_ms: ms(50)?,
        p99_ms: ms(99)?,
    })
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends a request and reads its answer, which must state its length.
fn exchange(stream: &mut BufReader<TcpStream>, request: &[u8]) -> Result<Answer> {
    stream.get_mut().write_all(request)?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let good = line.split(' ').nth(1) == Some("200");
    let status = line.trim().to_owned();
    let (mut length, mut json_length) = (None, None);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse()?),
            "inference-header-content-length" => json_length = Some(value.trim().parse()?),
            _ => {}
        }
    }
    let mut body = vec![0; length.context("the server states no length")?];
    stream.read_exact(&mut body)?;
    if !good {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(Answer { json_length, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let load = summarise(times, 16, Duration::from_secs(4)).unwrap();
        assert_eq!(load.per_second, 800.0);
        assert_eq!((load.p50_ms, load.p99_ms), (101.0, 199.0));
        let one = summarise(vec![Duration::from_millis(7)], 1, Duration::from_secs(1)).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms), (7.0, 7.0));
        assert!(summarise(Vec::new(), 1, Duration::from_secs(1)).is_err());
    }

    #[test]
    fn asks_as_often_as_it_is_answered() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || -> std::io::Result<()> {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while stream.read_line(&mut line)? > 0 {
                        if line.ends_with("\r\n\r\n") {
                            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nInference-Header-Content-Length: 1\r\n\r\n{}";
                            stream.get_mut().write_all(answer)?;
                            line.clear();
                        }
                    }
                    Ok(())
                });
            }
        });
        let make = |_| b"GET / HTTP/1.1\r\n\r\n".to_vec();
        let load = run(address, &make, 3, 2, Duration::from_millis(100)).unwrap();
        assert!(load.per_second > 0.0 && load.p50_ms <= load.p99_ms);
        let answer = ask(address, &make(0)).unwrap();
        assert_eq!(
            (answer.json_length, &answer.body[..]),
            (Some(1), &b"{}"[..])
        );
    }
}
