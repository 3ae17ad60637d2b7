use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};

use crate::cbor::Writer;
use crate::sequence::SequenceKey;
use crate::{Algorithm, PartialIv};

/// The shortest Master Secret: what has less chance in it than a key is no secret [RFC8613 12.3].
const SHORTEST_SECRET: usize = 16;

/// What a security context is derived from [RFC8613 3.2]. HKDF is that with SHA-256.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// What both endpoints alone know.
    pub master_secret: Vec<u8>,
    /// May be empty.
    pub master_salt: Vec<u8>,
    /// What distinguishes contexts with the same secret, salt and ids.
    pub id_context: Option<Vec<u8>>,
    /// What this endpoint is called.
    pub sender_id: Vec<u8>,
    /// What the other endpoint is called.
    pub recipient_id: Vec<u8>,
    /// What encrypts.
    pub algorithm: Algorithm,
}

/// Why nothing can be derived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The Master Secret is short.
    #[error(
        "the master secret has {0} bytes, fewer than {SHORTEST_SECRET}; draw one by chance that is longer"
    )]
    ShortSecret(usize),
    /// An id is longer than the nonce has room for.
    #[error("an id of {length} bytes is too long; with {algorithm} at most {} fit", algorithm.longest_id())]
    LongId {
        /// Its length.
        length: usize,
        /// What encrypts.
        algorithm: Algorithm,
    },
    /// Both endpoints would encrypt with the same key.
    #[error("sender id and recipient id are the same; give each endpoint its own")]
    SameIds,
}

/// What is derived [RFC8613 3.1].
pub(crate) struct Keys {
    pub(crate) algorithm: Algorithm,
    pub(crate) sender_id: Box<[u8]>,
    pub(crate) recipient_id: Box<[u8]>,
    pub(crate) id_context: Option<Box<[u8]>>,
    pub(crate) sender_key: Box<[u8]>,
    pub(crate) recipient_key: Box<[u8]>,
    common_iv: Box<[u8]>,
}

impl Parameters {
    pub(crate) fn derive(&self) -> Result<Keys, ParameterError> {
        if self.master_secret.len() < SHORTEST_SECRET {
            return Err(ParameterError::ShortSecret(self.master_secret.len()));
        }
        let longest = self.algorithm.longest_id();
        if let Some(id) = [&self.sender_id, &self.recipient_id].into_iter().find(|id| id.len() > longest) {
            return Err(ParameterError::LongId { length: id.len(), algorithm: self.algorithm }); // [RFC8613 3.3]
        }
        if self.sender_id == self.recipient_id {
            return Err(ParameterError::SameIds); // [RFC8613 3.3]
        }
        let extracted = Hkdf::<Sha256>::new(Some(&self.master_salt), &self.master_secret);
        let output = |id: &[u8], kind, length| {
            let mut output = vec![0; length];
            // Fails only above 255 times 32 bytes.
            let _ = extracted.expand(&self.info(id, kind, length), &mut output);
            output.into_boxed_slice()
        };
        let length = self.algorithm.key_length();
        Ok(Keys {
            algorithm: self.algorithm,
            sender_id: self.sender_id.as_slice().into(),
            recipient_id: self.recipient_id.as_slice().into(),
            id_context: self.id_context.as_deref().map(Into::into),
            sender_key: output(&self.sender_id, "Key", length),
            recipient_key: output(&self.recipient_id, "Key", length),
            common_iv: output(&[], "IV", self.algorithm.nonce_length()),
        })
    }

    /// What the Sender Sequence Numbers of such a context are stored under.
    pub fn sequence_key(&self) -> Result<SequenceKey, ParameterError> {
        self.derive().map(|keys| keys.sequence_key())
    }

    /// What HKDF is told beside the secret [RFC8613 3.2.1].
    fn info(&self, id: &[u8], kind: &str, length: usize) -> Vec<u8> {
        Writer::default()
            .array(5)
            .bytes(id)
            .bytes_or_null(self.id_context.as_deref())
            .uint(self.algorithm.number())
            .text(kind)
            .uint(length as u64)
            .finish()
    }
}

impl Keys {
    /// The nonce of a message whose Partial IV the endpoint of this id has made [RFC8613 5.2].
    pub(crate) fn nonce(&self, id: &[u8], partial_iv: PartialIv) -> Vec<u8> {
        let room = self.common_iv.len().saturating_sub(6);
        let mut nonce = vec![id.len() as u8];
        nonce.resize(1 + room.saturating_sub(id.len()), 0);
        nonce.extend_from_slice(id);
        nonce.extend_from_slice(&partial_iv.padded());
        nonce.iter_mut().zip(&self.common_iv).for_each(|(byte, mask)| *byte ^= mask);
        nonce
    }

    /// What is authenticated beside the plaintext [RFC8613 5.4]; there are no class I options.
    pub(crate) fn aad(&self, request_kid: &[u8], request_partial_iv: PartialIv) -> Vec<u8> {
        let external = Writer::default()
            .array(5)
            .uint(1) // [RFC8613 5.4]: the version
            .array(1)
            .uint(self.algorithm.number())
            .bytes(request_kid)
            .bytes(&request_partial_iv.to_bytes())
            .bytes(&[])
            .finish();
        Writer::default().array(3).text("Encrypt0").bytes(&[]).bytes(&external).finish()
    }

