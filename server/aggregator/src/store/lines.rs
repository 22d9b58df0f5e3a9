//! The lines of records, which are added and never change.

use super::{SqliteTx, unsigned};
use crate::failure::Failure;
use federation::engine::store::{Excerpt, Lines};
use futures::TryStreamExt as _;

impl Lines for SqliteTx {
    async fn append_line(&mut self, number: u32, line: &str) -> Result<(), Failure> {
        sqlx::query(
            "-- line_append\nINSERT INTO line (federation, number, body) VALUES ($1, $2, $3)",
        )
        .bind(&self.federation)
        .bind(i64::from(number))
        .bind(line)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn lines(&mut self, from: u32, until: u32, most: usize) -> Result<Excerpt, Failure> {
        let mut lines = Excerpt {
            text: String::new(),
            next: from,
        };
        let mut rows = sqlx::query_as::<_, (i64, String)>(
        "-- line_read\n\
         SELECT number, body FROM line WHERE federation = $1 AND number >= $2 AND number < $3 ORDER BY number",
    )
    .bind(&self.federation)
    .bind(i64::from(from))
    .bind(i64::from(until))
    .fetch(&mut *self.tx);
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
}
