//! Counts the tests that passed, from what each runner reports.

use std::fmt;
use std::ops::AddAssign;

use serde_json::Value;

/// Numbers of tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Count {
    /// A runner that exits with an error although no test failed (it did not compile, it found no
    /// tests, it crashed) counts as one failure.
    pub fn or_one_failure(mut self, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Sums the lines `test result: ok. 3 passed; 0 failed; 1 ignored; …` of `cargo test`.
pub fn cargo(output: &str) -> Count {
    let mut total = Count::default();
    for line in output.lines() {
        let Some((_, counts)) = line.split_once("test result: ") else {
            continue;
        };
        let number = |word: &str| {
            counts
                .split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(word))
                .find_map(|number| number.trim().parse::<u64>().ok())
                .unwrap_or(0)
        };
        total += Count {
            passed: number("passed"),
            failed: number("failed"),
            skipped: number("ignored"),
        };
    }
    total
}

/// Reads vitest's JSON report. A file that fails to load has no tests but counts as one failure.
pub fn vitest(report: &Value) -> Option<Count> {
    let number = |key: &str| report.get(key).and_then(Value::as_u64);
    let broken_files = report
        .get("testResults")
        .and_then(Value::as_array)
        .map(|files| {
            let broken = |file: &&Value| {
                file["status"] == "failed"
                    && file["assertionResults"]
                        .as_array()
                        .is_none_or(Vec::is_empty)
            };
            files.iter().filter(broken).count() as u64
        })
        .unwrap_or(0);
    Some(Count {
        passed: number("numPassedTests")?,
        failed: number("numFailedTests")? + broken_files,
        skipped: number("numPendingTests")? + number("numTodoTests").unwrap_or(0),
    })
}

/// Reads Playwright's JSON report. A flaky test (passed on a second try) counts as passed.
pub fn playwright(report: &Value) -> Option<Count> {
    let stats = report.get("stats")?;
    let number = |key: &str| stats.get(key).and_then(Value::as_u64);
    Some(Count {
        passed: number("expected")? + number("flaky").unwrap_or(0),
        failed: number("unexpected")?,
        skipped: number("skipped").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_the_result_lines_of_cargo() {
        let output = "running 4 tests\n\
            test a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.25s\n";
        assert_eq!(
            cargo(output),
            Count {
                passed: 13,
                failed: 2,
                skipped: 1
            }
        );
        assert_eq!(cargo("error[E0425]: cannot find value"), Count::default());
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_is_one_failure() {
        let passed = Count {
            passed: 5,
            ..Count::default()
        };
        assert_eq!(passed.or_one_failure(true).failed, 0);
        assert_eq!(passed.or_one_failure(false).failed, 1);
        let failed = Count {
            failed: 3,
            ..Count::default()
        };
        assert_eq!(failed.or_one_failure(false).failed, 3);
    }

    #[test]
    fn reads_the_report_of_vitest() {
        let report = json!({
            "numPassedTests": 7, "numFailedTests": 1, "numPendingTests": 2, "numTodoTests": 1,
            "testResults": [
                { "status": "failed", "assertionResults": [{}] },
                { "status": "failed", "assertionResults": [] },
                { "status": "passed", "assertionResults": [{}] },
            ],
        });
        assert_eq!(
            vitest(&report),
            Some(Count {
                passed: 7,
                failed: 2,
                skipped: 3
            })
        );
        assert_eq!(vitest(&json!({})), None);
    }

    #[test]
    fn reads_the_report_of_playwright() {
        let report =
            json!({ "stats": { "expected": 4, "unexpected": 1, "flaky": 1, "skipped": 2 } });
        assert_eq!(
            playwright(&report),
            Some(Count {
                passed: 5,
                failed: 1,
                skipped: 2
            })
        );
        assert_eq!(playwright(&json!({ "errors": [] })), None);
    }

    #[test]
    fn is_written_as_the_closing_line() {
        let count = Count {
            passed: 12,
            failed: 0,
            skipped: 3,
        };
        assert_eq!(count.to_string(), "12 passed, 0 failed, 3 skipped");
    }
}
