use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use crate::server::{FREE_PORTS, Room, Server, outcome, watersmeet};

/// One of the client commands, on this server.
fn client(server: &Server, words: &[&str]) -> Command {
    let mut command = watersmeet();
    let (name, flags) = words.split_first().unwrap();
    let address = server.listeners["mqtt"];
    command.arg(name).args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]).args(flags);
    command
}

/// A subscriber that the server has answered, and everything it will print.
struct Subscriber {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Subscriber {
    fn start(server: &Server, flags: &[&str]) -> Self {
        let mut command = client(server, &[&["sub", "-d", "-W", "30"], flags].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("SUBACK") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the subscriber ended");
        }
        Self { child, said }
    }

    /// What it printed when it ended by itself.
    fn end(mut self) -> (String, Option<i32>) {
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (printed, self.child.wait().unwrap().code())
    }
}

#[test]
fn what_is_published_is_printed() {
    let server = Server::start(FREE_PORTS);
    for version in ["31", "311", "5"] {
        let subscriber =
            Subscriber::start(&server, &["-V", version, "-t", "a/#", "-v", "-C", "4", "-q", "2"]);
        for (qos, payload) in [("0", "x y"), ("1", ""), ("2", "-z")] {
            let result =
                outcome(&mut client(&server, &["pub", "-V", version, "-t", "a/b", "-q", qos, "-m", payload]));
            assert_eq!(result, (String::new(), String::new(), Some(0)));
        }
        outcome(&mut client(&server, &["pub", "-t", "a", "-n"]));
        let (printed, code) = subscriber.end();
        assert_eq!((printed.as_str(), code), ("a/b x y\na/b (null)\na/b -z\na (null)\n", Some(0)));
    }
}

#[test]
fn each_line_of_standard_input_is_a_message() {
    let server = Server::start(FREE_PORTS);
    let subscriber = Subscriber::start(&server, &["-t", "lines", "-q", "1", "-C", "1000", "-F", "%l %p"]);
    let mut command = client(&server, &["pub", "-t", "lines", "-q", "1", "-l"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let lines: String = (0..1_000).map(|number| format!("{number}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let expected: String =
        (0..1_000).map(|number| format!("{} {number}\n", number.to_string().len())).collect();
    assert_eq!(subscriber.end(), (expected, Some(0)));
}

#[test]
fn a_request_is_answered() {
    let server = Server::start(FREE_PORTS);
    let subscriber = Subscriber::start(&server, &["-V", "5", "-t", "ask", "-C", "1", "-F", "%R|%D|%P|%p"]);
    let question = [
        "rr",
        "-d",
        "-t",
        "ask",
        "-e",
        "answer",
        "-m",
        "why?",
        "-W",
        "30",
        "-D",
        "publish",
        "correlation-data",
        "7",
        "-D",
        "publish",
        "user-property",
        "k",
        "v",
    ];
    let mut asking = client(&server, &question);
    let asking = asking.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(subscriber.end(), ("answer|7|k:v|why?\n".to_owned(), Some(0)));
    outcome(&mut client(&server, &["pub", "-t", "answer", "-m", "because"]));
    let answered = asking.wait_with_output().unwrap();
    assert_eq!((&answered.stdout[..], answered.status.code()), (&b"because\n"[..], Some(0)));
}

#[test]
fn retained_messages_can_be_chosen_and_removed() {
    let server = Server::start(FREE_PORTS);
    for topic in ["r/1", "r/2", "r/3"] {
        outcome(&mut client(&server, &["pub", "-t", topic, "-m", topic, "-r", "-q", "1"]));
    }
    let printed = |flags: &[&str]| outcome(&mut client(&server, &[&["sub", "-t", "r/#"], flags].concat()));
    assert_eq!(printed(&["-C", "1", "-T", "r/1", "-T", "r/2"]).0, "r/3\n");
    let (text, _, code) = printed(&["-R", "-W", "0.3"]);
    assert_eq!((text.as_str(), code), ("", Some(27)));
    let (text, _, code) = printed(&["-C", "2", "--remove-retained", "-T", "r/3"]);
    assert_eq!((text.lines().count(), code), (2, Some(0)));
    assert_eq!(printed(&["-W", "0.5"]).0, "r/3\n");
}

#[test]
fn a_kept_session_gets_what_came_in_between() {
    let server = Server::start(FREE_PORTS);
    let session = ["sub", "-c", "-i", "keeper", "-t", "kept", "-q", "1"];
    assert_eq!(outcome(&mut client(&server, &[&session[..], &["-E"]].concat())).2, Some(0));
    outcome(&mut client(&server, &["pub", "-t", "kept", "-m", "meanwhile", "-q", "1"]));
    let (printed, _, code) =
        outcome(&mut client(&server, &[&session[..], &["-C", "1", "-W", "30"]].concat()));
    assert_eq!((printed.as_str(), code), ("meanwhile\n", Some(0)));
}

#[test]
fn failures_have_codes_and_say_what_to_do() {
    let server = Server::start(FREE_PORTS);
    let cases: [(&[&str], i32, &str); 9] = [
        (&["pub", "-m", "x"], 1, "no topic: name one with -t"),
        (&["pub", "-t", "a"], 1, "no payload: give one with"),
        (&["pub", "-t", "a/+", "-m", "x"], 1, "misplaced wildcard"),
        (&["pub", "-t", "a", "-m", "x", "-n"], 2, "cannot be used with"),
        (&["sub", "-t", "a", "-W", "0.1"], 27, "timed out"),
        (&["sub", "-t", "a", "-F", "%z"], 1, "%z means nothing"),
        (&["sub", "-t", "a", "-c"], 1, "name it with -i"),
        (&["sub", "-t", "a", "--psk", "00"], 1, "use certificates"),
        (&["sub", "-t", "a", "-V", "311", "-x", "5"], 1, "say -V 5"),
    ];
    for (words, code, text) in cases {
        let (printed, said, found) = outcome(&mut client(&server, words));
        assert!(
            printed.is_empty() && found == Some(code) && said.contains(text),
            "{words:?}: {found:?} {said}"
        );
    }
    let port = server.listeners["mqtt"].port().to_string();
    drop(server);
    let mut alone = watersmeet();
    let (_, said, code) = outcome(alone.args(["sub", "-t", "a", "-h", "127.0.0.1", "-p", &port]));
    let expected = format!("watersmeet sub: connection refused: is a server on 127.0.0.1:{port}?\n");
    assert_eq!((said, code), (expected, Some(1)));
}

#[test]
fn a_refused_connection_ends_with_the_code_of_the_server() {
    let mut passwd = watersmeet();
    let mut passwd =
        passwd.args(["passwd", "ann"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    passwd.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let ann = String::from_utf8(passwd.wait_with_output().unwrap().stdout).unwrap();
    let server = Server::start(&format!("{FREE_PORTS}[access]\nanonymous = \"never\"\n{ann}"));
    let known = ["pub", "-u", "ann", "-P", "secret", "-t", "a", "-m", "x"];
    assert_eq!(outcome(&mut client(&server, &known)).2, Some(0));
    for (version, code) in [("311", 5), ("5", 135)] {
        let (_, said, found) = outcome(&mut client(&server, &["pub", "-V", version, "-t", "a", "-m", "x"]));
        assert!(found == Some(code) && said.contains("refused the connection"), "{found:?} {said}");
    }
}

#[test]
fn a_load_is_bounded_and_told_as_a_table_and_as_json() {
    let server = Server::start(FREE_PORTS);
    let room = Room::new();
    let file = room.path("result.json");
    for scenario in ["pairs", "fan-in", "fan-out", "latency", "idle", "connect"] {
        let words = [
            "bench",
            scenario,
            "--clients",
            "3",
            "--seconds",
            "0.3",
            "--quiet",
            "--json",
            file.to_str().unwrap(),
        ];
        let (table, said, code) = outcome(&mut client(&server, &words));
        assert_eq!((said.as_str(), code), ("", Some(0)), "{scenario}");
        assert!(
            table.starts_with(&format!("{scenario}: 3 clients, MQTT 3.1.1 over tcp to 127.0.0.1:")),
            "{table}"
        );
        let result: serde_json::Value = serde_json::from_str(&room.read("result.json")).unwrap();
        assert_eq!((result["lost"].as_u64(), result["duplicates"].as_u64()), (Some(0), Some(0)), "{table}");
        let carries = !matches!(scenario, "idle" | "connect");
        assert_eq!(result["received"].as_u64() > Some(0), carries, "{table}");
        assert!(result["connected"].as_u64() > Some(0), "{table}");
    }
    let (_, said, code) = outcome(watersmeet().args(["bench", "pairs", "-h", "192.0.2.1"]));
    assert!(code == Some(1) && said.contains("--allow-remote"), "{said}");
}

#[test]
fn a_client_command_is_the_first_word() {
    let (_, said, code) = outcome(watersmeet().args(["-c", "x.toml", "sub", "-t", "a"]));
    assert!(code == Some(1) && said.contains("name them first"), "{said}");
    let (help, _, code) = outcome(watersmeet().args(["sub", "--help"]));
    assert!(code == Some(0) && help.contains("watersmeet sub -t 'demo/#' -v"), "{help}");
}
