use anyhow::{Context, bail};
use jiff::Zoned;
use mqtt::Received;

use crate::json;

/// How a message is printed: the text behind `-F`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    parts: Vec<Part>,
    pretty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Field(Field, Shape),
    /// What `strftime` makes of the time of printing.
    Time(String),
    /// Nanoseconds of the second.
    Nanoseconds,
}

/// How wide a field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shape {
    left: bool,
    zeros: bool,
    least: usize,
    most: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    TopicAlias,
    ContentType,
    CorrelationData,
    MessageExpiryInterval,
    PayloadFormatIndicator,
    Iso8601,
    Json { quoted: bool },
    Length,
    Id,
    UserProperties,
    Payload,
    Qos,
    ResponseTopic,
    Retain,
    SubscriptionIdentifier,
    Topic,
    UnixTime,
    Hexadecimal { upper: bool },
}

/// What cannot be printed as the format asks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload is not valid JSON on topic {0}")]
pub(crate) struct NotJson(String);

const ISO_8601: &str = "%Y-%m-%dT%H:%M:%S%z";
const JSON_TIME: &str = "%Y-%m-%dT%H:%M:%S.%6f%z";

impl Format {
    /// Takes the text of a format apart.
    pub(crate) fn parse(format: &str, pretty: bool) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            let part = match c {
                '\\' => {
                    text.push(escaped(&mut rest)?);
                    continue;
                }
                '%' if rest.as_str().starts_with('%') => {
                    rest.next();
                    text.push(b'%');
                    continue;
                }
                '@' if rest.as_str().starts_with('@') => {
                    rest.next();
                    text.push(b'@');
                    continue;
                }
                '%' => field(&mut rest)?,
                '@' => time(&mut rest)?,
                c => {
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    continue;
                }
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts, pretty })
    }

    /// Appends a message. What is not JSON where JSON is asked for is left out, and told.
    pub(crate) fn write(&self, message: &Received, out: &mut Vec<u8>) -> Result<(), NotJson> {
        let now = Zoned::now();
        let mut result = Ok(());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Time(format) => out.extend_from_slice(now.strftime(format).to_string().as_bytes()),
                Part::Nanoseconds => {
                    out.extend_from_slice(format!("{:09}", now.subsec_nanosecond()).as_bytes());
                }
                Part::Field(field @ Field::Json { quoted }, _) => match self.json(message, &now, *quoted) {
                    Some(json) => out.extend_from_slice(json.as_bytes()),
                    None => {
                        debug_assert!(matches!(field, Field::Json { quoted: false }));
                        result = Err(NotJson(message.publish.topic.as_str().to_owned()));
                    }
                },
                Part::Field(field, shape) => shape.write(*field, &value(*field, message, &now), out),
            }
        }
        result
    }

    fn json(&self, message: &Received, now: &Zoned, quoted: bool) -> Option<String> {
        let bytes = &message.publish.payload;
        let payload = match quoted {
            _ if bytes.is_empty() => "null".to_owned(),
            true => json::text(&String::from_utf8_lossy(bytes)),
            false => json::minified(bytes)?,
        };
        let json = json::message(message, &now.strftime(JSON_TIME).to_string(), &payload);
        Some(if self.pretty { json::pretty(&json) } else { json })
    }
}

fn escaped(rest: &mut std::str::Chars<'_>) -> anyhow::Result<u8> {
    Ok(match rest.next().context("the format ends with a lone \\")? {
        '\\' => b'\\',
        '0' => 0,
        'a' => 7,
        'e' => 27,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        other => bail!("\\{other} means nothing in a format: there are \\\\ \\0 \\a \\e \\n \\r \\t \\v"),
    })
}

fn time(rest: &mut std::str::Chars<'_>) -> anyhow::Result<Part> {
    let letter = rest.next().context("the format ends with a lone @")?;
    if letter == 'N' {
        return Ok(Part::Nanoseconds);
    }
    let format = format!("%{letter}");
    // A letter that means nothing is found here, not at the first message.
    match jiff::fmt::strtime::format(&format, &Zoned::now()) {
        Ok(_) => Ok(Part::Time(format)),
        Err(_) => bail!("@{letter} is no part of a time; see strftime(3)"),
    }
}

fn field(rest: &mut std::str::Chars<'_>) -> anyhow::Result<Part> {
    let mut shape = Shape::default();
    loop {
        match rest.as_str().as_bytes().first() {
            Some(b'0') => shape.zeros = true,
            Some(b'-') => shape.left = true,
            _ => break,
        }
        rest.next();
    }
    shape.least = number(rest)?.unwrap_or(0);
    if rest.as_str().starts_with('.') {
        rest.next();
        shape.most = Some(number(rest)?.context("a number belongs behind the . of a width")?);
    }
    let letter = rest.next().context("the format ends with a lone %")?;
    let field = match letter {
        'A' => Field::TopicAlias,
        'C' => Field::ContentType,
        'D' => Field::CorrelationData,
        'E' => Field::MessageExpiryInterval,
        'F' => Field::PayloadFormatIndicator,
        'I' => Field::Iso8601,
        'j' => Field::Json { quoted: true },
        'J' => Field::Json { quoted: false },
        'l' => Field::Length,
        'm' => Field::Id,
        'P' => Field::UserProperties,
        'p' => Field::Payload,
        'q' => Field::Qos,
        'R' => Field::ResponseTopic,
        'r' => Field::Retain,
        'S' => Field::SubscriptionIdentifier,
        't' => Field::Topic,
        'U' => Field::UnixTime,
        'x' => Field::Hexadecimal { upper: false },
        'X' => Field::Hexadecimal { upper: true },
        other => bail!(
            "%{other} means nothing in a format: there are %% and % with A C D E F I J P R S U X j l m p q r t x"
        ),
    };
    Ok(Part::Field(field, shape))
}

