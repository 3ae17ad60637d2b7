//! The resource directory: registrations, lookups, simple registrations [RFC9176].

mod common;

use bus::{ContentFormat, Judgement, Limits, Reason, Reply, Request, Right, Transport};
use coap::{Coap, Code, Config, DirectoryConfig, Kind, Message, OptionNumber};
use common::*;
use harness::Bench;

const LINKS: &str = "</sensors/temp>;rt=temperature-c;if=sensor,</sensors/light>;rt=light-lux";

/// A registration as the peer sends it.
fn register(id: u16, uri: &str, links: &str) -> Vec<u8> {
    let message = request(Kind::Confirmable, Code::POST, id, b"t", uri);
    message.with_content_format(ContentFormat::LINK_FORMAT).with_payload(links).encode()
}

/// Sends a request to which the client has the right, and returns the answer.
fn ask(bench: &mut Bench, datagram: &[u8]) -> Message {
    bench.receive(datagram);
    let_in(bench);
    if matches!(bench.requests.front(), Some((_, Request::Judge(_)))) {
        judge(bench, Ok(()));
    }
    sent(bench)
}

fn lookup(bench: &mut Bench, id: u16, uri: &str) -> String {
    let answer = ask(bench, &con(Code::GET, id, b"t", uri));
    assert_eq!((answer.code(), answer.content_format()), (Code::CONTENT, Some(ContentFormat::LINK_FORMAT)));
    text(&answer).to_owned()
}

fn location(answer: &Message) -> String {
    assert_eq!(answer.code(), Code::CREATED);
    answer.location_path().join("/")
}

#[test]
fn it_is_found_by_its_resource_types() {
    let mut bench = bench();
    bench.receive(&con(Code::GET, 1, b"t", ".well-known/core?rt=core.rd*"));
    let links = text(&sent(&mut bench)).to_owned();
    for expected in [
        "</directory>;rt=\"core.rd\";ct=40",
        "</directory-lookup/ep>;rt=\"core.rd-lookup-ep\";ct=40",
        "</directory-lookup/res>;rt=\"core.rd-lookup-res\";ct=40",
    ] {
        assert!(links.contains(expected), "{links}");
    }
    bench.receive(&con(Code::GET, 2, b"t", ".well-known/core?rt=core.rd"));
    assert_eq!(text(&sent(&mut bench)), "</directory>;rt=\"core.rd\";ct=40");
}

#[test]
fn an_endpoint_registers_is_looked_up_refreshes_and_leaves() {
    let mut bench = bench();
    let answer = ask(&mut bench, &register(1, "directory?ep=node1&lt=60&et=lamp", LINKS));
    let place = location(&answer);
    assert_eq!(answer.option(OptionNumber::LOCATION_QUERY), None);
    assert_eq!(
        lookup(&mut bench, 2, "directory-lookup/res?rt=light-lux"),
        "<coap://127.0.0.1:40000/sensors/light>;rt=light-lux"
    );
    assert_eq!(
        lookup(&mut bench, 3, "directory-lookup/ep"),
        format!("</{place}>;base=\"coap://127.0.0.1:40000\";ep=\"node1\";et=\"lamp\";rt=\"core.rd-ep\"")
    );
    bench.advance(59 * SECOND);
    assert_eq!(ask(&mut bench, &con(Code::POST, 4, b"t", &place)).code(), Code::CHANGED);
    bench.advance(59 * SECOND);
    assert_ne!(lookup(&mut bench, 5, "directory-lookup/ep?ep=node*"), "");
    assert_eq!(ask(&mut bench, &con(Code::DELETE, 6, b"t", &place)).code(), Code::DELETED);
    assert_eq!(lookup(&mut bench, 7, "directory-lookup/ep"), "");
    assert_eq!(ask(&mut bench, &con(Code::DELETE, 8, b"t", &place)).code(), Code::NOT_FOUND);
}

#[test]
fn a_lookup_that_finds_the_same_is_valid_still() {
    let mut bench = bench();
    ask(&mut bench, &register(1, "directory?ep=node1", LINKS));
    let answer = ask(&mut bench, &con(Code::GET, 2, b"t", "directory-lookup/res"));
    let tag = answer.option(OptionNumber::ETAG).unwrap().to_vec();
    let again = |id| {
        let get = request(Kind::Confirmable, Code::GET, id, b"t", "directory-lookup/res");
        get.with_option(OptionNumber::ETAG, tag.clone()).encode()
    };
    assert_eq!(ask(&mut bench, &again(3)).code(), Code::VALID);
    ask(&mut bench, &register(4, "directory?ep=node1", "</other>"));
    assert_eq!(ask(&mut bench, &again(5)).code(), Code::CONTENT);
}

