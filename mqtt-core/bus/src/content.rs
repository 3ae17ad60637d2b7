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
        let at = TABLE.binary_search_by_key(&self.0, |(number, _)| *number).ok()?;
        TABLE.get(at).map(|(_, name)| *name)
    }

    /// The number of a media type; parameters that are not registered with it make it unknown, but for
    /// `charset=utf-8`, which says nothing new of what is no text.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let mut squeezed: String = media_type.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        squeezed.make_ascii_lowercase();
        let name = match squeezed.as_str() {
            "text/plain" => "text/plain;charset=utf-8",
            other => {
                other.strip_suffix(";charset=utf-8").filter(|_| !other.starts_with("text/")).unwrap_or(other)
            }
        };
        let is_it = |known: &str| known.bytes().filter(|byte| *byte != b'"').eq(name.bytes());
        TABLE.iter().find(|(_, known)| is_it(known)).map(|(number, _)| Self(*number))
    }
}

/// The registry of CoAP content formats, in order of their numbers. What is content-coded (11050 and 11060, JSON and
/// CBOR deflated) is left out: a media type alone would say that the payload can be read as it is.
const TABLE: &[(u16, &str)] = &[
    (0, "text/plain;charset=utf-8"),
    (16, "application/cose;cose-type=\"cose-encrypt0\""),
    (17, "application/cose;cose-type=\"cose-mac0\""),
    (18, "application/cose;cose-type=\"cose-sign1\""),
    (19, "application/ace+cbor"),
    (21, "image/gif"),
    (22, "image/jpeg"),
    (23, "image/png"),
    (40, "application/link-format"),
    (41, "application/xml"),
    (42, "application/octet-stream"),
    (47, "application/exi"),
    (50, "application/json"),
    (51, "application/json-patch+json"),
    (52, "application/merge-patch+json"),
    (60, "application/cbor"),
    (61, "application/cwt"),
    (62, "application/multipart-core"),
    (63, "application/cbor-seq"),
    (64, "application/edhoc+cbor-seq"),
    (65, "application/cid-edhoc+cbor-seq"),
    (96, "application/cose;cose-type=\"cose-encrypt\""),
    (97, "application/cose;cose-type=\"cose-mac\""),
    (98, "application/cose;cose-type=\"cose-sign\""),
    (101, "application/cose-key"),
    (102, "application/cose-key-set"),
    (110, "application/senml+json"),
    (111, "application/sensml+json"),
    (112, "application/senml+cbor"),
    (113, "application/sensml+cbor"),
    (114, "application/senml-exi"),
    (115, "application/sensml-exi"),
    (140, "application/yang-data+cbor;id=sid"),
    (256, "application/coap-group+json"),
    (257, "application/concise-problem-details+cbor"),
    (258, "application/swid+cbor"),
    (271, "application/dots+cbor"),
    (272, "application/missing-blocks+cbor-seq"),
    (280, "application/pkcs7-mime;smime-type=server-generated-key"),
    (281, "application/pkcs7-mime;smime-type=certs-only"),
    (284, "application/pkcs8"),
    (285, "application/csrattrs"),
    (286, "application/pkcs10"),
    (287, "application/pkix-cert"),
    (290, "application/aif+cbor"),
    (291, "application/aif+json"),
    (310, "application/senml+xml"),
    (311, "application/sensml+xml"),
    (320, "application/senml-etch+json"),
    (322, "application/senml-etch+cbor"),
    (340, "application/yang-data+cbor"),
    (341, "application/yang-data+cbor;id=name"),
    (432, "application/td+json"),
    (10_000, "application/vnd.ocf+cbor"),
    (10_001, "application/oscore"),
    (10_002, "application/javascript"),
    (11_542, "application/vnd.oma.lwm2m+tlv"),
    (11_543, "application/vnd.oma.lwm2m+json"),
    (11_544, "application/vnd.oma.lwm2m+cbor"),
    (20_000, "text/css"),
    (30_000, "image/svg+xml"),
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
        assert_eq!((ContentFormat(11_050).media_type(), ContentFormat(65_000).media_type()), (None, None));
    }

    #[test]
    fn every_row_is_found_both_ways_and_with_or_without_quotation_marks() {
        assert!(TABLE.is_sorted_by_key(|(number, _)| *number));
        for (number, name) in TABLE {
            assert_eq!(ContentFormat(*number).media_type(), Some(*name));
            assert_eq!(ContentFormat::from_media_type(name), Some(ContentFormat(*number)), "{name}");
        }
        let sign1 = Some(ContentFormat(18));
        assert_eq!(ContentFormat::from_media_type("application/cose; cose-type=cose-sign1"), sign1);
        assert_eq!(ContentFormat::from_media_type("application/cose"), None);
    }
}
