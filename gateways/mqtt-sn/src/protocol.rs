use std::sync::Arc;

use bus::{Connection, Limits, Peer, PeerName, Protocol};

use crate::config::{Config, PredefinedTopics};
use crate::connection::MqttSnConnection;
use crate::turn::{Shared, client_name, is_node_name, node_name};
use crate::{Packet, decode};

/// MQTT-SN 1.2, as a gateway speaks it.
#[derive(Debug)]
pub struct MqttSn {
    shared: Arc<Shared>,
}

impl MqttSn {
    /// The protocol as configured.
    pub fn new(config: Config, limits: Limits) -> Self {
        let predefined = PredefinedTopics::new(&config.predefined);
        Self { shared: Arc::new(Shared { config, limits, predefined }) }
    }
}

impl Protocol for MqttSn {
    fn label(&self) -> &'static str {
        "mqtt-sn"
    }

    fn accept(&self, peer: Peer) -> Box<dyn Connection> {
        Box::new(MqttSnConnection::new(self.shared.clone(), peer))
    }

    /// The node behind a forwarder, else the client that connects or wakes up.
    fn name(&self, datagram: &[u8]) -> Option<PeerName> {
        match decode(datagram).ok()? {
            Packet::Encapsulated { node, .. } => Some(node_name(node)),
            Packet::Connect(connect) => Some(client_name(connect.client_id)),
            Packet::PingReq { client_id: Some(client_id) } => Some(client_name(client_id)),
            _ => None,
        }
    }

    /// Many nodes send through one forwarder; a client that sends by itself has its address to itself.
    fn shares_address(&self, name: &PeerName) -> bool {
        is_node_name(name)
    }

    /// Whatever wants an answer; a stray acknowledgement does not, nor does what only gateways send.
    fn admits(&self, datagram: &[u8]) -> bool {
        let inner = match decode(datagram) {
            Ok(Packet::Encapsulated { message, .. }) => decode(message),
            other => other,
        };
        match inner {
            Err(_) => false,
            Ok(Packet::Publish(publish)) => {
                publish.qos != crate::PublishQos::MinusOne || self.shared.config.qos_minus_one
            }
            Ok(packet) => asks(&packet),
        }
    }
}

/// Whether a device that sends this awaits something.
pub(crate) fn asks(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::SearchGw { .. }
        | Packet::Connect(_)
        | Packet::WillTopic(_)
        | Packet::WillMsg(_)
        | Packet::Register { .. }
        | Packet::Publish(_)
        | Packet::PubRel { .. }
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq { .. }
        | Packet::Disconnect { .. }
        | Packet::WillTopicUpd(_)
        | Packet::WillMsgUpd(_) => true,
        Packet::Advertise { .. }
        | Packet::GwInfo { .. }
        | Packet::ConnAck(_)
        | Packet::WillTopicReq
        | Packet::WillMsgReq
        | Packet::RegAck { .. }
        | Packet::PubAck { .. }
        | Packet::PubRec { .. }
        | Packet::PubComp { .. }
        | Packet::SubAck { .. }
        | Packet::UnsubAck { .. }
        | Packet::PingResp
        | Packet::WillTopicResp(_)
        | Packet::WillMsgResp(_)
        | Packet::Encapsulated { .. } => false,
    }
}
