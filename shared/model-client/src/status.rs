//! What an HTTP status and the body of an error mean.

use serde_json::Value;

use super::{ModelApiError, Response};

/// Longest pause that a server may ask for; a longer one is a mistake.
const MAX_RETRY_AFTER_MS: u64 = 3_600_000;
/// Maximum number of characters of a server's message that are passed on.
const MAX_DETAIL: usize = 300;

/// Passes a 2xx answer; turns any other status into its error.
pub(crate) fn check(response: &Response<'_>, model: &str) -> Result<(), ModelApiError> {
    let status = response.status;
    Err(match status {
        200..=299 => return Ok(()),
        401 | 403 | 407 => ModelApiError::Unauthorized,
        // A web server that does not know the page, and not an inference server without the model.
        404 if is_html(response.body) => ModelApiError::NotThisProtocol {
            detail: detail(response.body),
        },
        404 => ModelApiError::NotFound {
            model: model.to_owned(),
        },
        408 | 425 | 429 | 503 => ModelApiError::Busy {
            retry_after_ms: retry_after_ms(response),
        },
        413 => ModelApiError::TooLarge {
            detail: detail(response.body),
        },
        // Triton says this; other servers answer 413.
        400 if detail(response.body).contains("batch-size must be <= ") => {
            ModelApiError::TooLarge {
                detail: detail(response.body),
            }
        }
        400..=499 => ModelApiError::BadRequest {
            detail: format!("status {status}, {}", detail(response.body)),
        },
        500..=599 => ModelApiError::ServerError {
            status,
            detail: detail(response.body),
        },
        _ => ModelApiError::NotThisProtocol {
            detail: format!("it answers with status {status}"),
        },
    })
}

/// Reads `Retry-After` in seconds, whole or not, as milliseconds. `None` if it is missing,
/// unreadable or a date, which would need a clock that agrees with the server's.
fn retry_after_ms(response: &Response<'_>) -> Option<u64> {
    let value = response.header("retry-after")?;
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = || whole.bytes().chain(part.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = part.bytes().chain(std::iter::repeat(b'0')).take(3);
    let milliseconds = whole.bytes().chain(thousandths).fold(0, |sum: u64, digit| {
        sum.saturating_mul(10).saturating_add((digit - b'0').into())
    });
    // Rounded up, so as never to return too early.
    let more = part.bytes().skip(3).any(|digit| digit != b'0');
    Some(
        milliseconds
            .saturating_add(more.into())
            .min(MAX_RETRY_AFTER_MS),
    )
}

/// Whether `body` is a web page.
pub(crate) fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// What a body that is no answer says, short and printable: the message of an error object
/// (`error`, `detail` or `message`), the title of a web page, or the text itself.
pub(crate) fn detail(body: &[u8]) -> String {
    let text = if is_html(body) {
        let page = String::from_utf8_lossy(&body[..body.len().min(16_384)]).into_owned();
        match title(&page) {
            Some(title) => format!("a web page titled \"{title}\""),
            None => "a web page".to_owned(),
        }
    } else if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        match ["error", "detail", "message"]
            .iter()
            .find_map(|key| object.get(*key))
        {
            Some(Value::String(message)) => message.clone(),
            Some(other) => match &other["message"] {
                Value::String(message) => message.clone(),
                _ => other.to_string(),
            },
            None => "a JSON object without a message".to_owned(),
        }
    } else {
        String::from_utf8_lossy(&body[..body.len().min(4 * MAX_DETAIL)]).into_owned()
    };
    let printable: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_DETAIL)
        .collect();
    match printable.trim() {
        "" => "an empty answer".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// The text between `<title>` and `</title>`.
fn title(page: &str) -> Option<&str> {
    // ASCII lower-casing keeps every byte offset.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    let title = page[start..end].trim();
    (!title.is_empty()).then_some(title)
}
