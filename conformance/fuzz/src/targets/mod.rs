pub(crate) mod bus;
pub(crate) mod coap;
pub(crate) mod directory;
pub(crate) mod lwm2m;
pub(crate) mod mqtt;
pub(crate) mod mqtt_sn;
pub(crate) mod net;
pub(crate) mod stomp;
