use bus::ContentFormat;
use bytes::Bytes;
use minicbor::data::{IanaTag, Tag, Type};
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};

/// The resource type of topic data, unless the creator says another [PUBSUB 2.2.1].
pub(crate) const TOPIC_DATA_TYPE: &str = "core.ps.data";

/// What a topic is configured with, as far as it is set [PUBSUB 2.2.1].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Properties {
    pub(crate) topic_name: Option<Box<str>>,
    pub(crate) topic_data: Option<Box<str>>,
    pub(crate) resource_type: Option<Box<str>>,
    pub(crate) content_format: Option<ContentFormat>,
    pub(crate) topic_type: Option<Box<str>>,
    /// Seconds since 1970 began.
    pub(crate) expiration_date: Option<u64>,
    pub(crate) max_subscribers: Option<u64>,
    /// Seconds, at least 1.
    pub(crate) observer_check: Option<u64>,
    pub(crate) initialize: Option<Bytes>,
}

/// One property, with its key in CBOR [PUBSUB 4].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    TopicName,
    TopicData,
    ResourceType,
    TopicContentFormat,
    TopicType,
    ExpirationDate,
    MaxSubscribers,
    ObserverCheck,
    Initialize,
}

/// What a FETCH on the collection looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PropertyFilter {
    wanted: Properties,
    /// It asks for a property that no topic has.
    impossible: bool,
}

/// Why a payload holds no properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PropertyError {
    #[error("The payload is no CBOR map, or not all of it is.")]
    NoMap,
    #[error("The payload is no CBOR array of keys, or not all of it is.")]
    NoArray,
    #[error("The property {} ({}) is there twice.", .0.name(), *.0 as u8)]
    Twice(Property),
    #[error("The key {0} is that of no property.")]
    Unknown(i64),
    #[error("The property {} ({}) has a value that it cannot have.", .0.name(), *.0 as u8)]
    Value(Property),
}

impl Property {
    pub(crate) const ALL: [Self; 9] = [
        Self::TopicName,
        Self::TopicData,
        Self::ResourceType,
        Self::TopicContentFormat,
        Self::TopicType,
        Self::ExpirationDate,
        Self::MaxSubscribers,
        Self::ObserverCheck,
        Self::Initialize,
    ];

    fn of_key(key: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|property| i64::from(*property as u8) == key)
    }

    /// The name that the draft gives it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TopicName => "topic-name",
            Self::TopicData => "topic-data",
            Self::ResourceType => "resource-type",
            Self::TopicContentFormat => "topic-content-format",
            Self::TopicType => "topic-type",
            Self::ExpirationDate => "expiration-date",
            Self::MaxSubscribers => "max-subscribers",
            Self::ObserverCheck => "observer-check",
            Self::Initialize => "initialize",
        }
    }
}

impl Properties {
    /// Reads a map. What is no property, has another type or stands there twice is an error.
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PropertyError> {
        let mut properties = Self::default();
        read_map(payload, |key, decoder| match Property::of_key(key) {
            Some(property) => properties.read(property, decoder),
            None => Err(PropertyError::Unknown(key)),
        })?;
        Ok(properties)
    }

    /// Writes those of the properties that are set and wanted.
    pub(crate) fn encode(&self, wanted: &[Property]) -> Vec<u8> {
        let told: Vec<Property> = Property::ALL
            .into_iter()
            .filter(|property| wanted.contains(property) && self.has(*property))
            .collect();
        let mut encoder = Encoder::new(Vec::new());
        // A Vec takes whatever is written.
        let _ = encoder.map(told.len() as u64);
        for property in told {
            let _ = encoder.u8(property as u8);
            let _ = self.write(property, &mut encoder);
        }
        encoder.into_writer()
    }

    /// Whether a property is set.
    pub(crate) fn has(&self, property: Property) -> bool {
        match property {
            Property::TopicName => self.topic_name.is_some(),
            Property::TopicData => self.topic_data.is_some(),
            Property::ResourceType => self.resource_type.is_some(),
            Property::TopicContentFormat => self.content_format.is_some(),
            Property::TopicType => self.topic_type.is_some(),
            Property::ExpirationDate => self.expiration_date.is_some(),
            Property::MaxSubscribers => self.max_subscribers.is_some(),
            Property::ObserverCheck => self.observer_check.is_some(),
            Property::Initialize => self.initialize.is_some(),
        }
    }

