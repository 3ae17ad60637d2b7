use std::fmt::Write;

use mqtt::Received;

/// A message as one JSON object, with a payload that is JSON already.
pub(crate) fn message(message: &Received, time: &str, payload: &str) -> String {
    let publish = &message.publish;
    let mut json = format!(
        "{{\"tst\":{},\"topic\":{},\"qos\":{},\"retain\":{},\"payloadlen\":{},",
        text(time),
        text(publish.topic.as_str()),
        publish.qos.level(),
        u8::from(publish.retain),
        publish.payload.len()
    );
    if let Some(id) = message.id() {
        let _ = write!(json, "\"mid\":{id},");
    }
    let properties = properties(message);
    if !properties.is_empty() {
        let _ = write!(json, "\"properties\":{{{}}},", properties.join(","));
    }
    let _ = write!(json, "\"payload\":{payload}}}");
    json
}

fn properties(message: &Received) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(expiry) = message.publish.expiry {
        all.push(format!("\"message-expiry-interval\":{}", expiry.as_secs()));
    }
    if let Some(metadata) = &message.publish.metadata {
        if metadata.utf8 {
            all.push("\"payload-format-indicator\":1".to_owned());
        }
        if let Some(name) = &metadata.content_type {
            all.push(format!("\"content-type\":{}", text(name)));
        }
        if let Some(topic) = &metadata.response_topic {
            all.push(format!("\"response-topic\":{}", text(topic.as_str())));
        }
        if let Some(data) = &metadata.correlation {
            all.push(format!("\"correlation-data\":{}", text(&String::from_utf8_lossy(data))));
        }
        if !metadata.user_properties.is_empty() {
            let pairs = metadata.user_properties.iter();
            let pairs: Vec<_> =
                pairs.map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
            all.push(format!("\"user-properties\":{{{}}}", pairs.join(",")));
        }
    }
    if let Some(alias) = message.alias {
        all.push(format!("\"topic-alias\":{alias}"));
    }
    match message.subscriptions.as_slice() {
        [] => {}
        [id] => all.push(format!("\"subscription-identifier\":{id}")),
        ids => all.push(format!("\"subscription-identifier\":{ids:?}").replace(' ', "")),
    }
    all
}

/// A text as JSON.
pub(crate) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The payload, if it is JSON, as it stands but for the white space between its parts.
pub(crate) fn minified(payload: &[u8]) -> Option<String> {
    let payload = std::str::from_utf8(payload).ok()?;
    serde_json::from_str::<serde::de::IgnoredAny>(payload).ok()?;
    let mut out = String::with_capacity(payload.len());
    for part in parts(payload) {
        out.push_str(part);
    }
    Some(out)
}

/// JSON over many lines, a tab for each depth; arrays stay on theirs.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut open = Vec::new();
    let mut parts = parts(json).peekable();
    while let Some(part) = parts.next() {
        match part {
            "{" if parts.peek() == Some(&"}") => open.push(false),
            "{" => {
                open.push(true);
                new_line(&mut out, part, depth(&open));
                continue;
            }
            "[" => open.push(false),
            "}" if open.pop() == Some(true) => new_line(&mut out, "", depth(&open)),
            "]" => {
                open.pop();
            }
            "," if open.last() == Some(&true) => {
                new_line(&mut out, part, depth(&open));
                continue;
            }
            "," => {
                out.push_str(", ");
                continue;
            }
            ":" => {
                out.push_str(":\t");
                continue;
            }
            _ => {}
        }
        out.push_str(part);
    }
    out
}

fn depth(open: &[bool]) -> usize {
    open.iter().filter(|object| **object).count()
}

fn new_line(out: &mut String, end: &str, depth: usize) {
    out.push_str(end);
    out.push('\n');
    out.extend(std::iter::repeat_n('\t', depth));
}

/// The marks, strings, numbers and words of valid JSON, without the white space between them.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let length = match rest.as_bytes().first()? {
            b'"' => string_length(rest),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => {
                let ends = |byte: u8| matches!(byte, b'}' | b']' | b',' | b':') || byte.is_ascii_whitespace();
                rest.bytes().position(ends).unwrap_or(rest.len())
            }
        };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        Some(part)
    })
}

fn string_length(json: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_kept_but_for_white_space() {
        let json = b" {\"b\" : [1, 2.50,\n\"x \\\" y\"], \"a\": {} } ";
        assert_eq!(minified(json).as_deref(), Some("{\"b\":[1,2.50,\"x \\\" y\"],\"a\":{}}"));
        for wrong in [&b"{"[..], b"", b"a", b"{} {}", b"\"\xFF\""] {
            assert_eq!(minified(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn pretty_json_has_a_line_for_each_member() {
        let pretty = pretty("{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":{},\"e\":\"x,y\"}");
        let expected = "{\n\t\"a\":\t{\n\t\t\"b\":\t[1, {\n\t\t\t\"c\":\tnull\n\t\t}]\n\t},\n\t\"d\":\t{},\n\t\"e\":\t\"x,y\"\n}";
        assert_eq!(pretty, expected);
    }
}
