use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// All listeners on free ports of this machine.
pub(crate) const FREE_PORTS: &str = "[http]\nbind = \"127.0.0.1:0\"\n\
    [listeners]\nmqtt.bind = \"127.0.0.1:0\"\nmqtt-sn.bind = \"127.0.0.1:0\"\n\
    coap.bind = \"127.0.0.1:0\"\ncoaps.bind = \"127.0.0.1:0\"\nstomp.bind = \"127.0.0.1:0\"\nmqtts.bind = \"127.0.0.1:0\"\n\
    coap-tcp.bind = \"127.0.0.1:0\"\ncoaps-tcp.bind = \"127.0.0.1:0\"\n\
    ws.bind = \"127.0.0.1:0\"\nwss.bind = \"127.0.0.1:0\"\nquic.bind = \"127.0.0.1:0\"\n";

/// A directory that goes with its test.
pub(crate) struct Room(PathBuf);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) room: Room,
    pub(crate) listeners: BTreeMap<String, SocketAddr>,
}

impl Room {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The executable in a clean environment.
pub(crate) fn watersmeet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watersmeet"));
    command.env_clear().env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// What a command says, with standard output, standard error and whether it went well.
pub(crate) fn outcome(command: &mut Command) -> (String, String, Option<i32>) {
    let Output { stdout, stderr, status } = command.stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap(), status.code())
}

impl Server {
    /// Starts a server with this configuration and waits until it serves.
    pub(crate) fn start(config: &str) -> Self {
        let room = Room::new();
        let config = room.write("watersmeet.toml", config);
        let ready = room.path("ready.json");
        let file = |name| std::fs::File::create(room.path(name)).unwrap();
        let mut command = watersmeet();
        command.arg("serve").arg("--config").arg(config).arg("--ready-file").arg(&ready);
        let mut child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        wait_for(|| ready.exists() || child.try_wait().unwrap().is_some());
        let Ok(text) = std::fs::read_to_string(&ready) else {
            panic!("the server did not start: {}", room.read("err"));
        };
        let told: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&text).unwrap();
        // A Unix socket has a path instead.
        let address = |(name, address): (&String, &String)| Some((name.clone(), address.parse().ok()?));
        let listeners = told["listeners"].iter().filter_map(address).collect();
        Self { child, room, listeners }
    }

    pub(crate) fn connect(&self, listener: &str) -> TcpStream {
        let stream = TcpStream::connect(self.listeners[listener]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// An MQTT 3.1.1 connection that was let in, without a keep alive.
    pub(crate) fn mqtt(&self, client_id: &str) -> TcpStream {
        let mut stream = self.connect("mqtt");
        let mut packet = b"\x10\x00\x00\x04MQTT\x04\x02\x00\x00\x00".to_vec();
        packet[1] = u8::try_from(12 + client_id.len()).unwrap();
        packet.push(u8::try_from(client_id.len()).unwrap());
        packet.extend_from_slice(client_id.as_bytes());
        stream.write_all(&packet).unwrap();
        assert_eq!(receive(&mut stream, 4), b"\x20\x02\x00\x00");
        stream
    }

    /// The status and body of an answer of the HTTP listener.
    pub(crate) fn http(&self, method: &str, path: &str) -> (u16, String) {
        self.http_as("localhost", method, path)
    }

    /// The same, for somebody who knows it by this name.
    pub(crate) fn http_as(&self, host: &str, method: &str, path: &str) -> (u16, String) {
        let mut stream = self.connect("http");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }

    pub(crate) fn signal(&self, name: &str) {
        // Every shell has `kill`; not every machine has the program.
        let process = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill \"$0\" \"$1\"", name, &process]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the log holds the text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    /// Waits until the log holds the text so often.
    pub(crate) fn wait_for_count(&self, text: &str, count: usize) {
        wait_for(|| self.counts_in_log(text) >= count);
    }

    /// How often the log holds the text.
    pub(crate) fn counts_in_log(&self, text: &str) -> usize {
        self.room.read("err").matches(text).count()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for(|| self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exactly so many bytes.
pub(crate) fn receive(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
