//! The server under test.

use std::env;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long a started server may take until its listeners are up.
const START: Duration = Duration::from_secs(20);

/// How a started server is configured, apart from the folder it keeps its data in.
const CONFIG: &str = include_str!("subject.toml");

/// The server's ports.
#[derive(Debug)]
struct Subject {
    mqtt: SocketAddr,
    websocket: Option<SocketAddr>,
}

/// Where MQTT is spoken over TCP: `WATERSMEET_SUBJECT`, else a server started for this process.
pub fn mqtt() -> SocketAddr {
    subject().mqtt
}

/// Where MQTT is spoken over WebSocket: `WATERSMEET_SUBJECT_WEBSOCKET`, else a server started for this process.
pub fn websocket() -> SocketAddr {
    subject()
        .websocket
        .expect("the subject has no WebSocket listener; name it in WATERSMEET_SUBJECT_WEBSOCKET")
}

fn subject() -> &'static Subject {
    static SUBJECT: OnceLock<Result<Subject, String>> = OnceLock::new();
    let subject = SUBJECT.get_or_init(|| match named("WATERSMEET_SUBJECT")? {
        Some(mqtt) => Ok(Subject { mqtt, websocket: named("WATERSMEET_SUBJECT_WEBSOCKET")? }),
        None => start(&binary()?),
    });
    subject.as_ref().unwrap_or_else(|error| panic!("there is no subject to test: {error}"))
}

fn named(variable: &str) -> Result<Option<SocketAddr>, String> {
    let Ok(name) = env::var(variable) else { return Ok(None) };
    let address = name.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    address.map(Some).ok_or(format!("{variable} is {name:?}, not host:port"))
}

/// `WATERSMEET_BIN`, else the executable that was built beside these tests.
fn binary() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("WATERSMEET_BIN") {
        let named = PathBuf::from(named);
        return match named.is_file() {
            true => Ok(named),
            false => Err(format!("WATERSMEET_BIN names {}, which is no file", named.display())),
        };
    }
    let tests = env::current_exe().map_err(|error| error.to_string())?;
    let built = tests.ancestors().nth(2).unwrap_or(Path::new("")).join("watersmeet");
    match built.is_file() {
        true => Ok(built),
        false => Err(format!(
            "{} is missing; build it with `cargo build -p server`, or set WATERSMEET_BIN or WATERSMEET_SUBJECT",
            built.display()
        )),
    }
}

/// Starts the server in a folder of its own. It ends with this process: the shell around it reads our end of a pipe.
fn start(binary: &Path) -> Result<Subject, String> {
    let folder = env::temp_dir().join(format!("watersmeet-suite-{}", std::process::id()));
    let unwritable = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let (config, ready) = (folder.join("watersmeet.toml"), folder.join("ready.json"));
    fs::write(&config, CONFIG.replace("FOLDER", &folder.display().to_string())).map_err(unwritable)?;
    let mut shell = Command::new("sh")
        .args(["-c", r#""$0" serve --config "$1" --ready-file "$2" <&- >"$3/log" 2>&1 & cat; kill $!; wait; rm -r "$3""#])
        .args([binary, &config, &ready, &folder])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    std::mem::forget(shell.stdin.take());
    let began = Instant::now();
    loop {
        if let Some(subject) = fs::read_to_string(&ready).ok().and_then(|text| listening(&text)) {
            return Ok(subject);
        }
        if began.elapsed() > START {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("{} was not ready within {START:?}; it said:\n{log}", binary.display()));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The ports in a ready file: `{"listeners":{"mqtt":"127.0.0.1:1883"}}`.
fn listening(ready: &str) -> Option<Subject> {
    let ready: serde_json::Value = serde_json::from_str(ready).ok()?;
    let address = |name: &str| ready["listeners"][name].as_str()?.parse().ok();
    Some(Subject { mqtt: address("mqtt")?, websocket: address("ws") })
}
