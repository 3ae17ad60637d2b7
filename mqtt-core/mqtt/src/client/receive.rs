use std::sync::Arc;
use std::time::Instant;

use bus::{EnhancedAuthentication, Publish, Qos, Topic};
use bytes::Bytes;

use super::outgoing::Settled;
use super::{Asked, ClientError, ClientEvent, Granted, MqttClient, Online, Received, Refusal, State};
use crate::codec::{
    Ack, Auth, ConnAck, DecodeError, Disconnect, Packet, PacketId, Properties, Property,
    Publish as PublishPacket, ReasonCode, SubAck, Version, decode,
};
use crate::metadata::Said;

impl MqttClient {
    /// Takes what the server sent and tells how many bytes it took; the rest is to come again with more
    /// behind it, or after [`next_event`](Self::next_event) made room.
    pub fn receive(&mut self, input: &[u8], now: Instant, out: &mut Vec<u8>) -> Result<usize, ClientError> {
        let mut taken = 0;
        while self.events.len() < self.options.events {
            let rest = input.get(taken..).unwrap_or_default();
            let packet = decode(rest, self.options.version, self.options.packet_maximum);
            match packet.map_err(ClientError::from) {
                Ok(None) => break,
                Ok(Some((packet, length))) => {
                    if let Err(error) = self.take(&packet, now, out) {
                        return Err(self.give_up(error, out));
                    }
                    taken += length;
                }
                Err(error) => return Err(self.give_up(error, out)),
            }
            if matches!(self.state, State::Offline) {
                return Ok(input.len());
            }
        }
        Ok(taken)
    }

    /// Tells a server of MQTT 5 what it did wrong [MQTT5 4.13.1].
    fn give_up(&mut self, error: ClientError, out: &mut Vec<u8>) -> ClientError {
        let code = match error {
            ClientError::Malformed(DecodeError::PacketTooLarge) => ReasonCode::PACKET_TOO_LARGE,
            ClientError::Malformed(_) => ReasonCode::MALFORMED_PACKET,
            _ => ReasonCode::PROTOCOL_ERROR,
        };
        if let (Version::V5, Ok(line)) = (self.options.version, self.line()) {
            let farewell = Disconnect { code, properties: Properties::NONE };
            let _ = line.send(&Packet::Disconnect(farewell), out);
        }
        self.disconnected();
        error
    }

