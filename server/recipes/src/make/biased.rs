//! Biased-MNIST (Bahng et al., "Learning De-biased Representations with Biased Representations",
//! ICML 2020), as in BlackVIP's repository: the colour of the background usually tells the class.

use datasets::mnist::{Digit, SIDE};
use ground::rng::Stream;
use image::{Rgb, RgbImage};

/// The colours of the classes, RGB.
const COLOURS: [[u8; 3]; 10] = [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
    [225, 225, 0],
    [225, 0, 225],
    [0, 255, 255],
    [255, 128, 0],
    [255, 0, 128],
    [128, 0, 255],
    [128, 128, 128],
];

/// For each image, the class whose colour it gets: ⌊ρn⌋ of a class's n images get their own
/// class's, the others are dealt out in runs of equal length to the other nine.
pub(super) fn colours(labels: &[u8], rho: f64, stream: &mut Stream) -> Vec<u8> {
    let mut colours = vec![0; labels.len()];
    for label in 0..10u8 {
        let mut indices: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == label).collect();
        let mut others: Vec<u8> = (1..10).map(|step| (label + step) % 10).collect();
        stream.shuffle(&mut indices);
        stream.shuffle(&mut others);
        let own = ((indices.len() as f64 * rho) as usize).min(indices.len());
        let (own, rest) = indices.split_at(own);
        own.iter().for_each(|i| colours[*i] = label);
        let run = rest.len().div_ceil(others.len()).max(1);
        for (run, colour) in rest.chunks(run).zip(others) {
            run.iter().for_each(|i| colours[*i] = colour);
        }
    }
    colours
}

/// Paints a digit: white where it is not black, the class's colour elsewhere.
pub(super) fn paint(digit: &Digit, colour: u8) -> RgbImage {
    let background = COLOURS[usize::from(colour) % COLOURS.len()];
    RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let at = y as usize * SIDE + x as usize;
        let is_ink = digit.pixels.get(at).is_some_and(|level| *level != 0);
        Rgb(if is_ink { [255; 3] } else { background })
    })
}
