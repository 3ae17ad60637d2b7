//! Looking up endpoints and resources [RFC9176 6].

mod common;

use common::*;
use directory::{Lookup, Refusal};

/// The links of the sixth example of RFC 6690, section 5.
const PLATFORM: &str = "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=temperature-c;if=sensor,\
                        </sensors/light>;rt=\"light-lux core.sen-light\";if=sensor,\
                        <http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=describedby,\
                        </t>;anchor=\"/sensors/temp\";rel=alternate";

fn platform() -> Desk {
    let mut desk = Desk::new();
    for name in ["sensor1", "sensor2"] {
        let query = format!("ep={name}&et=tag:example.com,2020:platform&base=coap://{name}.example.com");
        desk.register(&query, PLATFORM).unwrap();
    }
    desk.register("ep=lamp&d=floor-3&b=U", "</west>;rt=light;obs").unwrap();
    desk
}

#[test]
fn resources_come_resolved_and_with_the_attributes_they_had() {
    let mut desk = platform();
    assert_eq!(
        desk.resources("ep=sensor1"),
        "<coap://sensor1.example.com/sensors>;ct=40;title=\"Sensor Index\",\
         <coap://sensor1.example.com/sensors/temp>;rt=temperature-c;if=sensor,\
         <coap://sensor1.example.com/sensors/light>;rt=\"light-lux core.sen-light\";if=sensor,\
         <http://www.example.com/sensors/t123>;anchor=\"coap://sensor1.example.com/sensors/temp\";rel=describedby,\
         <coap://sensor1.example.com/t>;anchor=\"coap://sensor1.example.com/sensors/temp\";rel=alternate"
    );
    assert_eq!(desk.resources("d=floor-3"), "<coap://[2001:db8:3::127]:61616/west>;rt=light;obs");
}

#[test]
fn endpoints_come_with_their_parameters_but_without_lifetime() {
    let mut desk = platform();
    assert_eq!(
        desk.endpoints("ep=lamp"),
        "</directory/4523>;base=\"coap://[2001:db8:3::127]:61616\";ep=\"lamp\";d=\"floor-3\";b=\"U\";rt=\"core.rd-ep\""
    );
    assert_eq!(
        desk.endpoints("ep=sensor1"),
        "</directory/4521>;base=\"coap://sensor1.example.com\";ep=\"sensor1\";et=\"tag:example.com,2020:platform\";\
         rt=\"core.rd-ep\""
    );
}

#[test]
fn all_criteria_must_match() {
    let mut desk = platform();
    assert_eq!(
        desk.resources("rt=temperature-c&ep=sensor2"),
        "<coap://sensor2.example.com/sensors/temp>;rt=temperature-c;if=sensor"
    );
    assert_eq!(desk.resources("rt=temperature-c&ep=lamp"), "");
    assert_eq!(desk.resources("rt=light-lux&if=sensor").matches('<').count(), 2);
    assert_eq!(desk.endpoints("et=tag:example.com,2020:platform&ep=sensor2").matches("</").count(), 1);
    assert_eq!(desk.endpoints("nothing=1"), "");
}

#[test]
fn a_star_at_the_end_matches_what_begins_so() {
    let mut desk = platform();
    assert_eq!(desk.endpoints("ep=sensor*").matches("</").count(), 2);
    assert_eq!(desk.resources("rt=core.sen-*").matches('<').count(), 2, "any of several resource types");
    assert_eq!(desk.resources("obs=*").matches('<').count(), 1);
    assert_eq!(
        desk.endpoints("d=*").matches("</").count(),
        1,
        "an empty prefix matches what is there at all"
    );
    assert_eq!(desk.resources("title=Sensor"), "");
}

#[test]
fn an_endpoint_is_found_by_its_resources_and_a_resource_by_its_endpoint() {
    let mut desk = platform();
    assert!(desk.endpoints("rt=light").contains("ep=\"lamp\""));
    assert_eq!(desk.endpoints("rt=light-lux&title=Sensor Index").matches("</").count(), 2);
    assert_eq!(desk.resources("et=tag:example.com,2020:platform").matches('<').count(), 10);
    assert_eq!(desk.resources("base=coap://sensor1.example.com").matches('<').count(), 5);
    assert_eq!(desk.endpoints("rt=core.rd-ep").matches("</").count(), 3);
    assert_eq!(desk.endpoints("lt=90000"), "", "the lifetime is not told");
}

#[test]
fn href_and_anchor_are_compared_with_resolved_uris() {
    let mut desk = platform();
    assert_eq!(desk.resources("href=coap://sensor1.example.com/t").matches('<').count(), 1);
    assert_eq!(desk.resources("href=/sensors/temp"), "", "a target is looked for as a URI");
    assert_eq!(desk.resources("href=http://www.example.com/*").matches('<').count(), 2);
    assert_eq!(desk.resources("anchor=coap://sensor2.example.com/sensors/temp").matches('<').count(), 2);
    assert_eq!(desk.resources("href=/directory/4523"), "<coap://[2001:db8:3::127]:61616/west>;rt=light;obs");
    for href in [
        "href=/directory/4523",
        "href=coap://rd.example.com/directory/4523",
        "href=coap://[2001:db8:3::127]:61616/west",
    ] {
        let found = desk.endpoints(href);
        assert!(found.contains("ep=\"lamp\"") && found.matches("</").count() == 1, "{href}: {found}");
    }
}

#[test]
fn pages_are_parts_of_one_order() {
    let mut desk = Desk::new();
    let links: Vec<String> = (0..10).map(|number| format!("</res/{number}>;ct=60")).collect();
    desk.register("ep=a", &links.join(",")).unwrap();
    let expected = |range: std::ops::Range<u32>| {
        let link = |number| format!("<coap://[2001:db8:3::127]:61616/res/{number}>;ct=60");
        range.map(link).collect::<Vec<_>>().join(",")
    };
    assert_eq!(desk.resources("page=0&count=5"), expected(0..5));
    assert_eq!(desk.resources("page=1&count=5"), expected(5..10));
    assert_eq!(desk.resources("count=3"), expected(0..3));
    assert_eq!(desk.resources("page=3&count=3"), expected(9..10));
    assert_eq!((desk.resources("page=2&count=5"), desk.resources("count=0")), (String::new(), String::new()));
    assert_eq!(desk.resources("page=18446744073709551615&count=18446744073709551615"), "");
    assert_eq!(desk.endpoints("count=1").matches("</").count(), 1);
}

#[test]
fn a_query_that_is_not_valid_is_refused() {
    for query in ["page=1", "page=1&count=x", "count=-1", "count=", "count=1&count=2", "page=+1&count=1"] {
        assert!(matches!(Lookup::parse(arguments(query)), Err(Refusal::Parameter(_))), "{query}");
    }
    assert!(Lookup::parse(arguments(&vec!["a=1"; 33].join("&"))).is_err());
}