#[test]
fn registering_and_looking_up_take_rights_of_their_own() {
    let mut bench = bench();
    bench.receive(&register(1, "directory?ep=a/b&d=x", LINKS));
    accept(&mut bench);
    let asked = judge(&mut bench, Err(Reason::NotAuthorized));
    assert_eq!(sent(&mut bench).code(), Code::FORBIDDEN);
    let Right::Publish(topic) = &asked[1] else { panic!("{asked:?}") };
    assert_eq!(topic.as_str(), "coap/directory/a%2Fb", "an endpoint is one level");
    bench.receive(&con(Code::GET, 2, b"t", "directory-lookup/ep"));
    let asked = judge(&mut bench, Err(Reason::NotAuthorized));
    assert_eq!(sent(&mut bench).code(), Code::FORBIDDEN);
    assert!(matches!(&asked[..], [Right::Read(topic)] if topic.as_str() == "coap/directory"));
    // Who may register need not be allowed to look up.
    bench.receive(&register(3, "directory?ep=a", LINKS));
    let (ticket, request) = bench.request();
    let Request::Judge(rights) = request else { panic!("{request:?}") };
    let judgements = rights.into_iter().map(|right| match right {
        Right::Publish(topic) | Right::Name(topic) => Judgement { topic, allowed: Ok(()), retained: false },
        Right::Read(topic) => Judgement { topic, allowed: Err(Reason::NotAuthorized), retained: false },
    });
    bench.reply(ticket, Reply::Judged { judgements: judgements.collect(), time: None });
    let place = location(&sent(&mut bench));
    // To change a registration takes the right to register its endpoint.
    bench.receive(&con(Code::POST, 4, b"t", &place));
    let asked = judge(&mut bench, Ok(()));
    assert!(matches!(&asked[1], Right::Publish(topic) if topic.as_str() == "coap/directory/a"), "{asked:?}");
    assert_eq!(sent(&mut bench).code(), Code::CHANGED);
}

#[test]
fn an_endpoint_belongs_to_the_client_that_registered_it_first() {
    let coap = Coap::new(unasked(Config::default()), Limits::default());
    let (mut alice, mut mallory) =
        (Bench::new(&coap, Transport::Datagram), Bench::new(&coap, Transport::Datagram));
    let place = location(&ask(&mut alice, &register(1, "directory?ep=node1&c=alice", LINKS)));
    let refused = ask(&mut mallory, &register(1, "directory?ep=node1&c=mallory", "</evil>"));
    assert_eq!(refused.code(), Code::FORBIDDEN);
    for method in [Code::POST, Code::DELETE] {
        let uri = format!("{place}?base=coap://evil");
        assert_eq!(ask(&mut mallory, &con(method, method.0.into(), b"t", &uri)).code(), Code::FORBIDDEN);
    }
    assert_eq!(ask(&mut alice, &con(Code::POST, 2, b"t", &place)).code(), Code::CHANGED);
    assert!(
        lookup(&mut mallory, 9, "directory-lookup/res").contains("/sensors/temp"),
        "looking up is for all"
    );
}

#[test]
fn who_says_who_it_is_does_not_tell_it_to_those_who_look_up() {
    let mut bench = bench();
    ask(&mut bench, &register(1, "directory?ep=node1&c=alice&u=joe&p=secret", LINKS));
    let found = ask(&mut bench, &con(Code::GET, 2, b"t", "directory-lookup/ep?c=alice&u=joe&p=secret"));
    let found = text(&found);
    assert!(found.contains("ep=\"node1\"") && !found.contains("secret") && !found.contains("joe"), "{found}");
}

