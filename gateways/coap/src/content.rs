//! What a payload is: the options that say it, and how that crosses the bus.

use bus::{ContentFormat, Message as Published, Metadata};

use crate::{ETag, Message};

/// The user property that carries the number of a format whose media type is not known, or does not say all.
const PROPERTY: &str = "coap-content-format";

/// What a publish says of its payload, as the bus carries it.
pub(crate) fn metadata(request: &Message) -> Option<Box<Metadata>> {
    let content_format = request.content_format();
    let content_type = content_format.and_then(ContentFormat::media_type).map(Into::into);
    let nameless = content_format.filter(|_| content_type.is_none());
    let number = nameless.map(|format| (PROPERTY.into(), format.0.to_string().into()));
    let tag = ETag::given(request).map(ETag::to_property);
    let user_properties = number.into_iter().chain(tag).collect();
    Metadata { content_type, content_format, user_properties, ..Metadata::default() }.boxed()
}

/// The format of a published message, if its publisher told.
pub(crate) fn format(published: &Published) -> Option<ContentFormat> {
    let metadata = published.metadata.as_deref()?;
    let number = || {
        let property = metadata.user_properties.iter().find(|(name, _)| &**name == PROPERTY);
        property.and_then(|(_, value)| value.parse().ok()).map(ContentFormat)
    };
    metadata.content_format.or_else(number).or_else(|| metadata.format()).or_else(|| {
        // A media type that CoAP has no number for is not text for having the indicator.
        (metadata.utf8 && metadata.content_type.is_none()).then_some(ContentFormat::TEXT)
    })
}
