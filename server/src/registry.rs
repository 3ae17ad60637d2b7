//! The protocols that a listener can speak: the one list of them.

use std::sync::Arc;

use bus::{Protocol, Transport};

use crate::config::Config;

/// One protocol.
pub(crate) struct Entry {
    /// What `protocol = "…"` of a listener says: any of these.
    pub(crate) names: &'static [&'static str],
    /// What carries it.
    pub(crate) transport: Transport,
    /// Makes it as configured.
    pub(crate) new: fn(&Config) -> Arc<dyn Protocol>,
    /// Lines of well-known clients to try it with; `HOST` and `PORT` stand for the listener's.
    pub(crate) examples: &'static [&'static str],
}

const PROTOCOLS: [Entry; 4] = [
    Entry {
        names: &["mqtt"],
        transport: Transport::Stream,
        new: |config| Arc::new(mqtt::Mqtt::new(config.mqtt.clone(), config.limits.clone())),
        examples: &[
            "mosquitto_sub -h HOST -p PORT -t 'demo/#' -v",
            "mosquitto_pub -h HOST -p PORT -t demo/temperature -m 21.5",
        ],
    },
    Entry {
        names: &["mqtt-sn"],
        transport: Transport::Datagram,
        new: |config| Arc::new(mqtt_sn::MqttSn::new(config.mqtt_sn.clone(), config.limits.clone())),
        examples: &["mqtt_sn_pub -h HOST -p PORT -t demo/temperature -m 21.5"],
    },
    Entry {
        names: &["coap", "lwm2m"],
        transport: Transport::Datagram,
        new: |config| {
            let (lwm2m, coap) = (config.lwm2m.clone(), config.coap.clone());
            Arc::new(lwm2m::Lwm2m::new(lwm2m, coap, config.limits.clone()))
        },
        examples: &[
            "coap-client-notls -m put -e 21.5 coap://ADDRESS/ps/demo/temperature",
            "coap-client-notls -m post -e '</3/0>' 'coap://ADDRESS/rd?ep=demo&lt=300&lwm2m=1.0&b=U'",
        ],
    },
    Entry {
        names: &["stomp"],
        transport: Transport::Stream,
        new: |config| Arc::new(stomp::Stomp::new(config.stomp.clone(), config.limits.clone())),
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
