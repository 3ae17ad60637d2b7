use std::fmt::Display;
use std::io::Write;

use bytes::Bytes;

use crate::Version;
use crate::escape::Escaping;

/// One STOMP frame, headers unescaped and in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it says.
    pub command: Command,
    /// Names and values; where a name repeats, the first counts [STOMP1.2 Repeated Header Entries].
    pub headers: Vec<(String, String)>,
    /// The body, of any bytes.
    pub body: Bytes,
}

/// The command of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the standard")]
pub enum Command {
    Connect,
    Stomp,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Connected,
    Message,
    Receipt,
    Error,
}

impl Frame {
    /// A frame without headers and body.
    pub fn new(command: Command) -> Self {
        Self { command, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with this body.
    pub fn with_body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Writes the frame; a `content-length` is added to a body that comes without.
    pub fn encode(&self, version: Version, buffer: &mut Vec<u8>) {
        let mut head = Head::new(version, self.command, buffer);
        for (name, value) in &self.headers {
            head.header(name, value);
        }
        if !self.body.is_empty() && self.header("content-length").is_none() {
            head.plain("content-length", self.body.len());
        }
        head.end();
        buffer.extend_from_slice(&self.body);
        buffer.push(0);
    }

    /// Bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + self.body.len()
    }

    /// Takes the blanks off that 1.0 clients write around names and values.
    pub(crate) fn trim(&mut self) {
        for text in self.headers.iter_mut().flat_map(|(name, value)| [name, value]) {
            if text.trim().len() < text.len() {
                *text = text.trim().to_owned();
            }
        }
    }
}

impl Command {
    /// Every command, the client's first.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
        Self::Connected,
        Self::Message,
        Self::Receipt,
        Self::Error,
    ];

    /// As the frame writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// The command with this name.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.as_str().as_bytes() == name)
    }

    /// Whether its frame may have a body [STOMP1.2 Body].
    pub fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }
}

/// Writes a command and headers straight into a buffer.
pub(crate) struct Head<'a> {
    escaping: Escaping,
    buffer: &'a mut Vec<u8>,
}

impl<'a> Head<'a> {
    pub(crate) fn new(version: Version, command: Command, buffer: &'a mut Vec<u8>) -> Self {
        buffer.extend_from_slice(command.as_str().as_bytes());
        buffer.push(b'\n');
        Self { escaping: Escaping::of(version, command), buffer }
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.escaping.write(name, self.buffer);
        self.buffer.push(b':');
        self.escaping.write(value, self.buffer);
        self.buffer.push(b'\n');
    }

    /// Writes a value that needs no escapes, such as a number.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.escaping.write(name, self.buffer);
        // writing to a vector does not fail
        let _ = writeln!(self.buffer, ":{value}");
    }

    pub(crate) fn end(self) {
        self.buffer.push(b'\n');
    }
}
