//! What a client's request is answered. [RFC6455 4.2]

use std::net::IpAddr;

use bus::{Address, Reason};
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::{
    HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};

use super::Config;
use crate::Network;
use crate::fault::Fault;
use crate::proxy::UNKNOWN;

/// The longest request.
const HEAD: usize = 8 * 1024;

/// What a proxy says of where the client is.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What makes a WebSocket of a connection.
#[derive(Debug)]
pub struct Accepted {
    /// What the client is told.
    pub answer: Vec<u8>,
    /// How long its request was; what follows are frames.
    pub length: usize,
    /// Where the client is, which a proxy may have told.
    pub address: Address,
}

/// Why there is no WebSocket, and what the client is told of it.
#[derive(Debug)]
pub struct Refusal {
    /// What is counted.
    pub fault: Fault,
    /// What the client is told; nothing, if it does not speak HTTP.
    pub answer: Option<String>,
}

/// Judges a request that has come so far; `None` while there must be more of it. It is from the address, and a proxy of
/// `proxies` is believed when it says where its client is.
pub fn handshake(
    bytes: &[u8],
    address: Address,
    config: &Config,
    proxies: &[Network],
) -> Result<Option<Accepted>, Refusal> {
    let Some((request, length)) = parse(bytes)? else { return Ok(None) };
    let address = forwarded(&request, address, proxies)?;
    let answer = answer(&request, &address, config)?;
    Ok(Some(Accepted { answer, length, address }))
}

impl Refusal {
    fn new(status: StatusCode, detail: &'static str, words: impl AsRef<str>) -> Self {
        let words = words.as_ref();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Upgrade: websocket\r\nConnection: close\r\n\r\n{words}\n",
            words.len() + 1
        );
        Self { fault: Fault { reason: Reason::UpgradeRefused, detail }, answer: Some(answer) }
    }

    fn silent(reason: Reason, detail: &'static str) -> Self {
        Self { fault: Fault { reason, detail }, answer: None }
    }
}

/// The request at the front of the bytes, once it is whole, and its length.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Refusal> {
    match bytes.first() {
        Some(0x16) => {
            return Err(Refusal::silent(Reason::TlsOnPlainPort, "the first byte is of a TLS handshake"));
        }
        Some(0x10) => {
            return Err(Refusal::silent(Reason::WrongProtocol, "the first byte is of an MQTT CONNECT"));
        }
        _ => {}
    }
    match Request::try_parse(bytes) {
        Ok(Some((length, _))) if length > HEAD => Err(too_long()),
        Ok(Some((length, request))) => Ok(Some((request, length))),
        Ok(None) if bytes.len() >= HEAD => Err(too_long()),
        Ok(None) => Ok(None),
        Err(_) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "no GET request of HTTP",
            "This is no GET request of HTTP.",
        )),
    }
}

fn too_long() -> Refusal {
    let words = format!("The request must not be longer than {HEAD} bytes.");
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the HTTP request is too long", words)
}

/// Where the client is: a trusted proxy says for whom it asks, the last one that is no trusted proxy itself. Nobody
/// elsewhere can say that its client is on this machine, nor is one here that came through a proxy which nobody named.
fn forwarded(request: &Request, address: Address, proxies: &[Network]) -> Result<Address, Refusal> {
    let trusted = |ip: IpAddr| proxies.iter().any(|network| network.contains(ip));
    let direct = match address {
        Address::Socket(direct) if trusted(direct.ip()) => direct,
        _ if address.is_local() && request.headers().contains_key(&FORWARDED_FOR) => return Ok(UNKNOWN),
        _ => return Ok(address),
    };
    let refusal = || {
        let detail = "the proxy's X-Forwarded-For holds no address";
        Refusal::new(StatusCode::BAD_REQUEST, detail, "X-Forwarded-For holds no address.")
    };
    let mut client = direct.ip();
    for value in request.headers().get_all(&FORWARDED_FOR).iter().rev() {
        for one in value.to_str().map_err(|_| refusal())?.rsplit(',') {
            if trusted(client) {
                let told: IpAddr = one.trim().parse().map_err(|_| refusal())?;
                if told.to_canonical().is_loopback() && !client.to_canonical().is_loopback() {
                    return Ok(UNKNOWN);
                }
                client = told;
            }
        }
    }
    let port = if client == direct.ip() { direct.port() } else { 0 };
    Ok(Address::Socket((client, port).into()))
}

/// The answer that makes a WebSocket of the connection.
fn answer(request: &Request, address: &Address, config: &Config) -> Result<Vec<u8>, Refusal> {
    if !config.paths.iter().any(|path| path == request.uri().path()) {
        let words = format!("There is nothing here. WebSocket is spoken at {}.", config.paths.join(" and "));
        return Err(Refusal::new(StatusCode::NOT_FOUND, "the path is not served", words));
    }
    if !request.headers().contains_key(UPGRADE) {
        let words =
            "This port speaks WebSocket only; use a client that does, with a URL that begins with ws.";
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "a plain HTTP request", words));
    }
    let mut answer = create_response(request).map_err(|error| {
        let words = format!("This is no WebSocket handshake: {error}.");
        Refusal::new(StatusCode::BAD_REQUEST, "no WebSocket handshake", words)
    })?;
    if !origin_allowed(request, address, config) {
        let words = "Pages of this origin may not connect. Add it to `origins` of the listener.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "the page's origin may not connect", words));
    }
    if let Some(name) = subprotocol(request, config)? {
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name); // [MQTT-6.0.0-4]
    }
    let mut bytes = Vec::new();
    let written = write_response(&mut bytes, &answer);
    written.map_err(|_| {
        Refusal::new(StatusCode::BAD_REQUEST, "no WebSocket handshake", "No answer is possible.")
    })?;
    Ok(bytes)
}

/// The first sub-protocol the client asks for that is offered. [MQTT-6.0.0-3]
fn subprotocol(request: &Request, config: &Config) -> Result<Option<HeaderValue>, Refusal> {
    let values = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let asked: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let offered = |name: &&&str| !name.is_empty() && config.subprotocols.iter().any(|known| known == **name);
    if let Some(name) = asked.iter().find(offered) {
        return Ok(HeaderValue::from_str(name).ok());
    }
    if asked.is_empty() && config.subprotocols.iter().any(String::is_empty) {
        return Ok(None);
    }
    let names: Vec<_> = config.subprotocols.iter().filter(|name| !name.is_empty()).cloned().collect();
    let words = format!("Sec-WebSocket-Protocol must name one of: {}.", names.join(", "));
    Err(Refusal::new(StatusCode::BAD_REQUEST, "no sub-protocol that is offered", words))
}

/// Whether the page that the client runs in may connect; what is no browser names none.
///
/// Without a list these may: pages of the host that was asked for, and pages of the client's own machine. From this
/// machine itself only a page of this machine may: a foreign page could have given its own name this address.
fn origin_allowed(request: &Request, address: &Address, config: &Config) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if !config.origins.is_empty() {
        return config.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    }
    let Some((_, authority)) = origin.split_once("://") else { return false };
    let page = host(authority);
    let asked = request.headers().get(HOST).and_then(|value| value.to_str().ok()).map(host);
    is_loopback(page) || (!address.is_local() && asked.is_some_and(|asked| asked.eq_ignore_ascii_case(page)))
}

/// The host of `host:port`.
fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}
