//! The body of an answer, up to a limit: whoever is asked may answer without end.

use reqwest::Response;

/// No answer of a model API or an aggregator is larger: thousands of inputs of thousands of classes in JSON have room, and
/// a record is read in parts.
pub const OF_A_SERVER: usize = 256 << 20;
/// No file of a model is larger: tables of embeddings of the largest have 3 GB.
pub const OF_A_FILE: usize = 4 << 30;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
    /// It goes on beyond the limit.
    #[error("its answer is larger than the {} MiB that are taken", most >> 20)]
    TooLarge {
        /// The limit, in bytes.
        most: usize,
    },
}

/// Reads it, and no more than `most` bytes.
pub async fn read(mut response: Response, most: usize) -> Result<Vec<u8>, BodyError> {
    let stated = response.content_length().unwrap_or(0);
    if stated > most as u64 {
        return Err(BodyError::TooLarge { most });
    }
    // What is stated may never come.
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

    /// What a server that answers with `answer` is read as.
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
