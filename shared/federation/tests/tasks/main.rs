//! What a task file's settings mean once they are a task: dialects, generators, searches.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test may panic: that is how it fails.

mod bandit;
mod discrete;
mod fixture;
mod forms;
mod huggingface;
mod instruction;
mod on_device;
mod open_inference_text;
mod openai;
mod organiser_form;
mod prompt_embeds;
mod soft;
