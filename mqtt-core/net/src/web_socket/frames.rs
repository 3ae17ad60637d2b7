//! What a client's frames hold, found in place: the payload moves to the front of the bytes that were read, and
//! nothing is kept but an unfinished header or control frame.

use std::io::Cursor;

use bus::Reason;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::text::Utf8;

/// Reads the frames of a client.
#[derive(Debug)]
pub struct Decoder {
    takes_text: bool,
    max_frame: u64,
    /// How long a message may be, if they must be told apart.
    max_message: Option<u64>,
    /// How long the message is as far as its frames have announced it.
    message_length: u64,
    /// The beginning of a header.
    head: [u8; HEADER],
    head_length: u8,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that further frames belong to.
    message: Option<Message>,
    /// Whether the last message was text.
    is_text: bool,
    /// The payload of a control frame, until it is whole.
    control: Vec<u8>,
}

/// What is to be said to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It asked whether the server is there: this is the answer's payload.
    Ping(Vec<u8>),
    /// It says good-bye.
    Close,
}

/// Why the client's frames cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client is told.
    pub code: u16,
    /// What is counted.
    pub reason: Reason,
    /// What exactly, for people.
    pub detail: &'static str,
}

/// What a run of bytes held.
#[derive(Debug, Default)]
pub struct Decoded {
    /// How many bytes of payload stand at the front now.
    pub payload: usize,
    /// Where in there messages end, if they are told apart.
    pub ends: Vec<usize>,
    /// What else the client said.
    pub said: Vec<Said>,
    /// Why nothing behind it can be read.
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    remaining: u64,
    mask: [u8; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Ping,
    Pong,
    Close,
}

#[derive(Debug)]
enum Message {
    Binary,
    Text(Utf8),
}

/// The longest header: with a length of eight bytes and a mask.
const HEADER: usize = 14;

/// The longest payload of a control frame. [RFC6455 5.5]
const CONTROL: u64 = 125;

impl Decoder {
    /// A decoder that takes text beside binary data, or none; and frames up to a length.
    pub fn new(takes_text: bool, max_frame: u64) -> Self {
        Self {
            takes_text,
            max_frame,
            max_message: None,
            message_length: 0,
            head: [0; HEADER],
            head_length: 0,
            frame: None,
            message: None,
            is_text: false,
            control: Vec::new(),
        }
    }

    /// The same, which tells messages apart and takes such up to a length.
    pub fn by_message(self, max_message: u64) -> Self {
        Self { max_message: Some(max_message), ..self }
    }

    /// Takes messages up to another length from now on.
    pub(crate) fn take_messages_up_to(&mut self, most: u64) {
        self.max_message = Some(most);
    }

    /// How long the last message is, as far as its frames have announced it.
    pub fn announced(&self) -> u64 {
        self.message_length
    }

    /// Whether the client's last message was text.
    pub fn is_text(&self) -> bool {
        self.is_text
    }

    /// Takes all of the bytes; their payload is at the front afterwards.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Decoded {
        let mut decoded = Decoded::default();
        let mut read = 0;
        while read < bytes.len() || self.frame.is_some_and(|frame| frame.remaining == 0) {
            let step = match self.frame {
                None => self.header(bytes, &mut read),
                Some(frame) => self.payload(frame, bytes, &mut read, &mut decoded),
            };
            if let Err(fault) = step {
                decoded.fault = Some(fault);
                break;
            }
            if decoded.said.last() == Some(&Said::Close) {
                break;
            }
        }
        decoded
    }

    /// Collects a header, and begins its frame once it is whole.
    fn header(&mut self, bytes: &[u8], read: &mut usize) -> Result<(), Fault> {
        let (Some(byte), Some(place)) = (bytes.get(*read), self.head.get_mut(usize::from(self.head_length)))
        else {
            return Err(Fault::protocol("a header is too long"));
        };
        *place = *byte;
        *read += 1;
        self.head_length += 1;
        let head = self.head.get(..usize::from(self.head_length)).unwrap_or_default();
        let parsed = FrameHeader::parse(&mut Cursor::new(head));
        let Some((header, length)) = parsed.map_err(|_| Fault::protocol("the opcode is reserved"))? else {
            return Ok(());
        };
        let shortest = header.len(length) == head.len();
        self.head_length = 0;
        self.begin(&header, length, shortest)
    }

