#![allow(clippy::unwrap_used)] // A test may panic: that is how it fails.

use super::*;
use crate::Recipes;
use std::collections::BTreeSet;

fn digit(label: u8, level: u8) -> Digit {
    let mut pixels = vec![0; 28 * 28];
    pixels[28 * 14 + 14] = level;
    Digit { label, pixels }
}

fn stream() -> Stream {
    Stream::with_key([1, 2])
}

#[test]
fn the_share_of_own_colours_is_rho() {
    let labels: Vec<u8> = (0..1000).map(|i| (i % 10) as u8).collect();
    for (rho, own) in [
        (0.8, 80),
        (0.1, 10),
        (0.0, 0),
        (1.0, 100),
        (7.0, 100),
        (-1.0, 0),
    ] {
        let colours = biased::colours(&labels, rho, &mut stream());
        for class in 0..10u8 {
            let of_class = || labels.iter().zip(&colours).filter(|(l, _)| **l == class);
            assert_eq!(
                of_class().filter(|(_, c)| **c == class).count(),
                own,
                "{rho}"
            );
            let others: BTreeSet<u8> = of_class()
                .map(|(_, c)| *c)
                .filter(|c| *c != class)
                .collect();
            // Runs of equal length; the last one is shorter.
            let run = (100 - own).div_ceil(9).max(1);
            assert_eq!(others.len(), (100 - own).div_ceil(run));
        }
    }
    assert!(biased::colours(&[], 0.5, &mut stream()).is_empty());
}

#[test]
fn ink_is_white_on_the_colour() {
    let picture = biased::paint(&digit(3, 1), 3);
    assert_eq!(picture.get_pixel(14, 14).0, [255; 3]);
    assert_eq!(picture.get_pixel(0, 0).0, [225, 225, 0]);
}

#[test]
fn the_small_digit_touches_the_edge() {
    let mut stream = stream();
    let mut sides = BTreeSet::new();
    for _ in 0..400 {
        let (x, y) = located::place(&mut stream);
        assert!(x <= 196 && y <= 196);
        assert!(x == 0 || x == 196 || y == 0 || y == 196, "{x} {y}");
        sides.insert((x == 0, x == 196, y == 0, y == 196));
    }
    assert!(sides.len() >= 4);
    let digits = [digit(1, 200), digit(7, 100)];
    let middle = located::Middle::new(&digits);
    let picture = located::compose(&digits[0], &middle, 4, &mut stream);
    assert_eq!(picture.dimensions(), (224, 224));
    let edge = picture
        .enumerate_pixels()
        .filter(|(x, y, p)| p.0[0] == 200 && (!(56..168).contains(x) || !(56..168).contains(y)));
    assert_eq!(edge.count(), 1);
}

/// Writes IDX files of `count` digits each.
fn idx(folder: &Path, part: &str, count: u8) {
    let header = |kind: u8, sides: &[u32]| {
        let mut bytes = vec![0, 0, 8, kind];
        sides.iter().for_each(|s| bytes.extend(s.to_be_bytes()));
        bytes
    };
    let mut images = header(3, &[count.into(), 28, 28]);
    let mut labels = header(1, &[count.into()]);
    for i in 0..count {
        images.extend(digit(i % 10, 100 + i).pixels);
        labels.push(i % 10);
    }
    std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    std::fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
}

#[test]
fn sets_are_made_and_are_the_same_again() {
    let home = tempfile::tempdir().unwrap();
    let recipes = Recipes::load().unwrap();
    let made = |name: &str, folder: &str, seed| {
        let into = home.path().join(folder);
        let counts = make(&Make {
            recipe: recipes.find(name).unwrap(),
            into: &into,
            from: &home.path().join("mnist"),
            rho: [0.8, 0.2],
            seed,
        })?;
        let bytes = std::fs::read(into.join("train/3/00004.png")).unwrap_or_default();
        Ok::<_, MakeError>((counts, bytes))
    };
    assert!(made("biased_mnist", "a", 0).is_err());
    std::fs::create_dir(home.path().join("mnist")).unwrap();
    idx(&home.path().join("mnist"), "t10k", 40);
    // The digits are dealt out if there are no training files.
    assert_eq!(made("biased_mnist", "a", 0).unwrap().0, [20, 20]);
    idx(&home.path().join("mnist"), "train", 20);
    let first = made("loc-mnist-1-4", "b", 0).unwrap();
    assert_eq!(first.0, [20, 40]);
    assert!(!first.1.is_empty());
    assert_eq!(made("loc_mnist_1_4", "c", 0).unwrap().1, first.1);
    assert_ne!(made("loc_mnist_1_4", "d", 1).unwrap().1, first.1);
    assert!(matches!(
        made("loc_mnist_1_4", "d", 1),
        Err(MakeError::NotEmpty(_))
    ));
    assert!(matches!(made("dtd", "e", 1), Err(MakeError::NotMade(_))));
    std::fs::write(
        home.path().join("mnist/train-labels-idx1-ubyte"),
        [0, 0, 8, 1, 0, 0, 0, 9],
    )
    .unwrap();
    assert!(made("loc_mnist_1_4", "f", 1).is_err());
}
