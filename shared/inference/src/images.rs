//! The pixels of a request.

use bytes::Bytes;

use crate::Pixels;

/// The pixels of one request: whole images, in the model's layout.
#[derive(Debug)]
pub enum Images {
    /// 0 to 255
    Bytes(Bytes),
    /// 0 to 1
    Floats(Vec<f32>),
}

impl Images {
    /// As the model takes them.
    #[must_use]
    pub fn pixels(&self) -> Pixels<'_> {
        match self {
            Self::Bytes(bytes) => Pixels::Bytes(bytes),
            Self::Floats(floats) => Pixels::Floats(floats),
        }
    }
}
