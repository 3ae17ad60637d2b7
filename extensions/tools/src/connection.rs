use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bus::{Carrier, Publish, Qos, Topic, Will};
use clap::{ArgAction, Args, ValueEnum};
use dial::{Dial, Target, Url};
use mqtt::{ClientOptions, Version};

use crate::property::{Properties, expiry};
use crate::security::Security;

/// The flags that say how to connect: the same for every command.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Connection {
    /// The server's name or address [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", help_heading = "Server", conflicts_with_all = ["url", "unix"])]
    host: Option<String>,
    /// The server's port [default: 1883, with TLS 8883, WebSocket 8083, both 8084]
    #[arg(short = 'p', long, value_name = "PORT", help_heading = "Server", conflicts_with_all = ["url", "unix"])]
    port: Option<u16>,
    /// All at once: mqtt://USER:PASSWORD@HOST:PORT/TOPIC, or with mqtts, ws, wss, quic; or unix:PATH
    #[arg(short = 'L', long, value_name = "URL", help_heading = "Server", conflicts_with = "unix")]
    url: Option<String>,
    /// A Unix socket of this machine
    #[arg(long, value_name = "PATH", help_heading = "Server")]
    unix: Option<String>,
    /// Speak WebSocket; -L ws://HOST/PATH names another path than /mqtt
    #[arg(long, help_heading = "Server", conflicts_with_all = ["url", "unix"])]
    ws: bool,
    /// The address of this machine to connect from
    #[arg(short = 'A', value_name = "ADDRESS", help_heading = "Server")]
    from: Option<IpAddr>,
    /// Taken for mosquitto's sake: nothing is ever held back
    #[arg(long, hide = true)]
    nodelay: bool,

    /// The client id [default: none, so that the server chooses one]
    #[arg(short = 'i', long, value_name = "ID", help_heading = "Client", allow_hyphen_values = true)]
    id: Option<String>,
    /// The client id is this and the process id
    #[arg(short = 'I', long, value_name = "PREFIX", help_heading = "Client", conflicts_with = "id")]
    id_prefix: Option<String>,
    /// The user name
    #[arg(short = 'u', long, value_name = "NAME", help_heading = "Client", allow_hyphen_values = true)]
    username: Option<String>,
    /// The password
    #[arg(
        short = 'P',
        long = "pw",
        value_name = "PASSWORD",
        help_heading = "Client",
        allow_hyphen_values = true
    )]
    password: Option<String>,
    /// The version of MQTT: 5, 311 or 31 [default: 311, but 5 for rr and wherever a flag needs it]
    #[arg(short = 'V', long, value_name = "VERSION", help_heading = "Client")]
    protocol_version: Option<Spoken>,
    /// Seconds after which the server is asked whether it is there, if nothing else was sent; 0 for never
    #[arg(short = 'k', long, value_name = "SECONDS", help_heading = "Client", default_value_t = 60)]
    keepalive: u16,
    /// Keep the session: go on with an earlier one, and leave it behind; needs --id
    #[arg(short = 'c', long, help_heading = "Client")]
    disable_clean_session: bool,
    /// Seconds the session outlives the connection, -1 for ever (MQTT 5) [default: 0, with -c -1]
    #[arg(short = 'x', long, value_name = "SECONDS", help_heading = "Client", allow_hyphen_values = true)]
    session_expiry_interval: Option<String>,
    /// A property: PACKET NAME VALUE, or PACKET user-property NAME VALUE (MQTT 5); may be repeated. PACKET is
    /// connect, publish, subscribe, unsubscribe, disconnect or will
    #[arg(short = 'D', long, value_name = "PACKET NAME VALUE", help_heading = "Client")]
    property: Vec<String>,

    /// The topic of the will, which the server publishes if this client is lost
    #[arg(long, value_name = "TOPIC", help_heading = "Will", allow_hyphen_values = true)]
    will_topic: Option<String>,
    /// The payload of the will
    #[arg(
        long,
        value_name = "TEXT",
        help_heading = "Will",
        requires = "will_topic",
        allow_hyphen_values = true
    )]
    will_payload: Option<String>,
    /// The QoS of the will
    #[arg(long, value_name = "QOS", help_heading = "Will", requires = "will_topic", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    will_qos: u8,
    /// The will is retained
    #[arg(long, help_heading = "Will", requires = "will_topic")]
    will_retain: bool,

    /// Tell on standard error what is sent and received
    #[arg(short = 'd', long, help_heading = "Output")]
    pub(crate) debug: bool,
    /// Tell of no errors but those of the command line
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,

    #[command(flatten)]
    security: Security,
    #[command(flatten)]
    missing: Missing,
}

/// Flags of mosquitto's clients that are not there, so that they are not taken for others.
#[derive(Args, Clone, Debug)]
struct Missing {
    #[arg(long, hide = true)]
    psk: Option<String>,
    #[arg(long, hide = true)]
    psk_identity: Option<String>,
    #[arg(long, hide = true)]
    proxy: Option<String>,
    #[arg(short = 'S', hide = true)]
    srv: bool,
    #[arg(long, hide = true)]
    ciphers: Option<String>,
    #[arg(long, hide = true)]
    keyform: Option<String>,
    #[arg(long, hide = true)]
    tls_engine: Option<String>,
    #[arg(long, hide = true)]
    tls_engine_kpass_sha1: Option<String>,
}

/// The versions as mosquitto's clients name them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Spoken {
    #[value(name = "5", alias = "mqttv5")]
    V5,
    #[value(name = "311", aliases = ["mqttv311", "3.1.1"])]
    V311,
    #[value(name = "31", aliases = ["mqttv31", "3.1"])]
    V31,
}

