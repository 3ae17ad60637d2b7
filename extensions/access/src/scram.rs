//! SCRAM-SHA-256 and SCRAM-SHA-512 [RFC5802], [RFC7677] without channel binding.

mod credential;
mod message;
#[cfg(test)]
mod tests;

pub(crate) use credential::Credential;
pub use credential::{Mechanism, ScramError, is_scram_name, scram_credential};
use message::{ClientFinal, ClientFirst};

/// An exchange whose first two messages are sent.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) username: String,
    credential: Credential,
    /// What stood before the client's first message proper, which its last one repeats.
    header: String,
    /// The client's nonce and ours.
    nonce: String,
    /// The first two messages, as the proof has them.
    so_far: String,
}

/// A message that is not what the mechanism asks for, or a proof that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// Whose exchange a client's first message begins.
pub(crate) fn username(first: &[u8]) -> Result<String, Refused> {
    Ok(ClientFirst::parse(first)?.username)
}

impl Conversation {
    /// Answers the client's first message with ours. `nonce` is our part of the nonce, which nobody can foresee.
    pub(crate) fn begin(
        first: &[u8],
        credential: Credential,
        nonce: &str,
    ) -> Result<(Self, String), Refused> {
        let first = ClientFirst::parse(first)?;
        let nonce = format!("{}{nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", credential.salt_text(), credential.iterations);
        let so_far = format!("{},{challenge}", first.bare);
        let header = first.header.to_owned();
        Ok((Self { username: first.username, credential, header, nonce, so_far }, challenge))
    }

    /// What the proof is checked against.
    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Judges the client's last message; the answer proves to the client that the server knows it.
    pub(crate) fn finish(&self, last: &[u8]) -> Result<String, Refused> {
        let last = ClientFinal::parse(last)?;
        // Both must be as they were [RFC5802 5.1]: a nonce from an earlier exchange, or a header that somebody changed
        // on the way, ends it here.
        if last.nonce != self.nonce || last.header != self.header.as_bytes() {
            return Err(Refused);
        }
        let message = format!("{},{}", self.so_far, last.without_proof);
        self.credential.verify(message.as_bytes(), &last.proof).ok_or(Refused)
    }
}
