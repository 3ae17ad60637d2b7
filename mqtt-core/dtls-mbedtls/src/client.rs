use std::time::Instant;

use crate::ffi::client::{Wishes, client};
use crate::ffi::{Context, Read, Step};

/// A DTLS client with a pre-shared key and a connection id of the server's [RFC9146], for tests of those who run
/// engines. It performs no I/O.
pub struct Client {
    context: Context,
    is_open: bool,
    output: Vec<Vec<u8>>,
}

/// The longest record.
const RECORD: usize = 16_384;

impl Client {
    /// Begins a handshake; what is to be sent first is in the output.
    pub fn begin(identity: &'static str, key: &[u8], now: Instant) -> Self {
        let suite = Some("TLS_PSK_WITH_AES_128_CCM_8");
        let key = Some((identity, key.to_vec()));
        let wishes = Wishes { key, suite, connection_id: true, no_tickets: true, ..Wishes::default() };
        let mut made = Self { context: client(&wishes, None, now), is_open: false, output: Vec::new() };
        made.receive(&[], now);
        made
    }

    /// Whether the handshake is done.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes a datagram of the server, or nothing to see what is due; returns what was in it.
    pub fn receive(&mut self, datagram: &[u8], now: Instant) -> Option<Vec<u8>> {
        if !self.is_open {
            self.is_open = matches!(self.context.handshake(datagram, now, &mut self.output), Step::Done);
            return None;
        }
        let mut buffer = vec![0; RECORD];
        match self.context.read(datagram, now, &mut self.output, &mut buffer) {
            Read::Plaintext(length) => {
                buffer.truncate(length);
                Some(buffer)
            }
            Read::Nothing | Read::Failed(_) => None,
        }
    }

    /// Encrypts a record for the server; returns whether that is possible.
    pub fn send(&mut self, plaintext: &[u8], now: Instant) -> bool {
        self.is_open && self.context.write(plaintext, now, &mut self.output).is_ok()
    }

    /// What is to be sent, datagram by datagram.
    pub fn take_output(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.output)
    }
}
