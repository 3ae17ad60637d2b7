//! The topics that have a configuration, as draft-ietf-core-coap-pubsub-21 has them: what is known of them, and how
//! it is written down. `[PUBSUB 2.4.3]` stands for a section of that draft. Which requests do what with them is in
//! [`PubSub`](crate::PubSub).

mod location;
mod property;
mod topics;

use bus::ContentFormat;

pub(crate) use location::{DataLocation, LocationError, data_path, parse_data, parse_name};
pub(crate) use property::{
    Properties, Property, PropertyError, PropertyFilter, TOPIC_DATA_TYPE, decode_keys, is_representation,
};
pub(crate) use topics::{Configuration, NotMade, Reservation, Seat, TopicId};
pub use topics::{Topics, TopicsConfig};

/// `application/core-pubsub+cbor`. The number is the one the draft asks for; it is not registered yet [PUBSUB 6.2].
pub(crate) const CORE_PUBSUB: ContentFormat = ContentFormat(606);
