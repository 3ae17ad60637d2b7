use bus::{ProtocolError, Reason};

/// What other protocols begin with.
const OPENINGS: [&[u8]; 14] = [
    b"GET ",
    b"POST",
    b"PUT ",
    b"HEAD",
    b"DELE",
    b"OPTI",
    b"PATC",
    b"TRAC",
    b"PRI ",
    b"CONN",
    b"STOM",
    b"SSH-",
    b"PROX",
    b"\r\n\r\n",
];

const TLS: ProtocolError =
    ProtocolError { reason: Reason::TlsOnPlainPort, detail: "the first bytes are a TLS ClientHello" };
const OTHER: ProtocolError =
    ProtocolError { reason: Reason::WrongProtocol, detail: "the first bytes are of another protocol" };
const NOT_CONNECT: ProtocolError = ProtocolError::violation("the first packet is not CONNECT");

/// Whether the first bytes may begin a CONNECT. A TLS record, 0x16 0x03, would be one of three bytes.
pub(super) fn may_be_connect(input: &[u8]) -> bool {
    matches!(input, [0x10..=0x1F, ..]) && !matches!(input, [0x16] | [0x16, 0x03, ..])
}

/// Judges the first bytes of a connection, which do not begin a CONNECT [MQTT-3.1.0-1]; `None` asks for more.
pub(super) fn judge(input: &[u8]) -> Option<ProtocolError> {
    match input {
        [0x16, 0x03, ..] => return Some(TLS),
        [0x16] => return None,
        _ => {}
    }
    if OPENINGS.iter().any(|opening| input.starts_with(opening)) {
        return Some(OTHER);
    }
    let may_become_one = OPENINGS.iter().any(|opening| opening.starts_with(input));
    (!may_become_one).then_some(NOT_CONNECT)
}
