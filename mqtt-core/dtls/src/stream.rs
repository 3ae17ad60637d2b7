use thiserror::Error;

use crate::{EngineError, Identity, Refusal};

/// Begins TLS sessions on byte streams. It may be shared by threads.
pub trait StreamAcceptor: Send + Sync {
    /// A session for a connection that was just taken.
    fn accept(&self) -> Result<Box<dyn StreamSession>, EngineError>;
}

/// One TLS session on a byte stream.
pub trait StreamSession: Send {
    /// Takes bytes of the peer. After an error the session is over; the alert that tells the peer why may be in the
    /// output still.
    fn receive(&mut self, ciphertext: &[u8]) -> Result<(), StreamError>;

    /// Appends what was decrypted since the last call.
    fn read(&mut self, out: &mut Vec<u8>);

    /// Encrypts bytes for the peer; before the handshake is done, and after the end, they are lost.
    fn write(&mut self, plaintext: &[u8]) -> Result<(), StreamError>;

    /// What is to be sent to the peer.
    fn take_output(&mut self) -> Vec<u8>;

    /// Whether the handshake is under way.
    fn is_handshaking(&self) -> bool;

    /// Whether the peer has said good-bye (close_notify): nothing more comes from it.
    fn is_closed(&self) -> bool;

    /// Who the peer is, once the handshake is done.
    fn identity(&self) -> Option<Identity>;

    /// Says good-bye; the bytes are in the output.
    fn close(&mut self);
}

/// Why a session on a stream is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StreamError {
    /// The handshake failed.
    #[error("{}", .0.detail())]
    Refused(Refusal),
    /// The peer sent a fatal alert, by its number.
    #[error("the client broke off with alert {0}")]
    Alert(u8),
    /// The peer's bytes are no record, or do not decrypt.
    #[error("the client's bytes are no TLS records, or were changed: {0}")]
    Malformed(String),
}
