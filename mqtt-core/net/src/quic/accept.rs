use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use broker::Course;
use bus::{Address, Carrier, Link, Reason, Transport};
use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::rustls::pki_types::CertificateDer;
use quinn::{
    Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, ServerConfig, TokioRuntime,
    TransportConfig, TransportErrorCode, VarInt,
};
use tls::Certificates;
use tokio::net::UdpSocket;
use tracing::{debug, error};

use super::QuicConfig;
use super::connection::Conversation;
use crate::house::Place;
use crate::listener::Shared;

/// What a QUIC listener has beside its socket.
pub(crate) struct Quic {
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) config: QuicConfig,
}

/// What is offered to the next client.
struct Offer {
    quic: Quic,
    transport: Arc<TransportConfig>,
    /// What was offered last, and the TLS it was made of.
    current: Option<(Arc<rustls::ServerConfig>, ServerConfig)>,
}

/// One of the handshakes that are not complete.
struct Handshake(Arc<AtomicUsize>);

/// The application protocol.
pub(crate) const ALPN: &[&[u8]] = &[b"mqtt"];

/// Once this part of the handshakes that there may be is unfinished, a client must first show that it is where its
/// datagrams say: a flood with forged addresses then takes nobody's place.
const TRUSTED: usize = 4;

/// Takes clients in until told to stop.
pub(crate) async fn serve(socket: UdpSocket, quic: Quic, shared: Arc<Shared>) {
    let mut offer = Offer { transport: quic.config.transport(), quic, current: None };
    let endpoint = match open(socket, &mut offer) {
        Ok(endpoint) => endpoint,
        Err(error) => return error!(listener = %shared.name, error, "QUIC cannot be offered."),
    };
    let handshakes = Arc::<AtomicUsize>::default();
    let mut stopped = pin!(shared.stopped());
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = &mut stopped => break,
        };
        let Some(incoming) = incoming else { return };
        match offer.renewed() {
            Ok(Some(config)) => endpoint.set_server_config(Some(config)),
            Ok(None) => {}
            Err(error) => error!(listener = %shared.name, error, "QUIC cannot be offered."),
        }
        take(incoming, &handshakes, &shared);
    }
    endpoint.set_server_config(None);
    endpoint.wait_idle().await;
}

fn open(socket: UdpSocket, offer: &mut Offer) -> Result<Endpoint, String> {
    let config = offer.renewed()?;
    let socket = socket.into_std().map_err(|error| error.to_string())?;
    Endpoint::new(EndpointConfig::default(), config, socket, Arc::new(TokioRuntime))
        .map_err(|error| error.to_string())
}

fn take(incoming: Incoming, handshakes: &Arc<AtomicUsize>, shared: &Arc<Shared>) {
    let (unfinished, most) = (handshakes.load(Ordering::Relaxed), shared.config.max_handshakes.max(1));
    if unfinished >= most / TRUSTED && !incoming.remote_address_validated() {
        let _ = incoming.retry();
        return;
    }
    if unfinished >= most {
        // It asks again soon.
        return incoming.ignore();
    }
    let Ok(place) = shared.place(Address::Socket(incoming.remote_address()), Instant::now()) else {
        return incoming.refuse();
    };
    let address = incoming.remote_address();
    match incoming.accept() {
        Ok(connecting) => {
            let handshake = Handshake::new(handshakes);
            tokio::spawn(begin(connecting, address, handshake, shared.clone(), place));
        }
        Err(error) => refuse(&error, address, shared),
    }
}

/// Waits for the end of the handshake, and holds the conversation.
async fn begin(
    connecting: Connecting,
    address: SocketAddr,
    handshake: Handshake,
    shared: Arc<Shared>,
    place: Place,
) {
    let done = tokio::select! {
        done = tokio::time::timeout(shared.limits.handshake, connecting) => done,
        () = shared.stopped() => {
            let detail = "the listener has stopped".to_owned();
            return turn_away(Reason::ShuttingDown, detail, address, &shared);
        }
    };
    let connection = match done {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return refuse(&error, address, &shared),
        Err(_) => {
            let detail = "the QUIC handshake was not finished".to_owned();
            return turn_away(Reason::HandshakeTimeout, detail, address, &shared);
        }
    };
    drop(handshake);
    let secured = match secured(&connection) {
        Ok(secured) => Arc::new(secured),
        Err(reason) => {
            turn_away(reason, reason.explain().to_owned(), address, &shared);
            return connection.close(VarInt::from(0_u8), reason.name().as_bytes());
        }
    };
    let link = Link { carrier: Carrier::Quic, secured: Some(secured) };
    let peer = shared.peer(Address::Socket(connection.remote_address()), Transport::Stream, link);
    Conversation::new(connection, peer, &shared, place).await;
}

