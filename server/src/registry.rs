//! The protocols that a listener can speak: the one list of them.

use std::sync::Arc;

use bus::{Limits, Protocol};

use crate::config::{Config, Transport};

/// One protocol.
pub(crate) struct Entry {
    /// What `protocol = "…"` of a listener says: any of these.
    pub(crate) names: &'static [&'static str],
    /// What can carry it; the first does where the listener names none.
    pub(crate) transports: &'static [Transport],
    /// Makes it as configured, with the listener's limits.
    pub(crate) new: fn(&Config, Limits) -> Arc<dyn Protocol>,
    /// Lines of well-known clients to try it with; `HOST` and `PORT` stand for the listener's.
    pub(crate) examples: &'static [&'static str],
}

const PROTOCOLS: [Entry; 4] = [
    Entry {
        names: &["mqtt"],
        transports: &[Transport::Tcp, Transport::Unix],
        new: |config, limits| Arc::new(mqtt::Mqtt::new(config.mqtt.clone(), limits)),
        examples: &[
            "mosquitto_sub -h HOST -p PORT -t 'demo/#' -v",
            "mosquitto_pub -h HOST -p PORT -t demo/temperature -m 21.5",
        ],
    },
    Entry {
        names: &["mqtt-sn"],
        transports: &[Transport::Udp],
        new: |config, limits| Arc::new(mqtt_sn::MqttSn::new(config.mqtt_sn.clone(), limits)),
        examples: &["mqtt_sn_pub -h HOST -p PORT -t demo/temperature -m 21.5"],
    },
    Entry {
        names: &["coap", "lwm2m"],
        transports: &[Transport::Udp],
        new: |config, limits| {
            let (lwm2m, coap) = (config.lwm2m.clone(), config.coap.clone());
            Arc::new(lwm2m::Lwm2m::new(lwm2m, coap, limits))
        },
        examples: &[
            "coap-client-notls -m put -e 21.5 coap://ADDRESS/ps/demo/temperature",
            "coap-client-notls -m post -e '</3/0>' 'coap://ADDRESS/rd?ep=demo&lt=300&lwm2m=1.0&b=U'",
        ],
    },
    Entry {
        names: &["stomp"],
        transports: &[Transport::Tcp, Transport::Unix],
        new: |config, limits| Arc::new(stomp::Stomp::new(config.stomp.clone(), limits)),
        examples: &["stomp -H HOST -P PORT -L demo/temperature"],
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