    /// Takes over a property of `other`, set or not.
    pub(crate) fn take(&mut self, property: Property, other: &Self) {
        match property {
            Property::TopicName => self.topic_name = other.topic_name.clone(),
            Property::TopicData => self.topic_data = other.topic_data.clone(),
            Property::ResourceType => self.resource_type = other.resource_type.clone(),
            Property::TopicContentFormat => self.content_format = other.content_format,
            Property::TopicType => self.topic_type = other.topic_type.clone(),
            Property::ExpirationDate => self.expiration_date = other.expiration_date,
            Property::MaxSubscribers => self.max_subscribers = other.max_subscribers,
            Property::ObserverCheck => self.observer_check = other.observer_check,
            Property::Initialize => self.initialize = other.initialize.clone(),
        }
    }

    /// Whether both have the same value of a property, or neither has one.
    pub(crate) fn agrees(&self, property: Property, other: &Self) -> bool {
        let mut same = self.clone();
        same.take(property, other);
        same == *self
    }

    /// About how many bytes it takes to keep them.
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.topic_name, &self.topic_data, &self.resource_type, &self.topic_type];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        texts + self.initialize.as_ref().map_or(0, Bytes::len)
    }

    fn read(&mut self, property: Property, decoder: &mut Decoder<'_>) -> Result<(), PropertyError> {
        if self.has(property) {
            return Err(PropertyError::Twice(property));
        }
        let wrong = |_| PropertyError::Value(property);
        let text = |decoder: &mut Decoder<'_>| -> Result<Option<Box<str>>, PropertyError> {
            let text = decoder.str().map_err(wrong)?;
            if text.is_empty() { Err(PropertyError::Value(property)) } else { Ok(Some(text.into())) }
        };
        match property {
            Property::TopicName => self.topic_name = text(decoder)?,
            Property::TopicData => self.topic_data = text(decoder)?,
            Property::ResourceType => {
                // A value of `rt` stands between quotation marks, and a space separates it from others [RFC6690 2].
                let value = Some(decoder.str().map_err(wrong)?);
                let printable = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b'"';
                let fits = |text: &&str| !text.is_empty() && text.bytes().all(printable);
                self.resource_type = Some(value.filter(fits).ok_or(PropertyError::Value(property))?.into());
            }
            Property::TopicContentFormat => {
                self.content_format = Some(ContentFormat(decoder.u16().map_err(wrong)?));
            }
            Property::TopicType => self.topic_type = text(decoder)?,
            Property::ExpirationDate => {
                self.expiration_date = Some(read_date(decoder).ok_or(PropertyError::Value(property))?);
            }
            Property::MaxSubscribers => self.max_subscribers = Some(decoder.u64().map_err(wrong)?),
            Property::ObserverCheck => {
                let seconds = decoder.u64().map_err(wrong)?;
                let seconds = Some(seconds).filter(|seconds| *seconds > 0);
                self.observer_check = Some(seconds.ok_or(PropertyError::Value(property))?);
            }
            Property::Initialize => {
                self.initialize = Some(Bytes::copy_from_slice(decoder.bytes().map_err(wrong)?));
            }
        }
        Ok(())
    }

    fn write(
        &self,
        property: Property,
        encoder: &mut Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        let mut text = |text: &Option<Box<str>>| encoder.str(text.as_deref().unwrap_or_default()).map(drop);
        match property {
            Property::TopicName => text(&self.topic_name),
            Property::TopicData => text(&self.topic_data),
            Property::ResourceType => text(&self.resource_type),
            Property::TopicType => text(&self.topic_type),
            Property::TopicContentFormat => {
                encoder.u16(self.content_format.map_or(0, |format| format.0)).map(drop)
            }
            Property::ExpirationDate => {
                encoder.tag(IanaTag::Timestamp)?.u64(self.expiration_date.unwrap_or_default()).map(drop)
            }
            Property::MaxSubscribers => encoder.u64(self.max_subscribers.unwrap_or_default()).map(drop),
            Property::ObserverCheck => encoder.u64(self.observer_check.unwrap_or_default()).map(drop),
            Property::Initialize => encoder.bytes(self.initialize.as_deref().unwrap_or_default()).map(drop),
        }
    }
}

impl PropertyFilter {
    /// Reads a map; a property that nobody knows is one that no topic has [PUBSUB 2.4.2].
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, PropertyError> {
        let mut filter = Self::default();
        read_map(payload, |key, decoder| match Property::of_key(key) {
            Some(property) => filter.wanted.read(property, decoder),
            None => {
                filter.impossible = true;
                decoder.skip().map_err(|_| PropertyError::NoMap)
            }
        })?;
        Ok(filter)
    }

    /// Whether a topic has each of the properties with the value asked for [PUBSUB 2.4.2].
    pub(crate) fn matches(&self, properties: &Properties) -> bool {
        let mut wanted = Property::ALL.into_iter().filter(|property| self.wanted.has(*property));
        !self.impossible && wanted.all(|property| self.wanted.agrees(property, properties))
    }
}