fn secured(connection: &Connection) -> Result<bus::Secured, Reason> {
    let handshake = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let name = handshake.and_then(|data| data.server_name);
    let identity = connection.peer_identity();
    let certificates = identity.and_then(|identity| identity.downcast::<Vec<CertificateDer<'_>>>().ok());
    tls::secured_by_quic(name.as_deref(), certificates.as_deref().map_or(&[], Vec::as_slice))
}

fn refuse(error: &ConnectionError, address: SocketAddr, shared: &Shared) {
    debug!(%address, %error, "A QUIC handshake failed.");
    turn_away(reason(error), error.to_string(), address, shared);
}

fn turn_away(reason: Reason, detail: String, address: SocketAddr, shared: &Shared) {
    shared.refuse(reason);
    let link = Link { carrier: Carrier::Quic, secured: None };
    let peer = shared.peer(Address::Socket(address), Transport::Stream, link);
    let (label, now) = (shared.protocol.label(), Instant::now());
    shared.broker.tell_lost(&peer, label, reason, Course::new(now).with_detail(detail), now);
}

/// Why a connection ended or did not begin.
pub(super) fn reason(error: &ConnectionError) -> Reason {
    // Alerts about the peer's certificate [RFC8446 6], as QUIC carries them [RFC9001 4.8].
    const CERTIFICATE: [u8; 7] = [42, 43, 44, 45, 46, 48, 116];
    match error {
        ConnectionError::TransportError(error) => {
            let is = |alert: &u8| error.code == TransportErrorCode::crypto(*alert);
            match CERTIFICATE.iter().any(is) {
                true => Reason::CertificateRefused,
                false if (0..=u8::MAX).any(|alert| is(&alert)) => Reason::TlsFailed,
                false => Reason::ProtocolViolation,
            }
        }
        ConnectionError::VersionMismatch => Reason::UnsupportedVersion,
        ConnectionError::ApplicationClosed(_) => Reason::PeerClosed,
        ConnectionError::ConnectionClosed(close) => {
            let is_alert = (0..=u8::MAX).any(|alert| close.error_code == TransportErrorCode::crypto(alert));
            if is_alert { Reason::TlsFailed } else { Reason::PeerClosed }
        }
        ConnectionError::TimedOut => Reason::IdleTimeout,
        ConnectionError::Reset => Reason::ConnectionReset,
        ConnectionError::LocallyClosed | ConnectionError::CidsExhausted => Reason::Internal,
    }
}

impl Offer {
    /// What is to be offered from now on, if that has changed: certificates are renewed while the server runs.
    fn renewed(&mut self) -> Result<Option<ServerConfig>, String> {
        let early = self.quic.config.early();
        let tls = self.quic.certificates.quic_config(ALPN, early).map_err(|problem| problem.to_string())?;
        if self.current.as_ref().is_some_and(|(current, _)| Arc::ptr_eq(current, &tls)) {
            return Ok(None);
        }
        let crypto = Arc::new(crypto(tls.clone())?);
        // A retry token of the last offer is good for the next one.
        let mut config = match self.current.take() {
            Some((_, mut current)) => {
                current.crypto = crypto;
                current
            }
            None => ServerConfig::with_crypto(crypto),
        };
        config.transport_config(self.transport.clone());
        self.current = Some((tls, config.clone()));
        Ok(Some(config))
    }
}

/// Every QUIC connection begins with this suite, whatever is agreed on later [RFC9001 5.2].
fn crypto(tls: Arc<rustls::ServerConfig>) -> Result<QuicServerConfig, String> {
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13().and_then(|suite| suite.quic_suite());
    let suite = suite.ok_or("the first cipher suite is missing")?;
    QuicServerConfig::with_initial(tls, suite).map_err(|error| error.to_string())
}

impl Handshake {
    fn new(handshakes: &Arc<AtomicUsize>) -> Self {
        handshakes.fetch_add(1, Ordering::Relaxed);
        Self(handshakes.clone())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
