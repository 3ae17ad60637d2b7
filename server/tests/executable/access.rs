use std::io::{Read, Write};

use crate::server::{FREE_PORTS, Room, Server, outcome, receive, watersmeet};

/// What mosquitto_passwd made of `secret`.
const ANN: &str = "ann:$7$101$m45PBnJLKlGVTcMw$HYfLSGCooKKYklNj0z2Z8Q+OcreCgr7+9eaYyNqbCf2001xg\
                   OnJR1IBn2OJjo5TEBrHAgtgS7z25tdw8/JRHMw==\n";

/// CONNECT of `c1` with the user name ann and the password secret.
const CONNECT_ANN: &[u8] = b"\x10\x1B\x00\x04MQTT\x04\xC2\x00\x00\x00\x02c1\x00\x03ann\x00\x06secret";
const SUBSCRIBE_TO_A: &[u8] = b"\x82\x06\x00\x01\x00\x01a\x00";

#[test]
fn password_and_access_files_are_in_force_soon_after_they_change() {
    let room = Room::new();
    let (passwords, acl) = (room.write("passwd", ""), room.write("acl", "user ann\ntopic read a\n"));
    let server =
        Server::start(&format!("{FREE_PORTS}[access]\npassword_file = {passwords:?}\nacl_file = {acl:?}\n"));
    let mut stranger = server.connect("mqtt");
    stranger.write_all(CONNECT_ANN).unwrap();
    assert_eq!(receive(&mut stranger, 4), b"\x20\x02\x00\x04");

    room.write("passwd", ANN);
    server.wait_for_log("Access files changed and are in force.");
    let mut ann = server.connect("mqtt");
    ann.write_all(CONNECT_ANN).unwrap();
    assert_eq!(receive(&mut ann, 4), b"\x20\x02\x00\x00");
    ann.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut ann, 5), b"\x90\x03\x00\x01\x00");

    room.write("acl", "user ann\ntopic read\nnonsense\n");
    server.wait_for_log("acl:3: expected `topic`, `pattern` or `user`");
    ann.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut ann, 5), b"\x90\x03\x00\x01\x00", "the old file stays in force");

    room.write("acl", "");
    server.wait_for_count("Access files changed and are in force.", 2);
    ann.write_all(SUBSCRIBE_TO_A).unwrap();
    assert_eq!(receive(&mut ann, 5), b"\x90\x03\x00\x01\x80");
    server.wait_for_log("acl, since no line matched");

    room.write("passwd", &ANN.replace("$101$", "$102$"));
    let mut rest = Vec::new();
    ann.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"", "who came in with the old password is closed");
    assert!(server.http("GET", "/metrics").1.contains("watersmeet_access_denials_total{by=\"acl_file\"}"));
}

#[test]
fn authz_explain_tells_which_rule_decides_and_why_others_do_not() {
    let room = Room::new();
    let acl = room.write("acl", "# people\nuser ann\ntopic read a/#\ntopic deny a/secret\n");
    let passwords = room.write("passwd", &format!("{ANN}{}", ANN.replace("ann", "bob")));
    let file = room.write(
        "w.toml",
        &format!(
            "[access]\nacl_file = {acl:?}\npassword_file = {passwords:?}\n\
             [[access.rules]]\npermit = \"deny\"\nusers = [\"bob\"]\ntopics = [\"#\"]\n\
             [[access.bans]]\nkind = \"client-id\"\nvalue = \"c9\"\n\
             [[rewrite]]\nsource = \"old/#\"\npattern = \"^old/(.+)$\"\nto = \"a/$1\"\n"
        ),
    );
    let explain = |words: &[&str]| {
        let (said, fault, code) =
            outcome(watersmeet().args(["authz", "explain", "-c"]).arg(&file).args(words));
        assert_eq!((fault.as_str(), code), ("", Some(0)), "{words:?}");
        said
    };
    let said =
        explain(&["--client-id", "c1", "--username", "ann", "--publish", "a/b", "--qos", "1", "--retain"]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[0],
        "publish \"a/b\" with QoS 1, retained: client \"c1\", user \"ann\", from 127.0.0.1:0, listener mqtt, MQTT 5"
    );
    assert_eq!(lines[1], "  access.rules[1] (deny all [\"#\"]): the user is not one of its users");
    assert!(lines[2].ends_with("acl:4 \"topic deny a/secret\": does not match"), "{said}");
    assert!(
        lines[4].starts_with("denied, by ") && lines[4].ends_with("acl, since no line matched"),
        "{said}"
    );

    let said = explain(&["--client-id", "c1", "--username", "ann", "--subscribe", "a/#"]);
    assert!(said.contains("allowed, but each message is judged by its topic, by"), "{said}");
    let said = explain(&["--client-id", "c1", "--username", "ann", "--receive", "a/secret"]);
    assert!(said.contains("acl:4 \"topic deny a/secret\": matches") && said.contains("denied, by"), "{said}");
    let said = explain(&["--client-id", "c1", "--username", "bob", "--publish", "a/b"]);
    assert!(said.ends_with("denied, by access.rules[1]\n"), "{said}");
    let said = explain(&["--client-id", "c1", "--username", "ann", "--subscribe", "$share/g/old/b"]);
    assert!(
        said.contains("\"$share/g/a/b\"") && said.contains("allowed, by"),
        "rules see what is rewritten: {said}"
    );
    let said = explain(&["--client-id", "c1", "--username", "ann", "--publish", "$delayed/5/old/secret"]);
    assert!(said.contains("publish \"a/secret\"") && said.contains("denied, by"), "{said}");
    for stranger in [&["--username", "eve"][..], &["--address", "203.0.113.9"]] {
        let said = explain(&[&["--client-id", "c1", "--publish", "a"], stranger].concat());
        assert!(said.starts_with("The client would not be let in"), "{said}");
    }
    let said = explain(&["--client-id", "c9", "--publish", "a/b"]);
    assert!(
        said.contains("would not be let in") && said.contains("access.bans[1]: client-id \"c9\""),
        "{said}"
    );

    let (_, fault, code) =
        outcome(watersmeet().args(["authz", "explain", "--client-id", "c1", "--publish", "a/#"]));
    assert!(code == Some(1) && fault.contains("--publish: the topic"), "{fault}");
}
