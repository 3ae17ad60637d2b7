//! Cookies: what shows that a client is where it says it is, before anything is kept for it. [RFC6347 4.2.1]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ring::hmac;

use crate::random::{self, NoRandom};
use crate::record::{Hello, Record};

/// What cookies are made with. No client can make one, or use that of another address.
pub(crate) struct Cookies {
    current: hmac::Key,
    previous: hmac::Key,
    renewed: Instant,
}

/// The length of a cookie.
const LENGTH: usize = 32;

/// How long cookies are made with one secret. Each is good for as long again.
const SECRET: Duration = Duration::from_secs(60);

impl Cookies {
    pub(crate) fn new(now: Instant) -> Result<Self, NoRandom> {
        Ok(Self { current: secret()?, previous: secret()?, renewed: now })
    }

    /// Whether a hello has the cookie that was given to its address.
    pub(crate) fn proves(&mut self, hello: &Hello<'_>, from: SocketAddr, now: Instant) -> bool {
        self.renew(now);
        let text = text(hello.random, from);
        hello.cookie.len() == LENGTH
            && (hmac::verify(&self.current, &text, hello.cookie).is_ok()
                || hmac::verify(&self.previous, &text, hello.cookie).is_ok())
    }

    /// The answer to a hello without a good cookie: a HelloVerifyRequest, which is shorter than the hello.
    pub(crate) fn request(
        &mut self,
        record: &Record<'_>,
        hello: &Hello<'_>,
        from: SocketAddr,
        now: Instant,
    ) -> Vec<u8> {
        self.renew(now);
        let cookie = hmac::sign(&self.current, &text(hello.random, from));
        const HANDSHAKE: u8 = 22;
        const HELLO_VERIFY_REQUEST: u8 = 3;
        const BODY: u8 = 2 + 1 + LENGTH as u8;
        let mut datagram = Vec::with_capacity(13 + 12 + usize::from(BODY));
        datagram.push(HANDSHAKE);
        // The standard would rather have DTLS 1.0 here, whatever follows, and some small clients read nothing but what
        // they write themselves. Nothing is negotiated by it: every client reads its own version. [RFC6347 4.2.1]
        datagram.extend(record.version);
        datagram.extend([0, 0]);
        // The sequence number is the hello's. [RFC6347 4.2.1]
        datagram.extend(record.sequence);
        datagram.extend([0, 12 + BODY]);
        datagram.extend([HELLO_VERIFY_REQUEST, 0, 0, BODY, 0, 0, 0, 0, 0, 0, 0, BODY]);
        datagram.extend(hello.version);
        datagram.push(LENGTH as u8);
        datagram.extend(cookie.as_ref());
        datagram
    }

    fn renew(&mut self, now: Instant) {
        if now.saturating_duration_since(self.renewed) < SECRET {
            return;
        }
        // Without randomness the old secret serves on.
        if let Ok(next) = secret() {
            self.previous = std::mem::replace(&mut self.current, next);
            self.renewed = now;
        }
    }
}

fn secret() -> Result<hmac::Key, NoRandom> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>()?))
}

/// What a cookie is made of: the address, and what the hello must repeat.
fn text(random: &[u8; 32], from: SocketAddr) -> Vec<u8> {
    let ip = match from.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    [ip.octets().as_slice(), &from.port().to_be_bytes(), random].concat()
}
