//! What can go wrong between a client and a model API, and what people can do about it.

use thiserror::Error;

/// A failed call to a model API. The text is for the person at the page and says what to do;
/// [`code`](Self::code) is stable and for programs.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelApiError {
    /// The `[model]` section cannot be used at all.
    #[error(
        "the task's [model] section cannot be used: {}; ask the organiser to correct the task file",
        .faults.join("; ")
    )]
    InvalidSpec {
        /// Every fault that was found.
        faults: Vec<String>,
    },
    /// The pixels passed in are not what the `[model]` section describes: a mistake of the caller.
    #[error(
        "{got} bytes of pixels do not make {count} images of {per_image} bytes; check the image size in the task file"
    )]
    WrongPixels {
        /// Number of images announced.
        count: usize,
        /// Bytes in one image, `3 * height * width`.
        per_image: usize,
        /// Bytes received.
        got: usize,
    },
    /// 429 or 503 (also 408 and 425): the server has no room at the moment.
    #[error(
        "the model API is busy or limits the rate of calls; the call is repeated after a pause"
    )]
    Busy {
        /// The pause in milliseconds that the server asks for, if it states one in seconds.
        retry_after_ms: Option<u64>,
    },
    /// 401, 403 or 407: the API key is missing or not accepted.
    #[error(
        "the model API refuses the key; enter a valid API key, or ask the model's owner for access to this model"
    )]
    Unauthorized,
    /// 404: the address answers, but it does not know the model.
    #[error(
        "the model API does not know the model `{model}`; check the model's name in the task file and that the server has loaded it"
    )]
    NotFound {
        /// The name that was asked for.
        model: String,
    },
    /// 413: the body is larger than the server accepts.
    #[error(
        "the model API takes no request as large as this: {detail}; set model.calls.batch lower, or raise the server's limit on bodies"
    )]
    TooLarge {
        /// The server's message.
        detail: String,
    },
    /// The account behind the API key has no credit left.
    #[error(
        "the model API says that this key's quota is used up: {detail}; waiting does not help, the account's limits do"
    )]
    OutOfQuota {
        /// The server's message.
        detail: String,
    },
    /// The API does not return log-probabilities of its tokens.
    #[error(
        "the model does not give the log-probabilities without which its answers cannot be scored: {detail}; choose a model, or a server, that answers `logprobs`"
    )]
    NoLogProbs {
        /// What is missing.
        detail: String,
    },
    /// The API takes no embeddings in place of a prompt.
    #[error(
        "the model API takes no prompts as embeddings: {detail}; start vLLM with --enable-prompt-embeds (no other server is known to take them)"
    )]
    NoPromptEmbeds {
        /// The server's message.
        detail: String,
    },
    /// The model answers a text and the text's own embeddings differently.
    #[error(
        "the embeddings are not this model's: {detail}; check that tokenizer and table of [model.openai.prompt_embeds], and its `tensor`, are those of the model that the server runs. Models that scale embeddings after the look-up, such as Gemma, cannot be used"
    )]
    OtherEmbeddings {
        /// What differs.
        detail: String,
    },
    /// The embeddings of a prompt cannot be made.
    #[error("the prompt cannot be made into embeddings: {detail}")]
    NoEmbeddings {
        /// The reason.
        detail: String,
    },
    /// Any other 4xx: the server does not accept the request.
    #[error(
        "the model API refuses the request: {detail}; compare the task's [model] section with the model's own description"
    )]
    BadRequest {
        /// The server's message.
        detail: String,
    },
    /// 5xx: the server failed.
    #[error(
        "the model API failed with status {status}: {detail}; look into the server's log if this goes on"
    )]
    ServerError {
        /// HTTP status.
        status: u16,
        /// The server's message.
        detail: String,
    },
    /// The answer belongs to another protocol; it is a web page, for example.
    #[error(
        "the address does not speak the protocol that the task names: {detail}; check the model API's address (scheme, host, port, path)"
    )]
    NotThisProtocol {
        /// What came instead.
        detail: String,
    },
    /// The answer belongs to the protocol but is damaged, for example cut off on its way.
    #[error(
        "the model API's answer is damaged: {detail}; if this goes on, look for a proxy that changes or cuts answers"
    )]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// The answer has other dimensions than the task says.
    #[error(
        "the model answered the shape {got} where {expected} was expected; correct `classes` and `output` in the task's [model] section"
    )]
    WrongShape {
        /// The dimensions that the task says.
        expected: String,
        /// The dimensions that came.
        got: String,
    },
    /// A score is NaN or infinite.
    #[error(
        "the model's answer to image {row} of the batch holds NaN or infinity; the model or its input range is broken, tell the model's owner"
    )]
    NotFinite {
        /// Index of the image in the batch, from 0.
        row: usize,
    },
    /// The model and the task file disagree.
    #[error("the model is not the one that the task describes: {}; correct the task's [model] section or the server", .faults.join("; "))]
    Disagrees {
        /// Every disagreement that was found.
        faults: Vec<String>,
    },
}

