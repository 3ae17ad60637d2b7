use std::time::Duration;

use bus::{
    ClientId, Connected, EnhancedAuthentication, Event, Limits, Protocol, Qos, Reason, Reply, Request,
    SubscriptionId, Ticket, Transport,
};
use harness::{Bench, delivery, message};

/// The most one call may want sent: a full outbox, with the frame that filled it.
const MOST_SENT: usize = 256 << 10;

/// The most one call may want done.
const MOST_REQUESTS: usize = 4096;

/// What is delivered: a value, and what a device takes for commands.
pub(crate) const PAYLOADS: [&str; 6] = [
    "21.5",
    r#"{"msgType":"read","data":{"path":"/3/0/0"}}"#,
    r#"{"msgType":"observe","data":{"path":"/3303/0/5700"}}"#,
    r#"{"msgType":"discover","data":{"path":"/3"}}"#,
    r#"{"msgType":"write","data":{"path":"/3/0/14","type":"String","value":"+02"}}"#,
    r#"{"msgType":"execute","data":{"path":"/3/0/4"}}"#,
];

/// How often a stream is asked for what a full outbox made it leave.
const MOST_TURNS: usize = 64;

/// Limits that an input of a few hundred bytes reaches.
pub(crate) fn small_limits() -> Limits {
    Limits {
        packet: 64 << 10,
        packet_before_connect: 4 << 10,
        outstanding: 16,
        receive_maximum: 8,
        send_window: 8,
        topic_levels: 16,
        topic_aliases: 4,
        user_properties: 8,
        subscriptions: 8,
        ..Limits::default()
    }
}

/// Plays a whole conversation: the peer sends the frames one by one, while the other side answers every request,
/// delivers what was subscribed to, and lets time pass. What it answers depends on the bytes alone. Returns how many
/// requests and deliveries there were.
pub(crate) fn converse<'a>(
    protocol: &dyn Protocol,
    transport: Transport,
    frames: impl IntoIterator<Item = &'a [u8]>,
) -> (usize, usize) {
    let mut frames = frames.into_iter();
    converse_knowing(protocol, transport, |_| frames.next().map(<[u8]>::to_vec))
}

/// The same with a peer that knows what it was sent after its last frame when it makes the next.
pub(crate) fn converse_knowing(
    protocol: &dyn Protocol,
    transport: Transport,
    mut next: impl FnMut(&[Vec<u8>]) -> Option<Vec<u8>>,
) -> (usize, usize) {
    let mut side = OtherSide {
        bench: Bench::new(protocol, transport),
        subscriptions: Vec::new(),
        heard: Vec::new(),
        chance: 1,
        id: 0,
        requests: 0,
        deliveries: 0,
    };
    while let Some(frame) = next(&std::mem::take(&mut side.heard)) {
        side.mix(&frame);
        if transport == Transport::Datagram {
            protocol.name(&frame);
            protocol.admits(&frame);
        }
        side.bench.receive(&frame);
        side.answer();
        if transport == Transport::Stream {
            side.take_the_rest();
        }
        side.say_something();
        if side.bench.closed.is_some() {
            return (side.requests, side.deliveries);
        }
    }
    let reason = side.draw_reason();
    side.bench.handle(Event::Close(reason));
    side.check();
    (side.requests, side.deliveries)
}

