use crate::Message;
use crate::class::MAX_AGE;

/// Why a request is not taken [RFC8613 8.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The option or the payload is no COSE object.
    #[error("Failed to decode COSE")]
    NotDecodable,
    /// No context belongs to the kid and kid context.
    #[error("Security context not found")]
    ContextNotFound,
    /// The Partial IV came before.
    #[error("Replay detected")]
    Replay,
    /// It was encrypted with another key, or changed on its way.
    #[error("Decryption failed")]
    DecryptionFailed,
    /// It would have to be answered with a new Partial IV, and there is none.
    #[error("The server cannot store that it answers")]
    NoPartialIv,
}

impl RequestError {
    /// The answer, which is not protected, and which no proxy shall keep [RFC8613 4.1.3.1].
    pub fn response(self) -> Message {
        let code = match self {
            Self::NotDecodable => 0x82,                   // 4.02
            Self::ContextNotFound | Self::Replay => 0x81, // 4.01
            Self::DecryptionFailed => 0x80,               // 4.00
            Self::NoPartialIv => 0xA3,                    // 5.03
        };
        Message { payload: self.to_string().into_bytes(), ..Message::new(code).with(MAX_AGE, []) }
    }
}
