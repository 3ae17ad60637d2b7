//! The protocols that a listener can speak: the one list of them.

use std::sync::Arc;

use bus::{Limits, Protocol};

use crate::config::{Config, PATHS, Transport};

/// One protocol.
pub(crate) struct Entry {
    /// What `protocol = "…"` of a listener says: any of these.
    pub(crate) names: &'static [&'static str],
    /// What can carry it; the first does where the listener names none.
    pub(crate) transports: &'static [Transport],
    /// Its WebSocket sub-protocols, the best first; an empty one stands for clients that ask for none.
    pub(crate) subprotocols: &'static [&'static str],
    /// The paths of a WebSocket's URL, where the listener names none.
    pub(crate) paths: &'static [&'static str],
    /// Whether its data may come in text frames of a WebSocket.
    pub(crate) takes_text: bool,
    /// Whether each message of a WebSocket is one of its own.
    pub(crate) by_message: bool,
    /// The names by which a client of TLS may ask for it (ALPN); none where it is not asked for by name.
    pub(crate) alpn: &'static [&'static [u8]],
    /// Makes it as configured, with the listener's limits and what it has in common with other listeners.
    pub(crate) new: fn(&Config, Limits, &Common) -> Arc<dyn Protocol>,
    /// Lines of well-known clients to try it with, by transport. `HOST`, `PORT`, `ADDRESS` and `PATH` stand for the
    /// listener's, `CA` for the file with the local CA, and `EXE` for this program.
    pub(crate) examples: &'static [(Transport, &'static str)],
}

/// What the listeners of a protocol have in common.
pub(crate) struct Common {
    coap: Arc<coap::Shared>,
}

impl Common {
    pub(crate) fn new(config: &Config) -> Self {
        Self { coap: Arc::new(coap::Shared::new(&config.coap)) }
    }
}

/// What carries a protocol that is a stream of bytes.
const STREAMS: [Transport; 6] =
    [Transport::Tcp, Transport::Tls, Transport::TlsPsk, Transport::Ws, Transport::Wss, Transport::Unix];

/// What carries one whose connections may have several streams.
const STREAMS_AND_QUIC: [Transport; 7] = [
    Transport::Tcp,
    Transport::Tls,
    Transport::TlsPsk,
    Transport::Ws,
    Transport::Wss,
    Transport::Quic,
    Transport::Unix,
];

const PROTOCOLS: [Entry; 4] = [
    Entry {
        names: &["mqtt"],
        transports: &STREAMS_AND_QUIC,
        subprotocols: &["mqtt", "mqttv3.1"],
        paths: &PATHS,
        takes_text: false,
        by_message: false,
        alpn: &[],
        new: |config, limits, _| Arc::new(mqtt::Mqtt::new(config.mqtt.clone(), limits)),
        examples: &[
            (Transport::Tcp, "mosquitto_sub -h HOST -p PORT -t 'demo/#' -v"),
            (Transport::Tcp, "mosquitto_pub -h HOST -p PORT -t demo/temperature -m 21.5"),
            (
                Transport::TlsPsk,
                "mosquitto_pub --psk-identity IDENTITY --psk KEY -h HOST -p PORT -t demo/temperature -m 21.5",
            ),
            (Transport::Unix, "mosquitto_pub --unix PATH -t demo/temperature -m 21.5"),
            (Transport::Tls, "mosquitto_pub --cafile CA -h HOST -p PORT -t demo/temperature -m 21.5"),
            (Transport::Ws, "mqtt pub -l ws -h HOST -p PORT -t demo/temperature -m 21.5"),
            (Transport::Wss, "mqtt pub -l wss --ca CA -h HOST -p PORT -t demo/temperature -m 21.5"),
            (Transport::Quic, "EXE pub --cafile CA -L quic://ADDRESS/demo/temperature -m 21.5"),
        ],
    },
    Entry {
        names: &["mqtt-sn"],
        transports: &[Transport::Udp, Transport::Dtls],
        subprotocols: &[],
        paths: &PATHS,
        takes_text: false,
        by_message: false,
        alpn: &[],
        new: |config, limits, _| Arc::new(mqtt_sn::MqttSn::new(config.mqtt_sn.clone(), limits)),
        examples: &[(Transport::Udp, "mqtt_sn_pub -h HOST -p PORT -t demo/temperature -m 21.5")],
    },
    Entry {
        names: &["coap", "lwm2m"],
        transports: &[
            Transport::Udp,
            Transport::Dtls,
            Transport::Tcp,
            Transport::Tls,
            Transport::TlsPsk,
            Transport::Ws,
            Transport::Wss,
        ],
        subprotocols: &["coap"],
        paths: &["/.well-known/coap"],
        takes_text: false,
        by_message: true,
        alpn: &[b"coap"],
        new: |config, limits, common| {
            let (lwm2m, coap) = (config.lwm2m.clone(), config.coap.clone());
            Arc::new(lwm2m::Lwm2m::sharing(lwm2m, coap, limits, common.coap.clone()))
        },
        examples: &[
            (Transport::Udp, "coap-client-notls -m put -e 21.5 coap://ADDRESS/ps/demo/temperature"),
            (Transport::Dtls, "coap-client-openssl -R CA -m put -e 21.5 coaps://ADDRESS/ps/demo/temperature"),
            (
                Transport::Udp,
                "coap-client-notls -m post -e '</3/0>' 'coap://ADDRESS/rd?ep=demo&lt=300&lwm2m=1.0&b=U'",
            ),
            (Transport::Tcp, "coap-client-notls -m put -e 21.5 coap+tcp://ADDRESS/ps/demo/temperature"),
            (
                Transport::Tls,
                "coap-client-openssl -C CA -m put -e 21.5 coaps+tcp://ADDRESS/ps/demo/temperature",
            ),
        ],
    },
    Entry {
        names: &["stomp"],
        transports: &STREAMS,
        subprotocols: &["v12.stomp", "v11.stomp", "v10.stomp", ""],
        paths: &PATHS,
        takes_text: true,
        by_message: false,
        alpn: &[],
        new: |config, limits, _| Arc::new(stomp::Stomp::new(config.stomp.clone(), limits)),
        examples: &[(Transport::Tcp, "stomp -H HOST -P PORT -L demo/temperature")],
    },
];

/// The protocol of this name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    PROTOCOLS.iter().find(|entry| entry.names.contains(&name))
}

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().flat_map(|entry| entry.names).copied()
}
