//! Finds the instructions in an LLM's answer: the entries of its list, and what is wrong with some.
//!
//! The LLM was asked for a list in JSON. Often that is what comes; as often it is a list in lines,
//! with numbers, bullets, quotation marks, and words around it.

use super::prompts::PLACE;
use serde_json::Value;
use tuning::generator::instruction::Place;

/// Keys under which entries that are objects have their text.
const KEYS: [&str; 4] = ["instruction", "template", "text", "prompt"];
/// Names that LLMs give their entries, as in `Template 3: …`.
const NAMES: [&str; 7] = [
    "candidate",
    "instruction",
    "label template",
    "option",
    "prompt",
    "template",
    "variation",
];
/// Pairs of quotation marks, and Markdown's marks.
const QUOTES: [(&str, &str); 10] = [
    ("\"", "\""),
    ("“", "”"),
    ("„", "“"),
    ("«", "»"),
    ("‘", "’"),
    ("'", "'"),
    ("```", "```"),
    ("`", "`"),
    ("**", "**"),
    ("*", "*"),
];
/// Maximum number of places at which a list in JSON is looked for.
const BRACKETS: usize = 16;

/// The mark of an entry in a list of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    None,
    Number,
    Bullet,
}

/// The entries of an answer, without the marks around them. `cut` means that the answer ends in the
/// middle of one.
pub fn entries(answer: &str, cut: bool) -> Vec<String> {
    let listed = in_json(answer).unwrap_or_else(|| in_lines(answer, cut));
    listed.iter().map(|entry| bare(entry)).collect()
}

/// The instruction in an entry.
///
/// # Errors
/// Why it is none, to follow the words "the entry ".
pub fn instruction(entry: &str, place: Place) -> Result<String, String> {
    let mut text = entry.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(is_unseen) {
        return Err(
            "holds characters that nobody sees, or that turn what follows around".to_owned(),
        );
    }
    if text.contains(PLACE) {
        return Err(format!(
            "holds {PLACE}, which only stood for it in the question"
        ));
    }
    if place == Place::Template
        && !text.contains("{}")
        && let Some((before, after)) = around_name(&text)
    {
        text = format!("{before}{{}}{after}");
    }
    place.fault(&text).map_or(Ok(text), Err)
}

/// The text before and after the only `{name}` in a text.
fn around_name(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-'));
    (is_name && !after.contains(['{', '}'])).then_some((before, after))
}

/// Whether a character is invisible: a zero-width one without meaning, a change of the writing
/// direction, or a tag.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The first JSON list of texts in an answer, even if it is cut off.
fn in_json(answer: &str) -> Option<Vec<String>> {
    let lists = answer.match_indices('[').take(BRACKETS);
    lists
        .map(|(at, _)| list(&answer[at..]))
        .find(|list| !list.is_empty())
}

/// The texts of the list with which `text` begins; empty if it is no JSON.
fn list(text: &str) -> Vec<String> {
    let values = serde_json::Deserializer::from_str(text)
        .into_iter::<Value>()
        .next();
    if let Some(Ok(Value::Array(values))) = values {
        return values.iter().filter_map(entry).collect();
    }
    // Cut off, or not quite JSON: takes the texts up to there.
    let (mut found, mut rest) = (Vec::new(), &text[1..]);
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if !rest.starts_with('"') {
            return found;
        }
        let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(text)) = texts.next() else {
            return found;
        };
        rest = &rest[texts.byte_offset()..];
        found.push(text);
    }
}

fn entry(value: &Value) -> Option<String> {
    let text = match value {
        Value::Object(object) => KEYS.iter().find_map(|key| object.get(*key))?,
        value => value,
    };
    text.as_str().map(str::to_owned)
}

