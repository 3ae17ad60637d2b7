//! The brokers that are compared.

mod carrier;
mod config;
mod version;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use carrier::Carrier;

use crate::process::{self, BROKER_CORE};

/// Something that takes part: how to start it, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where its program is.
    pub(crate) place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Watersmeet,
    Flashmq,
    Mosquitto,
    Nats,
    /// A process of this program, which copies bytes.
    Relay,
    /// It runs already: name, address, process.
    Running(SocketAddr, u32),
}

/// How a broker is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// On a core of its own with one worker thread, or on all cores with as many as it takes by itself.
    pub(crate) pinned: bool,
    /// With a number of worker threads of its own.
    pub(crate) threads: Option<usize>,
    /// Whether queues are bounded as the broker comes, and not made so long that no hiccup of the machine loses anything.
    pub(crate) own_limits: bool,
    /// What its one port speaks. Beside QUIC it speaks TCP, on the port with the same number.
    pub(crate) carrier: Carrier,
}

/// A broker that runs. One that was started here ends with it.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
    child: Option<Child>,
    _directory: Option<TempDir>,
}

/// How long a broker may take to open its port.
const PATIENCE: Duration = Duration::from_secs(10);

impl Subject {
    /// The path of a broker's program, `relay`, or `NAME=HOST:PORT:PID`.
    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        if let Some((name, place)) = word.split_once('=') {
            let (address, process) = place.rsplit_once(':').ok_or(format!("{word} has no process id"))?;
            let address = address.parse().map_err(|_| format!("{address} is no address"))?;
            let process = process.parse().map_err(|_| format!("{process} is no process id"))?;
            return Ok(Self {
                name: name.to_owned(),
                kind: Kind::Running(address, process),
                place: String::new(),
            });
        }
        if word == "relay" {
            return Ok(Self { name: word.to_owned(), kind: Kind::Relay, place: String::new() });
        }
        let file =
            Path::new(word).file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let known = [
            ("watersmeet", Kind::Watersmeet),
            ("flashmq", Kind::Flashmq),
            ("mosquitto", Kind::Mosquitto),
            ("nats-server", Kind::Nats),
        ];
        let kind = known.into_iter().find(|(name, _)| file.contains(name)).map(|(_, kind)| kind);
        let kind = kind.ok_or_else(|| {
            format!("{word}: the file's name must hold watersmeet, flashmq, mosquitto or nats-server")
        })?;
        let version = version::ask(word, kind)?;
        Ok(Self { name: format!("{file} {version}"), kind, place: word.to_owned() })
    }

    pub(crate) fn start(&self, manner: Manner) -> Result<Broker, String> {
        if let Kind::Running(address, process) = self.kind {
            return Ok(Broker { address, process, child: None, _directory: None });
        }
        let fault = |error: std::io::Error| format!("{}: {error}", self.name);
        let address = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).map_err(fault)?;
        let directory = TempDir::with_prefix("bench-").map_err(fault)?;
        let mut command = match self.kind {
            Kind::Relay => {
                let mut command = Command::new(std::env::current_exe().map_err(fault)?);
                command.arg(crate::relay::WORD).arg(address.to_string());
                command
            }
            kind => {
                if manner.carrier.is_secure() {
                    carrier::certify(directory.path())?;
                }
                let file = directory.path().join("config");
                std::fs::write(&file, config::text(kind, address, manner, directory.path()))
                    .map_err(fault)?;
                let mut command = Command::new(&self.place);
                command.args(config::arguments(kind)).arg(&file);
                if let Some(threads) = config::threads(manner) {
                    command.env("TOKIO_WORKER_THREADS", threads.to_string());
                }
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = process::start(&mut command, manner.pinned.then_some(BROKER_CORE))?;
        let mut broker =
            Broker { address, process: child.id(), child: Some(child), _directory: Some(directory) };
        broker.wait_until_open().map_err(|fault| format!("{}: {fault}", self.name))?;
        Ok(broker)
    }
}

impl Broker {
    fn wait_until_open(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                return Err(format!("it ended at once, with {status}"));
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("it does not open {}", self.address));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(crate) fn cpu(&self) -> Option<Duration> {
        process::cpu(self.process)
    }

    /// The memory it has in RAM, in bytes.
    pub(crate) fn resident(&self) -> Result<f64, String> {
        process::resident(self.process)
            .map(|bytes| bytes as f64)
            .ok_or_else(|| "the broker has ended".to_owned())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // What cannot be ended any more is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_broker_is_named_with_its_address_and_process() {
        let subject = Subject::parse("other=127.0.0.1:1883:42").unwrap();
        assert_eq!(subject.name, "other");
        assert_eq!(subject.kind, Kind::Running("127.0.0.1:1883".parse().unwrap(), 42));
        for word in ["other=127.0.0.1:1883:x", "other=1883", "/usr/bin/other"] {
            assert!(Subject::parse(word).is_err(), "{word}");
        }
    }
}
