//! Loc-MNIST (Oh et al., BlackVIP, CVPR 2023, `datasets/mk_locmnist.py`): what counts is the small digit at the edge,
//! not the one in the middle.

use datasets::mnist::{Digit, SIDE};
use ground::rng::Stream;
use image::GrayImage;
use image::imageops::{FilterType, replace, resize};

/// Side of a picture.
const WHOLE: u32 = 224;
/// Where a digit that touches the far edge begins.
const FAR: u32 = WHOLE - SIDE as u32;

/// The digits of each class that may stand in the middle.
pub(super) struct Middle<'a>(Vec<Vec<&'a Digit>>);

impl<'a> Middle<'a> {
    /// By class; classes without a digit are left out.
    pub(super) fn new(digits: &'a [Digit]) -> Self {
        let of = |label| digits.iter().filter(|d| d.label == label).collect();
        let classes = (0..10u8).map(of);
        Self(classes.filter(|class: &Vec<_>| !class.is_empty()).collect())
    }

    /// A class, and one of its digits.
    fn draw(&self, stream: &mut Stream) -> Option<&'a Digit> {
        let class = self.0.get(stream.below(self.0.len() as u32) as usize)?;
        class
            .get(stream.below(class.len() as u32) as usize)
            .copied()
    }
}

/// A place along the edge, each of the four sides as likely as another: (x, y).
pub(super) fn place(stream: &mut Stream) -> (u32, u32) {
    let a = stream.below(FAR + 1);
    let b = if a == 0 || a == FAR {
        stream.below(FAR + 1)
    } else {
        FAR * stream.below(2)
    };
    if stream.below(2) == 0 { (a, b) } else { (b, a) }
}

/// The digit at the edge, another in the middle, `size` times as large, which covers what it meets.
pub(super) fn compose(
    digit: &Digit,
    middle: &Middle<'_>,
    size: u32,
    stream: &mut Stream,
) -> GrayImage {
    let mut whole = GrayImage::new(WHOLE, WHOLE);
    let (x, y) = place(stream);
    replace(&mut whole, &grey(digit), x.into(), y.into());
    if let Some(other) = middle.draw(stream) {
        let side = SIDE as u32 * size;
        let from = (WHOLE - side.min(WHOLE)) / 2;
        let other = resize(&grey(other), side, side, FilterType::Triangle);
        replace(&mut whole, &other, from.into(), from.into());
    }
    whole
}

fn grey(digit: &Digit) -> GrayImage {
    GrayImage::from_raw(SIDE as u32, SIDE as u32, digit.pixels.clone()).unwrap_or_default()
}
