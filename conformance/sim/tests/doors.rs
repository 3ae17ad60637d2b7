//! No protocol has a way in that passes the hooks by: each of its ways to publish or to receive is tried by a
//! client that may do nothing, and by one that is not let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use broker::{
    Access, Answer, Attempt, Authentication, Authenticator, Authorizer, Broker, Client, Config, Hooks,
    Identity, Opened, Permission, Session,
};
use bus::{
    Address, Connect, ContentFormat, Event, Filter, Limits, Outbox, Peer, Protocol, Publish, Qos, Reason,
    SubscribeOptions, Subscription, SubscriptionId, Topic, Transport,
};
use coap::{Code, Message};
use lwm2m::Lwm2m;
use mqtt::Mqtt;
use mqtt_sn::{MqttSn, Packet, PublishQos, TopicFilter, TopicId, WillTopic};
use net::{Driver, Flow, House};
use stomp::Stomp;

/// One way in: what the peer sends, frame by frame.
struct Way {
    name: &'static str,
    protocol: Arc<dyn Protocol>,
    transport: Transport,
    frames: Vec<Vec<u8>>,
}

#[test]
fn every_way_in_works_when_it_is_allowed() {
    for way in ways() {
        let (broker, mut watcher) = world(Policy::All);
        let told = walk(&way, &broker);
        let published = !received(&mut watcher).is_empty();
        assert!(
            published || told,
            "{} does nothing even when it is allowed to: the test shows nothing",
            way.name
        );
    }
}

#[test]
fn no_way_in_leads_past_the_authorizer() {
    for way in ways() {
        let (broker, mut watcher) = world(Policy::Nothing);
        assert!(!walk(&way, &broker), "{} told the secret", way.name);
        assert_eq!(received(&mut watcher), Vec::<String>::new(), "{}", way.name);
        assert!(broker.stats().denied + refusals(&broker) > 0, "{} was not even asked about", way.name);
    }
}

#[test]
fn no_way_in_leads_past_the_authenticator() {
    for way in ways() {
        let (broker, mut watcher) = world(Policy::Nobody);
        assert!(!walk(&way, &broker), "{} told the secret", way.name);
        assert_eq!(received(&mut watcher), Vec::<String>::new(), "{}", way.name);
        assert!(refusals(&broker) > 0, "{} was not even asked who it is", way.name);
    }
}

#[test]
fn no_way_out_leads_past_the_judgement_of_each_message() {
    for way in ways() {
        let (broker, _) = world(Policy::Filtered);
        assert!(!walk(&way, &broker), "{} told the secret", way.name);
    }
}

#[test]
fn whatever_way_it_goes_a_mounted_client_stays_below_its_mountpoint() {
    for way in ways() {
        let (broker, mut watcher) = world(Policy::Mounted);
        assert!(!walk(&way, &broker), "{} told the secret of others", way.name);
        let published = received(&mut watcher);
        assert!(published.iter().all(|topic| topic.starts_with("acme/")), "{}: {published:?}", way.name);
    }
}

#[test]
fn a_right_that_is_taken_away_ends_every_way_to_hear_of_it() {
    let mut ways_to_hear = Vec::new();
    for way in ways() {
        let told = [false, true].map(|revoke| {
            let switch = Arc::new(Switch::default());
            let (broker, _watcher) = world_with(switch.clone(), switch.clone());
            let mut walker = Walker::new(&way, &broker);
            walker.walk(&way);
            switch.denied.store(revoke, Ordering::Relaxed);
            broker.reconsider(Instant::now());
            let secret = Publish::new(Topic::parse("secret").unwrap(), LATER, Qos::AtMostOnce);
            broker.announce(secret, Instant::now()).unwrap();
            walker.turn();
            walker.was_told(LATER)
        });
        assert!(!told[1], "{} told the secret", way.name);
        ways_to_hear.extend(told[0].then_some(way.name));
    }
    assert!(ways_to_hear.len() >= 3, "{ways_to_hear:?}: the test shows nothing");
}

