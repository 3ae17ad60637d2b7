//! Packets made by chance from a seed, for tests.

use std::num::NonZeroU16;

use bus::{Qos, RetainHandling, SubscribeOptions};

use crate::codec::*;

/// A small generator of numbers (xorshift).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn yes(&mut self) -> bool {
        self.below(2) == 1
    }

    fn text(&mut self) -> String {
        let alphabet = ['a', 'b', '/', 'é', '日', '🚀', ' ', '\u{1}'];
        (0..self.below(9)).map(|_| alphabet[self.below(8) as usize]).collect()
    }

    fn name(&mut self) -> String {
        format!("t{}", self.text())
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = [0, 1, 5, 127, 128, 300][self.below(6) as usize];
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    fn qos(&mut self) -> Qos {
        Qos::from_level(self.below(3) as u8).unwrap()
    }

    fn id(&mut self) -> PacketId {
        NonZeroU16::new(1 + self.below(65_535) as u16).unwrap()
    }

    fn options(&mut self, version: Version) -> SubscribeOptions {
        let qos = self.qos();
        if version != Version::V5 {
            return SubscribeOptions { qos, ..SubscribeOptions::default() };
        }
        let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
        SubscribeOptions {
            qos,
            no_local: self.yes(),
            retain_as_published: self.yes(),
            retain_handling: handling[self.below(3) as usize],
        }
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Each property that belongs in `kind`, or not, by chance.
    fn properties(&mut self, kind: u8, will: bool) -> PropertyBuffer {
        let (a, b, c) = (self.text(), self.name(), self.bytes());
        let number = 1 + self.below(100_000) as u32;
        let short = number as u16 | 1;
        let (yes, qos) = (self.yes(), if self.yes() { Qos::AtLeastOnce } else { Qos::AtMostOnce });
        let user = [Property::UserProperty(&a, &b), Property::UserProperty(&b, &a)];
        let of_message = [
            Property::PayloadFormatIndicator(false),
            Property::MessageExpiryInterval(number),
            Property::ContentType(&a),
            Property::ResponseTopic(&b),
            Property::CorrelationData(&c),
        ];
        let own: Vec<Property<'_>> = match kind {
            _ if will => [&of_message[..], &[Property::WillDelayInterval(number)]].concat(),
            1 => vec![
                Property::SessionExpiryInterval(number),
                Property::AuthenticationMethod(&b),
                Property::AuthenticationData(&c),
                Property::RequestProblemInformation(yes),
                Property::RequestResponseInformation(yes),
                Property::ReceiveMaximum(short),
                Property::TopicAliasMaximum(short),
                Property::MaximumPacketSize(number),
            ],
            2 => vec![
                Property::SessionExpiryInterval(number),
                Property::AssignedClientIdentifier(&b),
                Property::ServerKeepAlive(short),
                Property::AuthenticationMethod(&b),
                Property::AuthenticationData(&c),
                Property::ResponseInformation(&a),
                Property::ServerReference(&a),
                Property::ReasonString(&a),
                Property::ReceiveMaximum(short),
                Property::TopicAliasMaximum(short),
                Property::MaximumQos(qos),
                Property::RetainAvailable(yes),
                Property::MaximumPacketSize(number),
                Property::WildcardSubscriptionAvailable(yes),
                Property::SubscriptionIdentifierAvailable(yes),
                Property::SharedSubscriptionAvailable(yes),
            ],
            3 => [
                &of_message[..],
                &[
                    Property::TopicAlias(short),
                    Property::SubscriptionIdentifier(number),
                    Property::SubscriptionIdentifier(268_435_455),
                ],
            ]
            .concat(),
            4..=7 | 9 | 11 => vec![Property::ReasonString(&a)],
            8 => vec![Property::SubscriptionIdentifier(number)],
            14 => vec![
                Property::SessionExpiryInterval(number),
                Property::ServerReference(&a),
                Property::ReasonString(&a),
            ],
            15 => vec![
                Property::AuthenticationMethod(&b),
                Property::AuthenticationData(&c),
                Property::ReasonString(&a),
            ],
            _ => Vec::new(),
        };
        let mut buffer = PropertyBuffer::default();
        for property in own.iter().chain(&user) {
            let is_bound = matches!(property, Property::AuthenticationMethod(_));
            if is_bound || self.yes() {
                buffer.push(*property).unwrap();
            }
        }
        buffer
    }

    /// A valid packet of this kind, handed to `check`; kind 15 exists in MQTT 5 only.
    pub(crate) fn packet(&mut self, kind: u8, version: Version, check: impl FnOnce(&Packet<'_>)) {
        let is_v5 = version == Version::V5;
        let none = PropertyBuffer::default();
        let own = if is_v5 { self.properties(kind, false) } else { none.clone() };
        let will = if is_v5 { self.properties(kind, true) } else { none };
        let properties = own.as_properties();
        let (name, other, text) = (self.name(), self.name(), self.text());
        let (payload, secret) = (self.bytes(), self.bytes());
        let id = self.id();
        let qos = self.qos();
        let code = |chance: &mut Self, codes: &[u8]| ReasonCode(if is_v5 { chance.one_of(codes) } else { 0 });
        let acks: &[u8] = if kind <= 5 { &[0, 0x10, 0x87] } else { &[0, 0x92] };
        let ack = Ack { id, code: code(self, acks), properties };
        let packet = match kind {
            1 => Packet::Connect(Connect {
                version,
                bridge: version != Version::V5 && self.yes(),
                clean_start: self.yes(),
                keep_alive: self.below(65_536) as u16,
                client_id: &text,
                username: (version == Version::V311 || self.yes()).then_some(&*name),
                password: self.yes().then_some(&*secret).filter(|_| version != Version::V31),
                will: self.yes().then(|| Will {
                    topic: &other,
                    payload: &payload,
                    qos,
                    retain: id.get() & 1 == 1,
                    properties: will.as_properties(),
                }),
                properties,
            }),
            2 => {
                let codes: &[u8] = if is_v5 { &[0, 0x80, 0x9F] } else { &[0, 1, 2, 3, 4, 5] };
                let code = ReasonCode(self.one_of(codes));
                let session_present = version != Version::V31 && code == ReasonCode::SUCCESS && self.yes();
                Packet::ConnAck(ConnAck { session_present, code, properties })
            }
            3 => Packet::Publish(Publish {
                duplicate: qos > Qos::AtMostOnce && self.yes(),
                qos,
                retain: self.yes(),
                topic: &name,
                id: (qos > Qos::AtMostOnce).then_some(id),
                properties,
                payload: &payload,
            }),
            4 => Packet::PubAck(ack),
            5 => Packet::PubRec(ack),
            6 => Packet::PubRel(ack),
            7 => Packet::PubComp(ack),
            8 => {
                let filters = vec![(&*name, self.options(version)), (&*other, self.options(version))];
                Packet::Subscribe(Subscribe { id, properties, filters })
            }
            9 => {
                let codes = vec![ReasonCode(self.below(3) as u8), ReasonCode(0x80)];
                Packet::SubAck(SubAck { id, properties, codes })
            }
            10 => Packet::Unsubscribe(Unsubscribe { id, properties, filters: vec![&name, &other] }),
            11 => {
                let codes = if is_v5 { vec![ReasonCode(0), ReasonCode(0x11)] } else { Vec::new() };
                Packet::UnsubAck(SubAck { id, properties, codes })
            }
            12 => Packet::PingReq,
            13 => Packet::PingResp,
            14 => Packet::Disconnect(Disconnect { code: code(self, &[0, 4, 0x8E]), properties }),
            _ => Packet::Auth(Auth { code: code(self, &[0, 0x18, 0x19]), properties }),
        };
        check(&packet);
    }

    /// The bytes of a valid packet.
    pub(crate) fn encoded(&mut self, kind: u8, version: Version) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.packet(kind, version, |packet| encode(packet, version, &mut bytes).unwrap());
        bytes
    }
}

/// Each version with the number of its last packet type.
pub(crate) const VERSIONS: [(Version, u8); 3] = [(Version::V31, 14), (Version::V311, 14), (Version::V5, 15)];
