use bus::SessionExpiry;
use clap::{CommandFactory, Parser};

use super::*;
use crate::Cli;
use crate::words::gathered;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    connection: Connection,
}

fn ready(line: &str) -> anyhow::Result<Ready> {
    let words = std::iter::once("x").chain(line.split(' ').filter(|word| !word.is_empty()));
    let flags = Flags::try_parse_from(gathered(words.map(Into::into).collect()))?;
    flags.connection.ready(Version::V311)
}

#[test]
fn every_command_line_can_be_parsed() {
    Cli::command().debug_assert();
}

#[test]
fn flags_and_urls_name_the_same_targets() {
    for (line, carrier, target) in [
        ("", Carrier::Tcp, "localhost:1883"),
        ("-h 192.0.2.1 -p 7", Carrier::Tcp, "192.0.2.1:7"),
        ("-L mqtt://192.0.2.1:7", Carrier::Tcp, "192.0.2.1:7"),
        ("-h h --insecure", Carrier::Tls, "h:8883"),
        ("-h h -p 8883 --insecure", Carrier::Tls, "h:8883"),
        ("-L mqtts://h --insecure", Carrier::Tls, "h:8883"),
        ("-h h --ws", Carrier::WebSocket, "h:8083"),
        ("-h h --ws --insecure", Carrier::SecureWebSocket, "h:8084"),
        ("-L wss://h/x --insecure", Carrier::SecureWebSocket, "h:8084"),
        ("-L quic://h --insecure", Carrier::Quic, "h:14567"),
        ("--unix /run/x", Carrier::Unix, "/run/x"),
    ] {
        let dial = ready(line).unwrap().dial;
        assert_eq!((dial.target.carrier, dial.target.to_string().as_str()), (carrier, target), "{line}");
        assert_eq!(dial.tls.is_some(), dial.target.is_secured(), "{line}");
    }
}

#[test]
fn the_client_is_as_its_flags_say() {
    let Ready { options, topic, .. } = ready("-L mqtt://ann:s%40@h/a/b -k 7 -i me -c").unwrap();
    assert_eq!((options.version, options.keep_alive, options.client_id.as_str()), (Version::V311, 7, "me"));
    assert_eq!((options.username.as_deref(), options.password.as_deref()), (Some("ann"), Some(&b"s@"[..])));
    assert_eq!((options.clean_start, options.session_expiry), (false, SessionExpiry::Never));
    assert_eq!(topic.as_deref(), Some("a/b"));
    let options = ready("-V mqttv5 -I p- -u -u -P -P").unwrap().options;
    assert_eq!((options.version, options.client_id), (Version::V5, format!("p-{}", std::process::id())));
    assert_eq!((options.username.as_deref(), options.password.as_deref()), (Some("-u"), Some(&b"-P"[..])));
    let options =
        ready("--will-topic w --will-payload gone --will-qos 2 --will-retain -D will will-delay-interval 5");
    let will = options.unwrap().options.will.unwrap();
    assert_eq!((will.publish.topic.as_str(), &will.publish.payload[..]), ("w", &b"gone"[..]));
    assert_eq!(
        (will.publish.qos, will.publish.retain, will.delay),
        (Qos::ExactlyOnce, true, Duration::from_secs(5))
    );
}

#[test]
fn flags_of_mqtt_5_choose_its_version() {
    assert_eq!(ready("").unwrap().options.version, Version::V311);
    assert_eq!(ready("-V 31").unwrap().options.version, Version::V31);
    for (line, expiry) in [
        ("-x 5", SessionExpiry::After(Duration::from_secs(5))),
        ("-x -1", SessionExpiry::Never),
        ("-x ∞", SessionExpiry::Never),
        ("-D connect session-expiry-interval 0", SessionExpiry::AtOnce),
    ] {
        let options = ready(line).unwrap().options;
        assert_eq!((options.version, options.session_expiry), (Version::V5, expiry), "{line}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_fault() {
    for (line, fault) in [
        ("-h a -L mqtt://b", "cannot be used with"),
        ("-L http://b", "there is no scheme"),
        ("-V 4", "invalid value"),
        ("-V 311 -x 5", "say -V 5"),
        ("-x soon", "-x soon"),
        ("-P secret", "needs a user name"),
        ("-c", "name it with -i"),
        ("-i a -I b", "cannot be used with"),
        ("--will-qos 1", "--will-topic"),
        ("--will-topic a/#", "misplaced wildcard"),
        ("--cert x", "--key"),
        ("--tls-version tlsv1.1", "older ones are broken"),
        ("-L mqtt://h --insecure", "without TLS"),
        ("-h h --cafile /no/such/file", "/no/such/file"),
        ("--psk 00", "use certificates"),
        ("--proxy socks5h://p", "cannot be used yet"),
        ("-S", "are not looked up"),
        ("--ciphers X", "cannot be chosen"),
        ("--tls-engine e", "no engines"),
        ("-D publish x y", "takes content-type"),
    ] {
        let said = ready(line).map(drop).unwrap_err();
        assert!(format!("{said:#}").contains(fault), "{line}: {said:#}");
    }
}
