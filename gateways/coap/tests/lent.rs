//! Topics on an endpoint whose session another protocol has opened.

mod common;

use std::sync::Arc;
use std::time::Instant;

use bus::{Action, ClientId, Limits, Outbox, Request, Ticket, Transport};
use coap::{Code, Config, Endpoint, Incoming, Message, PubSub, Transmission, Turn};
use common::*;

struct Shared {
    endpoint: Endpoint,
    pubsub: PubSub,
    now: Instant,
}

impl Shared {
    fn new() -> Self {
        let limits = Limits::default();
        let endpoint = Endpoint::new(1, Transmission::default(), &limits, 1_152);
        let config = Arc::new(Config::default());
        let links = PubSub::links(&config).into();
        let shared = Arc::new(coap::Shared::new(&config));
        let pubsub = PubSub::new(&internal_peer(), config, limits, links, shared);
        Self { endpoint, pubsub, now: bench().now }
    }

    fn lend(&mut self, client_id: Option<&str>) -> Outbox {
        let mut out = Outbox::new(Transport::Datagram);
        let client_id = client_id.and_then(ClientId::parse);
        let turn = &mut Turn { endpoint: &mut self.endpoint, now: self.now, out: &mut out };
        self.pubsub.lend_session(client_id, turn);
        out
    }

    fn receive(&mut self, datagram: &[u8]) -> Outbox {
        let mut out = Outbox::new(Transport::Datagram);
        let incoming = self.endpoint.receive(datagram, self.now, &mut out);
        let Some(Incoming::Request(request)) = incoming else { panic!("no request") };
        let turn = &mut Turn { endpoint: &mut self.endpoint, now: self.now, out: &mut out };
        self.pubsub.handle_request(request, turn);
        out
    }
}

fn asked(out: &mut Outbox) -> Vec<(Ticket, Request)> {
    std::iter::from_fn(|| out.next_action())
        .filter_map(|action| match action {
            Action::Request(ticket, request) => Some((ticket, request)),
            _ => None,
        })
        .collect()
}

fn code(out: &Outbox) -> Code {
    Message::decode(out.chunks().next().expect("an answer").bytes).unwrap().code()
}

#[test]
fn a_lent_session_is_used_without_a_connect() {
    let mut shared = Shared::new();
    shared.lend(Some("urn:dev"));
    let requests = asked(&mut shared.receive(&con(Code::PUT, 1, b"t", "ps/a")));
    assert!(matches!(requests.as_slice(), [(ticket, Request::Publish(_))] if PubSub::owns(*ticket)));
    assert!(!PubSub::owns(Ticket(0)) && !PubSub::owns(Ticket::NONE));
    assert_eq!(code(&shared.receive(&con(Code::PUT, 2, b"t", "ps/a?c=other&p=x"))), Code::UNAUTHORIZED);
    assert_eq!(code(&shared.receive(&con(Code::POST, 3, b"t", "mqtt/connection?c=other"))), Code::CONFLICT);
}

#[test]
fn a_session_that_was_opened_here_is_left_when_another_is_lent() {
    let mut shared = Shared::new();
    let requests = asked(&mut shared.receive(&con(Code::PUT, 1, b"t", "ps/a?c=own")));
    assert!(matches!(requests.as_slice(), [(_, Request::Connect(_))]));
    let mut out = shared.lend(Some("urn:dev"));
    assert_eq!(code(&out), Code::UNAUTHORIZED);
    assert!(matches!(asked(&mut out).as_slice(), [(Ticket::NONE, Request::Disconnect(_))]));
}

#[test]
fn the_end_of_a_lent_session_ends_its_observations() {
    let mut shared = Shared::new();
    shared.lend(Some("urn:dev"));
    let requests = asked(&mut shared.receive(&observe(1, b"t", "ps/a")));
    let [(_, Request::Subscribe(wishes))] = requests.as_slice() else { panic!("{requests:?}") };
    let id = wishes[0].id;
    assert_ne!(id.0 & 0x7FFF_FFFF, 0, "no id that an earlier connection may have had");
    assert!(shared.pubsub.has_observers());
    let mut out = shared.lend(None);
    assert!(!shared.pubsub.has_observers() && !shared.pubsub.has_session());
    let requests = asked(&mut out);
    let [(Ticket::NONE, Request::Unsubscribe(left))] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(left, &[bus::Unsubscribe::Id(id)], "it may outlive this connection; leaving it is another's");
    let requests = asked(&mut shared.receive(&con(Code::PUT, 2, b"t", "ps/a")));
    assert!(matches!(requests.as_slice(), [(_, Request::Connect(_))]));
}
