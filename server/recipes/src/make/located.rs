//! Loc-MNIST (Oh et al., BlackVIP, CVPR 2023, `datasets/mk_locmnist.py`): the label is the small
//! digit at the edge, not the one in the middle.

use datasets::mnist::{Digit, SIDE};
use ground::rng::Stream;
use image::GrayImage;
use image::imageops::{FilterType, replace, resize};

/// Side of a picture in pixels.
const WHOLE: u32 = 224;
/// Coordinate, in pixels, at which a digit that touches the far edge begins.
const FAR: u32 = WHOLE - SIDE as u32;

/// The digits that may stand in the middle, class by class.
pub(super) struct Middle<'a>(Vec<Vec<&'a Digit>>);

impl<'a> Middle<'a> {
    /// Groups digits by class; classes without a digit are left out.
    pub(super) fn new(digits: &'a [Digit]) -> Self {
        let of = |label| digits.iter().filter(|d| d.label == label).collect();
        let classes = (0..10u8).map(of);
        Self(classes.filter(|class: &Vec<_>| !class.is_empty()).collect())
    }

    /// Draws a class, then one of its digits.
    fn draw(&self, stream: &mut Stream) -> Option<&'a Digit> {
        let class = self.0.get(stream.below(self.0.len() as u32) as usize)?;
        class
            .get(stream.below(class.len() as u32) as usize)
            .copied()
    }
}

/// Draws a place (x, y) along the edge, with equal chances for its four sides.
pub(super) fn place(stream: &mut Stream) -> (u32, u32) {
    let a = stream.below(FAR + 1);
    let b = if a == 0 || a == FAR {
        stream.below(FAR + 1)
    } else {
        FAR * stream.below(2)
    };
    if stream.below(2) == 0 { (a, b) } else { (b, a) }
}

/// Composes the picture: the digit at the edge, and over it another in the middle, `size` times as
/// large.
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