    /// What the Sender Sequence Numbers are stored under: one for each key that they are used with.
    pub(crate) fn sequence_key(&self) -> SequenceKey {
        let digest = Sha256::new()
            .chain_update(b"sequence")
            .chain_update(&self.sender_key)
            .chain_update(&self.common_iv);
        SequenceKey::new(digest.finalize().into())
    }
}

impl fmt::Debug for Parameters {
    /// Leaves out the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters")
            .field("id_context", &self.id_context)
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";

    /// Bytes written as hexadecimal digits.
    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    }

    fn parameters(salt: &str, sender: &str, recipient: &str, id_context: Option<&str>) -> Parameters {
        Parameters {
            master_secret: hex(SECRET),
            master_salt: hex(salt),
            id_context: id_context.map(hex),
            sender_id: hex(sender),
            recipient_id: hex(recipient),
            algorithm: Algorithm::default(),
        }
    }

    /// Checks a context and its mirror: the infos, the keys, the Common IV, and the nonces of Partial IV 0.
    fn check(parameters: &Parameters, infos: [&str; 3], outputs: [&str; 3], nonces: [&str; 2]) {
        let zero = PartialIv::new(0).unwrap();
        assert_eq!(parameters.info(&parameters.sender_id, "Key", 16), hex(infos[0]));
        assert_eq!(parameters.info(&parameters.recipient_id, "Key", 16), hex(infos[1]));
        assert_eq!(parameters.info(&[], "IV", 13), hex(infos[2]));
        let mirrored = Parameters {
            sender_id: parameters.recipient_id.clone(),
            recipient_id: parameters.sender_id.clone(),
            ..parameters.clone()
        };
        let (client, server) = (parameters.derive().unwrap(), mirrored.derive().unwrap());
        assert_eq!((&*client.sender_key, &*server.recipient_key), (&*hex(outputs[0]), &*hex(outputs[0])));
        assert_eq!((&*client.recipient_key, &*server.sender_key), (&*hex(outputs[1]), &*hex(outputs[1])));
        assert_eq!((&*client.common_iv, &*server.common_iv), (&*hex(outputs[2]), &*hex(outputs[2])));
        assert_eq!(client.nonce(&client.sender_id, zero), hex(nonces[0]));
        assert_eq!(client.nonce(&client.recipient_id, zero), hex(nonces[1]));
        assert_eq!(server.nonce(&server.sender_id, zero), hex(nonces[1]));
    }

    #[test]
    fn appendix_c_1_derivation_with_master_salt() {
        check(
            &parameters("9e7ca92223786340", "", "01", None),
            ["8540f60a634b657910", "854101f60a634b657910", "8540f60a6249560d"],
            [
                "f0910ed7295e6ad4b54fc793154302ff",
                "ffb14e093c94c9cac9471648b4f98710",
                "4622d4dd6d944168eefb54987c",
            ],
            ["4622d4dd6d944168eefb54987c", "4722d4dd6d944169eefb54987c"],
        );
    }

    #[test]
    fn appendix_c_2_derivation_without_master_salt() {
        check(
            &parameters("", "00", "01", None),
            ["854100f60a634b657910", "854101f60a634b657910", "8540f60a6249560d"],
            [
                "321b26943253c7ffb6003b0b64d74041",
                "e57b5635815177cd679ab4bcec9d7dda",
                "be35ae297d2dace910c52e99f9",
            ],
            ["bf35ae297d2dace910c52e99f9", "bf35ae297d2dace810c52e99f9"],
        );
    }

    #[test]
    fn appendix_c_3_derivation_with_id_context() {
        check(
            &parameters("9e7ca92223786340", "", "01", Some("37cbf3210017a2d3")),
            [
                "85404837cbf3210017a2d30a634b657910",
                "8541014837cbf3210017a2d30a634b657910",
                "85404837cbf3210017a2d30a6249560d",
            ],
            [
                "af2a1300a5e95788b356336eeecd2b92",
                "e39a0c7c77b43f03b4b39ab9a268699f",
                "2ca58fb85ff1b81c0b7181b85e",
            ],
            ["2ca58fb85ff1b81c0b7181b85e", "2da58fb85ff1b81d0b7181b85e"],
        );
    }

    #[test]
    fn the_authenticated_data_is_that_of_the_example() {
        let keys = parameters("", "00", "01", None).derive().unwrap();
        let aad = keys.aad(&[0x00], PartialIv::new(0x25).unwrap());
        assert_eq!(aad, hex("8368456e63727970743040498501810a4100412540"));
    }

    #[test]
    fn ids_that_are_too_long_or_the_same_and_short_secrets_are_refused() {
        let long = parameters("", "0102030405060708", "", None);
        assert!(matches!(long.derive(), Err(ParameterError::LongId { length: 8, .. })));
        assert_eq!(parameters("", "01", "01", None).derive().err(), Some(ParameterError::SameIds));
        let short = Parameters { master_secret: vec![1; 15], ..parameters("", "00", "01", None) };
        assert_eq!(short.derive().err(), Some(ParameterError::ShortSecret(15)));
        let gcm =
            Parameters { algorithm: Algorithm::AesGcm128, ..parameters("", "01020304050607", "", None) };
        assert!(matches!(gcm.derive(), Err(ParameterError::LongId { length: 7, .. })));
    }

    #[test]
    fn what_is_written_for_people_has_no_secret() {
        let text = format!("{:?}", parameters("9e7ca92223786340", "", "01", None));
        assert!(!text.contains("158") && !text.contains("[1, 2, 3"), "{text}");
    }
}
