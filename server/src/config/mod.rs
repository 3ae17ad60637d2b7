//! The configuration: defaults, then the file, then the environment; strict in all of them.

mod bind;
mod check;
mod decode;
mod dtls;
pub(crate) mod environment;
mod file;
mod listener;
mod problem;
mod profiles;
mod show;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use bind::Bind;
pub(crate) use dtls::Dtls;
pub(crate) use listener::{
    Listener, Listeners, MAX_FRAME, MAX_HANDSHAKES, PATHS, PROXY_TIMEOUT, ProxyProtocol, TLS_PROFILE,
    Transport,
};
pub(crate) use problem::Problems;
pub(crate) use profiles::Profiles;
pub(crate) use show::{Detail, show};

use tree::Table;

/// All that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the server keeps what it makes itself.
    pub(crate) state_directory: PathBuf,
    /// How many threads run connections; 0 is as many as there are processors.
    pub(crate) threads: usize,
    /// Other topics in the place of those that clients name; the first rule whose source matches decides.
    pub(crate) rewrite: Vec<rewrite::Rule>,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// The listener for operators: health and metrics.
    pub(crate) http: Http,
    /// Who may connect, and what they may do.
    pub(crate) access: access::Config,
    /// What sessions, queues and retained messages may cost.
    pub(crate) broker: broker::Config,
    /// What one connection may cost.
    pub(crate) limits: bus::Limits,
    /// When the server protects itself.
    pub(crate) overload: net::OverloadConfig,
    /// What operators see.
    pub(crate) operators: operators::Config,
    /// What MQTT offers.
    pub(crate) mqtt: mqtt::Config,
    /// What MQTT-SN offers.
    pub(crate) mqtt_sn: mqtt_sn::Config,
    /// What CoAP offers.
    pub(crate) coap: coap::Config,
    /// What LwM2M offers, on the same port as CoAP.
    pub(crate) lwm2m: lwm2m::Config,
    /// What STOMP offers.
    pub(crate) stomp: stomp::Config,
    /// Certificates, keys and what else TLS needs, by name.
    pub(crate) tls: Profiles,
    /// The ports that clients reach, by name.
    pub(crate) listeners: Listeners,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, and exceptions by module: `info,broker=debug`.
    pub(crate) level: String,
    /// How a line is written.
    pub(crate) format: LogFormat,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The listener for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Whether it is there.
    pub(crate) enabled: bool,
    /// Where it listens.
    #[serde(with = "listener::address")]
    pub(crate) bind: SocketAddr,
}

/// A configuration that may be run, and where each part of it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    tree: Table,
}

impl Loaded {
    /// Reads the defaults, the file if there is one, and the variables; all faults are reported at once.
    pub(crate) fn read(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, OsString)>,
    ) -> Result<Self, Problems> {
        let written = file.map(file::read).transpose()?.unwrap_or_default();
        Self::merge(written, variables)
    }

    /// The keys whose values differ from the other's.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let (mine, others) = (self.tree.leaves(), other.tree.leaves());
        let keys: BTreeSet<_> = mine.keys().chain(others.keys()).collect();
        keys.into_iter().filter(|key| mine.get(*key) != others.get(*key)).cloned().collect()
    }

    fn merge(
        written: Table,
        variables: impl IntoIterator<Item = (String, OsString)>,
    ) -> Result<Self, Problems> {
        let mut tree = defaults()?;
        tree.overlay(written);
        environment::overlay(&mut tree, variables)?;
        let mut config: Config = decode::decode(&tree)?;
        listener::settle_limits(&mut config, &tree)?;
        check::check(&config, &tree)?;
        Ok(Self { config, tree })
    }
}

fn defaults() -> Result<Table, Problems> {
    let text = toml::to_string(&Config::default())
        .map_err(|error| Problems::one(problem::Problem::general(format!("the defaults: {error}"))))?;
    file::parse_default(&text)
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { enabled: true, bind: (Ipv4Addr::LOCALHOST, 18083).into() }
    }
}
