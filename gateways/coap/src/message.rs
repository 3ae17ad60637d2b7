use std::ops::Range;

use bus::ContentFormat;
use bytes::Bytes;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

use crate::check::{DecodeError, PAYLOAD_MARKER, check, check_options};
use crate::option::{read_uint, write_uint};
use crate::token::token_range;
use crate::{Block, Code, ETag, OptionNumber, Token};

/// What a message is to the message layer [RFC7252 4].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sent again until acknowledged.
    Confirmable,
    /// Sent once.
    NonConfirmable,
    /// Says that a confirmable message came, with or without an answer.
    Acknowledgement,
    /// Says that a message came and means nothing to its receiver.
    Reset,
}

/// One CoAP message.
///
/// The packet is that of `coap-lite`; what it lets through and RFC 7252 does not is refused before it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its own payload is always empty.
    packet: Packet,
    /// The token, if it is longer than the packet's can be.
    long_token: Option<Box<Token>>,
    payload: Bytes,
}

impl Message {
    /// A request. The endpoint that sends it gives it its message id and token.
    pub fn request(method: Code) -> Self {
        Self::new(Kind::Confirmable, method)
    }

    /// An answer, or a notification. The endpoint that sends it gives it kind, message id and token.
    pub fn response(code: Code) -> Self {
        Self::new(Kind::Confirmable, code)
    }

    /// An answer whose payload tells people why [RFC7252 5.5.2].
    pub fn diagnostic(code: Code, text: &str) -> Self {
        Self::response(code).with_payload(text)
    }

    pub(crate) fn empty(kind: Kind, id: u16) -> Self {
        let mut message = Self::new(kind, Code::EMPTY);
        message.address(kind, id, Token::default());
        message
    }

    fn new(kind: Kind, code: Code) -> Self {
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(kind.to_type());
        packet.header.code = MessageClass::from(code.0);
        Self { packet, long_token: None, payload: Bytes::new() }
    }

    fn from_packet(mut packet: Packet) -> Self {
        let payload = std::mem::take(&mut packet.payload).into();
        Self { packet, long_token: None, payload }
    }

