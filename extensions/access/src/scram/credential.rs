use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// What a client computes for one login, unless the credential says otherwise [RFC7677 4].
const ITERATIONS: u32 = 4096;

/// The fewest and the most iterations that a client is asked for.
const FEWEST: u32 = 4096;
const MOST: u32 = 10_000_000;

/// Bytes of a new salt, and of the longest.
const SALT: usize = 16;
const LONGEST_SALT: usize = 1024;

/// A hash that SCRAM is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// SCRAM-SHA-256
    Sha256,
    /// SCRAM-SHA-512
    Sha512,
}

/// What the server keeps of a password: enough to know who knows it, not enough to be taken for that one elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) mechanism: Mechanism,
    pub(crate) iterations: u32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

/// A credential that cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// The text is none.
    #[error(
        "is not of the form SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY; `watersmeet passwd NAME` prints one"
    )]
    Form,
    /// There are too few iterations to be safe, or too many for a client.
    #[error(
        "has fewer than 4,096 or more than 10,000,000 iterations; `watersmeet passwd NAME` prints a good one"
    )]
    Iterations,
    /// The name or password has characters of which there are several forms.
    #[error("SCRAM is offered for names and passwords of printable ASCII characters only")]
    NotPlain,
}

/// Whether there is only one form of the text, so that what one client sends is what another one would [RFC4013].
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x20..=0x7E))
}

/// Whether a user of this name can come in by SCRAM.
pub fn is_scram_name(name: &str) -> Result<(), ScramError> {
    (!name.is_empty() && is_plain(name)).then_some(()).ok_or(ScramError::NotPlain)
}

/// What the server keeps of a password for a mechanism, with a new salt.
pub fn scram_credential(mechanism: Mechanism, password: &str) -> Result<String, ScramError> {
    if !is_plain(password) {
        return Err(ScramError::NotPlain);
    }
    let salt: [u8; SALT] = rand::random();
    Ok(Credential::derive(mechanism, password.as_bytes(), &salt, ITERATIONS).to_string())
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The client's proof for a message [RFC5802 3].
    #[cfg(test)]
    pub(crate) fn proof(self, password: &[u8], salt: &[u8], iterations: u32, message: &[u8]) -> Vec<u8> {
        let client_key = self.hmac(&self.salted(password, salt, iterations), b"Client Key");
        let signature = self.hmac(&self.hash(&client_key), message);
        client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect()
    }

    /// Its name as an authentication method.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The one with this name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    fn hash(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        const ANY: &str = "a key may have any length";
        match self {
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.chain_update(message).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY);
                mac.chain_update(message).finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
            Self::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec(),
        }
    }
}

impl Credential {
    /// Takes `SCRAM-SHA-256$4096:salt$stored:server`, the form of RFC 5803.
    pub(crate) fn parse(text: &str) -> Result<Self, ScramError> {
        let fields: Vec<_> = text.split('$').collect();
        let [name, salted, keys] = fields.as_slice() else { return Err(ScramError::Form) };
        let mechanism = Mechanism::find(name).ok_or(ScramError::Form)?;
        let (iterations, salt) = salted.split_once(':').ok_or(ScramError::Form)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(ScramError::Form)?;
        let bytes = |text| STANDARD.decode(text).map_err(|_| ScramError::Form);
        let iterations = iterations.parse().map_err(|_| ScramError::Form)?;
        if !(FEWEST..=MOST).contains(&iterations) {
            return Err(ScramError::Iterations);
        }
        let credential = Self {
            mechanism,
            iterations,
            salt: bytes(salt)?,
            stored_key: bytes(stored_key)?,
            server_key: bytes(server_key)?,
        };
        let length = mechanism.hash(b"").len();
        let fits = [&credential.stored_key, &credential.server_key].iter().all(|key| key.len() == length);
        let salted = (1..=LONGEST_SALT).contains(&credential.salt.len());
        (fits && salted).then_some(credential).ok_or(ScramError::Form)
    }

    /// [RFC5802 3]
    pub(crate) fn derive(mechanism: Mechanism, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = mechanism.salted(password, salt, iterations);
        let client_key = mechanism.hmac(&salted, b"Client Key");
        Self {
            mechanism,
            iterations,
            salt: salt.to_vec(),
            stored_key: mechanism.hash(&client_key),
            server_key: mechanism.hmac(&salted, b"Server Key"),
        }
    }

    /// A credential for a user that is not there, alike in its looks. It is the same each time, so that asking again
    /// tells nothing, and no proof fits it.
    pub(crate) fn pretend(&self, username: &str, secret: &[u8]) -> Self {
        let part = |what: &str| self.mechanism.hmac(secret, format!("{what}:{username}").as_bytes());
        let salt = (0..).flat_map(|block| part(&format!("salt {block}"))).take(self.salt.len()).collect();
        Self { salt, stored_key: part("stored"), server_key: part("server"), ..self.clone() }
    }

    /// Something that only the server knows, and that stays the same as long as the credential does.
    pub(crate) fn secret(&self) -> Vec<u8> {
        self.mechanism.hmac(&self.server_key, b"users that are not there")
    }

    pub(super) fn salt_text(&self) -> String {
        STANDARD.encode(&self.salt)
    }

    /// What proves to the client that the server knows it too, if the client's proof is right.
    pub(super) fn verify(&self, message: &[u8], proof: &[u8]) -> Option<String> {
        let signature = self.mechanism.hmac(&self.stored_key, message);
        if signature.len() != proof.len() {
            return None;
        }
        let client_key: Vec<_> = signature.iter().zip(proof).map(|(one, other)| one ^ other).collect();
        let good: bool = self.mechanism.hash(&client_key).ct_eq(&self.stored_key).into();
        let answer = STANDARD.encode(self.mechanism.hmac(&self.server_key, message));
        good.then(|| format!("v={answer}"))
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(f, "{}${}:{salt}${stored}:{server}", self.mechanism.name(), self.iterations)
    }
}

impl fmt::Debug for Credential {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}
