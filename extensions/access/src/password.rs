use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};

/// The most that checking one password may cost: memory in KiB, and passes over it.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;

/// An argon2id hash that a password can be checked against.
#[derive(Clone, Debug)]
pub(crate) struct Hash(PasswordHash);

/// A hash that cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text is no PHC string.
    #[error("is not a password hash of the form $argon2id$…; `watersmeet passwd NAME` prints one")]
    Form,
    /// It was made by another algorithm.
    #[error("was not made with argon2id; `watersmeet passwd NAME` prints one that is")]
    Algorithm,
    /// Checking a password would cost more than 1 GiB of memory or 64 passes.
    #[error("costs more than 1 GiB of memory or 64 passes to check")]
    TooCostly,
    /// There is no source of chance for the salt, or no memory.
    #[error("cannot be made here")]
    Machine,
}

/// The argon2id hash of a password with a new salt, in PHC form.
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let hash = Argon2::default().hash_password(password).map_err(|_| HashError::Machine)?;
    Ok(hash.to_string())
}

impl Hash {
    /// Takes a hash in PHC form.
    pub(crate) fn parse(text: &str) -> Result<Self, HashError> {
        let hash = PasswordHash::new(text).map_err(|_| HashError::Form)?;
        if hash.algorithm.as_str() != "argon2id" {
            return Err(HashError::Algorithm);
        }
        let params = Params::try_from(&hash).map_err(|_| HashError::Form)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Form);
        }
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES {
            return Err(HashError::TooCostly);
        }
        Ok(Self(hash))
    }

    /// A hash of nobody's password, which costs as much to check as any.
    pub(crate) fn of_nobody() -> Option<&'static Self> {
        static NOBODY: OnceLock<Option<Hash>> = OnceLock::new();
        let make = || Hash::parse(&hash_password(b"").ok()?).ok();
        NOBODY.get_or_init(make).as_ref()
    }

    /// Whether this is the password's hash. It takes tens of milliseconds on purpose.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A hash that is quick to check.
    pub(crate) fn quick_hash(password: &[u8]) -> String {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        let hash: PasswordHash = Argon2::from(params).hash_password(password).unwrap();
        hash.to_string()
    }

    #[test]
    fn a_password_is_known_by_its_hash() {
        let text = hash_password(b"correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = Hash::parse(&text).unwrap();
        assert!(hash.is_of(b"correct horse"));
        assert!(!hash.is_of(b"correct horsf"));
    }

    #[test]
    fn a_hash_that_cannot_be_used_is_refused() {
        let parse = |text: &str| Hash::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(parse("secret"), HashError::Form);
        assert_eq!(parse("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ"), HashError::Form);
        let other = quick_hash(b"x").replace("argon2id", "argon2d");
        assert_eq!(parse(&other), HashError::Algorithm);
        let costly = quick_hash(b"x").replace("m=32", "m=1048577").replace("m=8", "m=1048577");
        assert_eq!(parse(&costly), HashError::TooCostly);
    }
}
