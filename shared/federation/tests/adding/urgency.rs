//! A prompt generator for texts: θ is one number, and a word stands before the text while it is
//! above 0.

use ground::fault::Reader;
use ground::form::About;
use tuning::generator::{TextEntry, TextGenerator};
use tuning::optimizer::Domain;
use tuning::wording::{Prompt, TextTask};

pub const ENTRY: TextEntry = TextEntry {
    about: About::of("one word, or none"),
    embeddings: false,
    domain: Domain::Numbers,
    build,
};

struct Urgency {
    word: String,
}

/// Reads `word`.
fn build(reader: &mut Reader<'_>, _: &TextTask) -> Box<dyn TextGenerator> {
    Box::new(Urgency {
        word: reader.text("word", None),
    })
}

impl TextGenerator for Urgency {
    fn dim(&self) -> usize {
        1
    }

    fn prompt(&self, point: &[f32]) -> Prompt {
        Prompt {
            input: if point[0] > 0.0 {
                self.word.clone()
            } else {
                String::new()
            },
            ..Prompt::default()
        }
    }
}
