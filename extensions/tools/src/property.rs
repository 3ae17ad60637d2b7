use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bus::{EnhancedAuthentication, Metadata, Publish, SessionExpiry, Topic, UserProperty, Will};
use bytes::Bytes;
use mqtt::ClientOptions;

use crate::words::SEPARATOR;

/// What `-D COMMAND NAME VALUE` adds to the packets of MQTT 5.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties(Vec<(Packet, Property)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packet {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Will,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Property {
    AuthenticationData(Bytes),
    AuthenticationMethod(String),
    ContentType(String),
    CorrelationData(Bytes),
    MaximumPacketSize(u32),
    MessageExpiryInterval(u32),
    PayloadFormatIndicator(bool),
    ReceiveMaximum(u16),
    RequestProblemInformation(bool),
    RequestResponseInformation(bool),
    ResponseTopic(Topic),
    SessionExpiryInterval(u32),
    SubscriptionIdentifier(u32),
    TopicAliasMaximum(u16),
    User(String, String),
    WillDelayInterval(u32),
}

/// The names that each packet takes.
const CONNECT: &[&str] = &[
    "authentication-data",
    "authentication-method",
    "maximum-packet-size",
    "receive-maximum",
    "request-problem-information",
    "request-response-information",
    "session-expiry-interval",
    "topic-alias-maximum",
    "user-property",
];
const PUBLISH: &[&str] = &[
    "content-type",
    "correlation-data",
    "message-expiry-interval",
    "payload-format-indicator",
    "response-topic",
    "user-property",
];
const SUBSCRIBE: &[&str] = &["subscription-identifier", "user-property"];
const UNSUBSCRIBE: &[&str] = &["user-property"];
const DISCONNECT: &[&str] = &["session-expiry-interval", "user-property"];
const WILL: &[&str] = &[
    "content-type",
    "correlation-data",
    "message-expiry-interval",
    "payload-format-indicator",
    "response-topic",
    "user-property",
    "will-delay-interval",
];

impl Properties {
    /// Reads what the command line gave, each as one word.
    pub(crate) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let parsed = words
            .iter()
            .map(|word| parse(word).with_context(|| format!("-D {}", word.replace(SEPARATOR, " "))));
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, packet: Packet) -> impl Iterator<Item = &Property> {
        self.0.iter().filter(move |(of, _)| *of == packet).map(|(_, property)| property)
    }

    fn user(&self, packet: Packet) -> Vec<UserProperty> {
        let pairs = self.of(packet).filter_map(|property| match property {
            Property::User(name, value) => Some((name.as_str().into(), value.as_str().into())),
            _ => None,
        });
        pairs.collect()
    }

    pub(crate) fn connect(&self, options: &mut ClientOptions) -> anyhow::Result<()> {
        let (mut method, mut data) = (None, Bytes::new());
        for property in self.of(Packet::Connect) {
            match property {
                Property::AuthenticationMethod(name) => method = Some(name.as_str()),
                Property::AuthenticationData(bytes) => data = bytes.clone(),
                Property::MaximumPacketSize(size) => options.packet_maximum = *size as usize,
                Property::ReceiveMaximum(maximum) => options.receive_maximum = *maximum,
                Property::RequestProblemInformation(yes) => options.request_problem_information = *yes,
                Property::RequestResponseInformation(yes) => options.request_response_information = *yes,
                Property::SessionExpiryInterval(seconds) => options.session_expiry = expiry(*seconds),
                Property::TopicAliasMaximum(maximum) => options.topic_alias_maximum = *maximum,
                _ => {}
            }
        }
        ensure!(method.is_some() || data.is_empty(), "authentication-data need an authentication-method");
        options.authentication = method.map(|method| EnhancedAuthentication { method: method.into(), data });
        options.said = self.user(Packet::Connect);
        Ok(())
    }

    pub(crate) fn publish(&self, publish: &mut Publish) {
        self.message(Packet::Publish, publish);
    }

    pub(crate) fn will(&self, will: &mut Will) {
        self.message(Packet::Will, &mut will.publish);
        for property in self.of(Packet::Will) {
            if let Property::WillDelayInterval(seconds) = property {
                will.delay = Duration::from_secs((*seconds).into());
            }
        }
    }

    fn message(&self, packet: Packet, publish: &mut Publish) {
        let mut metadata = Metadata { user_properties: self.user(packet), ..Metadata::default() };
        for property in self.of(packet) {
            match property {
                Property::ContentType(text) => metadata.content_type = Some(text.as_str().into()),
                Property::CorrelationData(bytes) => metadata.correlation = Some(bytes.clone()),
                Property::MessageExpiryInterval(seconds) => {
                    publish.expiry = Some(Duration::from_secs((*seconds).into()));
                }
                Property::PayloadFormatIndicator(utf8) => metadata.utf8 = *utf8,
                Property::ResponseTopic(topic) => metadata.response_topic = Some(topic.clone()),
                _ => {}
            }
        }
        publish.metadata = metadata.boxed();
    }

    pub(crate) fn identifier(&self) -> Option<u32> {
        self.of(Packet::Subscribe).find_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(*id),
            _ => None,
        })
    }

    pub(crate) fn subscribe(&self) -> Vec<UserProperty> {
        self.user(Packet::Subscribe)
    }

    pub(crate) fn unsubscribe(&self) -> Vec<UserProperty> {
        self.user(Packet::Unsubscribe)
    }

    pub(crate) fn farewell(&self) -> dial::Farewell {
        let session_expiry = self.of(Packet::Disconnect).find_map(|property| match property {
            Property::SessionExpiryInterval(seconds) => Some(expiry(*seconds)),
            _ => None,
        });
        dial::Farewell { publish_will: false, session_expiry, said: self.user(Packet::Disconnect) }
    }
}

