use super::*;

const NOTHING: [(String, OsString); 0] = [];

fn variables<const N: usize>(pairs: [(&str, &str); N]) -> [(String, OsString); N] {
    pairs.map(|(name, value)| (name.to_owned(), value.into()))
}

fn load(text: &str) -> Result<Loaded, String> {
    load_with(text, [])
}

fn load_with<const N: usize>(text: &str, pairs: [(&str, &str); N]) -> Result<Loaded, String> {
    let written = file::parse_named("w.toml", text.as_bytes()).map_err(|problems| problems.to_string())?;
    Loaded::merge(written, variables(pairs)).map_err(|problems| problems.to_string())
}

#[track_caller]
fn faults(text: &str) -> String {
    load(text).expect_err("the configuration has a fault")
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = load("").unwrap().config;
    assert_eq!(config.listeners, Listeners::default());
    assert!(config.listeners.0.values().all(|listener| listener.bind.0.iter().all(Bind::is_local)));
    assert!(config.http.bind.ip().is_loopback());
    assert_eq!(config.limits, bus::Limits::default());
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_what_was_meant() {
    assert_eq!(
        faults("\n[listeners.mqtt]\nmax_conections = 5\n"),
        "w.toml:3:1: unknown key \"max_conections\" in [listeners.mqtt]; did you mean \"max_connections\"?"
    );
    assert_eq!(
        faults("[log]\ncolour = true\n"),
        "w.toml:2:1: unknown key \"colour\" in [log]; known: \"level\", \"format\""
    );
    assert_eq!(
        faults("[brokr]\n"),
        "w.toml:1:2: unknown key \"brokr\" at the top level; did you mean \"broker\"?"
    );
}

#[test]
fn a_wrong_value_is_named_with_its_place_and_what_was_expected() {
    let cases = [
        (
            "listeners.mqtt.max_connections = \"lots\"",
            "w.toml:1:34: listeners.mqtt.max_connections: expected an integer from 0 up, found the text \"lots\"",
        ),
        (
            "listeners.mqtt.rebind = 3",
            "w.toml:1:25: listeners.mqtt.rebind: expected true or false, found the integer 3",
        ),
        (
            "listeners.mqtt.bind = \"localhost\"",
            "w.toml:1:23: listeners.mqtt.bind: \"localhost\" is not an address; write IP:PORT, as in \
             \"127.0.0.1:1883\" or \"[::1]:1883\", or \"localhost:1883\", or the path of a Unix socket, as in \
             \"/run/watersmeet.sock\"",
        ),
        (
            "listeners.mqtt.bind = [\"127.0.0.1:1\", \"x\"]",
            "w.toml:1:39: listeners.mqtt.bind[2]: \"x\" is not an address; write IP:PORT, as in \
             \"127.0.0.1:1883\" or \"[::1]:1883\", or \"localhost:1883\", or the path of a Unix socket, as in \
             \"/run/watersmeet.sock\"",
        ),
        (
            "listeners.mqtt.bind = []",
            "w.toml:1:23: listeners.mqtt.bind: the list is empty; name an address, or set enabled = false",
        ),
        (
            "listeners.mqtt.transport = \"udp\"",
            "w.toml:1:28: listeners.mqtt.transport: mqtt goes over \"tcp\", \"tls\", \"tls-psk\", \"ws\", \"wss\", \"quic\" or \
             \"unix\", not over \"udp\"",
        ),
        (
            "listeners.mqtt.mode = \"660\"",
            "w.toml:1:23: listeners.mqtt.mode: this is for Unix sockets only, and the transport is \"tcp\"",
        ),
        (
            "listeners.mqtt.bind = \"/run/w.sock\"",
            "w.toml:1:23: listeners.mqtt.bind: the transport \"tcp\" needs an address such as \
             \"127.0.0.1:1883\", found \"/run/w.sock\"",
        ),
        (
            "listeners.mqtt.limits.pocket = \"1KB\"",
            "w.toml:1:23: unknown key \"pocket\" in [listeners.mqtt.limits]; did you mean \"packet\"?",
        ),
        (
            "broker.max_inflight = 70000",
            "w.toml:1:23: broker.max_inflight: expected an integer from 0 to 65535, found the integer 70000",
        ),
        (
            "limits.handshake = \"5 parsecs\"",
            "w.toml:1:20: limits.handshake: \"5 parsecs\" is not a duration; write a number and ms, s, m, h or \
             d, as in \"30s\"",
        ),
        ("log.format = \"jsno\"", "w.toml:1:14: log.format: unknown value \"jsno\"; did you mean \"json\"?"),
        ("log.level = \"inof\"", "w.toml:1:13: log.level: unknown level \"inof\"; did you mean \"info\"?"),
        ("broker = 1", "w.toml:1:10: broker: expected a table, found the integer 1"),
        (
            "listeners.mqtt.protocol = \"mqt\"",
            "w.toml:1:27: listeners.mqtt.protocol: unknown protocol \"mqt\"; did you mean \"mqtt\"?",
        ),
        ("broker.max_qos = 3", "w.toml:1:18: broker.max_qos: expected 0, 1 or 2"),
        (
            "broker.share_strategy = \"local\"",
            "w.toml:1:25: broker.share_strategy: unknown value \"local\"; known: \"round-robin\", \"random\", \
             \"sticky\", \"hash-client-id\", \"hash-topic\"",
        ),
        (
            "broker.auto_subscribe = [{ filter = \"%c/#/x\" }]",
            "w.toml:1:26: broker.auto_subscribe[1]: \"%c/#/x\" with QoS 0 is no subscription; give a filter and \
             0, 1 or 2",
        ),
        (
            "broker.priorities.topics = { \"a/#/b\" = 1 }",
            "w.toml:1:40: broker.priorities.topics.a/#/b: is no topic filter: + and # stand only as whole levels, \
             and # only last",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(text), expected);
    }
}

#[test]
fn all_faults_are_reported_in_the_order_of_the_file() {
    let faults = faults(
        "[log]\nlevl = \"info\"\nformat = 1\n[listeners.mqtt]\nbind = 1\nrebind = 2\n\
         [[access.users]]\nname = 3\npassword_hash = 4\n",
    );
    let places: Vec<_> = faults.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["w.toml:2:1", "w.toml:3:10", "w.toml:5:8", "w.toml:6:10", "w.toml:8:8"], "{faults}");
}

