use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::{Algorithm, Owner, Parameters};

/// The longest file that is read, in contexts.
const MOST_CONTEXTS: usize = 1_000_000;

/// One context of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is derived from.
    pub parameters: Parameters,
    /// Who the other endpoint is.
    pub owner: Owner,
    /// Where it begins, from 1.
    pub line: usize,
}

/// What is wrong with a file of contexts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong, and what to do about it. No secret is in it.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    context: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Option<String>,
    master_secret: Spanned<String>,
    master_salt: Option<Spanned<String>>,
    sender_id: Spanned<String>,
    recipient_id: Spanned<String>,
    id_context: Option<Spanned<String>>,
    algorithm: Option<Spanned<String>>,
    client_id: Option<Spanned<String>>,
    username: Option<Spanned<String>>,
}

/// Reads the text of a file: a `[[context]]` for each.
pub fn parse(text: &str) -> Result<Vec<Entry>, FileError> {
    let file: File = toml::from_str(text).map_err(|error| FileError {
        line: line(text, error.span().map_or(0, |span| span.start)),
        message: match error.message() {
            // The value itself may be a secret.
            message if message.starts_with("invalid type") => {
                "a value has the wrong type; write a text".into()
            }
            message => format!(
                "{message}; a context has master_secret, sender_id, recipient_id, and may have \
                                master_salt, id_context, algorithm, name, client_id and username"
            ),
        },
    })?;
    if file.context.len() > MOST_CONTEXTS {
        return Err(FileError {
            line: 1,
            message: format!("more than {MOST_CONTEXTS} contexts; split them up"),
        });
    }
    file.context.into_iter().map(|context| read(context, text)).collect()
}

fn read(context: Spanned<Raw>, text: &str) -> Result<Entry, FileError> {
    let line = line(text, context.span().start);
    let raw = context.into_inner();
    let hex = |name, value: &Spanned<String>| hex(name, value, text);
    let algorithm = match &raw.algorithm {
        Some(name) => Algorithm::parse(name.get_ref()).ok_or_else(|| {
            let known: Vec<&str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
            let message = format!("there is no algorithm {:?}; known: {}", name.get_ref(), known.join(", "));
            error_at(name, text, message)
        })?,
        None => Algorithm::default(),
    };
    let parameters = Parameters {
        master_secret: hex("master_secret", &raw.master_secret)?,
        master_salt: raw.master_salt.as_ref().map_or(Ok(Vec::new()), |salt| hex("master_salt", salt))?,
        id_context: raw.id_context.as_ref().map(|id| hex("id_context", id)).transpose()?,
        sender_id: hex("sender_id", &raw.sender_id)?,
        recipient_id: hex("recipient_id", &raw.recipient_id)?,
        algorithm,
    };
    parameters.derive().map_err(|error| FileError { line, message: error.to_string() })?;
    let client_id = named("client_id", raw.client_id.as_ref(), text)?;
    let username = named("username", raw.username.as_ref(), text)?;
    let id: String = parameters.recipient_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = raw.name.map(Arc::from).or_else(|| client_id.clone()).or_else(|| username.clone());
    let owner = Owner { name: name.unwrap_or_else(|| format!("oscore-{id}").into()), client_id, username };
    Ok(Entry { parameters, owner, line })
}

/// Reads pairs of hexadecimal digits.
fn hex(name: &str, value: &Spanned<String>, text: &str) -> Result<Vec<u8>, FileError> {
    let digits = value.get_ref().as_bytes();
    let pair = |pair: &[u8]| match pair {
        [high, low] => {
            let digit = |byte: u8| (byte as char).to_digit(16);
            Some((digit(*high)? << 4 | digit(*low)?) as u8)
        }
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| {
        error_at(
            value,
            text,
            format!("{name} is no hexadecimal number of whole bytes; write two digits for each byte"),
        )
    })
}

/// A name that the broker can take.
fn named(name: &str, value: Option<&Spanned<String>>, text: &str) -> Result<Option<Arc<str>>, FileError> {
    match value {
        Some(value) if value.get_ref().is_empty() || value.get_ref().contains('\0') => {
            let message = format!("{name} is empty or has U+0000; leave it out, or write a name");
            Err(error_at(value, text, message))
        }
        value => Ok(value.map(|value| value.get_ref().as_str().into())),
    }
}

fn error_at(value: &Spanned<String>, text: &str, message: String) -> FileError {
    FileError { line: line(text, value.span().start), message }
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[context]]
client_id = "sensor-7"
master_secret = "0102030405060708090a0b0c0d0e0f10"
master_salt = "9e7ca92223786340"
sender_id = "01"
recipient_id = ""
id_context = "37cbf3210017a2d3"
algorithm = "A128GCM"
"#;

    fn refused(from: &str, to: &str) -> (usize, String) {
        let error = parse(&GOOD.replace(from, to)).unwrap_err();
        (error.line, error.message)
    }

    #[test]
    fn a_context_is_read_with_all_it_may_say() {
        let entries = parse(GOOD).unwrap();
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((&*entry.owner.name, entry.owner.client_id.as_deref()), ("sensor-7", Some("sensor-7")));
        assert_eq!(
            (entry.parameters.sender_id.as_slice(), entry.parameters.recipient_id.as_slice()),
            (&[1][..], &[][..])
        );
        assert_eq!((entry.parameters.algorithm, entry.line), (Algorithm::AesGcm128, 2));
        assert_eq!(
            entry.parameters.id_context.as_deref(),
            Some(&[0x37, 0xCB, 0xF3, 0x21, 0x00, 0x17, 0xA2, 0xD3][..])
        );
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_what_to_do() {
        assert_eq!(
            refused("9e7c", "9e7"),
            (5, "master_salt is no hexadecimal number of whole bytes; write two digits for each byte".into())
        );
        let (line, message) = refused("A128GCM", "ROT13");
        assert!((line, message.contains("AES-CCM-16-64-128")) == (9, true), "{message}");
        assert_eq!(refused("0102030405060708090a0b0c0d0e0f10", "01").0, 2);
        assert_eq!(refused("sensor-7", "").0, 3);
        let (line, message) = refused("sender_id", "sender");
        assert!(line > 1 && message.contains("sender_id"), "{line} {message}");
        assert!(refused("recipient_id = \"\"", "recipient_id = \"01\"").1.contains("the same"));
    }

    #[test]
    fn no_message_tells_a_secret() {
        for (from, to) in [
            ("0c0d0e0f10", "0c0d0e0f1x"),
            ("\"0102030405060708090a0b0c0d0e0f10\"", "102030405"),
            ("0f10\"", "0f10"),
        ] {
            let (_, message) = refused(from, to);
            assert!(!message.contains("0304") && !message.contains("102030405"), "{message}");
        }
    }
}