/// The session's life that a number of seconds stands for [MQTT5 3.1.2.11.2].
pub(crate) fn expiry(seconds: u32) -> SessionExpiry {
    match seconds {
        0 => SessionExpiry::AtOnce,
        u32::MAX => SessionExpiry::Never,
        seconds => SessionExpiry::After(Duration::from_secs(seconds.into())),
    }
}

fn parse(word: &str) -> anyhow::Result<(Packet, Property)> {
    let mut parts = word.split(SEPARATOR);
    let mut part = |what: &str| {
        parts.next().filter(|part| !part.is_empty()).with_context(|| format!("{what} is missing"))
    };
    let command = part("the packet")?.to_ascii_lowercase();
    let (packet, names) = match command.as_str() {
        "connect" => (Packet::Connect, CONNECT),
        "publish" => (Packet::Publish, PUBLISH),
        "subscribe" => (Packet::Subscribe, SUBSCRIBE),
        "unsubscribe" => (Packet::Unsubscribe, UNSUBSCRIBE),
        "disconnect" => (Packet::Disconnect, DISCONNECT),
        "will" => (Packet::Will, WILL),
        other => bail!(
            "properties can be given to connect, publish, subscribe, unsubscribe, disconnect and will, not to {other:?}"
        ),
    };
    let name = part("the name of the property")?;
    ensure!(names.contains(&name), "{command} takes {}, not {name:?}", names.join(", "));
    let value = parts.next().context("the value is missing")?;
    let property = match name {
        "authentication-data" => Property::AuthenticationData(value.to_owned().into()),
        "authentication-method" => Property::AuthenticationMethod(value.to_owned()),
        "content-type" => Property::ContentType(value.to_owned()),
        "correlation-data" => Property::CorrelationData(value.to_owned().into()),
        "maximum-packet-size" => Property::MaximumPacketSize(number(value, 1)?),
        "message-expiry-interval" => Property::MessageExpiryInterval(number(value, 0)?),
        "payload-format-indicator" => Property::PayloadFormatIndicator(flag(value)?),
        "receive-maximum" => Property::ReceiveMaximum(number(value, 1)?),
        "request-problem-information" => Property::RequestProblemInformation(flag(value)?),
        "request-response-information" => Property::RequestResponseInformation(flag(value)?),
        "response-topic" => {
            Property::ResponseTopic(Topic::parse(value).with_context(|| format!("the topic {value:?}"))?)
        }
        "session-expiry-interval" => Property::SessionExpiryInterval(number(value, 0)?),
        "subscription-identifier" => {
            let id = number(value, 1)?;
            ensure!(id <= 268_435_455, "a subscription identifier is at most 268435455");
            Property::SubscriptionIdentifier(id)
        }
        "topic-alias-maximum" => Property::TopicAliasMaximum(number(value, 0)?),
        "will-delay-interval" => Property::WillDelayInterval(number(value, 0)?),
        _ => Property::User(value.to_owned(), parts.next().context("the value is missing")?.to_owned()),
    };
    Ok((packet, property))
}