#[test]
fn a_client_whose_user_is_gone_is_closed_whatever_it_speaks() {
    for way in ways() {
        let switch = Arc::new(Switch::default());
        let (broker, _watcher) = world_with(switch.clone(), switch.clone());
        let mut walker = Walker::new(&way, &broker);
        walker.walk(&way);
        switch.gone.store(true, Ordering::Relaxed);
        broker.reconsider(Instant::now());
        assert!(matches!(walker.turn(), Flow::Close(Reason::NotAuthorized)), "{} goes on", way.name);
        walker.driver.end(Reason::NotAuthorized, Instant::now());
        assert_eq!(broker.stats().sessions, 1, "only the watcher is left after {}", way.name);
    }
}

const SECRET: &str = "the secret of this test";
const LATER: &str = "what is said later on";

fn ways() -> Vec<Way> {
    let mut ways = mqtt_ways();
    ways.extend(mqtt_sn_ways());
    ways.extend(coap_ways());
    ways.extend(stomp_ways());
    ways
}

fn mqtt_ways() -> Vec<Way> {
    let protocol: Arc<dyn Protocol> = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
    let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c".to_vec();
    let with_will = b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01t\0\x01w".to_vec();
    let publish = |first: u8, id: &[u8]| [&[first, 4 + id.len() as u8, 0, 1, b't'][..], id, b"x"].concat();
    let way = |name, frames| Way { name, protocol: protocol.clone(), transport: Transport::Stream, frames };
    vec![
        way("MQTT PUBLISH QoS 0", vec![connect.clone(), publish(0x30, &[])]),
        way("MQTT PUBLISH QoS 1", vec![connect.clone(), publish(0x32, &[0, 1])]),
        way("MQTT PUBLISH QoS 2", vec![connect.clone(), publish(0x34, &[0, 1]), b"\x62\x02\0\x01".to_vec()]),
        way("MQTT will", vec![with_will]),
        way("MQTT SUBSCRIBE", vec![connect, b"\x82\x06\0\x01\0\x01#\0".to_vec()]),
    ]
}

fn mqtt_sn_ways() -> Vec<Way> {
    let protocol: Arc<dyn Protocol> = Arc::new(MqttSn::new(mqtt_sn::Config::default(), Limits::default()));
    let way = |name, packets: &[Packet<'_>]| Way {
        name,
        protocol: protocol.clone(),
        transport: Transport::Datagram,
        frames: packets.iter().map(|packet| encoded(*packet)).collect(),
    };
    let connect = |will| {
        Packet::Connect(mqtt_sn::Connect {
            will,
            clean_session: true,
            protocol_id: 1,
            duration: 60,
            client_id: "c",
        })
    };
    let publish = |qos| {
        Packet::Publish(mqtt_sn::Publish {
            dup: false,
            qos,
            retain: false,
            topic: TopicId::Short(*b"tt"),
            msg_id: u16::from(qos != PublishQos::MinusOne && qos != PublishQos::Session(Qos::AtMostOnce)),
            data: b"x",
        })
    };
    let will = Some(WillTopic { qos: Qos::AtMostOnce, retain: false, topic: "w" });
    let subscribe = Packet::Subscribe(mqtt_sn::Subscribe {
        dup: false,
        qos: Some(Qos::AtMostOnce),
        msg_id: 1,
        topic: TopicFilter::Name("secret"),
    });
    vec![
        way("MQTT-SN PUBLISH QoS 0", &[connect(false), publish(PublishQos::Session(Qos::AtMostOnce))]),
        way("MQTT-SN PUBLISH QoS 1", &[connect(false), publish(PublishQos::Session(Qos::AtLeastOnce))]),
        way(
            "MQTT-SN PUBLISH QoS 2",
            &[connect(false), publish(PublishQos::Session(Qos::ExactlyOnce)), Packet::PubRel { msg_id: 1 }],
        ),
        way("MQTT-SN PUBLISH QoS -1", &[publish(PublishQos::MinusOne)]),
        way("MQTT-SN will", &[connect(true), Packet::WillTopic(will), Packet::WillMsg(b"x")]),
        way("MQTT-SN changed will", &[connect(false), Packet::WillTopicUpd(will), Packet::WillMsgUpd(b"x")]),
        way("MQTT-SN SUBSCRIBE", &[connect(false), subscribe]),
    ]
}

