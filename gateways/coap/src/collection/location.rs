use std::fmt::Write;

use bus::Topic;

/// Where a topic's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DataLocation {
    /// At `ps/{topic}`.
    Here(Topic),
    /// On another server, which is no business of this one [PUBSUB 2.2.1].
    Elsewhere,
}

/// What is wrong with a topic's name, or with the place of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LocationError {
    #[error("The topic-name is no topic name: it is empty, too long, or has U+0000 or a wildcard in it.")]
    Name,
    #[error("A topic-name that begins with $ is the server's.")]
    Reserved,
    #[error("No path can name the topic: a level of it is ., .. or longer than 255 bytes.")]
    Unreachable,
    #[error(
        "The topic-data is no URI, or names a resource that this server has not: it is /ps/{{topic}} here."
    )]
    Foreign,
}

/// The longest Uri-Path option.
const LONGEST_SEGMENT: usize = 255;

/// Takes a topic-name for the topic that it names; MQTT knows it by the same name.
pub(crate) fn parse_name(name: &str, most_levels: usize) -> Result<Topic, LocationError> {
    let topic = Topic::parse(name).map_err(|_| LocationError::Name)?;
    if name.starts_with('$') {
        return Err(LocationError::Reserved);
    }
    let reachable = |level: &str| level.len() <= LONGEST_SEGMENT && !matches!(level, "." | "..");
    if !topic.levels().all(reachable) {
        return Err(LocationError::Unreachable); // [RFC3986 5.2.4], [RFC7252 5.10.1]
    }
    if topic.levels().count() > most_levels {
        return Err(LocationError::Name);
    }
    Ok(topic)
}

/// Where the data is of a topic whose creator says so.
pub(crate) fn parse_data(uri: &str, most_levels: usize) -> Result<DataLocation, LocationError> {
    if has_authority(uri) {
        let clean = uri.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
        return if clean { Ok(DataLocation::Elsewhere) } else { Err(LocationError::Foreign) };
    }
    let path = uri.strip_prefix("/ps/").filter(|path| !path.contains(['?', '#']));
    let name = path.and_then(decode).ok_or(LocationError::Foreign)?;
    parse_name(&name, most_levels).map(DataLocation::Here)
}

/// The path of a topic's data [RFC3986 3.3].
pub(crate) fn data_path(topic: &Topic) -> String {
    let mut path = String::from("/ps");
    for level in topic.levels() {
        path.push('/');
        encode(level, &mut path);
    }
    path
}

/// Whether a reference names its server: `//host/…`, or with a scheme.
fn has_authority(uri: &str) -> bool {
    let rest = uri.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    });
    rest.map_or(uri, |(_, rest)| rest).strip_prefix("//").is_some_and(|rest| !rest.is_empty())
}

fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        // pchar; what else there is comes as %XX
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
            to.push(char::from(byte));
        } else {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let (digits, behind) = behind.split_at_checked(2)?;
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| valid)?);
        rest = behind;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(uri: &str) -> Option<String> {
        match parse_data(uri, 128) {
            Ok(DataLocation::Here(topic)) => Some(topic.as_str().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_topic_and_the_path_of_its_data_are_found_from_each_other() {
        let cases = [
            ("room/temp", "/ps/room/temp"),
            ("a b/\u{FC}", "/ps/a%20b/%C3%BC"),
            ("/a//b/", "/ps//a//b/"),
            ("100%/a?b", "/ps/100%25/a%3Fb"),
            ("x<y>", "/ps/x%3Cy%3E"),
        ];
        for (name, path) in cases {
            assert_eq!(data_path(&parse_name(name, 128).unwrap()), path);
            assert_eq!(here(path).as_deref(), Some(name));
        }
        assert_eq!(here("/ps/a%2Fb").as_deref(), Some("a/b"), "as the request with that segment is read");
    }

    #[test]
    fn a_name_that_is_no_topic_or_that_no_path_can_have_is_refused() {
        for name in ["", "a/+", "#", "a\0", &"x".repeat(65_536)] {
            assert_eq!(parse_name(name, 128), Err(LocationError::Name), "{name}");
        }
        for name in ["$SYS/x", "$share/g/t"] {
            assert_eq!(parse_name(name, 128), Err(LocationError::Reserved), "{name}");
        }
        for name in ["a/../b", ".", &"x".repeat(256)] {
            assert_eq!(parse_name(name, 128), Err(LocationError::Unreachable), "{name}");
        }
        assert_eq!(parse_name("a/b/c", 2), Err(LocationError::Name));
    }

    #[test]
    fn data_may_be_on_another_server_but_not_anywhere_here() {
        for uri in ["coap://other.example/data/7", "coaps+tcp://[2001:db8::1]/x?y", "//other/x"] {
            assert_eq!(parse_data(uri, 128), Ok(DataLocation::Elsewhere), "{uri}");
        }
        for uri in [
            "", "/", "/ps", "/data/7", "ps/a", "/ps/a?b", "/ps/%", "/ps/%zz", "/ps/%FF", "coap:", "//",
            "//a b", "//a>",
        ] {
            assert_eq!(parse_data(uri, 128), Err(LocationError::Foreign), "{uri}");
        }
        assert_eq!(parse_data("/ps/", 128), Err(LocationError::Name));
        assert_eq!(parse_data("/ps/a/%2B", 128), Err(LocationError::Name));
    }
}