/// The lines that are entries: if the list is marked, those with its mark; otherwise all but the
/// words before the list.
fn in_lines(answer: &str, cut: bool) -> Vec<String> {
    let mut lines: Vec<&str> = answer.lines().map(str::trim).collect();
    if cut {
        lines.pop();
    }
    let is_entry = |line: &str| {
        !line.starts_with("```") && (line.contains("{}") || line.contains(char::is_alphanumeric))
    };
    let marked = |wanted| {
        let lines = lines.iter().filter(|line| is_entry(line));
        let lines = lines.filter(|line| marker(line).0 == wanted);
        lines.map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    for wanted in [Marker::Number, Marker::Bullet] {
        let list = marked(wanted);
        if list.len() > 1 {
            return list;
        }
    }
    // "Here are five:", with nothing after it on its line.
    let is_title = |line: &&&str| !line.ends_with(':') || line.contains("{}");
    let mut written = lines.iter().filter(|line| is_entry(line)).peekable();
    let skipped = usize::from(written.next_if(|line| !is_title(line)).is_some());
    let list: Vec<String> = written.map(|line| (*line).to_owned()).collect();
    // A single line of words is an excuse and not a list.
    if list.len() > 1 || (skipped == 1 && !list.is_empty()) {
        list
    } else {
        Vec::new()
    }
}

/// The mark before an entry, and the rest of the line.
fn marker(line: &str) -> (Marker, &str) {
    let line = line.trim_start();
    let rest = line.trim_start_matches(['(', '[', '#', '*']);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if (1..=3).contains(&digits) {
        let after = rest[digits..].trim_start_matches(['.', ')', ']', ':']);
        let ends = after.len() < rest.len() - digits;
        let after = after.strip_prefix("**").unwrap_or(after);
        if ends && after.starts_with(|c: char| c.is_whitespace() || c == '"' || c == '“') {
            return (Marker::Number, after.trim_start());
        }
    }
    for bullet in ['-', '*', '•', '–', '—', '+', '·', '◦'] {
        let after = line.strip_prefix(bullet);
        if let Some(after) = after.filter(|after| after.starts_with(char::is_whitespace)) {
            return (Marker::Bullet, after.trim_start());
        }
    }
    match line.split_once(':') {
        Some((name, after)) if is_numbered_name(name) => {
            (Marker::Number, after.trim_start_matches('*').trim_start())
        }
        _ => (Marker::None, line),
    }
}

/// Whether a text is a numbered name such as `**Template 3` or `Option #2`.
fn is_numbered_name(text: &str) -> bool {
    let text = text.trim_matches('*').to_ascii_lowercase();
    let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() < text.len() && NAMES.contains(&name.trim_end_matches(['#', ' ']))
}

/// An entry without its mark and the quotation marks around it.
fn bare(entry: &str) -> String {
    let mut text = marker(entry).1.trim();
    loop {
        let inner = text.trim_end_matches([',', ';']);
        let inside = |(open, close): &(&str, &str)| {
            let inside = inner.strip_prefix(open)?.strip_suffix(close)?;
            (!inside.contains(close) && !inside.contains(open)).then(|| inside.trim())
        };
        match QUOTES.iter().find_map(inside) {
            Some(inside) => text = inside,
            None => return text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answer: &str) -> Vec<String> {
        entries(answer, false)
    }

    const TWO: [&str; 2] = ["This is {}.", "On {}:"];

    #[test]
    fn lists_in_json() {
        for answer in [
            r#"["This is {}.", "On {}:"]"#,
            "```json\n[\n  \"This is {}.\",\n  \"On {}:\"\n]\n```",
            "Sure [1]! Here they are:\n[\"This is {}.\", \"On {}:\"] and [\"no\"] more.",
            r#"{"instructions": ["This is {}.", "On {}:"], "count": 2}"#,
            r#"[{"instruction": "This is {}.", "why": "short"}, {"n": 1}, {"text": "On {}:"}, 7, null]"#,
            r#"["1. This is {}.", "\"On {}:\""]"#,
            // Cut off, and not quite JSON.
            r#"["This is {}.", "On {}:", "The topic o"#,
            r#"["This is {}.", "On {}:",]"#,
        ] {
            assert_eq!(of(answer), TWO, "{answer}");
        }
    }

    #[test]
    fn lists_in_lines() {
        for answer in [
            "This is {}.\nOn {}:",
            "1. This is {}.\r\n2) On {}:\r\n",
            "Of course! Here are two:\n\n1. \"This is {}.\"\n   - short\n2. “On {}:”\n\nLet me know!",
            "- This is {}.\n- On {}:\n",
            "* `This is {}.`\n* **On {}:**",
            "(1) This is {}.\n(2) On {}:",
            "**1.** This is {}.\n**2.** On {}:",
            "**Template 1:** This is {}.\nTemplate #2: On {}:",
            "```\n\"This is {}.\",\n'On {}:'\n```",
            "Templates:\nThis is {}.\nOn {}:",
            "„This is {}.“\n«On {}:»",
        ] {
            assert_eq!(of(answer), TWO, "{answer}");
        }
        assert_eq!(entries("This is {}.\nOn {}:\nThe top", true), TWO);
        // Numbers and quotation marks that belong to the text are kept.
        let kept = [
            "3.5 stars for {}",
            "\"{}\", they said, \"so\"",
            "2024: {}",
            "{}",
        ];
        assert_eq!(of(&kept.join("\n")), kept);
    }

    #[test]
    fn words_are_no_list() {
        for answer in [
            "",
            "I'm sorry, but I cannot help with that.",
            "Here you are:",
            "[]",
            "[[[]]]",
            "```json\n```",
            "---\n***\n",
            "{\"error\": 1}",
        ] {
            assert_eq!(of(answer), Vec::<String>::new(), "{answer}");
        }
        // Deep, long and strange answers come to an end too.
        for answer in [
            "[".repeat(100_000),
            "[\"".repeat(50_000),
            "{\"a\":[".repeat(20_000),
        ] {
            assert!(of(&answer).len() < 2);
        }
        assert_eq!(entries("one line", true), Vec::<String>::new());
    }

    #[test]
    fn entries_become_instructions_or_say_why_not() {
        let template = |entry| instruction(entry, Place::Template);
        assert_eq!(template("This\n is\t{}."), Ok("This is {}.".to_owned()));
        assert_eq!(template("On {label}:"), Ok("On {}:".to_owned()));
        assert_eq!(template("On {label word}"), Ok("On {}".to_owned()));
        let input = |entry| instruction(entry, Place::Input);
        assert_eq!(input("Which topic?"), Ok("Which topic?".to_owned()));
        for (entry, why) in [
            ("On it", "{} once"),
            ("On {a} or {b}", "{} once"),
            ("{} is {}", "{} once"),
            (" \n", "empty"),
            ("On {}\u{202e}", "nobody sees"),
            ("On\u{200b}{}", "nobody sees"),
            ("On {}\u{1b}[31m", "characters that are none"),
        ] {
            assert!(template(entry).unwrap_err().contains(why), "{entry:?}");
        }
        assert!(
            input("[instruction] Which topic?")
                .unwrap_err()
                .contains("the question")
        );
        assert!(
            template(&("{}".to_owned() + &"x".repeat(1000)))
                .unwrap_err()
                .contains("1000")
        );
        assert!(input("On {}").unwrap_err().contains("no label template"));
    }
}
