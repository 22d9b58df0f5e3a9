//! The lines of records. They are added, and never change.

use super::{Tx, unsigned};
use crate::failure::Failure;
use futures::TryStreamExt as _;
use sqlx::SqliteExecutor;

/// Adds line `number`, counted from 0.
pub(crate) async fn append(
    tx: &mut Tx,
    federation: &str,
    number: u32,
    line: &str,
) -> Result<(), Failure> {
    sqlx::query("-- line_append\nINSERT INTO line (federation, number, body) VALUES ($1, $2, $3)")
        .bind(federation)
        .bind(i64::from(number))
        .bind(line)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Some lines, each with its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) text: String,
    /// The number of the first line that is not among them.
    pub(crate) next: u32,
}

/// Lines `from` to before `until`: as many as fit into `most` bytes, but at least one if there is one.
pub(crate) async fn read(
    db: impl SqliteExecutor<'_>,
    federation: &str,
    from: u32,
    until: u32,
    most: usize,
) -> Result<Lines, Failure> {
    let mut lines = Lines {
        text: String::new(),
        next: from,
    };
    let mut rows = sqlx::query_as::<_, (i64, String)>(
        "-- line_read\n\
         SELECT number, body FROM line WHERE federation = $1 AND number >= $2 AND number < $3 ORDER BY number",
    )
    .bind(federation)
    .bind(i64::from(from))
    .bind(i64::from(until))
    .fetch(db);
    while let Some((number, line)) = rows.try_next().await? {
        if !lines.text.is_empty() && lines.text.len() + line.len() >= most {
            break;
        }
        lines.text.push_str(&line);
        lines.text.push('\n');
        lines.next = unsigned::<u32>(number)? + 1;
    }
    Ok(lines)
}