/// The shared port of CoAP and LwM2M.
fn coap_ways() -> Vec<Way> {
    let protocol: Arc<dyn Protocol> =
        Arc::new(Lwm2m::new(lwm2m::Config::default(), coap::Config::default(), Limits::default()));
    let way = |name, message: Message| Way {
        name,
        protocol: protocol.clone(),
        transport: Transport::Datagram,
        frames: vec![message.encode()],
    };
    let to = |code, path: &[&'static str]| Message::request(code).with_path(path.iter().copied());
    let register =
        to(Code::POST, &["rd"]).with_query("ep=device").with_query("lt=300").with_query("lwm2m=1.0");
    vec![
        way("CoAP POST", to(Code::POST, &["ps", "t"]).with_payload("x")),
        way("CoAP PUT", to(Code::PUT, &["ps", "t"]).with_payload("x")),
        way("CoAP DELETE", to(Code::DELETE, &["ps", "t"])),
        way("CoAP GET", to(Code::GET, &["ps", "secret"])),
        way("CoAP observe", to(Code::GET, &["ps", "secret"]).with_observe(0)),
        // {0: "t", 2: "core.ps.data", 3: 0, 8: h'78'}
        way(
            "CoAP topic creation",
            to(Code::POST, &["pubsub"])
                .with_content_format(ContentFormat(606))
                .with_payload(b"\xA4\x00\x61t\x02\x6Ccore.ps.data\x03\x00\x08\x41x".to_vec()),
        ),
        way("LwM2M registration", register.with_payload("</3/0>")),
    ]
}

fn stomp_ways() -> Vec<Way> {
    let protocol: Arc<dyn Protocol> = Arc::new(Stomp::new(stomp::Config::default(), Limits::default()));
    let way = |name, frames: &[&str]| Way {
        name,
        protocol: protocol.clone(),
        transport: Transport::Stream,
        frames: frames.iter().map(|frame| frame.as_bytes().to_vec()).collect(),
    };
    let connect = "CONNECT\naccept-version:1.2\nhost:h\n\n\0";
    vec![
        way("STOMP SEND", &[connect, "SEND\ndestination:t\n\nx\0"]),
        way(
            "STOMP SEND in a transaction",
            &[
                connect,
                "BEGIN\ntransaction:1\n\n\0",
                "SEND\ndestination:t\ntransaction:1\n\nx\0",
                "COMMIT\ntransaction:1\n\n\0",
            ],
        ),
        way("STOMP SUBSCRIBE", &[connect, "SUBSCRIBE\nid:1\ndestination:secret\n\n\0"]),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    All,
    Nothing,
    Nobody,
    /// Every subscription is allowed, and no message may be received.
    Filtered,
    /// Everything is allowed, below `acme/`.
    Mounted,
}

/// The watcher is a superuser, and the one whom this policy does not concern.
impl Authenticator for Policy {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        let superuser = attempt.protocol == "watcher";
        Answer::Now(match self {
            Self::Nobody if !superuser => Authentication::Refuse(Reason::BadCredentials),
            Self::Mounted if !superuser => {
                let mountpoint = Some("acme/".into());
                Authentication::Accept(Identity { mountpoint, ..Identity::default() })
            }
            _ => Authentication::Accept(Identity { superuser, ..Identity::default() }),
        })
    }
}

impl Authorizer for Policy {
    fn authorize(&self, _: &Client, access: Access<'_>) -> Answer<Permission> {
        Answer::Now(match (self, access) {
            (Self::All | Self::Mounted, _) => Permission::Allow,
            (Self::Filtered, Access::Publish { .. } | Access::Subscribe { .. }) => Permission::AllowFiltered,
            _ => Permission::Deny,
        })
    }
}

/// Allows everything until it is thrown; the watcher stays whatever happens.
#[derive(Default)]
struct Switch {
    denied: AtomicBool,
    gone: AtomicBool,
}

impl Authenticator for Switch {
    fn authenticate(&self, attempt: &Attempt) -> Answer<Authentication> {
        Policy::All.authenticate(attempt)
    }

    fn still_valid(&self, client: &Client) -> bool {
        client.identity.superuser || !self.gone.load(Ordering::Relaxed)
    }
}

impl Authorizer for Switch {
    fn authorize(&self, _: &Client, _: Access<'_>) -> Answer<Permission> {
        Answer::Now(if self.denied.load(Ordering::Relaxed) { Permission::Deny } else { Permission::Allow })
    }
}

/// A broker with a retained secret, and a watcher who sees everything that is published.
fn world(policy: Policy) -> (Broker, Session) {
    world_with(Arc::new(policy), Arc::new(policy))
}

fn world_with(authenticator: Arc<dyn Authenticator>, authorizer: Arc<dyn Authorizer>) -> (Broker, Session) {
    let hooks = Hooks { authenticator, authorizer, rewriter: None, interceptors: Vec::new() };
    let broker = Broker::new(Config::default(), hooks, Vec::new());
    let connect = Connect { client_id: None, protocol: "watcher", ..harness::connect("watcher") };
    let now = Instant::now();
    let Answer::Now(Ok(Opened::Session(mut watcher, _))) =
        broker.connect(connect, peer(Transport::Stream), now)
    else {
        panic!("the watcher is let in");
    };
    let secret = Publish::new(Topic::parse("secret").unwrap(), SECRET, Qos::AtMostOnce).retained();
    assert!(matches!(watcher.publish(secret, now), Answer::Now(Ok(_))));
    let everything = Subscription {
        id: SubscriptionId(1),
        filter: Filter::parse("#").unwrap(),
        options: SubscribeOptions { no_local: true, ..Default::default() },
        keyed: Default::default(),
    };
    assert!(matches!(watcher.subscribe(vec![everything], now), Answer::Now(Ok(_))));
    (broker, *watcher)
}

/// A peer that goes a way in.
struct Walker {
    driver: Driver,
    out: Outbox,
    told: Vec<u8>,
}

impl Walker {
    fn new(way: &Way, broker: &Broker) -> Self {
        let mut out = Outbox::new(way.transport);
        let now = Instant::now();
        let place = House::new(way.protocol.clone(), broker.clone(), now).place();
        let driver = Driver::new(place, peer(way.transport), now, &mut out);
        Self { driver, out, told: Vec::new() }
    }

    fn walk(&mut self, way: &Way) {
        let cx = &mut Context::from_waker(Waker::noop());
        for frame in &way.frames {
            self.driver.receive(frame, Instant::now(), &mut self.out, &mut (), cx);
            self.turn();
        }
    }

    fn turn(&mut self) -> Flow {
        let cx = &mut Context::from_waker(Waker::noop());
        let flow = self.driver.turn(true, Instant::now(), &mut self.out, &mut (), cx);
        self.told.extend(self.out.chunks().flat_map(|chunk| chunk.bytes.to_vec()));
        self.out.clear_sent();
        flow
    }

    fn was_told(&self, secret: &str) -> bool {
        self.told.windows(secret.len()).any(|bytes| bytes == secret.as_bytes())
    }
}

/// Goes the way, then is lost; returns whether the peer was told the secret.
fn walk(way: &Way, broker: &Broker) -> bool {
    let mut walker = Walker::new(way, broker);
    walker.walk(way);
    // MQTT-SN registers the topic first; the message would come behind it.
    let told = walker.was_told("secret") || walker.was_told(SECRET);
    let now = Instant::now();
    walker.driver.end(Reason::PeerClosed, now);
    broker.tick(now + Duration::from_secs(1));
    told
}

fn received(watcher: &mut Session) -> Vec<String> {
    let mut events = Vec::new();
    watcher.pull(100, Instant::now(), Waker::noop(), &mut events);
    let topic = |event: &Event| match event {
        Event::Deliver(delivery) => Some(delivery.message.topic.to_string()),
        _ => None,
    };
    events.iter().filter_map(topic).collect()
}

fn refusals(broker: &Broker) -> u64 {
    broker.stats().refused.iter().map(|(_, _, count)| count).sum()
}

fn peer(transport: Transport) -> Peer {
    Peer { address: Address::Internal, listener: "test".into(), transport, seed: 5, link: Default::default() }
}

fn encoded(packet: Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    packet.encode(&mut datagram).unwrap();
    datagram
}