/// Reads the keys of the properties that a FETCH wants to see; those that nobody knows are left out [PUBSUB 2.5.2].
pub(crate) fn decode_keys(payload: &[u8]) -> Result<Vec<Property>, PropertyError> {
    let no_array = |_: Error| PropertyError::NoArray;
    let mut decoder = Decoder::new(payload);
    let mut left = decoder.array().map_err(no_array)?;
    let mut keys = Vec::new();
    while has_more(&mut decoder, &mut left).map_err(no_array)? {
        let property = Property::of_key(decoder.i64().map_err(no_array)?);
        if let Some(property) = property.filter(|property| !keys.contains(property)) {
            keys.push(property);
        }
    }
    if decoder.position() == payload.len() { Ok(keys) } else { Err(PropertyError::NoArray) }
}

/// Whether bytes can be a representation in this format, as far as the format is known here [PUBSUB 2.2.1].
pub(crate) fn is_representation(format: ContentFormat, bytes: &[u8]) -> bool {
    match format {
        ContentFormat::TEXT
        | ContentFormat::LINK_FORMAT
        | ContentFormat::JSON
        | ContentFormat::SENML_JSON => std::str::from_utf8(bytes).is_ok(),
        ContentFormat::CBOR | ContentFormat::SENML_CBOR | super::CORE_PUBSUB => {
            let mut decoder = Decoder::new(bytes);
            decoder.skip().is_ok() && decoder.position() == bytes.len()
        }
        _ => true,
    }
}