#[test]
fn what_is_no_registration_is_refused() {
    let mut bench = bench();
    let place = location(&ask(&mut bench, &register(1, "directory?ep=node1", LINKS)));
    let long = format!("directory?ep={}", "x".repeat(64));
    let cases = [
        (Code::POST, "directory", LINKS, Code::BAD_REQUEST),
        (Code::POST, "directory?ep=a&lt=0", LINKS, Code::BAD_REQUEST),
        (Code::POST, "directory?ep=a&base=x", LINKS, Code::BAD_REQUEST),
        (Code::POST, &long, LINKS, Code::BAD_REQUEST),
        (Code::POST, "directory?ep=a", "sensors", Code::BAD_REQUEST),
        (Code::POST, "directory?ep=a", "<relative>", Code::BAD_REQUEST),
        (Code::GET, "directory", "", Code::METHOD_NOT_ALLOWED),
        (Code::PUT, &place, "", Code::METHOD_NOT_ALLOWED),
        (Code::POST, &place, LINKS, Code::BAD_REQUEST),
        (Code::POST, "directory/77", "", Code::NOT_FOUND),
        (Code::POST, "directory-lookup/ep", "", Code::METHOD_NOT_ALLOWED),
        (Code::GET, "directory-lookup/ep?page=1", "", Code::BAD_REQUEST),
        (Code::GET, "directory-lookup/gp", "", Code::NOT_FOUND),
        (Code::GET, ".well-known/rd", "", Code::METHOD_NOT_ALLOWED),
        (Code::POST, ".well-known/rd?ep=a", LINKS, Code::BAD_REQUEST),
        (Code::POST, ".well-known/rd?ep=a&base=coap://h", "", Code::BAD_REQUEST),
    ];
    for (id, (method, uri, payload, expected)) in (2..).zip(cases) {
        let message = request(Kind::Confirmable, method, id, b"t", uri).with_payload(payload);
        let answer = ask(&mut bench, &message.encode());
        assert_eq!(answer.code(), expected, "{method:?} {uri}: {}", text(&answer));
    }
    let json = request(Kind::Confirmable, Code::POST, 90, b"t", "directory?ep=a")
        .with_content_format(ContentFormat::JSON)
        .with_payload("[]");
    assert_eq!(ask(&mut bench, &json.encode()).code(), Code::UNSUPPORTED_CONTENT_FORMAT);
    let json = request(Kind::Confirmable, Code::GET, 91, b"t", "directory-lookup/ep");
    assert_eq!(ask(&mut bench, &json.with_accept(ContentFormat::JSON).encode()).code(), Code::NOT_ACCEPTABLE);
}

#[test]
fn a_directory_that_is_full_says_when_to_try_again() {
    let directory = DirectoryConfig { endpoints: 1, ..DirectoryConfig::default() };
    let mut bench = bench_with(Config { directory, ..Config::default() });
    ask(&mut bench, &register(1, "directory?ep=a", LINKS));
    let answer = ask(&mut bench, &register(2, "directory?ep=b", LINKS));
    assert_eq!((answer.code(), answer.uint(OptionNumber::MAX_AGE)), (Code::SERVICE_UNAVAILABLE, Some(60)));
}

#[test]
fn it_can_be_left_out() {
    let directory = DirectoryConfig { enabled: false, ..DirectoryConfig::default() };
    let mut bench = bench_with(Config { directory, ..Config::default() });
    assert_eq!(ask(&mut bench, &register(1, "directory?ep=a", LINKS)).code(), Code::NOT_FOUND);
    assert_eq!(ask(&mut bench, &con(Code::POST, 2, b"t", ".well-known/rd?ep=a")).code(), Code::NOT_FOUND);
    bench.receive(&con(Code::GET, 3, b"t", ".well-known/core?rt=core.rd*"));
    assert_eq!(text(&sent(&mut bench)), "");
}

/// Begins a simple registration; returns what the endpoint is asked.
fn begin_simply(bench: &mut Bench, id: u16) -> Message {
    bench.receive(&con(Code::POST, id, b"post", ".well-known/rd?ep=node1&lt=6000"));
    let_in(bench);
    judge(bench, Ok(()));
    let get = sent(bench);
    assert_eq!(
        (get.code(), get.kind(), get.uri_path()),
        (Code::GET, Kind::Confirmable, vec![".well-known", "core"])
    );
    assert_eq!(get.accept(), Some(ContentFormat::LINK_FORMAT));
    get
}

#[test]
fn a_simple_registration_is_answered_once_the_links_were_fetched() {
    let mut bench = bench();
    let get = begin_simply(&mut bench, 1);
    let links = Message::response(Code::CONTENT)
        .with_content_format(ContentFormat::LINK_FORMAT)
        .with_uint(OptionNumber::MAX_AGE, 100)
        .with_payload("</sen/temp>");
    answer(&mut bench, &get, links);
    let answer = sent(&mut bench);
    assert_eq!((answer.kind(), answer.code()), (Kind::Acknowledgement, Code::CHANGED));
    assert_eq!(answer.token().as_slice(), b"post");
    assert_eq!(lookup(&mut bench, 2, "directory-lookup/res"), "<coap://127.0.0.1:40000/sen/temp>");
    // While the links are fresh they are not fetched again.
    bench.advance(99 * SECOND);
    let again = con(Code::POST, 3, b"post", ".well-known/rd?ep=node1&lt=6000");
    assert_eq!(ask(&mut bench, &again).code(), Code::CHANGED);
    bench.advance(2 * SECOND);
    begin_simply(&mut bench, 4);
}

