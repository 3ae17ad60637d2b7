//! The server under test.

use std::env;
use std::fs::{self, File};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long a started server may take until its listeners are up.
const START: Duration = Duration::from_secs(20);

/// How a started server is configured.
const CONFIG: &str = include_str!("subject.toml");

/// The same of the server that offers little.
const MODEST: &str = include_str!("modest.toml");

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

/// A server that offers no QoS above 0, retains nothing and shares nothing: `WATERSMEET_SUBJECT_MODEST`, else a server
/// started for this process, unless another subject is named.
pub fn modest() -> SocketAddr {
    static SUBJECT: OnceLock<Result<SocketAddr, String>> = OnceLock::new();
    let subject = SUBJECT.get_or_init(|| match named("WATERSMEET_SUBJECT_MODEST")? {
        Some(address) => Ok(address),
        None if named("WATERSMEET_SUBJECT")?.is_some() => {
            Err("name it in WATERSMEET_SUBJECT_MODEST".to_owned())
        }
        None => start(&binary()?, "modest", MODEST).map(|subject| subject.mqtt),
    });
    *subject.as_ref().unwrap_or_else(|error| panic!("there is no modest subject to test: {error}"))
}

fn subject() -> &'static Subject {
    static SUBJECT: OnceLock<Result<Subject, String>> = OnceLock::new();
    let subject = SUBJECT.get_or_init(|| match named("WATERSMEET_SUBJECT")? {
        Some(mqtt) => Ok(Subject { mqtt, websocket: named("WATERSMEET_SUBJECT_WEBSOCKET")? }),
        None => start(&binary()?, "subject", CONFIG),
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

/// Starts the server in a folder of its own, where only the file configures it.
fn start(binary: &Path, name: &str, config_text: &str) -> Result<Subject, String> {
    let folder = env::temp_dir().join(format!("watersmeet-suite-{name}-{}", std::process::id()));
    let [config, ready, log] = ["watersmeet.toml", "ready.json", "log"].map(|name| folder.join(name));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&config, config_text));
    let output = written.and_then(|()| File::create(&log)).and_then(|log| Ok((log.try_clone()?, log)));
    let (output, errors) = output.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut server = Command::new(binary);
    for (variable, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WATERSMEET_"))
    {
        server.env_remove(variable);
    }
    server.arg("serve").arg("--config").arg(&config).arg("--ready-file").arg(&ready);
    server.current_dir(&folder).stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut server = server.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
    end_with_this_process(&server, &folder)?;
    let began = Instant::now();
    loop {
        if let Some(subject) = fs::read_to_string(&ready).ok().and_then(|text| listening(&text)) {
            return Ok(subject);
        }
        let ended = server.try_wait().ok().flatten();
        if ended.is_some() || began.elapsed() > START {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{} is not ready ({ended:?}); it said:\n{said}", binary.display()));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Has a shell end the server and remove its folder once our end of a pipe is gone, however this process ends.
fn end_with_this_process(server: &Child, folder: &Path) -> Result<(), String> {
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat; kill "$1"; rm -r "$2""#, "sh", &server.id().to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("sh: {error}"))?;
    std::mem::forget(shell.stdin.take());
    Ok(())
}

/// The ports in a ready file: `{"listeners":{"mqtt":"127.0.0.1:1883"}}`.
fn listening(ready: &str) -> Option<Subject> {
    let ready: serde_json::Value = serde_json::from_str(ready).ok()?;
    let address = |name: &str| ready["listeners"][name].as_str()?.parse().ok();
    Some(Subject { mqtt: address("mqtt")?, websocket: address("ws") })
}