fn number<T: FromStr + PartialOrd + From<u8>>(text: &str, least: u8) -> anyhow::Result<T> {
    let bits = size_of::<T>() * 8;
    let number = text.parse().ok().filter(|number| *number >= T::from(least));
    number.with_context(|| format!("{text:?} is no number from {least} to {}", u64::MAX >> (64 - bits)))
}

fn flag(text: &str) -> anyhow::Result<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => bail!("{text:?} is neither 0 nor 1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(words: &[&str]) -> anyhow::Result<Properties> {
        Properties::parse(&words.iter().map(|word| word.replace(' ', "\0")).collect::<Vec<_>>())
    }

    #[test]
    fn properties_reach_the_packets_they_were_given_to() {
        let properties = properties(&[
            "publish content-type text/plain",
            "PUBLISH user-property k v",
            "publish message-expiry-interval 7",
            "connect receive-maximum 3",
            "connect session-expiry-interval 4294967295",
            "will will-delay-interval 9",
            "subscribe subscription-identifier 11",
            "disconnect session-expiry-interval 5",
        ]);
        let properties = properties.unwrap();
        let topic = Topic::parse("a").unwrap();
        let mut publish = Publish::new(topic, "", bus::Qos::AtMostOnce);
        properties.publish(&mut publish);
        let metadata = publish.metadata.clone().unwrap();
        assert_eq!(metadata.content_type.as_deref(), Some("text/plain"));
        assert_eq!(metadata.user_properties, [("k".into(), "v".into())]);
        assert_eq!(publish.expiry, Some(Duration::from_secs(7)));
        let mut options = ClientOptions::new(mqtt::Version::V5, "");
        properties.connect(&mut options).unwrap();
        assert_eq!((options.receive_maximum, options.session_expiry), (3, SessionExpiry::Never));
        let mut will = Will { publish, delay: Duration::ZERO };
        properties.will(&mut will);
        assert_eq!((will.delay.as_secs(), will.publish.metadata), (9, None));
        assert_eq!(properties.identifier(), Some(11));
        assert_eq!(properties.farewell().session_expiry, Some(SessionExpiry::After(Duration::from_secs(5))));
    }

    #[test]
    fn a_property_that_cannot_be_is_refused_with_its_fault() {
        for (word, fault) in [
            ("", "the packet is missing"),
            ("puback user-property a b", "not to \"puback\""),
            ("publish", "the name of the property is missing"),
            ("publish will-delay-interval 1", "not \"will-delay-interval\""),
            ("publish content-type", "the value is missing"),
            ("publish user-property a", "the value is missing"),
            ("connect receive-maximum 0", "no number from 1 to 65535"),
            ("connect maximum-packet-size 4294967296", "no number from 1 to 4294967295"),
            ("publish payload-format-indicator 2", "neither 0 nor 1"),
            ("publish response-topic a/#", "misplaced wildcard"),
        ] {
            let said = format!("{:#}", properties(&[word]).unwrap_err());
            assert!(said.contains(fault), "{word}: {said}");
        }
    }
}