fn read_map(
    payload: &[u8],
    mut entry: impl FnMut(i64, &mut Decoder<'_>) -> Result<(), PropertyError>,
) -> Result<(), PropertyError> {
    let no_map = |_: Error| PropertyError::NoMap;
    let mut decoder = Decoder::new(payload);
    let mut left = decoder.map().map_err(no_map)?;
    while has_more(&mut decoder, &mut left).map_err(no_map)? {
        let key = decoder.i64().map_err(no_map)?;
        entry(key, &mut decoder)?;
    }
    if decoder.position() == payload.len() { Ok(()) } else { Err(PropertyError::NoMap) }
}

/// Whether a container has a further item; `left` is `None` if only a break ends it, which is taken.
fn has_more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Error> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None if decoder.datatype()? == Type::Break => {
            decoder.set_position(decoder.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

/// Reads an epoch-based date; what is below a second is left out [RFC8949 3.4.2].
fn read_date(decoder: &mut Decoder<'_>) -> Option<u64> {
    if decoder.tag().ok()? != Tag::from(IanaTag::Timestamp) {
        return None;
    }
    let seconds = match decoder.datatype().ok()? {
        Type::F32 => decoder.f32().ok()?.into(),
        Type::F64 => decoder.f64().ok()?,
        _ => return decoder.u64().ok(),
    };
    (seconds.is_finite() && seconds >= 0.0 && seconds < u64::MAX as f64).then_some(seconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of [PUBSUB 2.5.1], but for the date in its last line.
    const EXAMPLE: &[u8] = b"\xA7\x00\x72living-room-sensor\x01\x70/ps/data/1bd0d6d\x02\x6Ccore.ps.data\
        \x03\x18\x70\x04\x6Btemperature\x05\xC1\x1A\x64\x28\xC3\x7F\x06\x18\x64";

    #[test]
    fn the_example_of_the_draft_is_read_and_written_again() {
        let properties = Properties::decode(EXAMPLE).unwrap();
        assert_eq!(properties.topic_name.as_deref(), Some("living-room-sensor"));
        assert_eq!(properties.topic_data.as_deref(), Some("/ps/data/1bd0d6d"));
        assert_eq!(properties.content_format, Some(ContentFormat::SENML_CBOR));
        assert_eq!(properties.expiration_date, Some(0x6428_C37F));
        assert_eq!((properties.max_subscribers, properties.observer_check), (Some(100), None));
        assert_eq!(properties.encode(&Property::ALL), EXAMPLE);
        let some = properties.encode(&[Property::TopicContentFormat, Property::Initialize]);
        assert_eq!(some, b"\xA1\x03\x18\x70", "what is wanted and there");
    }

    #[test]
    fn a_map_of_open_length_and_a_date_with_a_fraction_are_read() {
        let open = b"\xBF\x00\x61a\x05\xC1\xFB\x41\xD9\x0A\x30\xDF\xE0\x00\x00\x08\x41\x80\xFF";
        let properties = Properties::decode(open).unwrap();
        assert_eq!(properties.topic_name.as_deref(), Some("a"));
        assert_eq!(properties.expiration_date, Some(1_680_393_087));
        assert_eq!(properties.initialize.as_deref(), Some(&b"\x80"[..]));
    }

    #[test]
    fn what_is_no_map_of_properties_is_refused() {
        use Property::*;
        let cases: [(&[u8], PropertyError); 20] = [
            (b"", PropertyError::NoMap),
            (b"\x80", PropertyError::NoMap),
            (b"\xA1", PropertyError::NoMap),
            (b"\xA1\x00", PropertyError::Value(TopicName)),
            (b"\xA1\x61a\x00", PropertyError::NoMap),
            (b"\xA0\x00", PropertyError::NoMap),
            (b"\xBF\x00\x61a", PropertyError::NoMap),
            (b"\xBB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", PropertyError::NoMap),
            (b"\xA2\x00\x61a\x00\x61b", PropertyError::Twice(TopicName)),
            (b"\xA1\x09\x00", PropertyError::Unknown(9)),
            (b"\xA1\x20\x00", PropertyError::Unknown(-1)),
            (b"\xA1\x00\x60", PropertyError::Value(TopicName)),
            (b"\xA1\x00\x61\xFF", PropertyError::Value(TopicName)),
            (b"\xA1\x00\x7B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", PropertyError::Value(TopicName)),
            (b"\xA1\x02\x63a b", PropertyError::Value(ResourceType)),
            (b"\xA1\x03\x1A\x00\x01\x00\x00", PropertyError::Value(TopicContentFormat)),
            (b"\xA1\x05\x1A\x64\x28\xC3\x7F", PropertyError::Value(ExpirationDate)),
            (b"\xA1\x05\xC1\xFB\x7F\xF0\x00\x00\x00\x00\x00\x00", PropertyError::Value(ExpirationDate)),
            (b"\xA1\x07\x00", PropertyError::Value(ObserverCheck)),
            (b"\xA1\x08\x61a", PropertyError::Value(Initialize)),
        ];
        for (payload, error) in cases {
            assert_eq!(Properties::decode(payload), Err(error), "{payload:02X?}");
        }
        assert_eq!(
            PropertyError::Value(ObserverCheck).to_string(),
            "The property observer-check (7) has a value that it cannot have."
        );
    }

    #[test]
    fn a_filter_matches_what_has_each_of_its_properties() {
        let topic = Properties::decode(EXAMPLE).unwrap();
        let cases: [(&[u8], bool); 6] = [
            (b"\xA0", true),
            (b"\xA2\x02\x6Ccore.ps.data\x06\x18\x64", true),
            (b"\xA2\x02\x6Ccore.ps.data\x06\x05", false),
            (b"\xA1\x07\x05", false),
            (b"\xA1\x18\x63\x82\x01\xA1\x01\x02", false),
            (b"\xA1\x38\x63\x00", false),
        ];
        for (payload, expected) in cases {
            assert_eq!(PropertyFilter::decode(payload).unwrap().matches(&topic), expected, "{payload:02X?}");
        }
        assert_eq!(PropertyFilter::decode(b"\xA1\x18\x63\x82\x01"), Err(PropertyError::NoMap));
    }

    #[test]
    fn keys_come_as_an_array() {
        assert_eq!(
            decode_keys(b"\x83\x01\x03\x01"),
            Ok(vec![Property::TopicData, Property::TopicContentFormat])
        );
        assert_eq!(decode_keys(b"\x9F\x18\x63\x39\x03\xE7\x08\xFF"), Ok(vec![Property::Initialize]));
        for bad in
            [&b""[..], b"\xA0", b"\x81", b"\x81\x61a", b"\x80\x00", b"\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"]
        {
            assert_eq!(decode_keys(bad), Err(PropertyError::NoArray), "{bad:02X?}");
        }
    }

    /// A value may nest as deep as it is long; nobody follows it by calling himself.
    #[test]
    fn what_nests_without_end_ends() {
        let deep = [&b"\xA1\x18\x63"[..], &b"\x81".repeat(60_000)].concat();
        assert_eq!(PropertyFilter::decode(&deep), Err(PropertyError::NoMap));
        assert!(!is_representation(ContentFormat::CBOR, &b"\x81".repeat(60_000)));
        assert!(is_representation(ContentFormat::CBOR, &[&b"\x81".repeat(60_000)[..], b"\x00"].concat()));
    }

    #[test]
    fn a_first_value_must_be_one_of_its_format() {
        assert!(is_representation(ContentFormat::SENML_CBOR, b"\x80"));
        assert!(!is_representation(ContentFormat::CBOR, b"\x80\x80"));
        assert!(!is_representation(ContentFormat::JSON, b"\xFF"));
        assert!(is_representation(ContentFormat::OCTET_STREAM, b"\xFF"));
    }
}
