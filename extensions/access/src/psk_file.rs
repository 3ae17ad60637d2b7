use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use blake2::Blake2bMac;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use bus::{KeyMark, Peer};
use dtls::Key;
use tracing::warn;

use crate::{ConfigError, files};

/// Pre-shared keys by their identities, as the file had them at one moment.
#[derive(Default)]
pub struct PreSharedKeys(HashMap<Box<str>, (Key, KeyMark)>);

/// One line of a file with pre-shared keys.
pub struct PskLine<'a> {
    /// From 1.
    pub number: usize,
    /// The identity. It may have colons, as URNs do: the last one on the line is what ends it.
    pub identity: &'a str,
    /// Its key.
    pub key: Key,
}

impl PreSharedKeys {
    pub(crate) fn read(file: &Path) -> Result<Self, ConfigError> {
        if std::fs::metadata(file).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            let fix =
                format!("`watersmeet psk add IDENTITY --file {}` makes it with a key in it", file.display());
            return Err(ConfigError::file(file, format!("there is no such file of pre-shared keys; {fix}")));
        }
        let text = files::read(file)?;
        let mode = std::fs::metadata(file).map_or(0, |found| found.permissions().mode());
        if mode & 0o004 != 0 {
            warn!(file = %file.display(), "Everybody on this machine may read the pre-shared keys: chmod 600 the file.");
        }
        let mut keys = HashMap::new();
        for PskLine { number, identity, key } in parse(file, &text)? {
            let mark = mark(identity, &key);
            match keys.entry(identity.into()) {
                Entry::Vacant(place) => drop(place.insert((key, mark))),
                Entry::Occupied(_) => {
                    let message = format!("there are two keys for {identity:?}; take one of them out");
                    return Err(ConfigError::line(file, number, message));
                }
            }
        }
        Ok(Self(keys))
    }

    /// The key of an identity.
    pub fn key(&self, identity: &str) -> Option<&Key> {
        self.0.get(identity).map(|(key, _)| key)
    }

    /// What stands for the key of an identity, in this run and any other.
    pub fn mark(&self, identity: &str) -> Option<KeyMark> {
        self.0.get(identity).map(|(_, mark)| *mark)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key is still in force that a peer has proved to have, if it has proved any.
    pub(crate) fn vouch_for(&self, peer: &Peer) -> bool {
        let Some(secured) = &peer.link.secured else { return true };
        let Some(identity) = &secured.psk_identity else { return true };
        secured.psk_mark.is_some() && self.mark(identity) == secured.psk_mark
    }

    /// Whether both have the same keys.
    pub fn are_those_of(&self, other: &Self) -> bool {
        let same = |identity| self.mark(identity) == other.mark(identity);
        self.0.len() == other.0.len() && self.0.keys().all(|identity| same(identity))
    }
}

/// Reads lines of the form `identity:key` with the key in hexadecimal, as Mosquitto's `psk_file` has them. One that
/// cannot be used is an error: a line that were passed over would lock a device out.
pub fn parse_psk<'a>(file: &Path, text: &'a str) -> Result<Vec<PskLine<'a>>, ConfigError> {
    parse(file, text)
}

fn parse<'a>(file: &Path, text: &'a str) -> Result<Vec<PskLine<'a>>, ConfigError> {
    let line = |(number, line): (usize, &'a str)| {
        let error = |message: String| ConfigError::line(file, number, message);
        let Some((identity, key)) = line.rsplit_once(':') else {
            let fix =
                "expected IDENTITY:KEY, but there is no colon; `watersmeet psk add IDENTITY` adds a key";
            return Err(error(fix.to_owned()));
        };
        if identity.is_empty() {
            return Err(error("expected IDENTITY:KEY, but there is no identity before the colon".to_owned()));
        }
        if identity.contains('\0') || identity.len() > LONGEST_IDENTITY {
            let message = format!("an identity has at most {LONGEST_IDENTITY} bytes, and no U+0000");
            return Err(error(message));
        }
        let key = key_of_hex(key).map_err(|fault| {
            error(format!("the key of {identity:?} {fault}; `watersmeet psk add` makes one"))
        })?;
        Ok(PskLine { number, identity, key })
    };
    files::lines(text).map(line).collect()
}

/// A key in hexadecimal, or what is wrong with it.
pub fn key_of_hex(text: &str) -> Result<Key, &'static str> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    let bytes = bytes.ok_or("is not hexadecimal with two digits for each byte")?;
    Key::new(bytes).ok_or("must have 1 to 64 bytes, which are 2 to 128 digits")
}

fn mark(identity: &str, key: &Key) -> KeyMark {
    let mac = Blake2bMac::<U16>::new_from_slice(key.bytes());
    let mut mac = mac.expect("a key has at most 64 bytes, which is what BLAKE2b takes");
    mac.update(identity.as_bytes());
    KeyMark(mac.finalize().into_bytes().into())
}

/// The longest identity: RFC 4279 asks for 128 bytes at least to be possible.
const LONGEST_IDENTITY: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(Path::new("psk"), text).err().unwrap().to_string()
    }

    #[test]
    fn lines_of_mosquitto_are_read_and_an_identity_may_have_colons() {
        let text = "# devices\r\ndev1:00ffA5\n\n urn:dev:mac:0024:01 \n";
        let lines = parse(Path::new("psk"), text).unwrap();
        let found: Vec<_> = lines.iter().map(|line| (line.number, line.identity, line.key.bytes())).collect();
        assert_eq!(found, [(2, "dev1", &[0, 0xFF, 0xA5][..]), (4, "urn:dev:mac:0024", &[1])]);
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named_and_its_key_is_not_repeated() {
        assert!(fault("dev1:00\ndev2\n").starts_with("psk:2: expected IDENTITY:KEY, but there is no colon"));
        assert!(fault(":00").contains("no identity"));
        for key in ["", "0", "0g", "secret!!", &"00".repeat(65), "é0"] {
            let fault = fault(&format!("dev1:{key}"));
            assert!(fault.starts_with("psk:1: the key of \"dev1\" "), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
        assert!(fault(&format!("{}:00", "x".repeat(257))).contains("at most 256 bytes"));
    }

    #[test]
    fn an_identity_has_one_key() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("psk");
        std::fs::write(&file, "a:01\nb:02\na:01\n").unwrap();
        let fault = PreSharedKeys::read(&file).err().unwrap().to_string();
        assert!(fault.ends_with("psk:3: there are two keys for \"a\"; take one of them out"), "{fault}");
    }

    #[test]
    fn a_mark_is_another_one_with_another_key_or_identity() {
        let key = |hex| key_of_hex(hex).unwrap();
        assert_eq!(mark("a", &key("01")), mark("a", &key("01")));
        assert_ne!(mark("a", &key("01")), mark("a", &key("02")));
        assert_ne!(mark("a", &key("01")), mark("b", &key("01")));
        assert_eq!(format!("{:?}", mark("a", &key("01"))), "KeyMark", "it is not for logs");
    }
}
