use std::io::IoSlice;

use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::frames::header;

/// The messages of a WebSocket for a protocol that has one of its own in each: in the stream that it reads and
/// writes, each stands behind its length, in four bytes.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// The message that is coming.
    begun: Vec<u8>,
    /// What is whole and was not read yet.
    whole: Vec<u8>,
    read: usize,
    /// What was written of a message that is not whole yet.
    written: Vec<u8>,
}

/// The length before a message.
const PREFIX: usize = 4;

impl Messages {
    /// Takes payload in which messages end at these places.
    pub(crate) fn take(&mut self, payload: &[u8], ends: &[usize]) {
        let mut start = 0;
        for end in ends {
            let part = payload.get(start..*end).unwrap_or_default();
            self.announce((self.begun.len() + part.len()) as u64);
            self.whole.append(&mut std::mem::take(&mut self.begun));
            self.whole.extend_from_slice(part);
            start = *end;
        }
        self.begun.extend_from_slice(payload.get(start..).unwrap_or_default());
    }

    /// Tells how long the next message is. One that is too long is announced and does not follow: whoever reads the
    /// length ends the conversation in its own words.
    pub(crate) fn announce(&mut self, length: u64) {
        self.whole.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    /// Hands over as much as there is room for; whether there was anything.
    pub(crate) fn read(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.whole.get(self.read..).unwrap_or_default();
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..length).unwrap_or_default());
        self.read += length;
        if self.read == self.whole.len() {
            (self.whole, self.read) = (Vec::new(), 0);
        }
        length > 0
    }

    /// Takes what is written, and appends the frames of the messages that are whole.
    pub(crate) fn write(&mut self, parts: &[IoSlice<'_>], output: &mut Vec<u8>) {
        for part in parts {
            self.written.extend_from_slice(part);
        }
        let mut rest = &self.written[..];
        while let Some((prefix, behind)) = rest.split_first_chunk::<PREFIX>() {
            let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
            let Some((message, behind)) = behind.split_at_checked(length) else { break };
            output.extend(header(OpCode::Data(Data::Binary), length));
            output.extend_from_slice(message);
            rest = behind;
        }
        self.written = rest.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(messages: &mut Messages, most: usize) -> Vec<u8> {
        let mut room = vec![0; most];
        let mut buffer = ReadBuf::new(&mut room);
        messages.read(&mut buffer);
        buffer.filled().to_vec()
    }

    #[test]
    fn a_message_is_read_behind_its_length_once_it_is_whole() {
        let mut messages = Messages::default();
        messages.take(b"ab", &[]);
        assert_eq!(read(&mut messages, 100), b"");
        messages.take(b"cdefg", &[1, 3, 3]);
        assert_eq!(read(&mut messages, 9), b"\0\0\0\x03abc\0\0");
        assert_eq!(read(&mut messages, 100), b"\0\x02de\0\0\0\0");
        assert_eq!(read(&mut messages, 100), b"", "fg is not whole");
    }

    #[test]
    fn each_message_that_is_written_is_a_frame_however_it_is_cut() {
        let bytes = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d";
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let (mut messages, mut output) = (Messages::default(), Vec::new());
            messages.write(&[IoSlice::new(first)], &mut output);
            messages.write(&[IoSlice::new(second)], &mut output);
            assert_eq!(output, b"\x82\x03abc\x82\0\x82\x01d");
        }
    }
}
