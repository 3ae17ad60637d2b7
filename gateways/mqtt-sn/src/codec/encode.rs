use super::flags::{Flags, NAME, PREDEFINED, RESERVED, SHORT};
use crate::codec::{Packet, PublishQos, TopicFilter, TopicId, WillTopic};

/// The message would be longer than its length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of MQTT-SN has at most 65,535 octets")]
pub struct TooLong;

impl Packet<'_> {
    /// Appends the message to `buffer`; what is there already stays, also when it fails.
    pub fn encode(&self, buffer: &mut Vec<u8>) -> Result<(), TooLong> {
        if let Self::Encapsulated { ctrl, node, message } = self {
            let length = u8::try_from(node.len() + 3).map_err(|_| TooLong)?;
            buffer.extend_from_slice(&[length, 0xFE, *ctrl]);
            buffer.extend_from_slice(node);
            buffer.extend_from_slice(message);
            return Ok(());
        }
        let fields = self.fields_length() + 1;
        match u8::try_from(fields + 1) {
            Ok(length) => buffer.push(length),
            Err(_) => {
                let length = u16::try_from(fields + 3).map_err(|_| TooLong)?;
                buffer.push(1);
                buffer.extend_from_slice(&length.to_be_bytes());
            }
        }
        self.write_fields(buffer);
        Ok(())
    }

    /// The octets that [`Packet::encode`] appends.
    pub fn encoded_length(&self) -> usize {
        match self {
            Self::Encapsulated { node, message, .. } => 3 + node.len() + message.len(),
            _ => {
                let fields = self.fields_length() + 1;
                if fields < 255 { fields + 1 } else { fields + 3 }
            }
        }
    }

    /// Octets behind the message type.
    fn fields_length(&self) -> usize {
        match self {
            Self::WillTopicReq | Self::WillMsgReq | Self::PingResp => 0,
            Self::SearchGw { .. } | Self::ConnAck(_) | Self::WillTopicResp(_) | Self::WillMsgResp(_) => 1,
            Self::PubRec { .. } | Self::PubRel { .. } | Self::PubComp { .. } | Self::UnsubAck { .. } => 2,
            Self::Advertise { .. } => 3,
            Self::RegAck { .. } | Self::PubAck { .. } => 5,
            Self::SubAck { .. } => 6,
            Self::GwInfo { address, .. } => 1 + address.len(),
            Self::Connect(connect) => 4 + connect.client_id.len(),
            Self::WillTopic(will) | Self::WillTopicUpd(will) => {
                will.as_ref().map_or(0, |will| 1 + will.topic.len())
            }
            Self::WillMsg(message) | Self::WillMsgUpd(message) => message.len(),
            Self::Register { topic, .. } => 4 + topic.len(),
            Self::Publish(publish) => 5 + publish.data.len(),
            Self::Subscribe(subscribe) => 3 + filter_length(&subscribe.topic),
            Self::Unsubscribe(unsubscribe) => 3 + filter_length(&unsubscribe.topic),
            Self::PingReq { client_id } => client_id.map_or(0, str::len),
            Self::Disconnect { duration } => duration.map_or(0, |_| 2),
            Self::Encapsulated { node, message, .. } => 1 + node.len() + message.len(),
        }
    }

    fn write_fields(&self, buffer: &mut Vec<u8>) {
        let write = &mut Writer(buffer);
        match self {
            Self::Advertise { gateway, duration } => write.u8(0x00).u8(*gateway).u16(*duration),
            Self::SearchGw { radius } => write.u8(0x01).u8(*radius),
            Self::GwInfo { gateway, address } => write.u8(0x02).u8(*gateway).bytes(address),
            Self::Connect(connect) => {
                let flags =
                    Flags::default().with_will(connect.will).with_clean_session(connect.clean_session);
                let write = write.u8(0x04).u8(flags.0).u8(connect.protocol_id).u16(connect.duration);
                write.bytes(connect.client_id.as_bytes())
            }
            Self::ConnAck(code) => write.u8(0x05).u8(code.octet()),
            Self::WillTopicReq => write.u8(0x06),
            Self::WillTopic(will) => write.u8(0x07).will(will.as_ref()),
            Self::WillMsgReq => write.u8(0x08),
            Self::WillMsg(message) => write.u8(0x09).bytes(message),
            Self::Register { topic_id, msg_id, topic } => {
                write.u8(0x0A).u16(*topic_id).u16(*msg_id).bytes(topic.as_bytes())
            }
            Self::RegAck { topic_id, msg_id, code } => {
                write.u8(0x0B).u16(*topic_id).u16(*msg_id).u8(code.octet())
            }
            Self::Publish(publish) => {
                let (kind, qos) = (topic_id_type(publish.topic), publish_qos(publish.qos));
                let flags = Flags::default().with_dup(publish.dup).with_qos(qos).with_retain(publish.retain);
                let write = write.u8(0x0C).u8(flags.with_topic_id_type(kind).0).u16(publish.topic.field());
                write.u16(publish.msg_id).bytes(publish.data)
            }
            Self::PubAck { topic_id, msg_id, code } => {
                write.u8(0x0D).u16(*topic_id).u16(*msg_id).u8(code.octet())
            }
            Self::PubComp { msg_id } => write.u8(0x0E).u16(*msg_id),
            Self::PubRec { msg_id } => write.u8(0x0F).u16(*msg_id),
            Self::PubRel { msg_id } => write.u8(0x10).u16(*msg_id),
            Self::Subscribe(subscribe) => {
                let flags = Flags::default().with_dup(subscribe.dup).with_qos(subscribe.qos);
                write.u8(0x12).filter(flags, subscribe.msg_id, &subscribe.topic)
            }
            Self::SubAck { qos, topic_id, msg_id, code } => {
                let flags = Flags::default().with_qos(Some(*qos));
                write.u8(0x13).u8(flags.0).u16(*topic_id).u16(*msg_id).u8(code.octet())
            }
            Self::Unsubscribe(unsubscribe) => {
                write.u8(0x14).filter(Flags::default(), unsubscribe.msg_id, &unsubscribe.topic)
            }
            Self::UnsubAck { msg_id } => write.u8(0x15).u16(*msg_id),
            Self::PingReq { client_id } => write.u8(0x16).bytes(client_id.unwrap_or_default().as_bytes()),
            Self::PingResp => write.u8(0x17),
            Self::Disconnect { duration: None } => write.u8(0x18),
            Self::Disconnect { duration: Some(duration) } => write.u8(0x18).u16(*duration),
            Self::WillTopicUpd(will) => write.u8(0x1A).will(will.as_ref()),
            Self::WillTopicResp(code) => write.u8(0x1B).u8(code.octet()),
            Self::WillMsgUpd(message) => write.u8(0x1C).bytes(message),
            Self::WillMsgResp(code) => write.u8(0x1D).u8(code.octet()),
            Self::Encapsulated { ctrl, node, message } => write.u8(0xFE).u8(*ctrl).bytes(node).bytes(message),
        };
    }
}

