use super::*;

fn sha256(bytes: &[u8]) -> String {
    ground::hash::sha256_hex(bytes)
}

fn row(image: &[u8], side: usize, y: usize) -> String {
    ground::hex::hex(&image[y * side..(y + 1) * side])
}

/// The frozen drawings that native and wasm must both reproduce.
#[test]
fn frozen_vectors() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/handwriting.json")).unwrap();
    for case in vectors["owners"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap();
        let drawings = owner(
            number("seed"),
            number("count") as usize,
            case["alpha"].as_f64().map(|a| a as f32),
        );
        let digits: Vec<u8> = drawings.iter().map(|(_, digit)| *digit).collect();
        assert_eq!(
            digits,
            serde_json::from_value::<Vec<u8>>(case["digits"].clone()).unwrap()
        );
        // The rows first: they show where a difference is.
        for (y, expected) in case["first_drawing_rows"].as_object().unwrap() {
            assert_eq!(
                row(&drawings[0].0, SIZE, y.parse().unwrap()),
                expected.as_str().unwrap(),
                "row {y}"
            );
        }
        let bytes: Vec<u8> = drawings
            .iter()
            .flat_map(|(image, _)| image.iter().copied())
            .collect();
        assert_eq!(sha256(&bytes), case["sha256"].as_str().unwrap());
    }
}

#[test]
fn drawings_have_the_thickness_and_size_of_handwritten_digits() {
    for seed in 0..40 {
        for (image, digit) in owner(seed, 20, None) {
            let inked = |v: &u8| *v > 80;
            let rows = image
                .chunks(SIZE)
                .filter(|row| row.iter().any(inked))
                .count();
            let share = image.iter().filter(|v| inked(v)).count() as f32 / image.len() as f32;
            assert!(
                (15..=30).contains(&rows),
                "owner {seed}, digit {digit}: {rows} rows"
            );
            assert!(
                (0.03..0.4).contains(&share),
                "owner {seed}, digit {digit}: {share}"
            );
            // Light on dark: the frame has no ink.
            let frame = image[..SIZE].iter().chain(&image[SIZE * (SIZE - 1)..]);
            assert!(
                frame.into_iter().all(|&v| v < 40),
                "owner {seed}, digit {digit}"
            );
        }
    }
}

#[test]
fn owners_differ_more_than_one_owners_drawings() {
    let draws = |seed: u64, again: u64| {
        let style = Style::of_owner(seed);
        let mut stream = Stream::new(again, purpose::HANDWRITING);
        (0..10)
            .flat_map(|digit| draw(&style, digit, &mut stream, SIZE))
            .collect::<Vec<u8>>()
    };
    let distance = |a: &[u8], b: &[u8]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
            .sum()
    };
    let (mut own, mut other) = (0.0, 0.0);
    for seed in 0..20 {
        own += distance(&draws(seed, 1), &draws(seed, 2));
        other += distance(&draws(seed, 1), &draws(seed + 100, 2));
    }
    assert!(own > 0.0 && own * 1.3 < other, "{own} {other}");
}

#[test]
fn digits_come_evenly_or_as_the_owner_likes() {
    let count = |alpha| {
        let mut counts = [0; 10];
        owner(5, 200, alpha)
            .iter()
            .for_each(|(_, digit)| counts[usize::from(*digit)] += 1);
        counts
    };
    assert_eq!(count(None), [20; 10]);
    let skewed = count(Some(0.3));
    assert_eq!(skewed.iter().sum::<i32>(), 200);
    assert!(skewed.iter().max() > Some(&50), "{skewed:?}");
}

#[test]
fn the_first_drawings_of_many_with_given_frequencies_are_those_of_few() {
    assert_eq!(owner(8, 30, Some(0.5))[..5], owner(8, 5, Some(0.5))[..]);
}

#[test]
fn any_size_and_any_digit_can_be_drawn() {
    let style = Style::of_owner(1);
    for size in [0, 1, 2, 8, 28, 224] {
        for digit in [0, 9, 10, 255] {
            let image = draw(&style, digit, &mut Stream::new(2, 0), size);
            assert_eq!(image.len(), size * size);
            assert!(size < 8 || image.iter().any(|&v| v > 100), "{size}");
        }
    }
}
