//! Failures of the model API or the aggregator in the words that the page shows.

use ground::text::Short;
use model_client::address::origin_of;
use model_client::caller::{CallError, Caller};
use model_client::retry::TIMED_OUT_TRIES;
use model_client::transport::{NoAnswer, Transport as _};
use participant::DriveError;
use participant::api::ApiError;

use super::http;
use super::report::{Area, Trouble};
use super::transport::Web;

/// The cause of a failed call to `model`. `page` is this page's own origin, which the model's
/// server must allow.
pub async fn model_trouble(error: &CallError, model: &Caller<Web>, page: &str) -> Trouble {
    let url = model.url();
    let origin = origin_of(url).unwrap_or_else(|| url.to_owned());
    let called = match model.transport().is_here() {
        true => "The model on this device".to_owned(),
        false => format!("The model API at {origin}"),
    };
    match error {
        CallError::Silent { reason, .. } => silence(url, &origin, page, reason).await,
        CallError::Budget {
            spent,
            budget,
            currency,
        } => {
            let (spent, budget) = (Short(*spent), Short(*budget));
            Trouble::new(
                Area::Model,
                "model_budget",
                format!("The budget of {budget} {currency} for the model is spent"),
                format!(
                    "Asking the model has cost {spent} {currency} so far, and the next question would go over the limit of this federation. Nothing more is asked. What you contributed stays; the organiser can start another federation with a higher limit."
                ),
            )
        }
        CallError::Model(error) => Trouble::new(
            Area::Model,
            error.code(),
            format!("{called} cannot be used"),
            format!("{}.", capitalised(&error.to_string())),
        ),
        CallError::Cannot(_) | CallError::OtherKind => Trouble::new(
            Area::Model,
            "model_invalid_spec",
            format!("{called} cannot be used"),
            format!("{}.", capitalised(&error.to_string())),
        ),
    }
}

/// The cause of a missing answer. Browsers do not distinguish a refusal by CORS from a server that
/// does not exist, but a request without CORS, whose answer nobody can read, succeeds in the first
/// case only.
async fn silence(url: &str, origin: &str, page: &str, reason: &NoAnswer) -> Trouble {
    let cure = format!(
        "start it with `--allow-origin {page}` (fed-bbpt model-api), or name {page} in its CORS settings"
    );
    match reason {
        NoAnswer::TimedOut { seconds } => Trouble::new(
            Area::Model,
            "model_slow",
            format!("The model API at {origin} is too slow"),
            format!(
                "It gave no answer within {seconds} seconds, {TIMED_OUT_TRIES} times. Look whether it is overloaded, then go on."
            ),
        ),
        _ if http::is_there(url).await => Trouble::new(
            Area::Model,
            "model_cors",
            format!("The model API at {origin} does not allow this page"),
            format!("It runs, but its CORS rules keep its answers from pages of {page}: {cure}."),
        ),
        _ => Trouble::new(
            Area::Model,
            "model_unreachable",
            format!("The model API at {origin} cannot be reached"),
            format!(
                "It is not running, or not reachable from this browser. If it does run, it refuses this page (CORS): {cure}."
            ),
        ),
    }
}

/// The trouble that no data are loaded.
pub fn no_data() -> Trouble {
    Trouble::new(
        Area::Data,
        "no_data",
        "No data yet",
        "Choose the data to take part with first.",
    )
}

/// The trouble that a secure sum's message would be sent although the state to which it belongs is
/// not stored.
pub fn unstored() -> Trouble {
    Trouble::new(
        Area::Storage,
        "sum_not_stored",
        "Paused: this browser could not store what belongs to the secure sum",
        "Nothing was sent. If this tab were reloaded now, it could not go on with the same sum, and beginning it twice could give your change away. Free some disk space or allow this site to store data, then press Resume.",
    )
}

/// The trouble of a failure in the training itself.
pub fn other(error: &DriveError) -> Trouble {
    let (area, code, title) = match error {
        DriveError::Answers(_) => (
            Area::Model,
            "model_wrong_shape",
            "The model API cannot be used",
        ),
        _ => (Area::Training, "cannot_go_on", "The training is paused"),
    };
    let text = format!("{}.", capitalised(&error.to_string()));
    Trouble::new(area, code, title, text)
}

/// The trouble that the aggregator does not answer, or does not answer as one.
pub fn outage(error: &ApiError, area: Area) -> Trouble {
    outage_because(&words(error), area)
}

/// The trouble of an aggregator that is out of reach, with the reason in words.
pub fn outage_because(why: &str, area: Area) -> Trouble {
    Trouble::new(
        area,
        "aggregator_unreachable",
        "The federation's server does not answer",
        format!("Right now {why}. This page keeps trying by itself, and nothing is lost."),
    )
}

/// Why the aggregator gave no useful answer, in words.
pub fn words(error: &ApiError) -> String {
    match error {
        ApiError::Refused { .. } => "it asks to be left alone for a while (429)".to_owned(),
        ApiError::Problem(problem) => {
            let words = problem.detail.as_ref().unwrap_or(&problem.title);
            format!("it answers {}: {words}", problem.status)
        }
        ApiError::Unreachable { reason, .. } => reason.to_string(),
        ApiError::NotAnAggregator { detail, .. } => format!(
            "its answer is not what this page understands ({detail}); is there a proxy in between? If not, reload the page, it may be older than the aggregator"
        ),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}
