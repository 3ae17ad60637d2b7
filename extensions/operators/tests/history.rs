//! Why connections ended, and what stands out.

mod common;

use std::sync::Arc;
use std::time::Duration;

use broker::{Answer, Course};
use bus::{Credentials, Qos, Reason, Will};
use common::{World, peer};
use operators::{Config, History, Report};

const A: &str = "10.0.0.1:5000";
const B: &str = "10.0.0.2:6000";

fn watched() -> (World, Arc<History>) {
    let history = Arc::new(History::new(&Config::default()));
    (World::watched_by(vec![history.clone()]), history)
}

fn findings(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.name.as_str()).collect()
}

#[test]
fn an_ended_connection_is_shown_with_its_cause_and_course() {
    let (mut world, history) = watched();
    world.visit("c1", A, 60, 90, Reason::KeepAliveTimeout);
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!((report.session.is_none(), report.closed.len()), (true, 1));
    let ended = &report.closed[0];
    assert_eq!((ended.reason.as_str(), ended.side.as_str()), ("keep_alive_timeout", "client"));
    assert_eq!((ended.lasted, ended.silent, ended.keep_alive), (Some(150.0), Some(90.0), Some(300)));
    assert_eq!(ended.at, "2026-01-01T00:02:30Z");
    assert_eq!(ended.connected_at.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(ended.connection.address, A);
    let text = report.to_string();
    for part in
        ["c1: not connected, and has no session.", "fix: the client is gone", "silent for the last 90 s"]
    {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(findings(&report).is_empty(), "once is no pattern");
}

#[test]
fn a_client_that_is_there_is_shown_with_its_session() {
    let (mut world, history) = watched();
    let mut session = world.connect("c1", A);
    world.subscribe(&mut session, "a/#");
    world.now += Duration::from_secs(185);
    let report = history.report("c1", &world.broker, world.moment());
    let row = report.session.as_ref().unwrap();
    assert_eq!((row.connected, row.subscriptions, row.seconds), (true, 1, Some(185.0)));
    let text = report.to_string();
    assert!(text.starts_with("c1: online since 2026-01-01T00:00:00Z (3 min 5 s).\n"), "{text}");
}

#[test]
fn two_clients_that_fight_for_an_id_are_named() {
    let (mut world, history) = watched();
    let mut holder = world.connect("c1", A);
    for round in 0..4 {
        world.now += Duration::from_secs(15);
        let next = world.connect("c1", if round % 2 == 0 { B } else { A });
        std::mem::replace(&mut holder, next).close(Reason::TakenOver, world.now);
    }
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!(findings(&report), ["duplicate_client_id"]);
    let text = &report.findings[0].text;
    assert_eq!(
        text,
        "the session changed hands 4 times within 45 s, between 10.0.0.1 and 10.0.0.2: several clients use this id and \
         throw each other out"
    );
}

#[test]
fn a_proxy_that_ends_silent_connections_is_named() {
    let (mut world, history) = watched();
    for heard in [200, 10, 3_000] {
        world.visit("c1", A, heard, 60, Reason::PeerClosed);
    }
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!(findings(&report), ["idle_timeout_on_the_way"]);
    let text = &report.findings[0].text;
    assert!(text.contains("the same silence of 60 s") && text.contains("keep alive of 5 min 0 s"), "{text}");

    let (mut world, history) = watched();
    for silent in [60, 20, 250] {
        world.visit("c1", A, 100, silent, Reason::PeerClosed);
    }
    assert!(findings(&history.report("c1", &world.broker, world.moment())).is_empty(), "silences differ");
}

#[test]
fn a_client_that_falls_silent_time_and_again_is_named() {
    let (mut world, history) = watched();
    (0..3).for_each(|_| world.visit("c1", A, 600, 450, Reason::KeepAliveTimeout));
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!(findings(&report), ["lost_in_silence"]);
    assert!(report.findings[0].text.ends_with("each about 10 min 0 s after it had begun"));
}

#[test]
fn a_will_that_may_not_be_published_is_named() {
    let (world, history) = watched();
    let will =
        Will { publish: harness::publish("secret/gone", "bye", Qos::AtMostOnce), delay: Duration::ZERO };
    let username = Some("ann".into());
    let connect = || bus::Connect {
        will: Some(will.clone()),
        credentials: Credentials { username: username.clone(), ..Default::default() },
        ..harness::connect("c1")
    };
    for _ in 0..3 {
        assert_eq!(world.open(connect(), A).err(), Some(Reason::NotAuthorized));
    }
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!(findings(&report), ["repeatedly_refused", "will_denied"]);
    assert_eq!(report.refused.len(), 3);
    assert_eq!(report.refused[0].connection.username.as_deref(), Some("ann"));
    assert_eq!((report.denied[0].action.as_str(), report.denied[0].count), ("will", 3));
}

#[test]
fn denials_are_counted_by_topic() {
    let (world, history) = watched();
    let mut session = world.connect("c1", A);
    for _ in 0..5 {
        let publish = harness::publish("secret/a", "x", Qos::AtMostOnce);
        assert!(matches!(session.publish(publish, world.now), Answer::Now(Err(Reason::NotAuthorized))));
    }
    let report = history.report("c1", &world.broker, world.moment());
    assert_eq!((report.denied.len(), report.denied[0].count), (1, 5));
    assert_eq!(findings(&report), ["denied"]);
}

#[test]
fn who_never_said_its_id_is_found_by_its_address() {
    let (mut world, history) = watched();
    let course = Course::new(world.now).with_detail("the certificate expired");
    world.broker.tell_lost(&peer("10.0.0.1:7000"), "mqtt", Reason::TlsFailed, course, world.now);
    // A port scan is no client.
    world.broker.tell_lost(
        &peer("10.0.0.1:7001"),
        "mqtt",
        Reason::PeerClosed,
        Course::new(world.now),
        world.now,
    );

    // Nor is a peer that asked by CoAP what everybody is told.
    let asker = bus::Peer { transport: bus::Transport::Datagram, ..peer("10.0.0.1:7002") };
    let sent = broker::Volume { bytes: 9, frames: 1, messages: 0 };
    let course = Course { sent, received: sent, ..Course::new(world.now) };
    world.broker.tell_lost(&asker, "coap", Reason::HandshakeTimeout, course, world.now);

    let unknown = history.report("c9", &world.broker, world.moment());
    assert!(unknown.is_unknown() && unknown.strangers.len() == 1);
    assert_eq!(unknown.strangers[0].detail.as_deref(), Some("the certificate expired"));
    assert!(unknown.to_string().contains("nothing is known of a client with this id"));

    world.visit("c1", A, 1, 1, Reason::Disconnected);
    world.visit("c2", B, 1, 1, Reason::Disconnected);
    assert_eq!(history.report("c1", &world.broker, world.moment()).strangers.len(), 1);
    assert_eq!(history.report("c2", &world.broker, world.moment()).strangers.len(), 0);
}

#[test]
fn a_history_of_no_size_remembers_nothing() {
    let history = Arc::new(History::new(&Config { history: 0, ..Config::default() }));
    let mut world = World::watched_by(vec![history.clone()]);
    world.visit("c1", A, 1, 1, Reason::PeerClosed);
    assert!(history.report("c1", &world.broker, world.moment()).is_unknown());
}

#[test]
fn a_report_survives_its_json() {
    let (mut world, history) = watched();
    world.visit("c1", A, 1, 1, Reason::PeerClosed);
    let _session = world.connect("c1", B);
    let report = history.report("c1", &world.broker, world.moment());
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}
