//! Percent-encoding [RFC3986 2.1].

use std::fmt::Write;

/// Text as one segment of a path.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// What was encoded, if it is text.
pub(crate) fn decode(encoded: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), encoded.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_and_what_is_no_code_is_refused() {
        assert_eq!(encode("a/b c%é"), "a%2Fb%20c%25%C3%A9");
        for text in ["", "a/b c%é", "?&=#+"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        for wrong in ["%", "%2", "%G0", "%FF"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
