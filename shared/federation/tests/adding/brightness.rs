//! A prompt generator for images: θ is one number that is added to every pixel, 1 being the whole
//! range.

use ground::fault::Reader;
use ground::form::About;
use tuning::generator::{Generator, ImageEntry, Kernel, Prepared, Scratch, Shape, quantise};

struct Brightness;

pub const ENTRY: ImageEntry = ImageEntry {
    about: About::of("one number that is added to every pixel"),
    build,
};

fn build(_: &mut Reader<'_>, _: Shape) -> Box<dyn Generator> {
    Box::new(Brightness)
}

impl Generator for Brightness {
    fn dim(&self) -> usize {
        1
    }

    fn statistics(&self) -> usize {
        0
    }

    fn prepare(&self, image: &[u8]) -> Prepared {
        Prepared {
            image: image.to_vec(),
            statistics: Vec::new(),
        }
    }

    fn prompt(&self, theta: &[f32], prepared: &Prepared, _: &mut Scratch, out: &mut [u8]) {
        for (level, original) in out.iter_mut().zip(&prepared.image) {
            *level = quantise(f32::from(*original) + 255.0 * theta[0]);
        }
    }

    fn kernel(&self) -> Option<Kernel> {
        None
    }
}