#[test]
fn a_text_that_is_no_toml_is_refused_with_the_place() {
    assert!(faults("[log\n").starts_with("w.toml:1:5: "));
    assert!(faults("[log]\nlevel =\n").starts_with("w.toml:2:8: "));
    assert!(faults("[log]\nlevel = \"a\"\nlevel = \"b\"\n").starts_with("w.toml:3:1: "));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Loaded::read(Some(Path::new("/nowhere/w.toml")), NOTHING).unwrap_err().to_string();
    assert_eq!(error, "/nowhere/w.toml: cannot be read: there is no such file; name another, or create it");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let error = Loaded::read(Some(folder), NOTHING).unwrap_err().to_string();
    assert!(error.ends_with(": cannot be read: it is a directory; name a file in it"), "{error}");
}

#[test]
fn a_file_that_is_no_text_is_refused_with_the_place() {
    let error = file::parse_named("w.toml", b"[log]\nlevel = \"\xFF\"\n").unwrap_err().to_string();
    assert!(error.starts_with("w.toml:2:10: these bytes are not UTF-8"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(vec![0xFF]);
    let error = Loaded::read(None, [("WATERSMEET_LOG__LEVEL".to_owned(), value)]).unwrap_err().to_string();
    assert_eq!(error, "env WATERSMEET_LOG__LEVEL: the value is not UTF-8");
}

#[test]
fn two_listeners_on_one_port_are_refused() {
    assert_eq!(
        faults("[listeners.a]\nprotocol = \"mqtt\"\nbind = \"127.0.0.1:1883\"\n"),
        "w.toml:3:8: listeners.a.bind: the port is that of listeners.mqtt too; choose another, or disable one of \
         the two"
    );
    assert!(faults("listeners.mqtt.bind = \"127.0.0.1:18083\"\n").contains("that of http too"));
    assert!(load("[listeners.a]\nprotocol = \"coap\"\nbind = \"127.0.0.1:1883\"\n").is_ok(), "UDP");
    assert!(load("listeners.mqtt.bind = \"127.0.0.1:0\"\nlisteners.stomp.bind = \"127.0.0.1:0\"\n").is_ok());
}

#[test]
fn a_listener_has_the_limits_of_all_but_for_its_own() {
    let text = "[limits]\npacket = \"2MB\"\ntopic_levels = 9\n[listeners.mqtt.limits]\ntopic_levels = 3\n";
    let config = load(text).unwrap().config;
    let limits = bus::Limits { packet: 2 << 20, topic_levels: 3, ..bus::Limits::default() };
    assert_eq!(config.listeners.0["mqtt"].limits, Some(limits));
    assert_eq!((config.limits.topic_levels, &config.listeners.0["stomp"].limits), (9, &None));
}

#[test]
fn what_does_not_go_with_a_listeners_transport_is_named() {
    let cases = [
        (
            "mqtts.tls = \"defualt\"",
            "mqtts.tls: there is no profile [tls.defualt]; did you mean \"default\"?",
        ),
        (
            "mqtt.tls = \"default\"",
            "mqtt.tls: this is for TLS, secure WebSockets, QUIC and DTLS only, and the transport is \"tcp\"",
        ),
        ("mqtt.path = [\"/x\"]", "mqtt.path: this is for WebSockets only, and the transport is \"tcp\""),
        ("ws.path = [\"x\"]", "ws.path: \"x\" is no path of a URL; it begins with /"),
        (
            "ws.origins = [\"example.com\"]",
            "ws.origins: \"example.com\" is no origin; write it as in \"https://example.com\"",
        ),
        (
            "coap.proxy_protocol = \"v2\"",
            "coap.proxy_protocol: this is for byte streams only, and the transport is \"udp\"",
        ),
        (
            "mqtt-sn.transport = \"tls\"",
            "mqtt-sn.transport: mqtt-sn goes over \"udp\" or \"dtls\", not over \"tls\"",
        ),
        (
            "coap.transport = \"quic\"",
            "coap.transport: coap goes over \"udp\", \"dtls\", \"tcp\", \"tls\", \"tls-psk\", \"ws\" \
             or \"wss\", not over \"quic\"",
        ),
        (
            "mqtt.proxy_sources = [\"10.0.0.0/64\"]",
            "mqtt.proxy_sources[1]: \"10.0.0.0/64\" is no network; write an address, or a block as in \"10.0.0.0/8\"",
        ),
        (
            "mqtt.transport = \"tls-psk\"",
            "mqtt.transport: nobody could connect, since there are no keys; name a file with keys as access.psk_file \
             (`watersmeet psk add IDENTITY --file FILE` makes one)",
        ),
        ("coap.dtls.connection_id = 4", "coap.dtls: this is for DTLS only, and the transport is \"udp\""),
        ("coaps.dtls.connection_id = 33", "coaps.dtls.connection_id: it has 0 to 32 bytes"),
        ("coaps.dtls.datagram = \"1B\"", "coaps.dtls.datagram: write \"256B\" to \"16KB\""),
        ("quic.mode = \"600\"", "quic.mode: this is for Unix sockets only, and the transport is \"quic\""),
    ];
    for (text, expected) in cases {
        let fault = faults(&format!("listeners.{text}\n"));
        assert!(fault.ends_with(&format!(": listeners.{expected}")), "{fault}");
    }
    // What is only a default of the listener does not count.
    assert!(load("listeners.mqtts.transport = \"tcp\"\nlisteners.ws.transport = \"tcp\"\n").is_ok());
}

#[test]
fn a_value_of_coap_that_cannot_be_meant_is_told_with_its_place() {
    assert_eq!(
        faults("[coap]\nidle = \"1m\"\nblock = \"1000B\"\n[coap.oscore]\nrequired = true\n"),
        "w.toml:3:9: coap.block: a block has \"16B\", \"32B\", \"64B\", \"128B\", \"256B\", \"512B\" or \"1024B\"\n\
         w.toml:5:12: coap.oscore.required: nobody could ask for anything, since there are no contexts; name a file \
         with contexts as coap.oscore.contexts_file"
    );
}

#[test]
fn a_listener_that_believes_proxies_must_know_them() {
    let open = "access.anonymous = \"everywhere\"\n[listeners.mqtt]\nbind = \"0.0.0.0:1883\"\nproxy_protocol = \"any\"\n";
    let fault = faults(open);
    assert!(
        fault.starts_with("w.toml:4:18: listeners.mqtt.proxy_protocol: proxy_sources must name"),
        "{fault}"
    );
    assert!(load(&format!("{open}proxy_sources = [\"10.0.0.0/8\"]\n")).is_ok());
    assert!(load("listeners.mqtt.proxy_protocol = \"v1\"\n").is_ok(), "this machine's proxies");
}

#[test]
fn a_listener_may_have_several_places() {
    let text = "[listeners.a]\nprotocol = \"mqtt\"\nbind = [\"localhost:7\", \"[::]:8\"]\n[access]\n\
                anonymous = \"everywhere\"\n[listeners.b]\nprotocol = \"stomp\"\ntransport = \"unix\"\n\
                bind = \"/run/w.sock\"\nmode = \"600\"\n";
    let config = load(text).unwrap().config;
    let told: Vec<_> = config.listeners.0["a"].bind.0.iter().map(Bind::to_string).collect();
    assert_eq!(told, ["localhost:7", "[::]:8"]);
    let path = &config.listeners.0["b"];
    assert_eq!((path.mode.unwrap().0, path.bind.0[0].is_local()), (0o600, true));
    let twice = "[listeners.a]\nprotocol = \"mqtt\"\nbind = [\"127.0.0.1:7\", \"localhost:1883\"]\n";
    assert!(faults(twice).contains("the port is that of listeners.mqtt too"));
}

#[test]
fn a_variable_goes_before_the_file_and_the_file_before_the_defaults() {
    let text = "[log]\nlevel = \"warn\"\nformat = \"json\"\n";
    let loaded = load_with(text, [("WATERSMEET_LOG__LEVEL", "debug"), ("PATH", "/bin")]).unwrap();
    assert_eq!(loaded.config.log, Log { level: "debug".to_owned(), format: LogFormat::Json });
    let shown = show(&loaded, Detail::Origins);
    for line in [
        "level = \"debug\"  # env WATERSMEET_LOG__LEVEL",
        "format = \"json\"  # w.toml:3:10",
        "bind = \"127.0.0.1:18083\"  # default",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}

#[test]
fn a_variable_finds_keys_and_listeners_by_their_folded_names() {
    let loaded = load_with(
        "",
        [
            ("WATERSMEET_LISTENERS__MQTT_SN__BIND", "127.0.0.1:9"),
            ("WATERSMEET_BROKER__MAX_INFLIGHT", "7"),
            ("WATERSMEET_HTTP__ENABLED", "false"),
            ("WATERSMEET_ACCESS__RULES", "[{ permit = \"deny\", topics = [\"a\"] }]"),
        ],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.listeners.0["mqtt-sn"].bind, bind::Binds::local(9));
    assert_eq!((config.broker.max_inflight, config.http.enabled), (7, false));
    assert_eq!(config.access.rules.len(), 1);
}

#[test]
fn a_variable_that_names_no_key_is_refused() {
    let fault = |name| load_with("", [(name, "x")]).unwrap_err();
    assert_eq!(
        fault("WATERSMEET_LOG__LEVLE"),
        "env WATERSMEET_LOG__LEVLE: unknown key \"levle\" in [log]; did you mean WATERSMEET_LOG__LEVEL?"
    );
    assert_eq!(
        fault("WATERSMEET_LOG_LEVEL"),
        "env WATERSMEET_LOG_LEVEL: names no key of the configuration; did you mean WATERSMEET_LOG__LEVEL?"
    );
}

#[test]
fn what_kubernetes_sets_beside_a_service_of_this_name_is_passed_over() {
    let pairs = [
        ("WATERSMEET_PORT", "tcp://10.0.0.1:1883"),
        ("WATERSMEET_PORT_1883_TCP_ADDR", "10.0.0.1"),
        ("WATERSMEET_SERVICE_PORT_MQTT", "1883"),
    ];
    assert!(load_with("", pairs).is_ok());
}

#[test]
fn a_listener_that_others_reach_is_refused_unless_somebody_is_kept_out() {
    let open = "[listeners.mqtt]\nbind = \"0.0.0.0:1883\"\n";
    let fault = faults(open);
    assert!(fault.starts_with("w.toml:2:8: listeners.mqtt.bind: 0.0.0.0:1883 can be reached"), "{fault}");
    assert!(fault.contains("watersmeet passwd") && fault.contains("access.anonymous = \"everywhere\""));

    assert!(load(&format!("{open}[access]\nanonymous = \"everywhere\"\n")).is_ok());
    let hash = "$argon2id$v=19$m=32,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$\
                AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let user = format!("[[access.users]]\nname = \"ann\"\npassword_hash = \"{hash}\"\n");
    assert!(load(&format!("{open}{user}")).is_ok());
    assert!(load(&format!("{open}enabled = false\n")).is_ok());
    let room = tempfile::tempdir().unwrap();
    let keys = room.path().join("psk");
    std::fs::write(&keys, "dev1:00\n").unwrap();
    let keyed = format!("[access]\npsk_file = {keys:?}\n");
    assert!(faults(&format!("{open}{keyed}")).contains("can be reached"), "TCP takes no keys");
    assert!(load(&format!("{open}transport = \"tls-psk\"\n{keyed}")).is_ok());
    assert!(load(&format!("[listeners.coaps]\nbind = \"0.0.0.0:5684\"\n{keyed}")).is_ok());
    assert!(faults("[listeners.coaps]\nbind = \"0.0.0.0:5684\"\n").contains("can be reached"));
    assert!(faults("[listeners.mqtt]\nbind = \"[::]:1883\"\n").contains("[::]:1883 can be reached"));
}

#[test]
fn a_server_that_lets_nobody_in_is_refused() {
    let fault = faults("access.anonymous = \"never\"\n");
    assert!(fault.contains("nobody could connect"), "{fault}");
}

#[test]
fn a_rule_or_user_that_cannot_be_used_is_named_with_its_place() {
    assert_eq!(
        faults("[[access.rules]]\npermit = \"allow\"\ntopics = [\"a/#/b\"]\n"),
        "w.toml:3:10: access.rules[1].topics: the topic filter \"a/#/b\" has a misplaced wildcard"
    );
    let fault = faults("[[access.users]]\nname = \"ann\"\npassword_hash = \"secret\"\n");
    assert!(
        fault.starts_with("w.toml:3:17: access.users[1].password_hash: is not a password hash"),
        "{fault}"
    );
}

#[test]
fn what_is_shown_can_be_read_again_and_holds_no_secret() {
    let text = "[access]\nanonymous = \"everywhere\"\n[[access.rules]]\npermit = \"deny\"\ntopics = [\"a/#\"]\n\
                [[lwm2m.objects]]\nid = 1\nname = \"x\"\nresources = [{ id = 2, name = \"y\" }, { id = 3, name = \"z\" }]\n\
                [listeners.\"an extra\"]\nprotocol = \"mqtt\"\nbind = \"[::1]:0\"\n";
    let loaded = load(text).unwrap();
    let again = load(&show(&loaded, Detail::Origins)).unwrap();
    assert_eq!(toml::to_string(&loaded.config).unwrap(), toml::to_string(&again.config).unwrap());

    let hash = access::hash_password(b"x").unwrap();
    let scram = access::scram_credential(access::Mechanism::Sha256, "x").unwrap();
    let user =
        format!("[[access.users]]\nname = \"ann\"\npassword_hash = \"{hash}\"\nscram = [\"{scram}\"]\n");
    let shown = show(&load(&user).unwrap(), Detail::Values);
    let secrets = ["argon2", "4096"].iter().filter(|secret| shown.contains(**secret)).count();
    assert!(shown.contains("name = \"ann\"") && secrets == 0, "{shown}");
}

/// The file with every key.
const REFERENCE: &str = include_str!("../../../config/watersmeet.toml");

#[test]
fn the_reference_file_holds_every_key_with_its_default() {
    let written = file::parse_named("watersmeet.toml", REFERENCE.as_bytes()).unwrap().leaves();
    let defaults = defaults().unwrap().leaves();
    let differ = |(key, value): &(&String, &String)| defaults.get(*key) != Some(*value);
    assert_eq!(written.iter().filter(differ).collect::<Vec<_>>(), [], "in the file, but no default");
    let missing: Vec<_> = defaults.keys().filter(|key| !written.contains_key(*key)).collect();
    assert_eq!(missing, [] as [&String; 0], "missing in the file");
}

#[test]
fn the_reference_file_names_every_key_that_a_listener_may_have() {
    let fault = faults("listeners.mqtt.zzzzzzzzzzzzzzzz = 1");
    let known = fault.split("known: ").nth(1).unwrap();
    for key in known.split(", ").map(|key| key.trim_matches('"')) {
        let named = |line: &str| {
            let line = line.trim_start_matches('#');
            line.starts_with(&format!("{key} = "))
                || (line.starts_with('[') && line.ends_with(&format!(".{key}]")))
        };
        assert!(REFERENCE.lines().any(named), "{key}");
    }
}

#[test]
fn the_examples_of_the_reference_file_can_be_used() {
    let is_example = |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c| c != ' '));
    let example = |line: &&str| !line.ends_with("= []") || is_example(line);
    let uncommented = |line| if is_example(line) { line.trim_start_matches('#') } else { line };
    let text: Vec<_> = REFERENCE.lines().filter(example).map(uncommented).collect();
    let config = load(&text.join("\n")).unwrap().config;
    let examples = [
        config.access.users.len(),
        config.access.rules.len(),
        config.mqtt_sn.predefined.len(),
        config.lwm2m.objects.len(),
        config.tls.0["default"].certificates.len(),
    ];
    assert_eq!(examples, [1; 5]);
}