/// [RFC9176 5.1]: whoever writes another's address into its datagrams must not have that other's links told.
#[test]
fn a_simple_registration_takes_a_proof_of_the_address() {
    let mut bench = far_away(unasked(Config::default()), None);
    let post = |id| request(Kind::Confirmable, Code::POST, id, b"post", ".well-known/rd?ep=node1&lt=6000");
    for id in [1, 2] {
        bench.receive(&post(id).encode());
        let challenge = sent(&mut bench);
        assert_eq!(challenge.code(), Code::UNAUTHORIZED);
        assert!(challenge.option(OptionNumber::ECHO).is_some() && bench.requests.is_empty());
    }
    bench.receive(&post(3).encode());
    let echo = sent(&mut bench).option(OptionNumber::ECHO).unwrap().to_vec();
    bench.receive(&post(4).with_option(OptionNumber::ECHO, echo).encode());
    accept(&mut bench);
    judge(&mut bench, Ok(()));
    assert_eq!(sent(&mut bench).code(), Code::GET);
}

#[test]
fn a_simple_registration_fails_with_what_the_endpoint_answers() {
    let cases = [
        (Message::response(Code::NOT_FOUND), Code::BAD_GATEWAY),
        (Message::response(Code::CONTENT).with_payload("no links"), Code::BAD_REQUEST),
        (Message::response(Code::CONTENT).with_payload(b"\xFF".to_vec()), Code::BAD_GATEWAY),
        (
            Message::response(Code::CONTENT).with_content_format(ContentFormat::JSON).with_payload("[]"),
            Code::BAD_GATEWAY,
        ),
    ];
    for (links, expected) in cases {
        let mut bench = bench();
        let get = begin_simply(&mut bench, 1);
        answer(&mut bench, &get, links);
        assert_eq!(sent(&mut bench).code(), expected);
        assert_eq!(lookup(&mut bench, 2, "directory-lookup/ep"), "");
    }
    let mut bench = bench();
    let get = begin_simply(&mut bench, 1);
    bench.receive(&reset(get.id()));
    assert_eq!(sent(&mut bench).code(), Code::BAD_GATEWAY);
}

#[test]
fn a_simple_registration_of_a_silent_endpoint_ends_and_the_endpoint_stays() {
    let mut bench = bench();
    let get = begin_simply(&mut bench, 1);
    // A second one would make the server ask twice.
    bench.receive(&con(Code::POST, 2, b"more", ".well-known/rd?ep=node2"));
    judge(&mut bench, Ok(()));
    assert_eq!(sent(&mut bench).code(), Code::SERVICE_UNAVAILABLE);
    bench.receive(&acknowledgement(get.id()));
    bench.advance(250 * SECOND);
    let answers: Vec<Message> =
        bench.sent.drain(..).map(|(_, datagram)| Message::decode(&datagram).unwrap()).collect();
    let timeout = answers.iter().find(|answer| answer.code() == Code::GATEWAY_TIMEOUT);
    assert!(timeout.is_some_and(|answer| answer.token().as_slice() == b"post"), "{answers:?}");
    assert_eq!(bench.closed, None);
}

#[test]
fn a_simple_registration_ends_with_the_session() {
    let mut bench = bench();
    begin_simply(&mut bench, 1);
    bench.handle(bus::Event::Close(Reason::ShuttingDown));
    assert_eq!(sent(&mut bench).code(), Code::SERVICE_UNAVAILABLE);
}

#[test]
fn a_registration_without_a_base_follows_its_client_to_another_address() {
    for (is_reached, secured) in [(false, true), (true, true), (false, false)] {
        let secured = secured.then(Default::default);
        let scheme = if secured.is_some() { "coaps" } else { "coap" };
        let link = bus::Link { carrier: bus::Carrier::Udp, secured };
        let coap = Coap::new(unasked(Config::default()), Limits::default());
        let address = ([203, 0, 113, 7], 61_616).into();
        let mut bench = Bench::with_peer_at(address, &coap, Transport::Datagram, link);
        ask(&mut bench, &register(1, "directory?ep=a", "</t>"));
        ask(&mut bench, &register(2, "directory?ep=b&base=coap://h", "</t>"));
        bench.connection.moved(bus::Address::Socket(([198, 51, 100, 9], 9).into()), is_reached);
        let a = lookup(&mut bench, 4, "directory-lookup/res?ep=a");
        assert_eq!(a, format!("<{scheme}://198.51.100.9:9/t>"));
        assert_eq!(lookup(&mut bench, 5, "directory-lookup/res?ep=b"), "<coap://h/t>");
    }
}
