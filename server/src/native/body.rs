//! Reads the body of an answer up to a limit, because a server may answer without end.

use reqwest::Response;

/// Maximum size in bytes of an answer by a model API or an aggregator. It has room for thousands of
/// inputs of thousands of classes in JSON; a record is read in parts.
pub const OF_A_SERVER: usize = 256 << 20;
/// Maximum size in bytes of a model's file; the embedding tables of the largest models have 3 GB.
pub const OF_A_FILE: usize = 4 << 30;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
    /// The body continues beyond the limit.
    #[error("its answer is larger than the {} MiB that are taken", most >> 20)]
    TooLarge {
        /// The limit, in bytes.
        most: usize,
    },
}

/// Reads the body, up to `most` bytes.
pub async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let stated = response.content_length().unwrap_or(0);
    if stated > most as u64 {
        return Err(BodyError::TooLarge { most });
    }
    // The stated length may be a lie.
    let mut body = Vec::with_capacity(stated.min(1 << 20) as usize);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge { most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Reads the body of a server that answers with `answer`.
    async fn of(answer: &'static str, most: usize) -> Result<Vec<u8>, BodyError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let response = reqwest::get(url).await.unwrap();
        read(response, most).await
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_read() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let stated = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let chunked =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        for answer in [stated, chunked] {
            assert_eq!(of(answer, 5).await.unwrap(), b"hello");
            let refused = of(answer, 4).await.unwrap_err();
            assert!(
                matches!(refused, BodyError::TooLarge { most: 4 }),
                "{refused}"
            );
        }
        let cut_off = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel";
        assert!(matches!(of(cut_off, 5).await, Err(BodyError::Broken(_))));
    }
}
