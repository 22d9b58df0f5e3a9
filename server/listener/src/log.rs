//! What the servers log.

use tracing_subscriber::EnvFilter;

/// Makes the filter of a server's log: `RUST_LOG`, or `default` if that is not set or no filter. The HTTP parser's own lines are
/// left out unless the filter names them: it writes an error for every request that is no HTTP, and strangers could fill the log.
#[must_use]
pub fn filter(default: &str) -> EnvFilter {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let given = given.filter(|text| EnvFilter::try_new(text).is_ok());
    EnvFilter::new(quiet(given.as_deref().unwrap_or(default)))
}

fn quiet(filter: &str) -> String {
    if filter.contains("actix_http") {
        return filter.to_owned();
    }
    format!("{filter},actix_http::h1=off")
}

#[cfg(test)]
mod tests {
    use super::quiet;

    #[test]
    fn the_parser_is_heard_only_by_name() {
        assert_eq!(quiet("info"), "info,actix_http::h1=off");
        assert_eq!(quiet("warn,actix_http=debug"), "warn,actix_http=debug");
    }
}
