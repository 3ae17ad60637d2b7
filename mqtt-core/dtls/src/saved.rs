use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{Identity, Input, Proof, SessionId};

/// A session outside its engine. It holds the session's keys: whoever reads it reads the traffic.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// The session.
    pub session: SessionId,
    /// Where its peer was last heard from.
    pub address: SocketAddr,
    /// Who the peer is.
    pub identity: Arc<Identity>,
    /// What only the engine that made it can read.
    pub state: Zeroizing<Vec<u8>>,
}

/// What the bytes begin with: the form's version.
const FORM: u8 = 1;

impl SavedSession {
    /// The session as bytes, to be kept where nobody else can read.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (kind, proof): (u8, &[u8]) = match &self.identity.proof {
            Proof::Nothing => (0, b""),
            Proof::Key(identity) => (1, identity.as_bytes()),
            Proof::Certificate(der) => (2, der),
        };
        let ip = match self.address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(128 + proof.len() + self.state.len()));
        bytes.push(FORM);
        bytes.extend(self.session.0.to_be_bytes());
        bytes.push(u8::from(self.address.is_ipv4()));
        bytes.extend(ip.octets());
        bytes.extend(self.address.port().to_be_bytes());
        bytes.push(kind);
        let name = self.identity.server_name.as_deref();
        bytes.push(u8::from(name.is_some()));
        for part in [
            self.identity.version.as_bytes(),
            self.identity.cipher.as_bytes(),
            name.unwrap_or_default().as_bytes(),
            proof,
            &self.state,
        ] {
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// Reads what [`SavedSession::encode`] wrote; `None` if it is something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        (input.byte()? == FORM).then_some(())?;
        let session = SessionId(u64::from_be_bytes(input.array()?));
        let is_v4 = input.byte()? == 1;
        let ip = Ipv6Addr::from(input.array::<16>()?);
        let port = u16::from_be_bytes(input.array()?);
        let ip = if is_v4 { IpAddr::V4(ip.to_ipv4_mapped()?) } else { IpAddr::V6(ip) };
        let (kind, named) = (input.byte()?, input.byte()? == 1);
        let (version, cipher, name) = (text(&mut input)?, text(&mut input)?, text(&mut input)?);
        let proof = match kind {
            0 => part(&mut input)?.is_empty().then_some(Proof::Nothing)?,
            1 => Proof::Key(text(&mut input)?),
            2 => Proof::Certificate(part(&mut input)?.into()),
            _ => return None,
        };
        let state = Zeroizing::new(part(&mut input)?.to_vec());
        input.0.is_empty().then_some(())?;
        let identity = Identity { version, cipher, server_name: named.then_some(name), proof };
        Some(Self { session, address: SocketAddr::new(ip, port), identity: Arc::new(identity), state })
    }
}

/// Bytes behind their length.
fn part<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(input.array()?);
    input.take(usize::try_from(length).ok()?)
}

fn text(input: &mut Input<'_>) -> Option<Arc<str>> {
    std::str::from_utf8(part(input)?).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(address: &str, proof: Proof, server_name: Option<&str>) -> SavedSession {
        let identity = Identity {
            version: "DTLS 1.2".into(),
            cipher: "TLS_PSK_WITH_AES_128_CCM_8".into(),
            server_name: server_name.map(Arc::from),
            proof,
        };
        SavedSession {
            session: SessionId(7),
            address: address.parse().unwrap(),
            identity: Arc::new(identity),
            state: Zeroizing::new(vec![1, 2, 3]),
        }
    }

    #[test]
    fn a_saved_session_is_read_as_it_was_written() {
        for saved in [
            session("192.0.2.1:5684", Proof::Key("dev1".into()), None),
            session("[2001:db8::1]:1", Proof::Certificate([0x30, 0x82].as_slice().into()), Some("")),
            session("[::ffff:192.0.2.1]:9", Proof::Nothing, Some("host")),
        ] {
            let bytes = saved.encode();
            assert!(SavedSession::decode(&bytes) == Some(saved));
            for length in 0..bytes.len() {
                assert!(SavedSession::decode(&bytes[..length]).is_none(), "{length}");
            }
        }
    }
}
