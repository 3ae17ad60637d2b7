use std::path::Path;

use super::Kind;

/// What carries MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Carrier {
    #[default]
    Tcp,
    Tls,
    WebSocket,
    SecureWebSocket,
    Quic,
}

impl Carrier {
    pub(crate) const ALL: [Self; 5] =
        [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket, Self::Quic];

    /// What a URL begins with. Our listeners are called alike.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
            Self::Quic => "quic",
        }
    }

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket | Self::Quic)
    }

    pub(super) fn is_web_socket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }

    pub(crate) fn is_spoken_by(self, kind: Kind) -> bool {
        match kind {
            Kind::Watersmeet => true,
            Kind::Flashmq | Kind::Mosquitto => self != Self::Quic,
            Kind::Nats => self == Self::Tcp,
            Kind::Relay | Kind::Running(..) => false,
        }
    }
}

/// Puts a certificate for this machine, and its key, into files there.
pub(super) fn certify(directory: &Path) -> Result<(), String> {
    let fault = |error: &dyn std::fmt::Display| format!("no certificate can be made: {error}");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(|error| fault(&error))?;
    let files = [("chain.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())];
    for (name, text) in files {
        std::fs::write(directory.join(name), text).map_err(|error| fault(&error))?;
    }
    Ok(())
}
