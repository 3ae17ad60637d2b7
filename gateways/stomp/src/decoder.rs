use std::ffi::CStr;

use bytes::Bytes;

use crate::escape::Escaping;
use crate::{Command, Frame, Version};

/// Reads frames off a stream that arrives in pieces.
///
/// It keeps what it has read of an unfinished frame, so that however small the pieces, each byte is looked at
/// once. Limits hold while a frame arrives, not only once it is there.
#[derive(Debug, Default)]
pub struct Decoder {
    /// How far the frame has been looked at.
    scanned: usize,
    /// Where the line that is being read begins.
    line: usize,
    /// How many header lines were read.
    lines: usize,
    /// The frame as far as it is read.
    frame: Option<Frame>,
    /// Where the body begins and how long it says it is, once the head is read.
    body: Option<(usize, Option<usize>)>,
}

/// How large a frame may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The whole frame, in bytes.
    pub frame: usize,
    /// Command and headers, in bytes.
    pub head: usize,
    /// How many headers.
    pub headers: usize,
}

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first line is no command.
    #[error("the first line is no STOMP command")]
    UnknownCommand,
    /// A header line without a colon.
    #[error("a header line has no colon")]
    NoColon,
    /// A header without a name.
    #[error("a header has no name")]
    NoName,
    /// A backslash with a character behind it that the version does not define.
    #[error("a header has an escape that this STOMP version does not define")]
    UndefinedEscape,
    /// A header that is not UTF-8.
    #[error("a header is not UTF-8")]
    NotUtf8,
    /// A NUL before the blank line.
    #[error("a NUL stands before the blank line that ends the headers")]
    NulInHead,
    /// A content-length that is no number.
    #[error("the content-length is not a number")]
    BadContentLength,
    /// No NUL where content-length says that the body ends.
    #[error("the body does not end with NUL where content-length says it does")]
    BodyNotEnded,
    /// More headers than allowed.
    #[error("the frame has more headers than the limit")]
    TooManyHeaders,
    /// A larger head than allowed.
    #[error("the frame's headers are larger than the limit")]
    HeadTooLarge,
    /// A larger frame than allowed.
    #[error("the frame is larger than the limit")]
    FrameTooLarge,
}

/// The longest command, with a carriage return behind it.
const LONGEST_COMMAND: usize = 12;

impl Decoder {
    /// Takes one frame off the front of `input`, and tells how many bytes it had; `None` if more must come.
    ///
    /// After `None` the next call must begin with the same bytes. After an error it is of no more use.
    pub fn decode(
        &mut self,
        input: &[u8],
        version: Version,
        limits: &FrameLimits,
    ) -> Result<Option<(Frame, usize)>, DecodeError> {
        let (start, length) = match self.body {
            Some(body) => body,
            None => match self.read_head(input, version, limits)? {
                Some(body) => *self.body.insert(body),
                None if input.len() > limits.frame => return Err(DecodeError::FrameTooLarge),
                None => return Ok(None),
            },
        };
        let Some(end) = self.find_end(input, start, length, limits)? else { return Ok(None) };
        let body = input.get(start..end).unwrap_or_default();
        let frame = self.frame.take().map(|frame| frame.with_body(Bytes::copy_from_slice(body)));
        *self = Self::default();
        Ok(frame.map(|frame| (frame, end + 1)))
    }

    /// The receipt that the unfinished or broken frame asks for, if it came that far.
    pub fn receipt(&self) -> Option<&str> {
        self.frame.as_ref()?.header("receipt")
    }

    /// Reads line by line up to the blank one; tells where the body begins and its length.
    fn read_head(
        &mut self,
        input: &[u8],
        version: Version,
        limits: &FrameLimits,
    ) -> Result<Option<(usize, Option<usize>)>, DecodeError> {
        while let Some(found) = find(input, self.scanned, |byte| matches!(byte, b'\n' | 0)) {
            if found >= limits.head {
                return Err(DecodeError::HeadTooLarge);
            }
            if input.get(found) == Some(&0) {
                return Err(DecodeError::NulInHead);
            }
            let line = input.get(self.line..found).unwrap_or_default();
            // 1.2 ends lines with CR LF as well; so do hand-written 1.0 and 1.1 clients [STOMP1.2 STOMP Frames]
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.scanned = found + 1;
            self.line = found + 1;
            match &mut self.frame {
                None => {
                    let command = Command::parse(line).ok_or(DecodeError::UnknownCommand)?;
                    self.frame = Some(Frame::new(command));
                }
                Some(frame) if line.is_empty() => {
                    if version == Version::V1_0 {
                        frame.trim();
                    }
                    if frame.headers.iter().any(|(name, _)| name.is_empty()) {
                        return Err(DecodeError::NoName);
                    }
                    let length = frame.header("content-length").map(parse_length).transpose()?;
                    return Ok(Some((found + 1, length)));
                }
                Some(frame) => {
                    self.lines += 1;
                    if self.lines > limits.headers {
                        return Err(DecodeError::TooManyHeaders);
                    }
                    frame.headers.push(parse_header(line, Escaping::of(version, frame.command))?);
                }
            }
        }
        self.scanned = input.len();
        if self.scanned > limits.head {
            return Err(DecodeError::HeadTooLarge);
        }
        if self.frame.is_none() && self.scanned > LONGEST_COMMAND {
            return Err(DecodeError::UnknownCommand);
        }
        Ok(None)
    }

    /// The position of the NUL that ends the frame.
    fn find_end(
        &mut self,
        input: &[u8],
        start: usize,
        length: Option<usize>,
        limits: &FrameLimits,
    ) -> Result<Option<usize>, DecodeError> {
        let end = match length {
            Some(length) => Some(start.checked_add(length).ok_or(DecodeError::FrameTooLarge)?),
            None => {
                let fresh = input.get(self.scanned..).unwrap_or_default();
                let nul =
                    CStr::from_bytes_until_nul(fresh).ok().map(|text| self.scanned + text.count_bytes());
                self.scanned = input.len();
                nul
            }
        };
        if end.unwrap_or(input.len()) >= limits.frame {
            return Err(DecodeError::FrameTooLarge);
        }
        let Some(end) = end else { return Ok(None) };
        match input.get(end) {
            None => Ok(None),
            Some(0) => Ok(Some(end)),
            Some(_) => Err(DecodeError::BodyNotEnded),
        }
    }
}

/// How many bytes of line ends stand before the next frame: heart-beats, and what may follow a frame.
pub fn newlines(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some(next) = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\r\n")) {
        rest = next;
    }
    input.len() - rest.len()
}

fn parse_header(line: &[u8], escaping: Escaping) -> Result<(String, String), DecodeError> {
    let line = std::str::from_utf8(line).map_err(|_| DecodeError::NotUtf8)?;
    let (name, value) = line.split_once(':').ok_or(DecodeError::NoColon)?;
    let read = |text| escaping.unescape(text).map(String::from).ok_or(DecodeError::UndefinedEscape);
    Ok((read(name)?, read(value)?))
}

fn parse_length(value: &str) -> Result<usize, DecodeError> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) || value.is_empty() {
        return Err(DecodeError::BadContentLength);
    }
    value.parse().map_err(|_| DecodeError::FrameTooLarge)
}

fn find(input: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    input.get(from..)?.iter().position(|byte| wanted(*byte)).map(|at| from + at)
}
