//! Measures how many texts a text model encodes in a second:
//! `cargo run --release -p model-api --example encodes -- FOLDER [THREADS] [TEXTS_IN_ONE_RUN]`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use model_api::{TextModel, TextOptions, TextQuery};

/// Texts of 15 to 25 words, all different, so that none is in the cache.
fn text(number: usize) -> String {
    let words = ["the", "film", "was", "long", "but", "great", "and", "slow"];
    let length = 15 + number % 11;
    let words: Vec<&str> = (0..length).map(|i| words[(i * 7 + number) % 8]).collect();
    format!("{number} {}", words.join(" "))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let threads = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let batch = arguments.next().map(|text| text.parse()).transpose()?;
    let options = TextOptions {
        threads,
        batch,
        ..TextOptions::default()
    };
    let model = TextModel::load(&folder, &options)?;
    let texts: Vec<String> = (0..256).map(text).collect();
    let query = |text| TextQuery::new(text, "it is about {}");
    let labels = ["cinema", "sport"];
    for (what, rounds) in [("new", 1), ("known", 20)] {
        let started = Instant::now();
        for _ in 0..rounds {
            let queries: Vec<TextQuery<'_>> = texts.iter().map(|text| query(text)).collect();
            model.score(&queries, &labels)?;
        }
        let per_second = f64::from(rounds) * texts.len() as f64 / started.elapsed().as_secs_f64();
        println!("{what}: {per_second:.0} texts a second, {threads} threads");
    }
    Ok(())
}
