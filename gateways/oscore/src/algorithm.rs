use std::fmt;

use aes::{Aes128, Aes256};
use aes_gcm::aead::array::typenum::Unsigned;
use aes_gcm::aead::{Aead, AeadCore, KeyInit, Nonce, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use ccm::consts::{U8, U13, U16};

/// What encrypts: an AEAD algorithm of COSE whose nonce is long enough [RFC9053 4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(non_camel_case_types, reason = "the numbers are part of the registered names")]
pub enum Algorithm {
    /// AES-CCM-16-64-128, which everybody has [RFC8613 3.2].
    #[default]
    AesCcm_16_64_128,
    /// AES-CCM-16-64-256
    AesCcm_16_64_256,
    /// AES-CCM-16-128-128
    AesCcm_16_128_128,
    /// AES-CCM-16-128-256
    AesCcm_16_128_256,
    /// A128GCM
    AesGcm128,
    /// A256GCM
    AesGcm256,
}

type Ccm64<Cipher> = Ccm<Cipher, U8, U13>;
type Ccm128<Cipher> = Ccm<Cipher, U16, U13>;

/// Picks the type for an algorithm.
macro_rules! with_cipher {
    ($algorithm:expr, $function:ident, $($argument:expr),*) => {
        match $algorithm {
            Algorithm::AesCcm_16_64_128 => $function::<Ccm64<Aes128>>($($argument),*),
            Algorithm::AesCcm_16_64_256 => $function::<Ccm64<Aes256>>($($argument),*),
            Algorithm::AesCcm_16_128_128 => $function::<Ccm128<Aes128>>($($argument),*),
            Algorithm::AesCcm_16_128_256 => $function::<Ccm128<Aes256>>($($argument),*),
            Algorithm::AesGcm128 => $function::<Aes128Gcm>($($argument),*),
            Algorithm::AesGcm256 => $function::<Aes256Gcm>($($argument),*),
        }
    };
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AesCcm_16_64_128,
        Self::AesCcm_16_64_256,
        Self::AesCcm_16_128_128,
        Self::AesCcm_16_128_256,
        Self::AesGcm128,
        Self::AesGcm256,
    ];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AesCcm_16_64_128 => "AES-CCM-16-64-128",
            Self::AesCcm_16_64_256 => "AES-CCM-16-64-256",
            Self::AesCcm_16_128_128 => "AES-CCM-16-128-128",
            Self::AesCcm_16_128_256 => "AES-CCM-16-128-256",
            Self::AesGcm128 => "A128GCM",
            Self::AesGcm256 => "A256GCM",
        }
    }

    /// The algorithm of this registered name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The registered number.
    pub fn number(self) -> u64 {
        match self {
            Self::AesCcm_16_64_128 => 10,
            Self::AesCcm_16_64_256 => 11,
            Self::AesCcm_16_128_128 => 30,
            Self::AesCcm_16_128_256 => 31,
            Self::AesGcm128 => 1,
            Self::AesGcm256 => 3,
        }
    }

    /// The longest Sender ID and Recipient ID in bytes [RFC8613 3.3].
    pub fn longest_id(self) -> usize {
        self.nonce_length() - 6
    }

    pub(crate) fn key_length(self) -> usize {
        match self {
            Self::AesCcm_16_64_128 | Self::AesCcm_16_128_128 | Self::AesGcm128 => 16,
            Self::AesCcm_16_64_256 | Self::AesCcm_16_128_256 | Self::AesGcm256 => 32,
        }
    }

    pub(crate) fn nonce_length(self) -> usize {
        with_cipher!(self, nonce_length,)
    }

    /// Encrypts; `None` if that is more than the algorithm takes at once.
    pub(crate) fn seal(self, key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        with_cipher!(self, seal, key, nonce, Payload { msg: plaintext, aad })
    }

    /// Decrypts; `None` if it was not encrypted so.
    pub(crate) fn open(self, key: &[u8], nonce: &[u8], aad: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
        with_cipher!(self, open, key, nonce, Payload { msg: ciphertext, aad })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn nonce_length<C: AeadCore>() -> usize {
    C::NonceSize::USIZE
}

fn seal<C: KeyInit + Aead>(key: &[u8], nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    let nonce: &Nonce<C> = nonce.try_into().ok()?;
    C::new_from_slice(key).ok()?.encrypt(nonce, payload).ok()
}

fn open<C: KeyInit + Aead>(key: &[u8], nonce: &[u8], payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    let nonce: &Nonce<C> = nonce.try_into().ok()?;
    C::new_from_slice(key).ok()?.decrypt(nonce, payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_reads_what_it_wrote_and_nothing_else() {
        for algorithm in Algorithm::ALL {
            let key = vec![7; algorithm.key_length()];
            let nonce = vec![9; algorithm.nonce_length()];
            let sealed = algorithm.seal(&key, &nonce, b"aad", b"plain").unwrap();
            assert_eq!(algorithm.open(&key, &nonce, b"aad", &sealed).as_deref(), Some(&b"plain"[..]));
            assert_eq!(algorithm.open(&key, &nonce, b"bad", &sealed), None, "{algorithm}");
            assert_eq!(algorithm.open(&key, &nonce, b"aad", &sealed[1..]), None, "{algorithm}");
            assert_eq!(algorithm.open(&key, &nonce, b"aad", b"short"), None, "{algorithm}");
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
    }

    #[test]
    fn what_is_longer_than_the_algorithm_takes_is_not_encrypted() {
        let long = vec![0; 1 << 16];
        assert_eq!(Algorithm::default().seal(&[7; 16], &[9; 13], b"", &long), None);
        assert!(Algorithm::default().seal(&[7; 16], &[9; 13], b"", &long[1..]).is_some());
    }
}