    fn begin(&mut self, header: &FrameHeader, length: u64, shortest: bool) -> Result<(), Fault> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::protocol("a reserved bit is set")); // [RFC6455 5.2]
        }
        let Some(mask) = header.mask else {
            return Err(Fault::protocol("a client's frame must be masked")); // [RFC6455 5.1]
        };
        if !shortest || length >> 63 != 0 {
            return Err(Fault::protocol("a length is not written in its shortest form")); // [RFC6455 5.2]
        }
        let kind = match header.opcode {
            OpCode::Data(data) => {
                self.data(data, length)?;
                Kind::Data
            }
            OpCode::Control(_) if length > CONTROL || !header.is_final => {
                return Err(Fault::protocol("a control frame is too long or in fragments")); // [RFC6455 5.5]
            }
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Control(Control::Close) if length == 1 => {
                return Err(Fault::protocol("a close code has two bytes")); // [RFC6455 5.5.1]
            }
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Control(Control::Reserved(_)) => return Err(Fault::protocol("the opcode is reserved")),
        };
        self.frame = Some(Frame { kind, is_final: header.is_final, remaining: length, mask });
        Ok(())
    }

    /// Begins or goes on with a message.
    fn data(&mut self, data: Data, length: u64) -> Result<(), Fault> {
        let before = if data == Data::Continue { self.message_length } else { 0 };
        self.message_length = before.saturating_add(length);
        if length > self.max_frame {
            return Err(Fault::size("a frame is longer than max_frame of the listener"));
        }
        if self.max_message.is_some_and(|most| self.message_length > most) {
            return Err(Fault::size("a message is longer than the listener takes"));
        }
        match (data, &self.message) {
            (Data::Continue, Some(_)) => {}
            (Data::Continue, None) => return Err(Fault::protocol("a fragment belongs to no message")),
            (_, Some(_)) => return Err(Fault::protocol("a message begins inside another")), // [RFC6455 5.4]
            (Data::Binary, None) => self.message = Some(Message::Binary),
            (Data::Text, None) if self.takes_text => self.message = Some(Message::Text(Utf8::default())),
            (Data::Text, None) => {
                let detail = "a text frame, where data must come in binary frames"; // [MQTT-6.0.0-1]
                let code = u16::from(CloseCode::Unsupported);
                return Err(Fault { code, reason: Reason::ProtocolViolation, detail });
            }
            (Data::Reserved(_), None) => return Err(Fault::protocol("the opcode is reserved")),
        }
        self.is_text = matches!(self.message, Some(Message::Text(_)));
        Ok(())
    }

    fn payload(
        &mut self,
        mut frame: Frame,
        bytes: &mut [u8],
        read: &mut usize,
        decoded: &mut Decoded,
    ) -> Result<(), Fault> {
        let there = bytes.len().saturating_sub(*read);
        let length = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(there);
        let part = bytes.get_mut(*read..*read + length).unwrap_or_default();
        unmask(part, &mut frame.mask);
        frame.remaining -= length as u64;
        if frame.kind == Kind::Data {
            if let Some(Message::Text(utf8)) = &mut self.message {
                utf8.take(part).map_err(|()| Fault::text())?;
            }
            bytes.copy_within(*read..*read + length, decoded.payload);
            decoded.payload += length;
        } else {
            self.control.extend_from_slice(part);
        }
        *read += length;
        self.frame = Some(frame).filter(|frame| frame.remaining > 0);
        if self.frame.is_none() { self.end(frame, decoded) } else { Ok(()) }
    }

    /// A frame is whole.
    fn end(&mut self, frame: Frame, decoded: &mut Decoded) -> Result<(), Fault> {
        let control = std::mem::take(&mut self.control);
        match frame.kind {
            Kind::Data if frame.is_final => match self.message.take() {
                Some(Message::Text(utf8)) if !utf8.is_whole() => return Err(Fault::text()),
                _ if self.max_message.is_some() => decoded.ends.push(decoded.payload),
                _ => {}
            },
            Kind::Data | Kind::Pong => {}
            Kind::Ping => decoded.said.push(Said::Ping(control)),
            Kind::Close => {
                if let Some((code, words)) = control.split_first_chunk() {
                    check_close(u16::from_be_bytes(*code), words)?;
                }
                decoded.said.push(Said::Close);
            }
        }
        Ok(())
    }
}

impl Fault {
    fn protocol(detail: &'static str) -> Self {
        Self { code: u16::from(CloseCode::Protocol), reason: Reason::Malformed, detail }
    }

    fn size(detail: &'static str) -> Self {
        Self { code: u16::from(CloseCode::Size), reason: Reason::PacketTooLarge, detail }
    }

    fn text() -> Self {
        let code = u16::from(CloseCode::Invalid);
        Self { code, reason: Reason::Malformed, detail: "a text is not UTF-8" } // [RFC6455 8.1]
    }
}

/// The header of a frame as the server sends it: whole, and not masked. [RFC6455 5.1]
pub(super) fn header(opcode: OpCode, length: usize) -> Vec<u8> {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let mut bytes = Vec::with_capacity(10);
    // A vector takes whatever is written.
    let _ = header.format(length as u64, &mut bytes);
    bytes
}

fn check_close(code: u16, words: &[u8]) -> Result<(), Fault> {
    if !CloseCode::from(code).is_allowed() {
        return Err(Fault::protocol("a close code must not be sent")); // [RFC6455 7.4]
    }
    std::str::from_utf8(words).map(drop).map_err(|_| Fault::text())
}

/// Takes the mask off, and turns it to where the next byte continues. [RFC6455 5.3]
fn unmask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    for four in bytes.chunks_mut(4) {
        for (byte, key) in four.iter_mut().zip(*mask) {
            *byte ^= key;
        }
    }
    mask.rotate_left(bytes.len() % 4);
}
