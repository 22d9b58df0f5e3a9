//! What one secure sum costs natively:
//! `cargo run --release -p federation --example secure_sum_cost N D`. Ends with one line of JSON:
//! bytes of one participant's messages up and down, as they travel; milliseconds of one
//! participant; milliseconds of the aggregator for the whole sum (without its database).

#[path = "../benches/cohort/mod.rs"]
mod cohort;

use std::hint::black_box;
use std::time::Instant;

use cohort::{Cohort, vector};
use serde_json::json;

const RUNS: usize = 5;

fn main() -> Result<(), std::num::ParseIntError> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u32| arguments.next().map_or(Ok(usual), |a| a.parse());
    let (n, d) = (number(10)?, number(576)? as usize);
    let cohort = Cohort::new(n);
    let inbox = cohort.inbox(1);
    let vector = vector(d);
    let answers = cohort.answers(d);
    let client_ms = median(|| {
        black_box(cohort.take_part(&inbox, vector.clone(), &answers));
    });
    let server_ms = median(|| cohort.aggregate(d, &answers));
    let (up, down) = cohort.bytes(d);
    println!(
        "{}",
        json!({ "bytes_up": up, "bytes_down": down, "client_ms_native": client_ms, "server_ms": server_ms })
    );
    Ok(())
}

fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let before = Instant::now();
            run();
            before.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}
