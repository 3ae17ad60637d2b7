use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Refused;

/// The longest message and nonce that are looked at.
const LONGEST_MESSAGE: usize = 4096;
const LONGEST_NONCE: usize = 512;

/// `n,,n=user,r=nonce`
pub(super) struct ClientFirst<'a> {
    /// `n,,`
    pub(super) header: &'a str,
    /// `n=user,r=nonce`
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// `c=biws,r=nonce,p=proof`
pub(super) struct ClientFinal<'a> {
    pub(super) header: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// `c=biws,r=nonce`
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Refused> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(Refused)?;
        // Channel binding is not offered: `p=…` asks for it, `y` knows that it is not [RFC5802 6].
        if !matches!(binding, "n" | "y") {
            return Err(Refused);
        }
        let (authzid, bare) = rest.split_once(',').ok_or(Refused)?;
        let header = text.split_at(text.len() - bare.len()).0;
        let mut attributes = bare.split(',');
        // A message that begins with `m=` has an extension that must be understood [RFC5802 5.1].
        let name = attributes.next().and_then(|first| first.strip_prefix("n=")).ok_or(Refused)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(Refused)?;
        let username = saslname(name)?;
        // Nobody acts for another.
        let fits = match authzid.strip_prefix("a=") {
            Some(other) => saslname(other)? == username,
            None => authzid.is_empty(),
        };
        let printable = nonce.bytes().all(|byte| matches!(byte, 0x21..=0x2B | 0x2D..=0x7E));
        let bounded = (1..=LONGEST_NONCE).contains(&nonce.len());
        (fits && printable && bounded).then_some(Self { header, bare, username, nonce }).ok_or(Refused)
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Refused> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Refused)?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next().and_then(|first| first.strip_prefix("c=")).ok_or(Refused)?;
        let nonce = attributes.next().and_then(|second| second.strip_prefix("r=")).ok_or(Refused)?;
        let bytes = |text| STANDARD.decode(text).map_err(|_| Refused);
        Ok(Self { header: bytes(header)?, nonce, proof: bytes(proof)?, without_proof })
    }
}

fn text(message: &[u8]) -> Result<&str, Refused> {
    let bounded = message.len() <= LONGEST_MESSAGE;
    std::str::from_utf8(message).ok().filter(|_| bounded).ok_or(Refused)
}

/// A name in which `=2C` stands for a comma and `=3D` for an equals sign. Beyond ASCII a name would have to be brought
/// to one form among several (SASLprep), which is not done here: it is refused.
fn saslname(text: &str) -> Result<String, Refused> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let rest = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => {
                name.push(',');
                rest
            }
            (_, Some(rest)) => {
                name.push('=');
                rest
            }
            _ => return Err(Refused),
        };
        name.push_str(rest);
    }
    (!name.is_empty() && super::credential::is_plain(&name)).then_some(name).ok_or(Refused)
}
