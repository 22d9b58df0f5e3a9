//! The pixels of a request.

use bytes::Bytes;

use crate::Pixels;

/// The pixels of one request: whole images, in the model's layout.
#[derive(Debug)]
pub enum Images {
    /// Bytes from 0 to 255.
    Bytes(Bytes),
    /// Floats from 0 to 1.
    Floats(Vec<f32>),
}

impl Images {
    /// The pixels in the form that a [`Classifier`](crate::Classifier) takes.
    #[must_use]
    pub fn pixels(&self) -> Pixels<'_> {
        match self {
            Self::Bytes(bytes) => Pixels::Bytes(bytes),
            Self::Floats(floats) => Pixels::Floats(floats),
        }
    }

    /// Cuts `count` images into parts of at most `most`, each with its number of images.
    #[must_use]
    pub fn cut(self, count: usize, most: usize) -> Vec<(Self, usize)> {
        let (count, most) = (count.max(1), most.max(1));
        let starts = (0..count).step_by(most);
        let ranges = starts.map(|start| (start, count.min(start + most)));
        match self {
            Self::Bytes(bytes) => {
                let size = bytes.len() / count;
                ranges
                    .map(|(start, end)| {
                        let part = bytes.slice(start * size..end * size);
                        (Self::Bytes(part), end - start)
                    })
                    .collect()
            }
            Self::Floats(floats) => {
                let size = floats.len() / count;
                ranges
                    .map(|(start, end)| {
                        let part = floats[start * size..end * size].to_vec();
                        (Self::Floats(part), end - start)
                    })
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_images_in_order() {
        let parts = |images: Images| -> Vec<(Vec<f32>, usize)> {
            let flat = |images: &Images| match images.pixels() {
                Pixels::Bytes(bytes) => bytes.iter().copied().map(f32::from).collect(),
                Pixels::Floats(floats) => floats.to_vec(),
            };
            let parts = images.cut(5, 2).into_iter();
            parts.map(|(part, count)| (flat(&part), count)).collect()
        };
        let expected = [
            (vec![0.0, 1.0, 2.0, 3.0], 2),
            (vec![4.0, 5.0, 6.0, 7.0], 2),
            (vec![8.0, 9.0], 1),
        ];
        let bytes: Vec<u8> = (0..10).collect();
        assert_eq!(parts(Images::Bytes(bytes.into())), expected);
        let floats = (0..10_u8).map(f32::from).collect();
        assert_eq!(parts(Images::Floats(floats)), expected);
    }
}
