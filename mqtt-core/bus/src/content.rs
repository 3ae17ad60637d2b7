/// A CoAP content-format number [RFC7252 12.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// `text/plain;charset=utf-8`
    pub const TEXT: Self = Self(0);
    /// `application/link-format`
    pub const LINK_FORMAT: Self = Self(40);
    /// `application/octet-stream`
    pub const OCTET_STREAM: Self = Self(42);
    /// `application/json`
    pub const JSON: Self = Self(50);
    /// `application/cbor`
    pub const CBOR: Self = Self(60);
    /// `application/senml+json`
    pub const SENML_JSON: Self = Self(110);
    /// `application/senml+cbor`
    pub const SENML_CBOR: Self = Self(112);
    /// `application/vnd.oma.lwm2m+tlv`
    pub const LWM2M_TLV: Self = Self(11_542);
    /// `application/vnd.oma.lwm2m+json`
    pub const LWM2M_JSON: Self = Self(11_543);

    /// The registered media type of the number, if this table has it.
    pub fn media_type(self) -> Option<&'static str> {
        TABLE.iter().find(|(number, _)| *number == self.0).map(|(_, name)| *name)
    }

    /// The number of a media type; parameters other than `charset=utf-8` on text make it unknown.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let mut squeezed: String = media_type.chars().filter(|c| !c.is_whitespace()).collect();
        squeezed.make_ascii_lowercase();
        let name = match squeezed.as_str() {
            "text/plain" => "text/plain;charset=utf-8",
            other => {
                other.strip_suffix(";charset=utf-8").filter(|_| !other.starts_with("text/")).unwrap_or(other)
            }
        };
        TABLE.iter().find(|(_, known)| *known == name).map(|(number, _)| Self(*number))
    }
}

const TABLE: [(u16, &str); 14] = [
    (0, "text/plain;charset=utf-8"),
    (40, "application/link-format"),
    (41, "application/xml"),
    (42, "application/octet-stream"),
    (47, "application/exi"),
    (50, "application/json"),
    (60, "application/cbor"),
    (110, "application/senml+json"),
    (112, "application/senml+cbor"),
    (21, "image/gif"),
    (22, "image/jpeg"),
    (23, "image/png"),
    (11_542, "application/vnd.oma.lwm2m+tlv"),
    (11_543, "application/vnd.oma.lwm2m+json"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_and_its_number_are_found_from_each_other() {
        assert_eq!(ContentFormat::from_media_type("text/plain"), Some(ContentFormat::TEXT));
        assert_eq!(ContentFormat::from_media_type("Text/Plain; charset=UTF-8"), Some(ContentFormat::TEXT));
        assert_eq!(ContentFormat::from_media_type("application/json"), Some(ContentFormat::JSON));
        assert_eq!(ContentFormat::from_media_type("text/plain;charset=latin1"), None);
        assert_eq!(ContentFormat::CBOR.media_type(), Some("application/cbor"));
    }
}
