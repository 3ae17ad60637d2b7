use std::time::{Duration, Instant};

use directory::{Bounds, Criterion, Directory, Link, LinkBounds, Lookup, Parameters, Requester};

use crate::Target;
use crate::target::owned;

pub(crate) const TARGETS: [Target; 2] = [
    Target { name: "directory_links", run: links, seeds: link_seeds },
    Target { name: "directory_requests", run: requests, seeds: request_seeds },
];

/// Whatever list can be read is written so that it reads the same.
fn links(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(links) = Link::parse_list(text, LinkBounds::default()) else { return };
    let written: Vec<String> = links.iter().map(Link::to_string).collect();
    let again =
        Link::parse_list(&written.join(","), LinkBounds::default()).expect("what was written is a list");
    assert_eq!(again.len(), links.len());
    for (link, again) in links.iter().zip(&again) {
        assert_eq!(link.target, again.target);
        for (one, other) in link.attributes.iter().zip(&again.attributes) {
            assert_eq!((&one.name, one.value.text()), (&other.name, other.value.text()));
            let criterion = Criterion::new(&one.name, one.value.text());
            let several = one.value.text().contains(' ') || &*one.name == "href";
            assert!(several || link.matches(&criterion), "a link has what it has");
        }
    }
}

fn link_seeds() -> Vec<Vec<u8>> {
    owned(&[
        "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3/0>;pmin=5,</3303/0>;ver=1.1",
        "</sensors>;ct=40;title=\"Sensor, \\\"Index\\\"\",</t>;anchor=\"/sensors/temp\";rel=\"alternate\";obs",
        "<http://www.example.com/t123>;anchor=\"\";title*=UTF-8''%e2%82%ac ,\n</x>;if=\"a b\"",
        "<,>;\"",
    ])
}

/// Lines such as `P ep=a&lt=60 </t>`: a registration, an update, a removal, lookups, and time that passes.
fn requests(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let bounds =
        Bounds { endpoints: 4, per_client: 3, bytes: 8_000, registration: 3_000, ..Bounds::default() };
    let mut directory = Directory::new(bounds, 1 << 16);
    let (mut now, mut last) = (Instant::now(), Box::from("1"));
    for line in text.lines() {
        let mut parts = line.splitn(3, ' ');
        let (what, query, links) =
            (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let names: Vec<Box<str>> = if links.len() % 2 == 0 { Vec::new() } else { vec!["one".into()] };
        let address = if query.len() % 2 == 0 { "[fe80::7%3]:5683" } else { "10.0.0.7:40000" };
        let address = address.parse().expect("an address");
        let from = Requester::new(&names, "", now).at("coap", 5_683, address);
        let arguments = || query.split('&').map(|one| one.split_once('=').unwrap_or((one, "")));
        match (what, Parameters::parse(arguments())) {
            (Some("P"), Ok(parameters)) => {
                if let Ok(location) = directory.register(parameters, links, &from) {
                    last = location.rsplit('/').next().unwrap_or_default().into();
                }
            }
            (Some("S"), Ok(parameters)) => {
                if directory.begin_simply(&parameters, &from) == Ok(false) {
                    let _ = directory.register_simply(parameters, links, Duration::from_secs(60), &from);
                }
            }
            (Some("U"), Ok(parameters)) => drop(directory.update(&last, parameters, &from)),
            (Some("D"), _) => drop(directory.remove(query, &from)),
            (Some("L"), _) => {
                if let Ok(lookup) = Lookup::parse(arguments()) {
                    for found in [directory.endpoints(&lookup, &from), directory.resources(&lookup, &from)] {
                        let found = found.unwrap_or_default();
                        Link::parse_list(&found, LinkBounds::default())
                            .expect("what is found is a list of links");
                    }
                }
            }
            _ => now += Duration::from_secs(query.len() as u64 * 1_000),
        }
        assert!(directory.len() <= bounds.endpoints);
    }
}

fn request_seeds() -> Vec<Vec<u8>> {
    owned(&[
        "P ep=a&lt=60&base=coap://h/x </t>;rt=a\nL rt=a\nU et=b\nL et=b&count=1&page=0\nD 1\nL ",
        "P ep=a </t>;anchor=\"/u\"\nP ep=b&d=s </../t>\nS ep=c </t>\nT xxxx\nS ep=c </t>\nL href=/directory/1*",
    ])
}