    /// Reads a datagram. Options are not judged here, except that their shape is right.
    pub fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        check(datagram)?;
        let Some((&[first, code, high, low], behind)) = datagram.split_first_chunk() else {
            return Err(DecodeError::Foreign);
        };
        let Ok((start, end)) = token_range(first & 0x0F, behind) else { return Err(DecodeError::Foreign) };
        let part = |range: Range<usize>| behind.get(range).unwrap_or_default();
        if usize::from(first & 0x0F) <= Token::SHORT {
            return Packet::from_bytes(datagram).map(Self::from_packet).map_err(|_| DecodeError::Foreign);
        }
        let (token, rest) = (Token::new(part(start..end)), part(end..behind.len()));
        let mut message = Self::from_parts(Code(code), token, rest).map_err(|_| DecodeError::Foreign)?;
        message.packet.header.set_type(Kind::from_bits(first >> 4).to_type());
        message.packet.header.message_id = u16::from_be_bytes([high, low]);
        Ok(message)
    }

    /// A message of which only code, token, and options with payload are on the wire, as on a stream
    /// [RFC8323 3.2]. The error says what is wrong with the options.
    pub fn from_parts(code: Code, token: Token, options_and_payload: &[u8]) -> Result<Self, &'static str> {
        check_options(options_and_payload)?;
        let bytes = [&[0x40, code.0, 0, 0], options_and_payload].concat();
        let packet = Packet::from_bytes(&bytes).map_err(|_| "cannot be read")?;
        let mut message = Self::from_packet(packet);
        message.set_token(token);
        Ok(message)
    }

    /// The bytes of the datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.packet.to_bytes_unlimited().unwrap_or_default();
        if let Some(token) = &self.long_token {
            let (field, extended) = token.length_field();
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0xF0 | field;
            }
            let header = bytes.len().min(4);
            bytes.splice(header..header, extended.into_iter().chain(token.as_slice().iter().copied()));
        }
        self.write_payload(&mut bytes);
        bytes
    }

    /// The bytes behind the token: what is on the wire beside code and token on a stream [RFC8323 3.2].
    pub fn encode_options_and_payload(&self) -> Vec<u8> {
        let mut bytes = self.packet.to_bytes_unlimited().unwrap_or_default();
        bytes.drain(..bytes.len().min(4 + self.packet.get_token().len()));
        self.write_payload(&mut bytes);
        bytes
    }

    fn write_payload(&self, bytes: &mut Vec<u8>) {
        if !self.payload.is_empty() {
            bytes.reserve_exact(1 + self.payload.len());
            bytes.push(PAYLOAD_MARKER);
            bytes.extend_from_slice(&self.payload);
        }
    }

    pub(crate) fn address(&mut self, kind: Kind, id: u16, token: Token) {
        self.packet.header.set_type(kind.to_type());
        self.packet.header.message_id = id;
        self.set_token(token);
    }

    fn set_token(&mut self, token: Token) {
        let is_short = token.len() <= Token::SHORT;
        self.packet.set_token(if is_short { token.as_slice().to_vec() } else { Vec::new() });
        self.long_token = (!is_short).then(|| Box::new(token));
    }

    /// What it is to the message layer.
    pub fn kind(&self) -> Kind {
        match self.packet.header.get_type() {
            MessageType::Confirmable => Kind::Confirmable,
            MessageType::NonConfirmable => Kind::NonConfirmable,
            MessageType::Acknowledgement => Kind::Acknowledgement,
            MessageType::Reset => Kind::Reset,
        }
    }

    /// The same as a non-confirmable message.
    pub fn non_confirmable(mut self) -> Self {
        self.packet.header.set_type(MessageType::NonConfirmable);
        self
    }

    /// Method or response code.
    pub fn code(&self) -> Code {
        Code(self.packet.header.code.into())
    }

    /// The message id.
    pub fn id(&self) -> u16 {
        self.packet.header.message_id
    }

    /// The token.
    pub fn token(&self) -> Token {
        match &self.long_token {
            Some(token) => Token::clone(token),
            None => Token::new(self.packet.get_token()),
        }
    }

    /// The payload, empty if there is none.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, taken out of the message.
    pub fn into_payload(self) -> Bytes {
        self.payload
    }

    /// The values of all options with this number, in order.
    pub fn options(&self, number: OptionNumber) -> impl Iterator<Item = &[u8]> {
        self.packet.get_option(CoapOption::from(number.0)).into_iter().flatten().map(Vec::as_slice)
    }

    /// The numbers and values of all options, in order.
    pub fn all_options(&self) -> impl Iterator<Item = (OptionNumber, &[u8])> {
        let options = self.packet.options();
        options.flat_map(|(number, values)| values.iter().map(|value| (OptionNumber(*number), &value[..])))
    }

    /// The value of the first option with this number; further ones are superfluous [RFC7252 5.4.5].
    pub fn option(&self, number: OptionNumber) -> Option<&[u8]> {
        self.options(number).next()
    }

    /// The first option with this number as a uint; an elective one with an impossible length is not there.
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        let value = self.option(number)?;
        number.permits(value, 0).then(|| read_uint(value))?
    }

    /// The segments of the path. A path that is no UTF-8 was refused before; here it reads as empty segments.
    pub fn uri_path(&self) -> Vec<&str> {
        self.texts(OptionNumber::URI_PATH).collect()
    }

    /// The segments of the path in the answer that made something.
    pub fn location_path(&self) -> Vec<&str> {
        self.texts(OptionNumber::LOCATION_PATH).collect()
    }

    /// The arguments of the query, split at the first `=`; without one the value is empty.
    pub fn queries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts(OptionNumber::URI_QUERY).map(|text| text.split_once('=').unwrap_or((text, "")))
    }

    /// The value of a query argument that goes by any of these names.
    pub fn query(&self, names: &[&str]) -> Option<&str> {
        self.queries().find(|(name, _)| names.contains(name)).map(|(_, value)| value)
    }

    /// The Observe option: 0 and 1 in requests, a sequence number in notifications [RFC7641 2].
    pub fn observe(&self) -> Option<u32> {
        self.uint(OptionNumber::OBSERVE)
    }

    /// What the payload is.
    pub fn content_format(&self) -> Option<ContentFormat> {
        self.uint(OptionNumber::CONTENT_FORMAT).map(|number| ContentFormat(number as u16))
    }

    /// What the answer's payload may be.
    pub fn accept(&self) -> Option<ContentFormat> {
        self.uint(OptionNumber::ACCEPT).map(|number| ContentFormat(number as u16))
    }

    /// The block of the request's body that this is.
    pub fn block1(&self) -> Option<Block> {
        self.uint(OptionNumber::BLOCK1).map(Block::from_uint)
    }

    /// The block of the answer's body that this is, or is asked for.
    pub fn block2(&self) -> Option<Block> {
        self.uint(OptionNumber::BLOCK2).map(Block::from_uint)
    }

    /// The block of the request's body that this is, among blocks that need not come in order [RFC9177 4.3].
    pub(crate) fn q_block1(&self) -> Option<Block> {
        self.uint(OptionNumber::Q_BLOCK1).map(Block::from_uint)
    }

    /// The blocks of the answer's body that are asked for [RFC9177 4.4].
    pub(crate) fn q_block2(&self) -> impl Iterator<Item = Block> {
        self.options(OptionNumber::Q_BLOCK2).filter_map(read_uint).map(Block::from_uint)
    }

    /// A message in place of this one, with the same kind, message id and token.
    pub(crate) fn replaced(
        &self,
        code: Code,
        options: impl IntoIterator<Item = (u16, Vec<u8>)>,
        payload: Bytes,
    ) -> Self {
        let mut message = Self::new(self.kind(), code);
        message.address(self.kind(), self.id(), self.token());
        let options = options.into_iter();
        let message = options
            .fold(message, |message, (number, value)| message.with_option(OptionNumber(number), value));
        message.with_shared_payload(payload)
    }

    /// The first critical option that is unknown, too long or short, repeated although it must not be, or no
    /// UTF-8 although it must be: the message must be rejected [RFC7252 5.4.1].
    ///
    /// Q-Block counts as unknown: whoever takes it asks [`Message::unknown_beside_q_block`].
    pub fn unknown_critical_option(&self) -> Option<OptionNumber> {
        self.unknown(OptionNumber::is_q_block)
    }

    /// The same of a message to whoever takes Q-Block. Several Q-Block2 list missing blocks, which are asked for
    /// without Observe and without a body; else they are too many [RFC9177 4.1, 4.5].
    pub fn unknown_beside_q_block(&self) -> Option<OptionNumber> {
        let is_list =
            self.option(OptionNumber::OBSERVE).is_none() && self.option(OptionNumber::Q_BLOCK1).is_none();
        let several = !is_list && self.options(OptionNumber::Q_BLOCK2).nth(1).is_some();
        self.unknown(|number| several && number == OptionNumber::Q_BLOCK2)
    }

    fn unknown(&self, also: impl Fn(OptionNumber) -> bool) -> Option<OptionNumber> {
        let mut options = self.packet.options().map(|(number, values)| (OptionNumber(*number), values));
        options
            .find(|(number, values)| {
                let wrong = |(before, value): (usize, &Vec<u8>)| !number.permits(value, before);
                number.is_critical() && (also(*number) || values.iter().enumerate().any(wrong))
            })
            .map(|(number, _)| number)
    }

    /// The same with one more option.
    pub fn with_option(mut self, number: OptionNumber, value: impl Into<Vec<u8>>) -> Self {
        self.packet.add_option(CoapOption::from(number.0), value.into());
        self
    }

    /// The same without the options of this number.
    pub(crate) fn without(mut self, number: OptionNumber) -> Self {
        self.packet.clear_option(CoapOption::from(number.0));
        self
    }

    /// The same with one more option of format uint.
    pub fn with_uint(self, number: OptionNumber, value: u32) -> Self {
        self.with_option(number, write_uint(value))
    }

    /// The same with a Uri-Path of these segments.
    pub fn with_path<'a>(self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        segments
            .into_iter()
            .fold(self, |message, segment| message.with_option(OptionNumber::URI_PATH, segment))
    }

    /// The same with one more query argument, as it stands between the `&`s.
    pub fn with_query(self, argument: &str) -> Self {
        self.with_option(OptionNumber::URI_QUERY, argument)
    }

    /// The same with the Observe option.
    pub fn with_observe(self, value: u32) -> Self {
        self.with_uint(OptionNumber::OBSERVE, value & 0x00FF_FFFF)
    }

    /// The same with a Content-Format.
    pub fn with_content_format(self, format: ContentFormat) -> Self {
        self.with_uint(OptionNumber::CONTENT_FORMAT, format.0.into())
    }

    /// The same with an Accept.
    pub fn with_accept(self, format: ContentFormat) -> Self {
        self.with_uint(OptionNumber::ACCEPT, format.0.into())
    }

    /// The same with this payload.
    pub fn with_payload(self, payload: impl Into<Vec<u8>>) -> Self {
        self.with_shared_payload(payload.into().into())
    }

    /// The same with this payload, which is not copied.
    pub fn with_shared_payload(mut self, payload: Bytes) -> Self {
        self.payload = payload;
        self
    }

    /// The same with another code.
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.packet.header.code = MessageClass::from(code.0);
        self
    }

    /// The same with this ETag and no other.
    pub(crate) fn tagged(self, tag: ETag) -> Self {
        self.without(OptionNumber::ETAG).with_option(OptionNumber::ETAG, tag.as_slice())
    }

    /// The 2.03 that stands for this answer with a client that has it already.
    pub(crate) fn into_valid(mut self) -> Self {
        self.packet.header.code = MessageClass::from(Code::VALID.0);
        self.packet.clear_option(CoapOption::ContentFormat);
        self.with_payload("")
    }

    /// The same with this token, for messages whose token the endpoint does not choose.
    pub fn with_token(mut self, token: Token) -> Self {
        self.set_token(token);
        self
    }

    /// About how many bytes it takes to keep it.
    pub(crate) fn size(&self) -> usize {
        const PER_OPTION: usize = 64;
        let values = self.packet.options().flat_map(|(_, values)| values);
        self.payload.len() + values.map(|value| value.len() + PER_OPTION).sum::<usize>()
    }

    fn texts(&self, number: OptionNumber) -> impl Iterator<Item = &str> {
        self.options(number).map(|value| std::str::from_utf8(value).unwrap_or_default())
    }
}

impl Kind {
    pub(crate) fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Confirmable,
            1 => Self::NonConfirmable,
            2 => Self::Acknowledgement,
            _ => Self::Reset,
        }
    }

    fn to_type(self) -> MessageType {
        match self {
            Self::Confirmable => MessageType::Confirmable,
            Self::NonConfirmable => MessageType::NonConfirmable,
            Self::Acknowledgement => MessageType::Acknowledgement,
            Self::Reset => MessageType::Reset,
        }
    }
}