/// Cuts an input into datagrams, each behind a byte that tells its length.
pub(crate) fn datagrams(mut input: &[u8]) -> Vec<&[u8]> {
    let mut datagrams = Vec::new();
    while let Some((length, rest)) = input.split_first() {
        let (datagram, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        datagrams.push(datagram);
        input = rest;
    }
    datagrams
}

/// The input that [`datagrams`] cuts into these.
pub(crate) fn joined(datagrams: &[&[u8]]) -> Vec<u8> {
    datagrams.iter().flat_map(|datagram| [&[datagram.len() as u8], *datagram].concat()).collect()
}

/// Cuts a stream into pieces whose lengths depend on its bytes.
pub(crate) fn pieces(mut input: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut length =
        input.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    while !input.is_empty() {
        let (piece, rest) = input.split_at((length % 97 + 1).min(input.len()));
        pieces.push(piece);
        input = rest;
        length = length.rotate_right(7);
    }
    pieces
}

/// Driver and broker of a connection under test.
struct OtherSide {
    bench: Bench,
    subscriptions: Vec<(SubscriptionId, String)>,
    /// What the peer was sent since its last frame.
    heard: Vec<Vec<u8>>,
    chance: u64,
    id: u16,
    requests: usize,
    deliveries: usize,
}

impl OtherSide {
    /// Answers all requests; whether there were any.
    fn answer(&mut self) -> bool {
        self.check();
        let mut any = false;
        while let Some((ticket, request)) = self.bench.requests.pop_front() {
            any = true;
            self.requests += 1;
            let reply = self.reply(request);
            if ticket == Ticket::NONE || self.bench.closed.is_some() {
                continue;
            }
            self.bench.handle(Event::Reply(ticket, reply));
            self.check();
        }
        any
    }

    /// A full outbox makes a stream leave frames, which come again.
    fn take_the_rest(&mut self) {
        for _ in 0..MOST_TURNS {
            self.bench.receive(b"");
            if !self.answer() {
                break;
            }
        }
    }

    fn reply(&mut self, request: Request) -> Result<Reply, Reason> {
        let one_in = if matches!(request, Request::Connect(_)) { 40 } else { 10 };
        if self.draw(one_in) == 0 {
            return Err(self.draw_reason());
        }
        Ok(match request {
            Request::Connect(connect) => Reply::Connected(Box::new(Connected {
                assigned: connect.client_id.is_none(),
                client_id: connect
                    .client_id
                    .or_else(|| ClientId::parse("assigned"))
                    .ok_or(Reason::Internal)?,
                session_present: self.draw(2) == 0,
                session_expiry: connect.session_expiry,
                maximum_qos: Qos::ExactlyOnce,
                retain_available: true,
                shared_subscriptions_available: true,
                authentication: None,
            })),
            Request::Authenticate(step) if self.draw(2) == 0 => Reply::Challenge(Box::new(step)),
            Request::Authenticate(EnhancedAuthentication { method, data }) => {
                Reply::Authenticated(Box::new(EnhancedAuthentication { method, data }))
            }
            Request::PublishIf(_) if self.draw(2) == 0 => Reply::Unfulfilled,
            Request::Publish(_) | Request::PublishAll(_) | Request::PublishIf(_) => {
                Reply::Published { matched: self.draw(2) }
            }
            Request::Release(_) => Reply::Released { known: self.draw(2) == 0 },
            Request::Subscribe(wishes) => {
                let granted = wishes.iter().map(|wish| match self.draw(6) {
                    0 => Err(self.draw_reason()),
                    _ => {
                        self.subscriptions.push((wish.id, wish.filter.pattern().replace(['+', '#'], "x")));
                        Ok(wish.options.qos)
                    }
                });
                Reply::Subscribed(granted.collect())
            }
            Request::Unsubscribe(wishes) => Reply::Unsubscribed(wishes.iter().map(|_| Ok(())).collect()),
            Request::Read(topic) => {
                let found = message(topic.as_str(), "21.5", Qos::AtLeastOnce, self.bench.now);
                Reply::Read((self.draw(2) == 0).then_some(found))
            }
            Request::Judge(rights) => {
                let judge = |right| {
                    let (bus::Right::Publish(topic) | bus::Right::Read(topic) | bus::Right::Name(topic)) =
                        right;
                    let allowed = if self.draw(4) == 0 { Err(self.draw_reason()) } else { Ok(()) };
                    bus::Judgement { topic, allowed, retained: self.draw(2) == 0 }
                };
                let time = Some(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
                Reply::Judged { judgements: rights.into_iter().map(judge).collect(), time }
            }
            Request::SetWill(_) => Reply::WillSet,
            Request::Disconnect(_) => Reply::Disconnected,
        })
    }

    /// A delivery, a release, an idle session, or some seconds.
    fn say_something(&mut self) {
        if self.bench.closed.is_some() {
            return;
        }
        match self.draw(6) {
            0 => {
                let seconds = self.draw(100) as u64;
                self.bench.advance(Duration::from_secs(seconds));
            }
            1 => self.bench.idle(),
            2 if self.id > 0 => {
                let old = bus::DeliveryId::new(self.id);
                self.bench.handle(Event::Release(old.unwrap_or(bus::DeliveryId(std::num::NonZeroU16::MIN))));
            }
            _ => self.deliver(),
        }
        self.answer();
    }

    fn deliver(&mut self) {
        if self.subscriptions.is_empty() || self.bench.connection.room() == 0 {
            return;
        }
        let index = self.draw(self.subscriptions.len());
        let (subscription, topic) = self.subscriptions[index].clone();
        let qos = Qos::from_level(self.draw(3) as u8).unwrap_or_default();
        self.id = self.id % 1000 + 1;
        let id = if qos == Qos::AtMostOnce { 0 } else { self.id };
        self.deliveries += 1;
        let payload = PAYLOADS[self.draw(PAYLOADS.len())];
        self.bench.deliver(delivery(id, subscription.0, &topic, payload, qos, self.bench.now));
    }

    /// Nothing has grown beyond its bound.
    fn check(&mut self) {
        let before = self.heard.len();
        self.heard.extend(self.bench.sent.drain(..).map(|(_, bytes)| bytes));
        let sent: usize = self.heard.iter().skip(before).map(Vec::len).sum();
        assert!(sent <= MOST_SENT, "one call wants {sent} bytes sent");
        let requests = self.bench.requests.len();
        assert!(requests <= MOST_REQUESTS, "one call makes {requests} requests");
        assert!(self.bench.claims.len() <= MOST_REQUESTS, "{} names are claimed", self.bench.claims.len());
        self.bench.acks.clear();
    }

    fn mix(&mut self, frame: &[u8]) {
        for byte in frame {
            self.chance = (self.chance ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn draw_reason(&mut self) -> Reason {
        Reason::ALL[self.draw(Reason::ALL.len())]
    }

    /// A number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_cut_where_they_were_joined() {
        let input = joined(&[b"one", b"", b"three"]);
        assert_eq!(datagrams(&input), [&b"one"[..], b"", b"three"]);
        assert_eq!(datagrams(b"\x09short"), [b"short"]);
        assert_eq!(pieces(&[7; 300]).concat(), [7; 300]);
    }

    /// The frames open a session and subscribe; then the last one is sent again and again.
    fn leads_far(protocol: &dyn Protocol, transport: Transport, frames: &[&[u8]]) {
        let again = std::iter::repeat_n(frames[frames.len() - 1], 50);
        let (requests, deliveries) = converse(protocol, transport, frames.iter().copied().chain(again));
        assert!(requests >= 2 && deliveries >= 1, "{}: {requests}, {deliveries}", protocol.label());
    }

    #[test]
    fn a_conversation_reaches_requests_and_deliveries() {
        let stream = Transport::Stream;
        let datagram = Transport::Datagram;
        let limits = Limits::default;
        leads_far(
            &mqtt::Mqtt::new(mqtt::Config::default(), limits()),
            stream,
            &[b"\x10\x0D\0\x04MQTT\x04\x02\0\x05\0\x01c", b"\x82\x08\0\x01\0\x03a/b\x01", b"\xC0\0"],
        );
        leads_far(
            &stomp::Stomp::new(stomp::Config::default(), limits()),
            stream,
            &[b"CONNECT\n\n\0", b"SUBSCRIBE\nid:0\ndestination:a/c\n\n\0", b"\n"],
        );
        leads_far(
            &mqtt_sn::MqttSn::new(mqtt_sn::Config::default(), limits()),
            datagram,
            &[b"\x07\x04\x04\x01\0\x3Cc", b"\x08\x12\x20\0\x02a/b", b"\x02\x16"],
        );
        leads_far(
            &coap::Coap::new(coap::Config::default(), limits()),
            datagram,
            &[b"\x41\x01\0\x02\xAA\x60\x52ps\x01a", b"\x40\0\0\x09"],
        );
    }
}