fn publish_qos(qos: PublishQos) -> Option<bus::Qos> {
    match qos {
        PublishQos::MinusOne => None,
        PublishQos::Session(qos) => Some(qos),
    }
}

fn topic_id_type(topic: TopicId) -> u8 {
    match topic {
        TopicId::Normal(_) => NAME,
        TopicId::Predefined(_) => PREDEFINED,
        TopicId::Short(_) => SHORT,
        TopicId::Reserved(_) => RESERVED,
    }
}

fn filter_length(topic: &TopicFilter<'_>) -> usize {
    match topic {
        TopicFilter::Name(name) => name.len(),
        TopicFilter::Predefined(_) | TopicFilter::Short(_) => 2,
        TopicFilter::Reserved(rest) => rest.len(),
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn will(&mut self, will: Option<&WillTopic<'_>>) -> &mut Self {
        match will {
            None => self,
            Some(will) => {
                let flags = Flags::default().with_qos(Some(will.qos)).with_retain(will.retain);
                self.u8(flags.0).bytes(will.topic.as_bytes())
            }
        }
    }

    fn filter(&mut self, flags: Flags, msg_id: u16, topic: &TopicFilter<'_>) -> &mut Self {
        let (kind, rest) = match topic {
            TopicFilter::Name(name) => (NAME, name.as_bytes()),
            TopicFilter::Predefined(id) => (PREDEFINED, &id.to_be_bytes()[..]),
            TopicFilter::Short(name) => (SHORT, &name[..]),
            TopicFilter::Reserved(rest) => (RESERVED, *rest),
        };
        self.u8(flags.with_topic_id_type(kind).0).u16(msg_id).bytes(rest)
    }
}