/// The widest field there can be.
const WIDEST: usize = 10_000;

fn number(rest: &mut std::str::Chars<'_>) -> anyhow::Result<Option<usize>> {
    let text = rest.as_str();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, behind) = text.split_at(digits);
    *rest = behind.chars();
    if number.is_empty() {
        return Ok(None);
    }
    let width = number.parse().ok().filter(|width| *width <= WIDEST);
    width.map(Some).with_context(|| format!("a field is at most {WIDEST} wide"))
}

fn value(field: Field, message: &Received, now: &Zoned) -> Vec<u8> {
    let publish = &message.publish;
    let metadata = publish.metadata.as_deref();
    match field {
        Field::TopicAlias => message.alias.map_or_else(String::new, |alias| alias.to_string()).into(),
        Field::ContentType => {
            metadata.and_then(|said| said.content_type.as_deref()).unwrap_or_default().into()
        }
        Field::CorrelationData => {
            metadata.and_then(|said| said.correlation.as_deref()).unwrap_or_default().into()
        }
        Field::MessageExpiryInterval => {
            publish.expiry.map_or_else(String::new, |expiry| expiry.as_secs().to_string()).into()
        }
        Field::PayloadFormatIndicator if metadata.is_some_and(|said| said.utf8) => b"1".into(),
        Field::PayloadFormatIndicator | Field::Json { .. } => Vec::new(),
        Field::Iso8601 => now.strftime(ISO_8601).to_string().into(),
        Field::Length => publish.payload.len().to_string().into(),
        Field::Id => message.id().map_or(0, mqtt::PacketId::get).to_string().into(),
        Field::UserProperties => {
            let pairs = metadata.map_or(&[][..], |said| &said.user_properties);
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            pairs.join(" ").into()
        }
        Field::Payload => publish.payload.to_vec(),
        Field::Qos => vec![b'0' + publish.qos.level()],
        Field::ResponseTopic => {
            let topic = metadata.and_then(|said| said.response_topic.as_ref());
            topic.map_or("", |topic| topic.as_str()).into()
        }
        Field::Retain => vec![b'0' + u8::from(publish.retain)],
        Field::SubscriptionIdentifier => {
            let ids: Vec<_> = message.subscriptions.iter().map(u32::to_string).collect();
            ids.join(" ").into()
        }
        Field::Topic => publish.topic.as_str().into(),
        Field::UnixTime => format!("{}.{:09}", now.timestamp().as_second(), now.subsec_nanosecond()).into(),
        Field::Hexadecimal { upper } => hexadecimal(&publish.payload, upper),
    }
}

fn hexadecimal(bytes: &[u8], upper: bool) -> Vec<u8> {
    let digit = |value: u8| match value {
        0..=9 => b'0' + value,
        _ if upper => b'A' + value - 10,
        _ => b'a' + value - 10,
    };
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Field {
    /// Whether it may be padded with zeros.
    fn is_number(self) -> bool {
        matches!(
            self,
            Self::TopicAlias
                | Self::MessageExpiryInterval
                | Self::PayloadFormatIndicator
                | Self::Length
                | Self::Id
                | Self::SubscriptionIdentifier
                | Self::Hexadecimal { .. }
        )
    }

    /// Whether it may be cut.
    fn is_text(self) -> bool {
        matches!(self, Self::ContentType | Self::Iso8601 | Self::ResponseTopic | Self::Topic)
    }
}

impl Shape {
    fn write(&self, field: Field, value: &[u8], out: &mut Vec<u8>) {
        let most = self.most.filter(|_| field.is_text()).unwrap_or(usize::MAX);
        let value = value.get(..cut(value, most)).unwrap_or(value);
        // The width of text is that of its characters.
        let width = std::str::from_utf8(value).map_or(value.len(), |text| text.chars().count());
        let pad = self.least.saturating_sub(width);
        let with = if self.zeros && field.is_number() { b'0' } else { b' ' };
        if !self.left {
            out.resize(out.len() + pad, with);
        }
        out.extend_from_slice(value);
        if self.left {
            out.resize(out.len() + pad, b' ');
        }
    }
}

/// How many bytes the first `most` characters have.
fn cut(value: &[u8], most: usize) -> usize {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.char_indices().nth(most).map_or(value.len(), |(index, _)| index)
}

#[cfg(test)]
mod tests;
