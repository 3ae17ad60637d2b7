use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

/// A broker under comparison. One that was started here ends with it.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    process: u32,
    child: Option<(Child, PathBuf)>,
}

/// How long a broker may take to open its port.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clock ticks a second in `/proc`: the kernel's ABI fixes it.
const TICKS: u64 = 100;

impl Peer {
    /// Starts a broker by its path, or takes one that runs: `NAME=HOST:PORT:PID`.
    pub(crate) fn start(word: &str) -> Result<Self, String> {
        if let Some((name, place)) = word.split_once('=') {
            let (address, process) = place.rsplit_once(':').ok_or(format!("{word} has no process id"))?;
            return Ok(Self {
                name: name.to_owned(),
                address: address.parse().map_err(|_| format!("{address} is no address"))?,
                process: process.parse().map_err(|_| format!("{process} is no process id"))?,
                child: None,
            });
        }
        let address = free_address().map_err(|error| format!("there is no free port: {error}"))?;
        let name = word.rsplit('/').next().unwrap_or(word).to_owned();
        let config = std::env::temp_dir().join(format!("bench-{name}-{}.conf", address.port()));
        let mosquitto = name.contains("mosquitto");
        let (text, arguments): (String, &[&str]) = match mosquitto {
            true => (mosquitto_config(address), &["-c"]),
            false => (watersmeet_config(address), &["serve", "--config"]),
        };
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = Command::new(word);
        command.args(arguments).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{word} cannot be started: {error}"))?;
        Ok(Self { name, address, process: child.id(), child: Some((child, config)) })
    }

    pub(crate) async fn wait_until_open(&self) -> Result<(), String> {
        let began = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            if began.elapsed() > PATIENCE {
                return Err(format!("{} does not open {}", self.name, self.address));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The CPU time it has used, in user and system mode.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let fault = || format!("{} has ended", self.name);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process)).map_err(|_| fault())?;
        let (_, fields) = stat.rsplit_once(')').ok_or_else(fault)?;
        // The 14th and 15th of all fields; the first two end with the bracket.
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1_000 / TICKS))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some((child, config)) = &mut self.child {
            // What cannot be ended or removed any more is gone already.
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(config);
        }
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn mosquitto_config(address: SocketAddr) -> String {
    format!(
        "listener {} {}\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n",
        address.port(),
        address.ip()
    )
}

/// Only the MQTT listener, at the defaults of everything else.
fn watersmeet_config(address: SocketAddr) -> String {
    let others = ["mqtts", "ws", "wss", "quic", "mqtt-sn", "coap", "stomp"]
        .map(|name| format!("[listeners.{name}]\nenabled = false\n"));
    format!("[http]\nenabled = false\n[listeners.mqtt]\nbind = \"{address}\"\n{}", others.concat())
}
