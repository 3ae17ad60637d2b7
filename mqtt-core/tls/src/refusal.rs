use std::io;

use bus::Reason;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a handshake failed, for metrics and clients.
pub fn reason(error: &Error) -> Reason {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Reason::CertificateRefused,
        // The first byte is none that a TLS record begins with.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Reason::PlainOnTlsPort,
        Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => Reason::PlainOnTlsPort,
        _ => Reason::TlsFailed,
    }
}

/// The same for an error of a stream that carries TLS: the network may have failed as well.
pub fn refusal(error: &io::Error) -> (Reason, String) {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return (reason(error), detail(error));
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            (Reason::PeerClosed, "the client closed during the handshake".to_owned())
        }
        _ => (Reason::ConnectionReset, error.to_string()),
    }
}

/// What went wrong in a handshake, in plain words, for the log.
pub fn detail(error: &Error) -> String {
    let known = match error {
        Error::NoCertificatesPresented => "the client has shown no certificate",
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the client does not speak TLS",
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown,
        ) => {
            "the client does not trust the server's certificate: it needs the CA's certificate, and a name that \
              the certificate has"
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "the client holds the server's certificate for expired"
        }
        Error::PeerIncompatible(_) => "the client offers no version or cipher suite that is offered here",
        Error::NoApplicationProtocol => "the client asks for another application protocol (ALPN)",
        _ => return error.to_string(),
    };
    format!("{known} ({error})")
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client's certificate is not valid yet"
        }
        CertificateError::Revoked => "the client's certificate is revoked",
        CertificateError::UnknownIssuer => "the client's certificate is not from a CA of client_ca",
        CertificateError::UnknownRevocationStatus => {
            "no revocation list in crl is from the CA of the client's certificate"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the client's certificate is not made for clients (extended key usage clientAuth)"
        }
        _ => "the client's certificate is not valid",
    }
}
