use bus::Qos;

use super::read::Reader;
use super::{DecodeError, EncodeError, write};

/// One property of an MQTT 5 packet [MQTT5 2.2.2.2].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'a> {
    /// 1: whether the payload is UTF-8 text.
    PayloadFormatIndicator(bool),
    /// 2: seconds for which the message is worth delivering.
    MessageExpiryInterval(u32),
    /// 3: the media type of the payload.
    ContentType(&'a str),
    /// 8: where an answer is awaited.
    ResponseTopic(&'a str),
    /// 9: what the answer shall repeat.
    CorrelationData(&'a [u8]),
    /// 11: the number of a subscription, at least 1.
    SubscriptionIdentifier(u32),
    /// 17: seconds for which the session outlives the connection.
    SessionExpiryInterval(u32),
    /// 18: the client id that the server chose.
    AssignedClientIdentifier(&'a str),
    /// 19: seconds of keep alive that the server orders.
    ServerKeepAlive(u16),
    /// 21: the method of an enhanced authentication.
    AuthenticationMethod(&'a str),
    /// 22: the data of one step of it.
    AuthenticationData(&'a [u8]),
    /// 23: whether reason strings are welcome.
    RequestProblemInformation(bool),
    /// 24: seconds to wait before the will is published.
    WillDelayInterval(u32),
    /// 25: whether response information is asked for.
    RequestResponseInformation(bool),
    /// 26: what response topics may be made of.
    ResponseInformation(&'a str),
    /// 28: the server to use instead.
    ServerReference(&'a str),
    /// 31: the reason in words.
    ReasonString(&'a str),
    /// 33: how many publishes above QoS 0 may be unacknowledged, at least 1.
    ReceiveMaximum(u16),
    /// 34: the highest topic alias that is taken.
    TopicAliasMaximum(u16),
    /// 35: the number that stands for a topic, at least 1.
    TopicAlias(u16),
    /// 36: the largest QoS, 0 or 1.
    MaximumQos(Qos),
    /// 37: whether messages can be retained.
    RetainAvailable(bool),
    /// 38: a name and its value.
    UserProperty(&'a str, &'a str),
    /// 39: the largest packet that is taken, at least 1.
    MaximumPacketSize(u32),
    /// 40: whether filters may have wildcards.
    WildcardSubscriptionAvailable(bool),
    /// 41: whether subscriptions may have numbers.
    SubscriptionIdentifierAvailable(bool),
    /// 42: whether subscriptions may be shared.
    SharedSubscriptionAvailable(bool),
}

/// Where properties stand, as one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    pub(crate) const CONNECT: Self = Self(1);
    pub(crate) const WILL: Self = Self(1 << 1);
    pub(crate) const CONNACK: Self = Self(1 << 2);
    pub(crate) const PUBLISH: Self = Self(1 << 3);
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    pub(crate) const ACK: Self = Self(1 << 4);
    pub(crate) const SUBSCRIBE: Self = Self(1 << 5);
    pub(crate) const UNSUBSCRIBE: Self = Self(1 << 6);
    pub(crate) const DISCONNECT: Self = Self(1 << 7);
    pub(crate) const AUTH: Self = Self(1 << 8);
    const ANY: Self = Self((1 << 9) - 1);

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl<'a> Property<'a> {
    pub(crate) fn read(input: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(match input.u8()? {
            1 => Self::PayloadFormatIndicator(flag(input)?),
            2 => Self::MessageExpiryInterval(input.u32()?),
            3 => Self::ContentType(input.string()?),
            8 => Self::ResponseTopic(input.string().and_then(topic)?),
            9 => Self::CorrelationData(input.binary()?),
            11 => Self::SubscriptionIdentifier(input.variable().and_then(above_zero)?),
            17 => Self::SessionExpiryInterval(input.u32()?),
            18 => Self::AssignedClientIdentifier(input.string()?),
            19 => Self::ServerKeepAlive(input.u16()?),
            21 => Self::AuthenticationMethod(input.string()?),
            22 => Self::AuthenticationData(input.binary()?),
            23 => Self::RequestProblemInformation(flag(input)?),
            24 => Self::WillDelayInterval(input.u32()?),
            25 => Self::RequestResponseInformation(flag(input)?),
            26 => Self::ResponseInformation(input.string()?),
            28 => Self::ServerReference(input.string()?),
            31 => Self::ReasonString(input.string()?),
            33 => Self::ReceiveMaximum(input.u16().and_then(above_zero)?),
            34 => Self::TopicAliasMaximum(input.u16()?),
            35 => Self::TopicAlias(input.u16().and_then(|alias| {
                above_zero(alias).map_err(|_| DecodeError::TopicAlias) // [MQTT-3.3.2-8]
            })?),
            36 => Self::MaximumQos(if flag(input)? { Qos::AtLeastOnce } else { Qos::AtMostOnce }),
            37 => Self::RetainAvailable(flag(input)?),
            38 => Self::UserProperty(input.string()?, input.string()?),
            39 => Self::MaximumPacketSize(input.u32().and_then(above_zero)?),
            40 => Self::WildcardSubscriptionAvailable(flag(input)?),
            41 => Self::SubscriptionIdentifierAvailable(flag(input)?),
            42 => Self::SharedSubscriptionAvailable(flag(input)?),
            _ => return Err(DecodeError::PropertyUnknown),
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(self.identifier());
        match *self {
            Self::PayloadFormatIndicator(yes)
            | Self::RequestProblemInformation(yes)
            | Self::RequestResponseInformation(yes)
            | Self::RetainAvailable(yes)
            | Self::WildcardSubscriptionAvailable(yes)
            | Self::SubscriptionIdentifierAvailable(yes)
            | Self::SharedSubscriptionAvailable(yes) => out.push(yes.into()),
            Self::MaximumQos(qos) => out.push(qos.level().min(1)),
            Self::ServerKeepAlive(number)
            | Self::ReceiveMaximum(number)
            | Self::TopicAliasMaximum(number)
            | Self::TopicAlias(number) => write::u16(out, number),
            Self::MessageExpiryInterval(number)
            | Self::SessionExpiryInterval(number)
            | Self::WillDelayInterval(number)
            | Self::MaximumPacketSize(number) => write::u32(out, number),
            Self::SubscriptionIdentifier(number) => {
                let number = number as usize;
                if number > write::LONGEST {
                    return Err(EncodeError::FieldTooLong);
                }
                write::variable(out, number);
            }
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => write::binary(out, bytes)?,
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => write::binary(out, text.as_bytes())?,
            Self::UserProperty(name, value) => {
                write::binary(out, name.as_bytes())?;
                write::binary(out, value.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Bytes that the property takes, its identifier included.
    pub(crate) fn length(&self) -> usize {
        match *self {
            Self::PayloadFormatIndicator(_)
            | Self::RequestProblemInformation(_)
            | Self::RequestResponseInformation(_)
            | Self::RetainAvailable(_)
            | Self::WildcardSubscriptionAvailable(_)
            | Self::SubscriptionIdentifierAvailable(_)
            | Self::SharedSubscriptionAvailable(_)
            | Self::MaximumQos(_) => 2,
            Self::ServerKeepAlive(_)
            | Self::ReceiveMaximum(_)
            | Self::TopicAliasMaximum(_)
            | Self::TopicAlias(_) => 3,
            Self::MessageExpiryInterval(_)
            | Self::SessionExpiryInterval(_)
            | Self::WillDelayInterval(_)
            | Self::MaximumPacketSize(_) => 5,
            Self::SubscriptionIdentifier(number) => 1 + write::variable_length(number as usize),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => 3 + bytes.len(),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => 3 + text.len(),
            Self::UserProperty(name, value) => 5 + name.len() + value.len(),
        }
    }

    pub(crate) fn identifier(&self) -> u8 {
        match self {
            Self::PayloadFormatIndicator(_) => 1,
            Self::MessageExpiryInterval(_) => 2,
            Self::ContentType(_) => 3,
            Self::ResponseTopic(_) => 8,
            Self::CorrelationData(_) => 9,
            Self::SubscriptionIdentifier(_) => 11,
            Self::SessionExpiryInterval(_) => 17,
            Self::AssignedClientIdentifier(_) => 18,
            Self::ServerKeepAlive(_) => 19,
            Self::AuthenticationMethod(_) => 21,
            Self::AuthenticationData(_) => 22,
            Self::RequestProblemInformation(_) => 23,
            Self::WillDelayInterval(_) => 24,
            Self::RequestResponseInformation(_) => 25,
            Self::ResponseInformation(_) => 26,
            Self::ServerReference(_) => 28,
            Self::ReasonString(_) => 31,
            Self::ReceiveMaximum(_) => 33,
            Self::TopicAliasMaximum(_) => 34,
            Self::TopicAlias(_) => 35,
            Self::MaximumQos(_) => 36,
            Self::RetainAvailable(_) => 37,
            Self::UserProperty(..) => 38,
            Self::MaximumPacketSize(_) => 39,
            Self::WildcardSubscriptionAvailable(_) => 40,
            Self::SubscriptionIdentifierAvailable(_) => 41,
            Self::SharedSubscriptionAvailable(_) => 42,
        }
    }

    pub(crate) fn belongs(&self, place: Place) -> bool {
        self.places().has(place)
    }

    /// Whether it may stand more than once.
    pub(crate) fn repeats(&self, place: Place) -> bool {
        match self {
            Self::UserProperty(..) => true,
            Self::SubscriptionIdentifier(_) => place == Place::PUBLISH,
            _ => false,
        }
    }

    fn places(&self) -> Place {
        match self {
            Self::PayloadFormatIndicator(_)
            | Self::MessageExpiryInterval(_)
            | Self::ContentType(_)
            | Self::ResponseTopic(_)
            | Self::CorrelationData(_) => Place::PUBLISH.and(Place::WILL),
            Self::SubscriptionIdentifier(_) => Place::PUBLISH.and(Place::SUBSCRIBE),
            Self::SessionExpiryInterval(_) => Place::CONNECT.and(Place::CONNACK).and(Place::DISCONNECT),
            Self::AuthenticationMethod(_) | Self::AuthenticationData(_) => {
                Place::CONNECT.and(Place::CONNACK).and(Place::AUTH)
            }
            Self::RequestProblemInformation(_) | Self::RequestResponseInformation(_) => Place::CONNECT,
            Self::WillDelayInterval(_) => Place::WILL,
            Self::AssignedClientIdentifier(_)
            | Self::ServerKeepAlive(_)
            | Self::ResponseInformation(_)
            | Self::MaximumQos(_)
            | Self::RetainAvailable(_)
            | Self::WildcardSubscriptionAvailable(_)
            | Self::SubscriptionIdentifierAvailable(_)
            | Self::SharedSubscriptionAvailable(_) => Place::CONNACK,
            Self::ServerReference(_) => Place::CONNACK.and(Place::DISCONNECT),
            Self::ReasonString(_) => Place::CONNACK.and(Place::ACK).and(Place::DISCONNECT).and(Place::AUTH),
            Self::ReceiveMaximum(_) | Self::TopicAliasMaximum(_) | Self::MaximumPacketSize(_) => {
                Place::CONNECT.and(Place::CONNACK)
            }
            Self::TopicAlias(_) => Place::PUBLISH,
            Self::UserProperty(..) => Place::ANY,
        }
    }
}

fn flag(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::PropertyValue),
    }
}

fn above_zero<N: Default + PartialEq>(number: N) -> Result<N, DecodeError> {
    if number == N::default() { Err(DecodeError::PropertyValue) } else { Ok(number) }
}

/// A topic name: no wildcards [MQTT-3.3.2-14], not empty.
fn topic(name: &str) -> Result<&str, DecodeError> {
    if name.is_empty() || name.contains(['+', '#']) { Err(DecodeError::PropertyValue) } else { Ok(name) }
}
