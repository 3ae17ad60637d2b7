use crate::server::{FREE_PORTS, Server, outcome, watersmeet};

#[test]
fn health_and_readiness_are_told_over_http() {
    let server = Server::start(FREE_PORTS);
    assert_eq!(server.http("GET", "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(server.http("GET", "/readyz"), (200, "ready\n".to_owned()));
    let (status, body) = server.http("GET", "/readyz?verbose");
    assert_eq!(status, 200);
    for line in ["server: serving", "listener mqtt (mqtt): open, 0 connections"] {
        assert!(body.lines().any(|told| told == line), "{body}");
    }
    assert_eq!(server.http("GET", "/elsewhere").0, 404);
    assert_eq!(server.http("POST", "/livez").0, 405);
}

#[test]
fn the_health_command_asks_the_server() {
    let server = Server::start(FREE_PORTS);
    let bind = server.listeners["http"].to_string();
    let (_, fault, code) = outcome(watersmeet().arg("health").env("WATERSMEET_HTTP__BIND", &bind));
    assert_eq!((fault.as_str(), code), ("", Some(0)));
    drop(server);
    let (_, fault, code) = outcome(watersmeet().arg("health").env("WATERSMEET_HTTP__BIND", &bind));
    assert!(code == Some(1) && fault.contains("nobody answers"), "{fault}");
}

#[test]
fn metrics_count_connections_and_name_no_client() {
    let server = Server::start(FREE_PORTS);
    let _client = server.mqtt("a-client-id");
    let (status, page) = server.http("GET", "/metrics");
    assert_eq!(status, 200);
    for line in [
        "watersmeet_connections{listener=\"mqtt\",protocol=\"mqtt\"} 1.0",
        "watersmeet_connections{listener=\"stomp\",protocol=\"stomp\"} 0.0",
        "watersmeet_sessions_connected 1.0",
        "watersmeet_sessions_opened_total 1",
        "watersmeet_packets_received_total 1",
        "watersmeet_authentications_total{result=\"success\"} 1",
        "# TYPE process_cpu_seconds counter",
        "watersmeet_messages_received_total{qos=\"0\"} 0",
        "# TYPE watersmeet_connections_closed counter",
        "# EOF",
    ] {
        assert!(page.lines().any(|told| told == line), "{line}\n{page}");
    }
    assert!(!page.contains("a-client-id"));
    let (_, page) = server.http("GET", "/metrics?format=emqx");
    assert!(page.lines().any(|told| told == "emqx_live_connections_count 1"), "{page}");
}
