use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// The most that checking one password may cost: memory in KiB, passes over it, and rounds of PBKDF2.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_PASSES: u32 = 64;
const MOST_WORK: u64 = 4 << 20;
const MOST_ROUNDS: u32 = 2_000_000;

/// The longest salt.
const LONGEST_SALT: usize = 1024;

/// What a password can be checked against.
#[derive(Clone, Debug)]
pub(crate) enum Hash {
    /// `$argon2id$…`
    Argon2(Box<PasswordHash>),
    /// `$6$salt$hash`, of mosquitto_passwd before 2.0: one round of SHA-512 over password and salt.
    Sha512 { salt: Box<[u8]>, hash: Box<[u8]> },
    /// `$7$rounds$salt$hash`, of mosquitto_passwd: PBKDF2 with HMAC-SHA-512.
    Pbkdf2 { rounds: u32, salt: Box<[u8]>, hash: Box<[u8]> },
}

/// A hash that cannot be made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The text is no PHC string.
    #[error(
        "is not a password hash of the form $argon2id$…, $7$… or $6$…; `watersmeet passwd NAME` prints one, and \
         `mosquitto_passwd -U FILE` hashes the passwords of a file"
    )]
    Form,
    /// It was made by another algorithm.
    #[error("was not made with argon2id; `watersmeet passwd NAME` prints one that is")]
    Algorithm,
    /// Checking a password would take too much memory or time.
    #[error(
        "costs too much to check: more than 1 GiB of memory, 64 passes, 4 GiB in all passes, or 2,000,000 rounds"
    )]
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
    /// Takes a hash as a configuration or a password file writes it.
    pub(crate) fn parse(text: &str) -> Result<Self, HashError> {
        let fields: Vec<_> = text.split('$').collect();
        match fields.as_slice() {
            ["", "6", salt, hash] => Ok(Self::Sha512 { salt: salt_of(salt)?, hash: hash_of(hash)? }),
            ["", "7", rounds, salt, hash] => {
                let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0).ok_or(HashError::Form)?;
                if rounds > MOST_ROUNDS {
                    return Err(HashError::TooCostly);
                }
                Ok(Self::Pbkdf2 { rounds, salt: salt_of(salt)?, hash: hash_of(hash)? })
            }
            _ => Self::parse_argon2(text),
        }
    }

    fn parse_argon2(text: &str) -> Result<Self, HashError> {
        let hash = PasswordHash::new(text).map_err(|_| HashError::Form)?;
        if hash.algorithm.as_str() != "argon2id" {
            return Err(HashError::Algorithm);
        }
        let params = Params::try_from(&hash).map_err(|_| HashError::Form)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Form);
        }
        let (memory, passes) = (params.m_cost(), params.t_cost());
        if memory > MOST_MEMORY || passes > MOST_PASSES || u64::from(memory) * u64::from(passes) > MOST_WORK {
            return Err(HashError::TooCostly);
        }
        Ok(Self::Argon2(Box::new(hash)))
    }

    /// Whether this is the password's hash. It takes tens of milliseconds on purpose, except in the oldest form.
    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => Argon2::default().verify_password(password, hash.as_ref()).is_ok(),
            Self::Sha512 { salt, hash } => {
                let found = Sha512::new().chain_update(password).chain_update(salt).finalize();
                found.as_slice().ct_eq(hash).into()
            }
            Self::Pbkdf2 { rounds, salt, hash } => {
                let found = pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, *rounds);
                found.as_slice().ct_eq(hash).into()
            }
        }
    }
}

fn salt_of(text: &str) -> Result<Box<[u8]>, HashError> {
    let salt = STANDARD.decode(text).map_err(|_| HashError::Form)?;
    let fits = (1..=LONGEST_SALT).contains(&salt.len());
    fits.then(|| salt.into()).ok_or(HashError::Form)
}

/// A SHA-512 in base64. A shorter one would be found by guessing.
fn hash_of(text: &str) -> Result<Box<[u8]>, HashError> {
    let hash = STANDARD.decode(text).map_err(|_| HashError::Form)?;
    (hash.len() == 64).then(|| hash.into()).ok_or(HashError::Form)
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

    /// What mosquitto_passwd 2.0 made of `secret`, and with `-H sha512` of `other pass`.
    pub(crate) const PBKDF2: &str = "$7$101$m45PBnJLKlGVTcMw$HYfLSGCooKKYklNj0z2Z8Q+OcreCgr7+9eaYyNqbCf2001xg\
                                     OnJR1IBn2OJjo5TEBrHAgtgS7z25tdw8/JRHMw==";
    pub(crate) const SHA512: &str = "$6$d4WvKMRFVxGDXOoR$ohyNsdQCKJGc+LU9R/MalUUHOc8Dh1YHlWu4XiPH+qPBQ+pL52b1\
                                     nlw9TyZyDV2K4HyRFgV4nBTvikZ6STJUpw==";

    #[test]
    fn a_password_is_known_by_its_hash() {
        let text = hash_password(b"correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = Hash::parse(&text).unwrap();
        assert!(hash.is_of(b"correct horse"));
        assert!(!hash.is_of(b"correct horsf"));
    }

    #[test]
    fn the_hashes_of_mosquitto_are_understood() {
        for (text, password) in [(PBKDF2, "secret"), (SHA512, "other pass")] {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(password.as_bytes()), "{text}");
            assert!(!hash.is_of(b"secres") && !hash.is_of(b""), "{text}");
        }
    }

    #[test]
    fn a_hash_that_cannot_be_used_is_refused() {
        let parse = |text: &str| Hash::parse(text).map(|_| ()).unwrap_err();
        let long = "A".repeat(88);
        for form in [
            "secret",
            "",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
            "$6$c2FsdA==$",
            "$6$$c2FsdA==",
            "$6$c2FsdA==$c2FsdA==",
            "$7$0$c2FsdA==$c2FsdA==",
            "$7$c2FsdA==$c2FsdA==",
            "$7$-1$c2FsdA==$c2FsdA==",
            &format!("$6$!${long}"),
        ] {
            assert_eq!(parse(form), HashError::Form, "{form}");
        }
        let other = quick_hash(b"x").replace("argon2id", "argon2d");
        assert_eq!(parse(&other), HashError::Algorithm);
    }

    #[test]
    fn a_hash_that_costs_too_much_is_refused() {
        let parse = |text: &str| Hash::parse(text).map(|_| ()).unwrap_err();
        let costs = |memory, passes| {
            let text = quick_hash(b"x");
            let rest = text.rsplitn(3, '$').take(2).collect::<Vec<_>>();
            parse(&format!("$argon2id$v=19$m={memory},t={passes},p=1${}${}", rest[1], rest[0]))
        };
        assert_eq!(costs(1_048_577, 1), HashError::TooCostly);
        assert_eq!(costs(1_048_576, 5), HashError::TooCostly);
        assert_eq!(costs(32, 65), HashError::TooCostly);
        assert_eq!(costs(u32::MAX, u32::MAX), HashError::TooCostly);
        assert_eq!(parse(&PBKDF2.replace("$101$", "$2000001$")), HashError::TooCostly);
        assert_eq!(parse(&PBKDF2.replace("$101$", "$99999999999$")), HashError::Form);
    }
}
