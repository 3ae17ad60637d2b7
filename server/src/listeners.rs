use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::anyhow;
use broker::Broker;
use bus::Transport;
use net::{Bound, Running, Stop};

use crate::config::Config;
use crate::registry::{self, Entry};

/// A listener of the configuration whose port is ours.
pub(crate) struct Open {
    pub(crate) name: Arc<str>,
    pub(crate) protocol: &'static Entry,
    pub(crate) address: SocketAddr,
    bound: Bound,
}

/// A listener that takes clients in.
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    /// The protocol's name in metrics.
    pub(crate) protocol: &'static str,
    pub(crate) running: Running,
}

/// Binds every listener, or none: the first that cannot be bound is the error.
pub(crate) fn bind_all(config: &Config) -> anyhow::Result<Vec<Open>> {
    let enabled = config.listeners.0.iter().filter(|(_, listener)| listener.enabled);
    let bind = |(name, listener): (&String, &crate::config::Listener)| {
        let protocol = registry::find(&listener.protocol)
            .ok_or_else(|| anyhow!("listeners.{name}: unknown protocol {:?}", listener.protocol))?;
        let bound = net::bind(listener.bind, protocol.transport).map_err(|error| {
            anyhow!(explain(&format!("listeners.{name}"), listener.bind, protocol.transport, &error))
        })?;
        Ok(Open { name: name.as_str().into(), protocol, address: bound.address, bound })
    };
    enabled.map(bind).collect()
}

/// Why a port cannot be bound, and the way out: `what` has the key `bind`.
pub(crate) fn explain(
    what: &str,
    address: SocketAddr,
    transport: Transport,
    error: &std::io::Error,
) -> String {
    let (port, list) = match transport {
        Transport::Stream => (address.port(), "ss -ltnp"),
        Transport::Datagram => (address.port(), "ss -lunp"),
    };
    let (cause, fix) = match error.kind() {
        ErrorKind::AddrInUse => (
            "address already in use".to_owned(),
            format!("stop the other program (`{list} 'sport = :{port}'` names it) or set {what}.bind"),
        ),
        ErrorKind::AddrNotAvailable => {
            ("this machine has no such address".to_owned(), format!("set {what}.bind to one of `ip address`"))
        }
        ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            format!("set {what}.bind to a port above 1023, or give the program CAP_NET_BIND_SERVICE"),
        ),
        _ => (error.to_string(), format!("set {what}.bind")),
    };
    format!("{what}: cannot bind {address}: {cause}; fix: {fix}")
}

/// Where a client on this machine reaches a listener that is bound there.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

impl Open {
    /// Takes clients in.
    pub(crate) fn serve(self, config: &Config, broker: &Broker, stop: &Stop) -> Served {
        let limits = &config.listeners.0[&*self.name];
        let listener = net::ListenerConfig {
            max_connections: limits.max_connections,
            connect_rate: limits.connect_rate,
            rebind: limits.rebind,
            rates: limits.rates.clone(),
        };
        let protocol = (self.protocol.new)(config);
        let label = protocol.label();
        let running = self.bound.serve(
            self.name.clone(),
            protocol,
            broker.clone(),
            listener,
            config.limits.clone(),
            stop,
        );
        Served { name: self.name, protocol: label, running }
    }
}