    fn take(&mut self, packet: &Packet<'_>, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        match (&self.state, packet) {
            (State::Offline, _) => return Err(ClientError::NotConnected),
            (State::ExpectConnAck { .. }, Packet::ConnAck(packet)) => return self.opened(packet, now, out),
            (State::ExpectConnAck { .. }, Packet::Auth(packet)) => return self.challenged(packet),
            (State::ExpectConnAck { .. }, _) => {
                return Err(ClientError::Violation("the first packet is not CONNACK")); // [MQTT-3.2.0-1]
            }
            (State::Online(_), _) => {}
        }
        match packet {
            Packet::Publish(packet) => self.message(packet, now, out)?,
            Packet::PubAck(ack) => {
                let settled = self.outgoing.acknowledged(ack.id, Qos::AtLeastOnce);
                self.published(settled, ack, now, out);
            }
            Packet::PubRec(ack) if ack.code.is_error() => {
                let settled = self.outgoing.acknowledged(ack.id, Qos::ExactlyOnce);
                self.published(settled, ack, now, out);
            }
            Packet::PubRec(ack) => {
                let known = self.outgoing.received(ack.id) == Settled::Release;
                let code = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
                self.send(&Packet::PubRel(Ack { code, ..Ack::success(ack.id) }), now, out)?;
            }
            Packet::PubComp(ack) => {
                let settled = self.outgoing.completed(ack.id);
                self.published(settled, &Ack::success(ack.id), now, out);
            }
            Packet::PubRel(ack) => {
                let known = self.incoming.remove(&ack.id).is_some();
                let code = if known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
                self.send(&Packet::PubComp(Ack { code, ..Ack::success(ack.id) }), now, out)?;
            }
            Packet::SubAck(packet) => self.answered(packet, true)?,
            Packet::UnsubAck(packet) => self.answered(packet, false)?,
            Packet::PingResp => {
                if let State::Online(online) = &mut self.state {
                    online.asked = None;
                }
            }
            Packet::Auth(packet) => self.challenged(packet)?,
            Packet::Disconnect(packet) if self.options.version == Version::V5 => {
                self.events
                    .push_back(ClientEvent::Disconnected(Refusal::read(packet.code, packet.properties)));
                self.disconnected();
            }
            Packet::ConnAck(_) => return Err(ClientError::Violation("a second CONNACK")),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_) => {
                return Err(ClientError::Violation("a packet that only clients send"));
            }
        }
        Ok(())
    }

    fn opened(&mut self, packet: &ConnAck<'_>, now: Instant, out: &mut Vec<u8>) -> Result<(), ClientError> {
        if packet.code != ReasonCode::SUCCESS {
            self.events.push_back(ClientEvent::Refused(Refusal::read(packet.code, packet.properties)));
            self.disconnected();
            return Ok(());
        }
        if packet.session_present && self.options.clean_start {
            return Err(ClientError::Violation("a session after a clean start")); // [MQTT-3.2.2-2]
        }
        let granted = self.granted(packet);
        let session_present = granted.session_present;
        self.events.push_back(ClientEvent::Connected(granted.clone()));
        let aliases = Default::default();
        self.state = State::Online(Box::new(Online { granted, aliases, sent: now, asked: None }));
        if session_present {
            let line = self.line()?;
            self.outgoing.resume(&line, out)?;
        } else {
            self.session += 1;
            self.incoming.clear();
            for id in self.outgoing.restart() {
                self.events.push_back(ClientEvent::Published(id, ReasonCode::SUCCESS));
            }
        }
        self.flush(now, out);
        Ok(())
    }

    fn granted(&self, packet: &ConnAck<'_>) -> Granted {
        let mut granted = Granted {
            session_present: packet.session_present,
            client_id: None,
            keep_alive: self.options.keep_alive,
            receive_maximum: u16::MAX,
            packet_maximum: u32::MAX,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            response_information: None,
        };
        for property in packet.properties.iter() {
            match property {
                Property::AssignedClientIdentifier(id) => granted.client_id = Some(id.to_owned()),
                Property::ServerKeepAlive(seconds) => granted.keep_alive = seconds, // [MQTT-3.1.2-21]
                Property::ReceiveMaximum(maximum) => granted.receive_maximum = maximum,
                Property::MaximumPacketSize(size) => granted.packet_maximum = size,
                Property::MaximumQos(qos) => granted.maximum_qos = qos,
                Property::RetainAvailable(yes) => granted.retain_available = yes,
                Property::ResponseInformation(text) => granted.response_information = Some(text.to_owned()),
                _ => {}
            }
        }
        granted
    }

    fn message(
        &mut self,
        packet: &PublishPacket<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), ClientError> {
        let said = Said::read(packet.properties, self.options.user_properties);
        if said.fault.is_some() {
            return Err(ClientError::Violation("a message with more properties than are taken"));
        }
        let topic = self.topic(packet.topic, said.alias)?;
        if let Some(id) = packet.id.filter(|_| packet.qos == Qos::ExactlyOnce) {
            match self.incoming.get(&id) {
                Some(true) => return self.send(&Packet::PubRec(Ack::success(id)), now, out), // [MQTT-4.3.3-10]
                Some(false) => {
                    self.take_in_hand(id)?;
                    return Ok(());
                }
                None => self.expect_release(id)?,
            }
        }
        let mut publish = Publish::new(topic, Bytes::copy_from_slice(packet.payload), packet.qos);
        publish.retain = packet.retain;
        publish.once = packet.id.filter(|_| packet.qos == Qos::ExactlyOnce).map(PacketId::get);
        let (subscriptions, alias) = (said.subscriptions.clone(), said.alias);
        let publish = said.apply(publish);
        let (id, session) = (packet.id, self.session);
        let duplicate = packet.duplicate;
        let message = Box::new(Received { publish, duplicate, subscriptions, alias, id, session });
        if let Some(id) = id {
            self.take_in_hand(id)?;
        }
        if !self.options.acknowledge_by_hand {
            self.acknowledge(&message, now, out)?;
        }
        self.events.push_back(ClientEvent::Message(message));
        Ok(())
    }

    fn take_in_hand(&mut self, id: PacketId) -> Result<(), ClientError> {
        let most = match self.options.version {
            Version::V5 => self.options.receive_maximum.max(1),
            Version::V31 | Version::V311 => u16::MAX,
        };
        if self.in_hand.len() >= usize::from(most) {
            return Err(ClientError::Violation("more unacknowledged messages than CONNECT told")); // [MQTT-3.3.4-9]
        }
        self.in_hand.push_back((id, false));
        Ok(())
    }

    fn expect_release(&mut self, id: PacketId) -> Result<(), ClientError> {
        let is_v5 = self.options.version == Version::V5;
        if is_v5 && self.incoming.len() >= usize::from(self.options.receive_maximum.max(1)) {
            return Err(ClientError::Violation("more unfinished messages than CONNECT told"));
        }
        self.incoming.insert(id, false);
        Ok(())
    }

    fn topic(&mut self, name: &str, alias: Option<u16>) -> Result<Topic, ClientError> {
        let unknown = ClientError::Violation("a topic alias that is not known or not taken");
        let State::Online(online) = &mut self.state else { return Err(ClientError::NotConnected) };
        if let (true, Some(alias)) = (name.is_empty(), alias) {
            return online.aliases.find(alias).ok_or(unknown);
        }
        let topic = Topic::parse(name).map_err(|_| ClientError::Violation("a topic that is none"))?;
        if let Some(alias) = alias {
            let (maximum, bytes) = (self.options.topic_alias_maximum, self.options.packet_maximum);
            online.aliases.set(alias, topic.clone(), maximum, bytes).map_err(|_| unknown)?;
        }
        Ok(topic)
    }

    fn published(&mut self, settled: Settled, ack: &Ack<'_>, now: Instant, out: &mut Vec<u8>) {
        if settled == Settled::Done {
            self.events.push_back(ClientEvent::Published(ack.id, ack.code));
            self.flush(now, out);
        }
    }

    fn answered(&mut self, packet: &SubAck<'_>, subscribed: bool) -> Result<(), ClientError> {
        let (filters, event) = match self.asked.remove(&packet.id) {
            Some(Asked::Subscribe { filters }) if subscribed => {
                (filters, ClientEvent::Subscribed(packet.id, packet.codes.clone()))
            }
            Some(Asked::Unsubscribe { filters }) if !subscribed => {
                let codes = if self.options.version == Version::V5 { filters } else { 0 };
                (codes, ClientEvent::Unsubscribed(packet.id, packet.codes.clone()))
            }
            _ => return Err(ClientError::Violation("an answer to nothing")),
        };
        if packet.codes.len() != filters {
            return Err(ClientError::Violation("an answer with too few or too many codes")); // [MQTT-3.8.4-6]
        }
        self.events.push_back(event);
        Ok(())
    }

    fn challenged(&mut self, packet: &Auth<'_>) -> Result<(), ClientError> {
        let expected = self.options.authentication.as_ref().map(|step| Arc::clone(&step.method));
        let said = packet.properties.find(|property| match property {
            Property::AuthenticationMethod(method) => Some(method),
            _ => None,
        });
        let method = expected.filter(|method| said == Some(&**method));
        let method = method.ok_or(ClientError::Violation("another authentication method"))?; // [MQTT-4.12.0-5]
        let data = packet.properties.find(|property| match property {
            Property::AuthenticationData(data) => Some(Bytes::copy_from_slice(data)),
            _ => None,
        });
        let step = EnhancedAuthentication { method, data: data.unwrap_or_default() };
        self.events.push_back(match packet.code {
            ReasonCode::SUCCESS => ClientEvent::Authenticated(step),
            ReasonCode::CONTINUE_AUTHENTICATION => ClientEvent::Challenged(step),
            _ => return Err(ClientError::Violation("only clients begin a re-authentication")),
        });
        Ok(())
    }
}
