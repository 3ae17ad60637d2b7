use std::io;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host's name has no address.
    #[error("no address is known for {host}: {cause}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver says.
        cause: io::Error,
    },
    /// Nobody is there, or the way is closed.
    #[error("{}: {}", plain(.cause), hint(.cause, .target))]
    Connect {
        /// Where nobody is.
        target: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The local address to connect from cannot be used.
    #[error("cannot connect from {address}: {cause}")]
    Bind {
        /// The local address.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It took too long.
    #[error("{target} did not answer in time: is it the right address, and does a firewall let it through?")]
    TimedOut {
        /// Who did not answer.
        target: String,
    },
    /// A secured target needs to know whom to trust.
    #[error("{target} needs TLS, and nothing says whom to trust")]
    NoTrust {
        /// The target.
        target: String,
    },
    /// The host is no name that a certificate can be checked for.
    #[error("{name:?} is no name that a certificate can be checked for")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The TLS handshake failed.
    #[error("TLS with {target} failed: {cause}")]
    Tls {
        /// The target.
        target: String,
        /// What went wrong.
        cause: io::Error,
    },
    /// The WebSocket handshake failed.
    #[error("{target} does not open a WebSocket: {reason}")]
    WebSocket {
        /// The URL that was asked for.
        target: String,
        /// What went wrong.
        reason: String,
    },
    /// The QUIC handshake failed.
    #[error("QUIC with {target} failed: {reason}")]
    Quic {
        /// The target.
        target: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no client for what shall carry the bytes.
    #[error("there is no client for {0}")]
    Carrier(&'static str),
}

/// What the system says, without its number.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::HostUnreachable => "the host is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

fn hint(error: &io::Error, target: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!("may this user open {target}?"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("is {target} the right address, and is this machine online?")
        }
        _ => format!("is a server on {target}?"),
    }
}
