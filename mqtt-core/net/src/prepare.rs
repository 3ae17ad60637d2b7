//! What comes before a protocol's first byte: the PROXY header, TLS, WebSocket.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use broker::Course;
use bus::{Address, Carrier, Link, Peer, Reason, Transport};
use dtls::StreamError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::accept::serve;
use crate::house::Place;
use crate::listener::Shared;
use crate::offer::KeyedOffer;
use crate::proxy;
use crate::psk_stream::{Failed, PskStream};
use crate::web_socket::upgrade::upgrade;

/// Why a connection ended before its protocol began.
struct Failure {
    reason: Reason,
    detail: String,
}

/// Sets a connection up and begins its conversation.
pub(crate) async fn prepare<S>(
    socket: S,
    address: Address,
    carrier: Carrier,
    shared: Arc<Shared>,
    place: Place,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let began = Instant::now();
    let mut link = Link { carrier: shared.config.carrier(carrier), secured: None };
    let mut known = address;
    let set_up = set_up(socket, &mut known, &mut link, &shared, place);
    let done = tokio::select! {
        done = timeout(shared.limits.handshake, set_up) => done.unwrap_or_else(|_| Err(Failure {
            reason: Reason::HandshakeTimeout,
            detail: "the transport was not set up in time".to_owned(),
        })),
        () = shared.stopped() => {
            Err(Failure { reason: Reason::ShuttingDown, detail: "the listener has stopped".to_owned() })
        }
    };
    if let Err(failure) = done {
        failed(&shared.peer(known, Transport::Stream, link), &failure, &shared, began);
    }
}

async fn set_up<S>(
    mut socket: S,
    address: &mut Address,
    link: &mut Link,
    shared: &Arc<Shared>,
    place: Place,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = &shared.config;
    // So many at once: the others wait, and have no buffer meanwhile.
    let turn = shared.handshakes.acquire().await;
    if let Some(config) = &config.proxy {
        let (told, secured) = proxy::read(&mut socket, *address, config).await?;
        *address = told;
        if !shared.broker.admits(told) {
            let detail = "the address that the PROXY header tells is banned".to_owned();
            return Err(Failure { reason: Reason::Banned, detail });
        }
        link.secured = secured;
    }
    if let Some(psk) = &config.psk {
        let offer = psk.borrow().clone();
        let socket = secure_by_key(socket, &offer, link).await?;
        converse(socket, None, *address, link, shared, place);
        return Ok(());
    }
    match (&config.tls, &config.web_socket) {
        (None, None) => converse(socket, None, *address, link, shared, place),
        (Some(tls), None) => {
            let socket = secure(socket, tls, config.alpn, link).await?;
            converse(socket, None, *address, link, shared, place);
        }
        (None, Some(offered)) => {
            let (mut socket, told) = upgrade(socket, *address, offered, &config.forwarders).await?;
            let stranger = socket.stranger();
            converse(socket, stranger, told, link, shared, place);
        }
        (Some(tls), Some(offered)) => {
            let socket = secure(socket, tls, &[], link).await?;
            let (mut socket, told) = upgrade(socket, *address, offered, &config.forwarders).await?;
            let stranger = socket.stranger();
            converse(socket, stranger, told, link, shared, place);
        }
    }
    drop(turn);
    Ok(())
}

/// Takes a client's TLS handshake.
async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    certificates: &tls::Certificates,
    alpn: &[&[u8]],
    link: &mut Link,
) -> Result<TlsStream<S>, Failure> {
    let acceptor = TlsAcceptor::from(certificates.server_config(alpn));
    let socket = acceptor.accept(socket).await.map_err(|error| {
        let (reason, detail) = tls::refusal(&error);
        Failure { reason, detail }
    })?;
    let secured = tls::secured(socket.get_ref().1).map_err(|reason| Failure {
        reason,
        detail: "the certificate of the resumed session is not good any more".to_owned(),
    })?;
    link.secured = Some(Arc::new(secured));
    Ok(socket)
}

/// Takes the TLS handshake of a client that has a pre-shared key.
async fn secure_by_key<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    keyed: &KeyedOffer,
    link: &mut Link,
) -> Result<PskStream<S>, Failure> {
    let session = keyed
        .acceptor
        .accept()
        .map_err(|error| Failure { reason: Reason::Internal, detail: error.to_string() })?;
    let mut socket = PskStream::new(socket, session);
    let identity = poll_fn(|cx| socket.poll_handshake(cx)).await.map_err(|failed| match failed {
        Failed::Stream(error) => {
            let (reason, detail) = tls::refusal(&error);
            Failure { reason, detail }
        }
        Failed::Session(StreamError::Refused(refusal)) => {
            Failure { reason: refusal.reason(), detail: refusal.detail() }
        }
        Failed::Session(error) => Failure { reason: Reason::TlsFailed, detail: error.to_string() },
    })?;
    let detail = "what the client has proved cannot be read".to_owned();
    let unread = Failure { reason: Reason::CertificateRefused, detail };
    let mut secured = identity.secured(tls::certificate).ok_or(unread)?;
    secured.psk_mark = secured.psk_identity.as_deref().and_then(|name| keyed.offer.mark(name));
    link.secured = Some(Arc::new(secured));
    Ok(socket)
}

fn converse<S>(
    socket: S,
    stranger: Option<Arc<()>>,
    address: Address,
    link: &Link,
    shared: &Arc<Shared>,
    place: Place,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve(socket, stranger, shared.peer(address, Transport::Stream, link.clone()), shared, place);
}

fn failed(peer: &Peer, failure: &Failure, shared: &Shared, began: Instant) {
    let (protocol, reason) = (shared.protocol.label(), failure.reason);
    debug!(peer = %peer.address, listener = %shared.name, carrier = peer.link.carrier.name(),
        reason = reason.name(), detail = failure.detail, "A connection ended before its protocol began.");
    shared.broker.count_begin();
    shared.broker.count_close(protocol, reason);
    let mut course = Course::new(began);
    course.detail = Some(failure.detail.as_str().into());
    shared.broker.tell_lost(peer, protocol, reason, course, Instant::now());
}

impl From<crate::fault::Fault> for Failure {
    fn from(fault: crate::fault::Fault) -> Self {
        Self { reason: fault.reason, detail: fault.detail.to_owned() }
    }
}