/// Whether the same call may be sent again. Inference changes nothing on the server, so repeating a
/// call is harmless; the question is only whether it can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Repeating can help.
    Safe {
        /// The minimum pause in milliseconds, if the server named one; otherwise the caller backs
        /// off with jitter.
        after_ms: Option<u64>,
    },
    /// The same call would fail again; a person has to change something.
    Never,
}

impl ModelApiError {
    /// Whether and when to repeat the call.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { retry_after_ms } => Retry::Safe {
                after_ms: *retry_after_ms,
            },
            // 501 and 505 are about the server's abilities and not about its state.
            Self::ServerError {
                status: 501 | 505, ..
            } => Retry::Never,
            Self::ServerError { .. } | Self::Malformed { .. } => Retry::Safe { after_ms: None },
            Self::InvalidSpec { .. }
            | Self::WrongPixels { .. }
            | Self::Unauthorized
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::OutOfQuota { .. }
            | Self::NoLogProbs { .. }
            | Self::BadRequest { .. }
            | Self::NotThisProtocol { .. }
            | Self::WrongShape { .. }
            | Self::NotFinite { .. }
            | Self::Disagrees { .. } => Retry::Never,
            Self::NoPromptEmbeds { .. }
            | Self::OtherEmbeddings { .. }
            | Self::NoEmbeddings { .. } => Retry::Never,
        }
    }

    /// A stable name of the kind of error, for programs and translations.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidSpec { .. } => "model_invalid_spec",
            Self::WrongPixels { .. } => "model_wrong_pixels",
            Self::Busy { .. } => "model_busy",
            Self::Unauthorized => "model_unauthorized",
            Self::NotFound { .. } => "model_not_found",
            Self::TooLarge { .. } => "model_too_large",
            Self::OutOfQuota { .. } => "model_out_of_quota",
            Self::NoLogProbs { .. } => "model_no_logprobs",
            Self::NoPromptEmbeds { .. } => "model_no_prompt_embeds",
            Self::OtherEmbeddings { .. } => "model_other_embeddings",
            Self::NoEmbeddings { .. } => "model_no_embeddings",
            Self::BadRequest { .. } => "model_bad_request",
            Self::ServerError { .. } => "model_server_error",
            Self::NotThisProtocol { .. } => "model_not_this_protocol",
            Self::Malformed { .. } => "model_malformed",
            Self::WrongShape { .. } => "model_wrong_shape",
            Self::NotFinite { .. } => "model_not_finite",
            Self::Disagrees { .. } => "model_disagrees",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_is_repeated() {
        let busy = ModelApiError::Busy {
            retry_after_ms: Some(1500),
        };
        assert_eq!(
            busy.retry(),
            Retry::Safe {
                after_ms: Some(1500)
            }
        );
        let failed = |status| ModelApiError::ServerError {
            status,
            detail: String::new(),
        };
        assert_eq!(failed(502).retry(), Retry::Safe { after_ms: None });
        assert_eq!(failed(501).retry(), Retry::Never);
        assert_eq!(ModelApiError::Unauthorized.retry(), Retry::Never);
        assert_eq!(ModelApiError::NotFinite { row: 1 }.retry(), Retry::Never);
    }

    #[test]
    fn texts_name_every_fault() {
        let error = ModelApiError::Disagrees {
            faults: vec!["a".into(), "b".into()],
        };
        assert!(error.to_string().contains("a; b"), "{error}");
        assert_eq!(error.code(), "model_disagrees");
    }
}
