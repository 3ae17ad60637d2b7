//! Requests of ours to a device that protects its own.

mod common;
#[path = "common/device.rs"]
mod device;
#[path = "common/protected.rs"]
mod protected;

use std::sync::Arc;

use bus::Limits;
use coap::{Code, Endpoint, Incoming, Kind, Message, OptionNumber, SendError};
use common::*;
use device::{Device, addressed};
use oscore::{Contexts, Opened, SecurityContext};
use protected::*;

/// Our endpoint for a device that has protected a request, what it sent, and the device's side.
struct World {
    ours: Device,
    device: Arc<SecurityContext>,
    /// What the device knows of us.
    contexts: Contexts,
}

impl World {
    fn new(device: Arc<SecurityContext>) -> Self {
        let contexts = Contexts::new([device.clone()]).unwrap();
        let endpoint = Endpoint::accept(&internal_peer(), &config(false, None), &Limits::default());
        let mut world = Self { ours: Device::of(endpoint), device, contexts };
        let hello = request(Kind::Confirmable, Code::GET, 1, b"t", "hello");
        let (datagram, _) = protect(&world.device, hello);
        let Some(Incoming::Request(request)) = world.ours.receive(&datagram) else { panic!("no request") };
        world.ours.act(|endpoint, now, out| {
            endpoint.let_in(&request.reply_to, out);
            endpoint.respond(&request.reply_to, Message::response(Code::CONTENT), now, out)
        });
        world.ours.sent.clear();
        world
    }

    /// The one request that was sent, as it came and as the device reads it.
    fn read(&mut self) -> (Message, Opened) {
        let message = self.ours.take();
        let opened = self.contexts.open(&plain(&message)).unwrap();
        (message, opened)
    }

    fn answer(&mut self, to: &Message, kind: Kind, answer: oscore::Message) -> Option<Incoming> {
        self.ours.receive(&addressed(to, kind, swap(to, answer)))
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
    let exchange = world.ours.request(led());
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
        let exchange = world.ours.request(led());
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
    world.ours.request(led());
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
    let exchange = world.ours.request(led());
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
    world.ours.request(led().with_observe(0));
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
        let Some(Incoming::Request(request)) = world.ours.receive(&datagram) else { panic!("no request") };
        request.reply_to
    };
    context.security().unwrap().revoke();
    let refused = world.ours.act(|endpoint, now, out| endpoint.request(led(), now, out));
    assert_eq!((refused, world.ours.sent.len()), (Err(SendError::Unprotected), 0));
}
