use proptest::prelude::*;

use super::*;

fn idx(shape: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape
        .iter()
        .for_each(|side| bytes.extend(side.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn fault(images: &[u8], labels: &[u8]) -> DataError {
    Pair::new("i", images, "l", labels).map(|_| ()).unwrap_err()
}

#[test]
fn grey_and_colour() {
    let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[7, 9]));
    let pair = Pair::new("i", &images, "l", &labels).unwrap();
    let examples: Vec<Example> = pair.iter().map(Result::unwrap).collect();
    assert_eq!((pair.examples(), pair.size()), (2, (2, 1)));
    assert_eq!(examples[1].label, "9");
    assert_eq!(examples[1].image.bytes(), [3, 4, 3, 4, 3, 4]);

    let images = idx(&[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]);
    let labels = idx(&[1], &[0]);
    let pair = Pair::new("i", &images, "l", &labels).unwrap();
    assert_eq!(
        pair.iter().next().unwrap().unwrap().image.bytes(),
        [1, 4, 2, 5, 3, 6]
    );
}

#[test]
fn faults_are_told_apart() {
    let (images, labels) = (idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[7, 9]));
    assert_eq!(
        fault(&images[..18], &labels),
        DataError::Truncated {
            file: "i".into(),
            needed: 20,
            got: 18
        }
    );
    assert_eq!(
        fault(&images[..9], &labels),
        DataError::Truncated {
            file: "i".into(),
            needed: 16,
            got: 9
        }
    );
    assert_eq!(
        fault(&[&images[..], &[0]].concat(), &labels),
        DataError::TrailingBytes {
            file: "i".into(),
            needed: 20,
            extra: 1
        }
    );
    assert!(matches!(fault(&labels, &images), DataError::IdxForm { .. }));
    assert!(matches!(
        fault(&images, &idx(&[3], &[0; 3])),
        DataError::PairMismatch {
            images: 2,
            labels: 3,
            ..
        }
    ));
    assert!(matches!(
        fault(&idx(&[0, 1, 1], &[]), &idx(&[0], &[])),
        DataError::Empty { .. }
    ));
    assert!(matches!(
        fault(&idx(&[1, 0, 1], &[]), &idx(&[1], &[0])),
        DataError::Image { .. }
    ));
    assert!(matches!(
        fault(&[0x1f, 0x8b, 8, 0], &labels),
        DataError::WrongKind {
            found: FileKind::Gzip,
            ..
        }
    ));
    let mut floats = images.clone();
    floats[2] = 0x0d;
    assert!(fault(&floats, &labels).to_string().contains("0x0d"));
    let huge = idx(&[u32::MAX; 4], &[]);
    assert!(matches!(fault(&huge, &labels), DataError::Truncated { .. }));
}

proptest! {
    #[test]
    fn any_bytes_give_a_pair_or_a_fault(
        mut images in prop::collection::vec(any::<u8>(), 0..64),
        mut labels in prop::collection::vec(any::<u8>(), 0..64),
        magic in any::<bool>(),
    ) {
        if magic && images.len() >= 4 && labels.len() >= 4 {
            images[..4].copy_from_slice(&[0, 0, 8, 3]);
            labels[..4].copy_from_slice(&[0, 0, 8, 1]);
        }
        if let Ok(pair) = Pair::new("i", &images, "l", &labels) {
            prop_assert_eq!(pair.iter().count(), pair.examples());
        }
    }
}
