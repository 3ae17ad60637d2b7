use std::sync::LazyLock;

use bus::ContentFormat;
use lwm2m::{Link, Lwm2mPath, ObjectModel};

use crate::Target;

pub(crate) const TARGETS: [Target; 2] = [
    Target { name: "lwm2m_formats", run: formats, seeds: format_seeds },
    Target { name: "lwm2m_links", run: links, seeds: link_seeds },
];

static MODEL: LazyLock<ObjectModel> = LazyLock::new(ObjectModel::standard);

/// The first byte chooses the path, the rest is read in every format.
fn formats(input: &[u8]) {
    let Some((first, payload)) = input.split_first() else { return };
    let paths = ["/3", "/3/0", "/3/0/0", "/3/0/7/0", "/65534/1/2"];
    let path = Lwm2mPath::parse(paths[usize::from(*first) % paths.len()]).expect("a path");
    let formats = [
        ContentFormat::TEXT,
        ContentFormat::OCTET_STREAM,
        ContentFormat::LWM2M_TLV,
        ContentFormat::LWM2M_JSON,
        ContentFormat::SENML_JSON,
    ];
    for format in formats {
        if let Ok(nodes) = lwm2m::decode(Some(format), path, payload, &MODEL) {
            assert!(nodes.len() <= payload.len().max(1), "more values than bytes");
        }
    }
}

fn format_seeds() -> Vec<Vec<u8>> {
    [
        &b"\x02Open Mobile Alliance"[..],
        b"\x01\xC8\x00\x14Open Mobile Alliance\xC1\x0D\x01\x86\x06\x41\x00\x01\x41\x01\x05",
        b"\x00\x08\x00\x11\xC8\x00\x0EWatersmeet dev",
        b"\x01\xC4\x09\x00\x00\x00\x64\xC1\x0A\x0F\x83\x0B\x41\x00\x00\xC4\x0D\x51\x82\x42\x8F",
        b"\x01{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"OMA\"},{\"n\":\"9\",\"v\":100},{\"n\":\"6\",\"bv\":true}]}",
        b"\x01[{\"bn\":\"/3/0/\",\"n\":\"0\",\"vs\":\"OMA\"},{\"n\":\"9\",\"v\":95},{\"n\":\"2\",\"vd\":\"AAE\",\"t\":-5}]",
        b"\x0395",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

fn links(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for link in Link::parse_list(text).unwrap_or_default() {
        link.attribute("rt");
    }
    if let Some(path) = Lwm2mPath::parse(text) {
        assert!(path.is_within(path));
        assert_eq!(path.ids().count(), path.levels());
    }
}

fn link_seeds() -> Vec<Vec<u8>> {
    [
        "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3/0>;pmin=5,</3303/0>;ver=1.1",
        "</lwm2m/3/0>",
        "/3/0/7/1",
        "3",
        "<,>;\"",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
