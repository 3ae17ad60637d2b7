use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dtls::{Effects, EngineFactory, Key, Keys, SessionEvent, Settings};
use dtls_mbedtls::MbedTls;

use crate::Target;
use crate::conversation::{datagrams, joined};

pub(crate) const TARGETS: [Target; 1] = [Target { name: "dtls_records", run: records, seeds: record_seeds }];

/// The most that is sent before an address is proved, for each byte that came.
const MOST_AMPLIFIED: usize = 3;

/// Where the cookie's length stands in a record with a ClientHello whose session id is empty: behind the headers of
/// record and handshake, version, random and the session id's length.
const COOKIE: usize = 13 + 12 + 2 + 32 + 1;

/// Datagrams from two addresses. A hello without a cookie gets the one that the server gave last, so that what follows
/// comes into a handshake.
fn records(input: &[u8]) {
    played(input);
}

/// Returns how many handshakes were under way at most.
fn played(input: &[u8]) -> usize {
    let settings = Settings { psk: Some(Arc::new(OneKey)), half_open: 8, sessions: 8, ..Settings::default() };
    let mut engine = MbedTls.engine(&settings).expect("the settings are right");
    let mut now = Instant::now();
    let mut cookie = Vec::new();
    let mut most = 0;
    for (number, datagram) in datagrams(input).into_iter().enumerate() {
        let from = SocketAddr::from(([192, 0, 2, 1 + (number % 7 / 6) as u8], 1_000));
        let datagram = with_cookie(datagram, &cookie);
        let mut effects = Effects::default();
        engine.receive(&datagram, from, now, &mut effects);
        while engine.work(now, &mut effects) {}
        let sent: usize = effects.datagrams.iter().map(|(_, bytes)| bytes.len()).sum();
        let proved = !cookie.is_empty();
        assert!(proved || sent <= MOST_AMPLIFIED * datagram.len(), "{sent} bytes for {}", datagram.len());
        for (to, answer) in &effects.datagrams {
            assert_eq!(*to, from, "nobody else is sent anything");
            cookie = cookie_in(answer).unwrap_or(cookie);
        }
        let opened = effects.events.iter().any(|event| matches!(event, SessionEvent::Opened { .. }));
        assert!(!opened, "nobody here knows the key");
        now += Duration::from_millis(u64::from(datagram.first().copied().unwrap_or(1)) * 29);
        if engine.deadline().is_some_and(|deadline| deadline <= now) {
            engine.expire(now, &mut Effects::default());
        }
        let counts = engine.counts();
        assert!(counts.half_open <= 8 && engine.sessions() == 0, "{counts:?}");
        most = most.max(counts.half_open);
    }
    most
}

/// The cookie of a HelloVerifyRequest: record 22, handshake 3.
fn cookie_in(datagram: &[u8]) -> Option<Vec<u8>> {
    let [22, .., length] = *datagram.get(..28)? else { return None };
    (datagram[13] == 3).then(|| datagram.get(28..28 + usize::from(length)).map(<[u8]>::to_vec))?
}

/// A ClientHello without a cookie gets this one, and the lengths around it grow with it.
fn with_cookie(datagram: &[u8], cookie: &[u8]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    let is_hello = datagram.len() > COOKIE && datagram[0] == 22 && datagram[13] == 1;
    if !is_hello || datagram[COOKIE - 1] != 0 || datagram[COOKIE] != 0 || cookie.is_empty() {
        return datagram;
    }
    datagram[COOKIE] = cookie.len() as u8;
    datagram.splice(COOKIE + 1..COOKIE + 1, cookie.iter().copied());
    // The lengths of the record, of the message and of its fragment end at these bytes.
    for last in [12, 16, 24] {
        let (high, low) = (datagram[last - 1], datagram[last]);
        let longer = u16::from_be_bytes([high, low]).wrapping_add(cookie.len() as u16).to_be_bytes();
        datagram[last - 1..=last].copy_from_slice(&longer);
    }
    datagram
}

/// A handshake record of epoch 0.
fn handshake(sequence: u8, kind: u8, message: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    let whole = ((body.len() + 12) as u16).to_be_bytes();
    [
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, sequence, whole[0], whole[1]][..],
        &[kind, 0, length[0], length[1], 0, message, 0, 0, 0, 0, length[0], length[1]],
        body,
    ]
    .concat()
}

fn record_seeds() -> Vec<Vec<u8>> {
    // TLS_PSK_WITH_AES_128_CCM_8, TLS_PSK_WITH_AES_128_CBC_SHA256 and TLS_PSK_WITH_AES_128_GCM_SHA256.
    const SUITES: &[u8] = &[0, 6, 0xC0, 0xA8, 0, 0xAE, 0, 0xA8, 1, 0];
    // A connection id, extended master secret, and a session ticket, all empty.
    const EXTENSIONS: &[u8] = &[0, 13, 0, 54, 0, 1, 0, 0, 23, 0, 0, 0, 35, 0, 0];
    let hello = |sequence, message, extensions: &[u8]| {
        let body = [&[254, 253][..], &[7; 32], &[0, 0], SUITES, extensions].concat();
        handshake(sequence, 1, message, &body)
    };
    let key_exchange = handshake(2, 16, 2, b"\0\x04dev1");
    let change = [&[20, 254, 253, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 1][..]].concat();
    let finished = [&[22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 32][..], &[9; 32]].concat();
    let with_id = [&[25, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1][..], &[1; 8], &[0, 16], &[3; 16]].concat();
    let alert = vec![21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let begun = [hello(0, 0, EXTENSIONS), hello(1, 1, EXTENSIONS)];
    let several: [Vec<&[u8]>; 6] = [
        vec![&begun[0], &begun[1], &key_exchange, &change, &finished],
        vec![&begun[0], &begun[1], &finished, &change, &key_exchange],
        vec![&begun[0], &begun[1], &alert, &begun[1]],
        vec![&begun[0], &with_id, &finished],
        vec![&begun[1], &key_exchange[..20], &key_exchange[20..]],
        vec![&begun[0][..40], &alert],
    ];
    let plain = hello(0, 0, &[]);
    let whole = joined(&[&plain, &hello(1, 1, &[]), &key_exchange, &change, &finished]);
    several.iter().map(|pieces| joined(pieces)).chain([whole]).collect()
}

/// A key that no input knows.
struct OneKey;

impl Keys for OneKey {
    fn key(&self, identity: &str) -> Option<Key> {
        (identity == "dev1").then(|| Key::new(b"nobody can guess this".to_vec()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_lead_into_handshakes() {
        let seeds = record_seeds();
        assert_eq!((played(&seeds[0]), played(&seeds[6])), (1, 1));
    }
}
