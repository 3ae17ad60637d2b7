//! Requests of ours to a device that protects its own.

mod common;
#[path = "common/protected.rs"]
mod protected;

use std::sync::Arc;
use std::time::Instant;

use bus::{Address, Limits, Outbox, Peer, Transport};
use coap::{Code, Endpoint, ExchangeId, Incoming, Kind, Message, OptionNumber, SendError};
use common::*;
use oscore::{Contexts, Opened, SecurityContext};
use protected::*;

/// Our endpoint for a device that has protected a request, what it sent, and the device's side.
struct World {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<Vec<u8>>,
    device: Arc<SecurityContext>,
    /// What the device knows of us.
    contexts: Contexts,
}

impl World {
    fn new(device: Arc<SecurityContext>) -> Self {
        let peer = Peer {
            address: Address::Internal,
            listener: "test".into(),
            transport: Transport::Datagram,
            seed: 7,
            link: Default::default(),
        };
        let contexts = Contexts::new([device.clone()]).unwrap();
        let endpoint = Endpoint::accept(&peer, &config(false, None), &Limits::default());
        let mut world = Self { endpoint, now: common::bench().now, sent: Vec::new(), device, contexts };
        let hello = request(Kind::Confirmable, Code::GET, 1, b"t", "hello");
        let (datagram, _) = protect(&world.device, hello);
        let Some(Incoming::Request(request)) = world.receive(&datagram) else { panic!("no request") };
        world.act(|endpoint, now, out| {
            endpoint.respond(&request.reply_to, Message::response(Code::CONTENT), now, out)
        });
        world.sent.clear();
        world
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Instant, &mut Outbox) -> T) -> T {
        let mut out = Outbox::new(Transport::Datagram);
        let result = act(&mut self.endpoint, self.now, &mut out);
        self.sent.extend(out.chunks().map(|chunk| chunk.bytes.to_vec()));
        result
    }

    fn receive(&mut self, datagram: &[u8]) -> Option<Incoming> {
        self.act(|endpoint, now, out| endpoint.receive(datagram, now, out))
    }

    fn ask(&mut self, message: Message) -> ExchangeId {
        self.act(|endpoint, now, out| endpoint.request(message, now, out)).unwrap()
    }

    /// The one request that was sent, as it came and as the device reads it.
    fn read(&mut self) -> (Message, Opened) {
        assert_eq!(self.sent.len(), 1, "one datagram");
        let message = Message::decode(&self.sent.pop().unwrap()).unwrap();
        let opened = self.contexts.open(&plain(&message)).unwrap();
        (message, opened)
    }

    fn answer(&mut self, to: &Message, kind: Kind, answer: oscore::Message) -> Option<Incoming> {
        let id = if kind == Kind::Acknowledgement { to.id() } else { to.id() ^ 0x5555 };
        let answer = numbered(swap(to, answer), kind, id);
        self.receive(&answer.encode())
    }
}

fn led() -> Message {
    Message::request(Code::GET).with_path(["led"])
}

fn content(payload: &str) -> oscore::Message {
    oscore::Message { payload: payload.into(), ..oscore::Message::new(Code::CONTENT.0) }
}

#[test]
fn a_request_to_a_device_that_protects_its_own_is_protected_and_so_is_the_answer() {
    let mut world = World::new(device(1));
    let exchange = world.ask(led());
    let (sent, Opened::Request(read, mut binding)) = world.read() else { panic!("no request") };
    assert_eq!((sent.code(), sent.option(OptionNumber::URI_PATH)), (Code::POST, None));
    assert_eq!((read.code, read.option(OptionNumber::URI_PATH.0)), (Code::GET.0, Some(&b"led"[..])));
    let answer = binding.protect(content("on")).unwrap();
    let Some(Incoming::Response { exchange: answered, message }) =
        world.answer(&sent, Kind::Acknowledgement, answer)
    else {
        panic!("no response")
    };
    assert_eq!((answered, message.code(), message.payload()), (exchange, Code::CONTENT, &b"on"[..]));
}

#[test]
fn an_answer_that_anybody_may_have_sent_is_not_taken_for_the_devices() {
    for forged in [content("on"), content("on").with(OptionNumber::OSCORE.0, [])] {
        let mut world = World::new(device(1));
        let exchange = world.ask(led());
        let (sent, _) = world.read();
        let incoming = world.answer(&sent, Kind::Acknowledgement, forged);
        assert!(
            matches!(incoming, Some(Incoming::Reset { exchange: ended }) if ended == exchange),
            "{incoming:?}"
        );
    }
}

#[test]
fn an_error_below_protection_is_passed_on() {
    let mut world = World::new(device(1));
    world.ask(led());
    let (sent, _) = world.read();
    let error = oscore::RequestError::ContextNotFound.response();
    let Some(Incoming::Response { message, .. }) = world.answer(&sent, Kind::Acknowledgement, error) else {
        panic!("no response")
    };
    assert_eq!((message.code(), text(&message)), (Code::UNAUTHORIZED, "Security context not found"));
}

#[test]
fn a_device_that_has_lost_its_window_gets_the_request_again_with_its_echo() {
    let mut world = World::new(device_with(1, Some(*b"restart2")));
    let exchange = world.ask(led());
    let (sent, Opened::Challenge(challenge)) = world.read() else { panic!("no challenge") };
    assert!(world.answer(&sent, Kind::Acknowledgement, challenge).is_none());
    let (sent, Opened::Request(read, mut binding)) = world.read() else { panic!("no request") };
    assert_eq!(read.option(OptionNumber::URI_PATH.0), Some(&b"led"[..]));
    let answer = binding.protect(content("on")).unwrap();
    let incoming = world.answer(&sent, Kind::Acknowledgement, answer);
    assert!(
        matches!(&incoming, Some(Incoming::Response { exchange: answered, .. }) if *answered == exchange),
        "{incoming:?}"
    );
}

#[test]
fn notifications_are_put_in_order_by_their_partial_iv_whatever_observe_says() {
    let mut world = World::new(device(1));
    world.ask(led().with_observe(0));
    let (sent, Opened::Request(_, mut binding)) = world.read() else { panic!("no request") };
    assert_eq!((sent.code(), sent.observe()), (Code::FETCH, Some(0)));
    let mut notify =
        |payload: &str| binding.protect(content(payload).with(OptionNumber::OBSERVE.0, [9])).unwrap();
    let (first, second, third) = (notify("1"), notify("2"), notify("3"));
    let incoming = world.answer(&sent, Kind::Acknowledgement, first);
    assert!(matches!(incoming, Some(Incoming::Response { .. })), "{incoming:?}");
    for (notification, expected) in [(&third, Some("3")), (&second, None), (&third, None)] {
        let incoming = world.answer(&sent, Kind::NonConfirmable, notification.clone());
        let payload = match &incoming {
            Some(Incoming::Notification { message, .. }) => Some(text(message)),
            _ => None,
        };
        assert_eq!(payload, expected);
    }
}

#[test]
fn nothing_is_sent_in_the_open_when_the_context_is_taken_away() {
    let mut world = World::new(device(1));
    let context = {
        let hello = request(Kind::Confirmable, Code::GET, 2, b"u", "hello");
        let (datagram, _) = protect(&world.device.clone(), hello);
        let Some(Incoming::Request(request)) = world.receive(&datagram) else { panic!("no request") };
        request.reply_to
    };
    context.security().unwrap().revoke();
    let refused = world.act(|endpoint, now, out| endpoint.request(led(), now, out));
    assert_eq!((refused, world.sent.len()), (Err(SendError::Unprotected), 0));
}
