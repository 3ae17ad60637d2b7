use std::borrow::Cow;

use crate::{Command, Version};

/// How header names and values are written in one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// As they are: 1.0, and CONNECT and CONNECTED of every version [STOMP1.2 Value Encoding].
    Plain,
    /// With `\n`, `\c` and `\\` [STOMP1.1 Value Encoding].
    NewlineColon,
    /// With `\r` too [STOMP1.2 Value Encoding].
    All,
}

impl Escaping {
    pub(crate) fn of(version: Version, command: Command) -> Self {
        match (version, command) {
            (_, Command::Connect | Command::Stomp | Command::Connected) | (Version::V1_0, _) => Self::Plain,
            (Version::V1_1, _) => Self::NewlineColon,
            (Version::V1_2, _) => Self::All,
        }
    }

    /// Reads a name or value; `None` for an escape that the version does not define.
    pub(crate) fn unescape(self, text: &str) -> Option<Cow<'_, str>> {
        if self == Self::Plain || !text.contains('\\') {
            return Some(Cow::Borrowed(text));
        }
        let mut plain = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            plain.push(match char {
                '\\' => match chars.next()? {
                    'n' => '\n',
                    'c' => ':',
                    '\\' => '\\',
                    'r' if self == Self::All => '\r',
                    _ => return None,
                },
                char => char,
            });
        }
        Some(Cow::Owned(plain))
    }

    /// Whether a reader would find this header as it is.
    pub(crate) fn carries(self, name: &str, value: &str) -> bool {
        let fits = match self {
            Self::Plain => !name.contains([':', '\n', '\r']) && !value.contains(['\n', '\r']),
            Self::NewlineColon => !name.ends_with('\r') && !value.ends_with('\r'),
            Self::All => true,
        };
        fits && !name.is_empty() && !name.contains('\0') && !value.contains('\0')
    }

    /// Writes a name or value. What cannot be carried becomes a space, so that no text can end its line.
    pub(crate) fn write(self, text: &str, buffer: &mut Vec<u8>) {
        for byte in text.bytes() {
            match (byte, self) {
                (0, _) | (b'\n' | b'\r', Self::Plain) => buffer.push(b' '),
                (b'\n', _) => buffer.extend_from_slice(b"\\n"),
                (b'\\', Self::NewlineColon | Self::All) => buffer.extend_from_slice(b"\\\\"),
                (b':', Self::NewlineColon | Self::All) => buffer.extend_from_slice(b"\\c"),
                (b'\r', Self::All) => buffer.extend_from_slice(b"\\r"),
                (byte, _) => buffer.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_escapes_what_it_defines_and_nothing_else() {
        let written = |escaping: Escaping, text: &str| {
            let mut buffer = Vec::new();
            escaping.write(text, &mut buffer);
            String::from_utf8(buffer).expect("still UTF-8")
        };
        let text = "a:b\\c\nd\re";
        assert_eq!(written(Escaping::All, text), "a\\cb\\\\c\\nd\\re");
        assert_eq!(written(Escaping::NewlineColon, text), "a\\cb\\\\c\\nd\re");
        assert_eq!(written(Escaping::Plain, text), "a:b\\c d e");
        assert_eq!(Escaping::All.unescape("a\\cb\\\\c\\nd\\re").as_deref(), Some(text));
        assert_eq!(Escaping::NewlineColon.unescape("\\r"), None);
        assert_eq!(Escaping::All.unescape("\\t"), None);
        assert_eq!(Escaping::All.unescape("at the end\\"), None);
        assert_eq!(Escaping::Plain.unescape("\\t").as_deref(), Some("\\t"));
    }
}
