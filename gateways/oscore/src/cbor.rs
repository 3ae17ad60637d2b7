//! As much of CBOR as OSCORE writes [RFC8949 3].

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const NULL: u8 = 0xF6;

/// Writes one item after the other.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn array(mut self, length: u64) -> Self {
        self.head(ARRAY, length);
        self
    }

    pub(crate) fn uint(mut self, value: u64) -> Self {
        self.head(UINT, value);
        self
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.head(BYTES, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn bytes_or_null(mut self, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.bytes(value),
            None => {
                self.bytes.push(NULL);
                self
            }
        }
    }

    pub(crate) fn text(mut self, value: &str) -> Self {
        self.head(TEXT, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..=23 => self.bytes.push(major | value as u8),
            24..=0xFF => self.bytes.extend([major | 24, value as u8]),
            0x100..=0xFFFF => {
                self.bytes.push(major | 25);
                self.bytes.extend((value as u16).to_be_bytes());
            }
            0x1_0000..=0xFFFF_FFFF => {
                self.bytes.push(major | 26);
                self.bytes.extend((value as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(major | 27);
                self.bytes.extend(value.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_short_as_it_can_be() {
        let written = |value| Writer::default().uint(value).finish();
        assert_eq!(written(23), [0x17]);
        assert_eq!(written(24), [0x18, 0x18]);
        assert_eq!(written(256), [0x19, 0x01, 0x00]);
        assert_eq!(written(65_536), [0x1A, 0x00, 0x01, 0x00, 0x00]);
        assert_eq!(written(1 << 32), [0x1B, 0, 0, 0, 1, 0, 0, 0, 0]);
        let nested = Writer::default().array(3).bytes(&[1]).bytes_or_null(None).text("Key").finish();
        assert_eq!(nested, b"\x83\x41\x01\xF6\x63Key");
    }
}
