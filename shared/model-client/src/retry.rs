//! When a failed request is repeated and after what pause: one table for every request of a
//! participant.

use crate::caller::CallError;
use crate::transport::NoAnswer;
use crate::{ModelApiError, Retry};

/// Maximum tries of a request that is answered with a failure that may pass.
pub const TRIES: u32 = 6;
/// Maximum tries of a request for which the server has no room: enough for limits of a minute to
/// pass.
pub const BUSY_TRIES: u32 = 12;
/// Maximum tries of a request that gets no answer: enough for a server to start again.
pub const SILENT_TRIES: u32 = 6;
/// Maximum tries of a request that gets no answer within its time limit. Each try takes the whole
/// limit; more would only hide the cause.
pub const TIMED_OUT_TRIES: u32 = 3;
/// The first pause in milliseconds; it doubles with each try.
pub const FIRST_PAUSE_MS: f64 = 250.0;
/// Longest pause in milliseconds that is chosen here. With [`BUSY_TRIES`] a limit of a minute
/// passes, and a person hears within two minutes of one that does not.
pub const LONGEST_PAUSE_MS: f64 = 15_000.0;
/// Longest pause in milliseconds that a server may ask for (`Retry-After`).
pub const LONGEST_ASKED_MS: u64 = 600_000;

/// The pause in milliseconds after try number `tries`, counted from 1. It doubles with each try up
/// to a maximum, and `uniform` (from 0 to 1) shortens it by up to a half, so that many clients do
/// not return at once.
#[must_use]
pub fn back_off(tries: u32, uniform: f32) -> f64 {
    let doubled = FIRST_PAUSE_MS * f64::from(1_u32 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE_MS) * (0.5 + 0.5 * f64::from(uniform))
}

/// The pause in milliseconds that a server asks for when it has no room; `None` if it names none.
#[must_use]
pub fn asked(error: &CallError) -> Option<u64> {
    match error {
        CallError::Model(error) => match error.retry() {
            Retry::Safe { after_ms } => after_ms.map(|ms| ms.min(LONGEST_ASKED_MS)),
            Retry::Never => None,
        },
        _ => None,
    }
}

/// The pause in milliseconds before a failed call is repeated; `None` if it is given up after
/// `tries` tries.
#[must_use]
pub fn pause(error: &CallError, tries: u32, uniform: f32) -> Option<f64> {
    let most = match error {
        CallError::Model(ModelApiError::Busy { .. }) => BUSY_TRIES,
        CallError::Model(error) if error.retry() != Retry::Never => TRIES,
        CallError::Silent {
            reason: NoAnswer::TimedOut { .. },
            ..
        } => TIMED_OUT_TRIES,
        CallError::Silent { .. } => SILENT_TRIES,
        _ => 1,
    };
    (tries < most).then(|| asked(error).unwrap_or(0) as f64 + back_off(tries, uniform))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(reason: NoAnswer) -> CallError {
        CallError::Silent {
            url: String::new(),
            reason,
        }
    }

    fn tries(error: &CallError) -> u32 {
        (1..)
            .find(|tries| pause(error, *tries, 0.0).is_none())
            .unwrap()
    }

    #[test]
    fn every_kind_of_failure_has_its_number_of_tries() {
        let cause = String::new;
        let busy = |retry_after_ms| ModelApiError::Busy { retry_after_ms };
        let failed = |status| ModelApiError::ServerError {
            status,
            detail: cause(),
        };
        for (error, most) in [
            (silent(NoAnswer::TimedOut { seconds: 60 }), TIMED_OUT_TRIES),
            (
                silent(NoAnswer::Unreachable { cause: cause() }),
                SILENT_TRIES,
            ),
            (silent(NoAnswer::Broken { cause: cause() }), SILENT_TRIES),
            (busy(None).into(), BUSY_TRIES),
            (failed(500).into(), TRIES),
            (failed(501).into(), 1),
            (ModelApiError::Unauthorized.into(), 1),
            (CallError::Cannot(cause()), 1),
        ] {
            assert_eq!(tries(&error), most, "{error:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_a_server_may_ask_for_longer_ones() {
        assert_eq!(back_off(1, 1.0), FIRST_PAUSE_MS);
        assert_eq!(back_off(1, 0.0), FIRST_PAUSE_MS / 2.0);
        assert_eq!(back_off(4, 1.0), 8.0 * FIRST_PAUSE_MS);
        assert_eq!(back_off(u32::MAX, 1.0), LONGEST_PAUSE_MS);
        let busy = |ms| {
            CallError::from(ModelApiError::Busy {
                retry_after_ms: Some(ms),
            })
        };
        assert_eq!(pause(&busy(1_500), 1, 1.0), Some(1_500.0 + FIRST_PAUSE_MS));
        assert_eq!(
            pause(&busy(u64::MAX), 1, 1.0),
            Some(LONGEST_ASKED_MS as f64 + FIRST_PAUSE_MS)
        );
    }
}