/// All that is needed to connect.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) dial: Dial,
    pub(crate) options: ClientOptions,
    pub(crate) properties: Properties,
    /// The topic that the URL named.
    pub(crate) topic: Option<String>,
}

/// The largest packet there can be [MQTT-1.5.5-1].
const PACKET: usize = 268_435_460;

impl Connection {
    /// Reads the flags; without one that says the version, `version` is spoken.
    pub(crate) fn ready(&self, version: Version) -> anyhow::Result<Ready> {
        self.missing.refuse()?;
        let properties = Properties::parse(&self.property)?;
        let version = self.version(version, &properties)?;
        let url = self.url.as_deref().map(Url::parse).transpose()?;
        let target = self.target(url.as_ref());
        let mut options = self.options(version, url.as_ref())?;
        properties.connect(&mut options)?;
        if let Some(topic) = &self.will_topic {
            let topic = Topic::parse(topic).with_context(|| format!("the will's topic {topic:?}"))?;
            let payload = self.will_payload.clone().unwrap_or_default();
            let mut publish = Publish::new(topic, payload, qos(self.will_qos));
            publish.retain = self.will_retain;
            let mut will = Will { publish, delay: Duration::ZERO };
            properties.will(&mut will);
            options.will = Some(will);
        }
        let tls = self.security.load(&target)?;
        let dial = Dial { tls, from: self.from, frame_maximum: PACKET, ..Dial::new(target) };
        Ok(Ready { dial, options, properties, topic: url.and_then(|url| url.topic) })
    }

    fn version(&self, default: Version, properties: &Properties) -> anyhow::Result<Version> {
        let needed = !properties.is_empty() || self.session_expiry_interval.is_some();
        match self.protocol_version {
            None if needed => Ok(Version::V5),
            None => Ok(default),
            Some(Spoken::V5) => Ok(Version::V5),
            Some(_) if needed => bail!("-D and -x are of MQTT 5: leave -V out, or say -V 5"),
            Some(Spoken::V311) => Ok(Version::V311),
            Some(Spoken::V31) => Ok(Version::V31),
        }
    }

    fn target(&self, url: Option<&Url>) -> Target {
        if let Some(url) = url {
            return url.target.clone();
        }
        if let Some(path) = &self.unix {
            return Target::new(Carrier::Unix, path, None);
        }
        let carrier = self.security.carrier(self.ws, self.port);
        Target::new(carrier, self.host.as_deref().unwrap_or("localhost"), self.port)
    }

    fn options(&self, version: Version, url: Option<&Url>) -> anyhow::Result<ClientOptions> {
        let mut options = ClientOptions::new(version, self.client_id(version)?);
        options.username = self.username.clone().or_else(|| url?.username.clone());
        options.password = self.password.clone().or_else(|| url?.password.clone()).map(Into::into);
        ensure!(
            version == Version::V5 || options.username.is_some() || options.password.is_none(),
            "before MQTT 5 a password needs a user name: add -u, or -V 5"
        );
        options.keep_alive = self.keepalive;
        options.clean_start = !self.disable_clean_session;
        options.session_expiry = expiry(match self.session_expiry_interval.as_deref() {
            None if self.disable_clean_session => u32::MAX,
            None => 0,
            Some("-1" | "∞") => u32::MAX,
            Some(text) => text.parse().ok().with_context(|| {
                format!(
                    "-x {text}: a session outlives its connection by 0 to 4294967294 seconds, or -1 for ever"
                )
            })?,
        });
        options.packet_maximum = PACKET;
        options.topic_alias_maximum = 0;
        Ok(options)
    }

    fn client_id(&self, version: Version) -> anyhow::Result<String> {
        match (&self.id, &self.id_prefix) {
            (Some(id), _) => Ok(id.clone()),
            (None, Some(prefix)) => Ok(format!("{prefix}{}", std::process::id())),
            (None, None) if self.disable_clean_session => {
                bail!("-c keeps the session of a client id: name it with -i")
            }
            // The oldest version has no way to let the server choose.
            (None, None) if version == Version::V31 => Ok(format!("ws-{}", std::process::id())),
            (None, None) => Ok(String::new()),
        }
    }
}

impl Missing {
    fn refuse(&self) -> anyhow::Result<()> {
        let flags = [
            ("--psk", self.psk.is_some(), "pre-shared keys cannot be used over TCP yet: use certificates"),
            (
                "--psk-identity",
                self.psk_identity.is_some(),
                "pre-shared keys cannot be used over TCP yet: use certificates",
            ),
            (
                "--proxy",
                self.proxy.is_some(),
                "proxies cannot be used yet: tunnel with ssh -L, and connect to that",
            ),
            ("-S", self.srv, "SRV records are not looked up: name the server with -h and -p"),
            (
                "--ciphers",
                self.ciphers.is_some(),
                "cipher suites cannot be chosen: only good ones are offered",
            ),
            (
                "--keyform",
                self.keyform.as_deref().is_some_and(|form| form != "pem"),
                "keys are read from PEM files only",
            ),
            ("--tls-engine", self.tls_engine.is_some(), "there are no engines: give the key as a PEM file"),
            (
                "--tls-engine-kpass-sha1",
                self.tls_engine_kpass_sha1.is_some(),
                "there are no engines: give the key as a PEM file",
            ),
        ];
        match flags.iter().find(|(_, given, _)| *given) {
            Some((flag, _, why)) => bail!("{flag}: {why}"),
            None => Ok(()),
        }
    }
}

/// The level that clap has checked.
pub(crate) fn qos(level: u8) -> Qos {
    Qos::from_level(level).unwrap_or_default()
}

/// A number that other clients on this machine do not have.
pub(crate) fn seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(40)
}

#[cfg(test)]
mod tests;
