//! Registering, refreshing and leaving [RFC9176 5].

mod common;

use common::*;
use directory::{Base, Bounds, LinkBounds, LinkError, Lookup, Refusal};

const LINKS: &str = "</sensors/temp>;rt=temperature-c;if=sensor,\
                     <http://www.example.com/sensors/temp>;anchor=\"/sensors/temp\";rel=describedby";

#[test]
fn the_same_endpoint_registers_again_at_the_same_place_with_other_links() {
    let mut desk = Desk::new();
    let location = desk.register("ep=node1", LINKS).unwrap();
    assert_eq!(location, "/directory/4521");
    assert_eq!(desk.register("ep=node1&lt=60", "</other>").unwrap(), location);
    assert_eq!(desk.resources(""), "<coap://[2001:db8:3::127]:61616/other>");
    assert_ne!(desk.register("ep=node1&d=floor-3", "</third>").unwrap(), location, "another sector");
    assert_eq!(desk.directory.len(), 2);
}

#[test]
fn an_update_with_another_base_resolves_all_links_anew() {
    let mut desk = Desk::new();
    let query = "ep=endpoint1&lt=500&base=coap://local-proxy-old.example.com";
    let location = desk.register(query, LINKS).unwrap();
    assert_eq!(
        desk.resources("ep=endpoint1"),
        "<coap://local-proxy-old.example.com/sensors/temp>;rt=temperature-c;if=sensor,\
         <http://www.example.com/sensors/temp>;anchor=\"coap://local-proxy-old.example.com/sensors/temp\";\
         rel=describedby"
    );
    desk.update(&location, "base=coaps://new.example.com").unwrap();
    assert_eq!(
        desk.resources("ep=endpoint1"),
        "<coaps://new.example.com/sensors/temp>;rt=temperature-c;if=sensor,\
         <http://www.example.com/sensors/temp>;anchor=\"coaps://new.example.com/sensors/temp\";rel=describedby"
    );
    // What was set once stays, wherever the update comes from.
    desk.address = "[2001:db8::99]:1";
    desk.update(&location, "").unwrap();
    assert!(desk.endpoints("").contains("base=\"coaps://new.example.com\""));
}

#[test]
fn without_a_base_the_address_of_the_last_update_is_the_base() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a", "</t>").unwrap();
    desk.address = "10.0.0.7:5683";
    desk.update(&location, "").unwrap();
    assert_eq!(desk.resources(""), "<coap://10.0.0.7/t>");
}

#[test]
fn what_names_no_base_follows_its_client_to_another_address() {
    let mut desk = Desk::new();
    let followed = desk.register("ep=a", "</t>").unwrap();
    let named = desk.register("ep=b&base=coap://h", "</t>").unwrap();
    let address = "10.0.0.7:61616".parse().unwrap();
    let (base, scope) = (Base::of_peer("coap", 5_683, address), Base::scope_of(address));
    for location in [&*followed, &*named, "/directory/0", "elsewhere"] {
        desk.directory.follow(location, &[], &base, scope);
    }
    assert_eq!(desk.resources("ep=a"), "<coap://10.0.0.7:61616/t>");
    assert_eq!(desk.resources("ep=b"), "<coap://h/t>");
    // Nobody else takes it along, and it cannot go where nobody could find it.
    let mut desk = Desk::new();
    desk.names = vec!["client:a".into()];
    let location = desk.register("ep=a", "</t>").unwrap();
    desk.directory.follow(&location, &["client:b".into()], &base, scope);
    let hidden = "[fe80::1]:5683".parse().unwrap();
    desk.directory.follow(&location, &["client:a".into()], &Base::of_peer("coap", 5_683, hidden), None);
    assert!(!desk.resources("").contains("10.0.0.7") && !desk.resources("").contains("fe80"));
}

#[test]
fn an_update_begins_the_lifetime_anew_and_the_last_one_that_was_named_holds() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a&lt=100", "</t>").unwrap();
    desk.now += 99 * SECOND;
    desk.update(&location, "").unwrap();
    desk.now += 99 * SECOND;
    assert_ne!(desk.endpoints(""), "");
    desk.update(&location, "lt=1000").unwrap();
    desk.now += 999 * SECOND;
    assert_ne!(desk.endpoints(""), "");
    desk.now += SECOND;
    assert_eq!(desk.endpoints(""), "");
}

#[test]
fn a_registration_that_names_no_lifetime_has_25_hours() {
    let mut desk = Desk::new();
    desk.register("ep=a", "</t>").unwrap();
    desk.now += 89_999 * SECOND;
    assert_ne!(desk.resources(""), "");
    desk.now += SECOND;
    assert_eq!(desk.resources(""), "");
}

#[test]
fn what_has_ended_is_told_no_more_but_can_be_refreshed_for_a_while() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a&lt=60", "</t>").unwrap();
    desk.now += 3_600 * SECOND;
    assert_eq!((desk.endpoints(""), desk.resources("")), (String::new(), String::new()));
    desk.update(&location, "").unwrap();
    assert_eq!(desk.resources(""), "<coap://[2001:db8:3::127]:61616/t>");
    desk.now += 60 * SECOND + Bounds::default().keep;
    assert_eq!(desk.update(&location, ""), Err(Refusal::NotFound));
    assert!(desk.directory.is_empty());
}

#[test]
fn who_leaves_is_gone_and_its_place_is_nobody_elses() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a", "</t>").unwrap();
    desk.remove(&location).unwrap();
    assert_eq!(desk.resources(""), "");
    assert_eq!(
        (desk.remove(&location), desk.update(&location, "")),
        (Err(Refusal::NotFound), Err(Refusal::NotFound))
    );
    assert_ne!(desk.register("ep=a", "</t>").unwrap(), location);
    assert_eq!(desk.remove("/directory/+4522"), Err(Refusal::NotFound));
    assert_eq!(desk.remove("/directory/04522"), Err(Refusal::NotFound));
}

#[test]
fn an_attribute_of_the_same_name_replaces_all_there_were() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a&et=x&et=y&z=1", "").unwrap();
    desk.update(&location, "et=w").unwrap();
    assert_eq!(
        desk.endpoints(""),
        "</directory/4521>;base=\"coap://[2001:db8:3::127]:61616\";ep=\"a\";z=\"1\";et=\"w\";rt=\"core.rd-ep\""
    );
    let refused = desk.update(&location, "ep=b").unwrap_err();
    assert!(refused.to_string().contains("not to be changed"));
}

/// [RFC9176 7.5]
#[test]
fn an_endpoint_is_for_the_client_that_registered_it_first() {
    let mut desk = Desk::new();
    let location = desk.name("alice").register("ep=a&lt=60", "</t>").unwrap();
    assert_eq!(desk.name("mallory").register("ep=a", "</evil>"), Err(Refusal::Taken));
    assert_eq!(desk.update(&location, "base=coap://evil"), Err(Refusal::Taken));
    assert_eq!(desk.remove(&location), Err(Refusal::Taken));
    assert_eq!(desk.begin_simply("ep=a"), Err(Refusal::Taken));
    desk.names.clear();
    assert_eq!(desk.register("ep=a", "</evil>"), Err(Refusal::Taken));
    // All that is known of the first client must be there; more does not harm.
    desk.names = vec!["alice".into(), "CN=alice".into()];
    desk.update(&location, "").unwrap();
    assert_eq!(desk.name("alice").update(&location, ""), Err(Refusal::Taken));
    // A name is free again once the registration has ended.
    desk.now += 61 * SECOND;
    assert_ne!(desk.name("mallory").register("ep=a", "</new>").unwrap(), location);
    desk.names = vec!["alice".into(), "CN=alice".into()];
    assert_eq!(desk.update(&location, ""), Err(Refusal::NotFound));
}

#[test]
fn what_is_registered_by_nobody_anybody_may_replace() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a", "</t>").unwrap();
    assert_eq!(desk.name("alice").register("ep=a", "</u>").unwrap(), location);
    desk.names.clear();
    assert_eq!(desk.update(&location, ""), Err(Refusal::Taken), "it is hers now");
}

#[test]
fn a_simple_registration_fetches_once_while_the_links_are_fresh() {
    let mut desk = Desk::new();
    assert_eq!(desk.begin_simply("ep=a&lt=60"), Ok(false));
    desk.register_simply("ep=a&lt=60", "</sen/temp>", 30 * SECOND).unwrap();
    assert_eq!(desk.resources(""), "<coap://[2001:db8:3::127]:61616/sen/temp>");
    desk.now += 29 * SECOND;
    assert_eq!(desk.begin_simply("ep=a&lt=60"), Ok(true), "refreshed without fetching");
    desk.now += 2 * SECOND;
    assert_eq!(desk.begin_simply("ep=a&lt=60"), Ok(false), "no longer fresh");
    desk.now += 58 * SECOND;
    assert_eq!(desk.resources(""), "");
    assert!(desk.directory.is_empty(), "[RFC9176 5.1]: it is deleted after its lifetime");
}

#[test]
fn links_from_another_address_are_not_those_that_were_fetched() {
    let mut desk = Desk::new();
    desk.register_simply("ep=a", "</t>", 60 * SECOND).unwrap();
    desk.address = "[2001:db8::99]:1";
    assert_eq!(desk.begin_simply("ep=a"), Ok(false));
    assert!(matches!(desk.begin_simply("ep=a&base=coap://h"), Err(Refusal::Parameter(_))));
    assert_eq!(desk.remove("/directory/4521"), Err(Refusal::NotFound), "nobody was told where it is");
}

#[test]
fn what_is_no_limited_link_format_is_refused_and_nothing_changes() {
    let mut desk = Desk::new();
    desk.register("ep=a", "</t>").unwrap();
    let bad = [
        ("<t>", "has a target"),
        ("</a>,<//h/t>", "has a target"),
        ("</t>;anchor=\"x\"", "has an anchor"),
        ("</t>;rt=a;rt=b", "more than once"),
        ("</t>;href=\"/a\"", "has an attribute href"),
        ("</t", "not in link format"),
    ];
    for (links, expected) in bad {
        let refused = desk.register("ep=a", links).unwrap_err().to_string();
        assert!(refused.contains(expected), "{links}: {refused}");
    }
    assert!(matches!(desk.register("lt=60", "</t>"), Err(Refusal::Parameter(_))), "without a name");
    assert!(matches!(desk.register("ep=", "</t>"), Err(Refusal::Parameter(_))));
    assert_eq!(desk.resources(""), "<coap://[2001:db8:3::127]:61616/t>");
    desk.register("ep=a", "</t>;anchor=\"\"").unwrap();
    assert!(desk.resources("").contains(";anchor=\"coap://[2001:db8:3::127]:61616\""));
}

#[test]
fn link_local_endpoints_are_told_on_their_link_only() {
    let mut desk = Desk::new();
    desk.address = "[fe80::7%3]:5683";
    let location = desk.register("ep=a", "</t>").unwrap();
    assert_eq!(desk.resources(""), "<coap://[fe80::7]/t>");
    assert!(desk.endpoints("").contains("base=\"coap://[fe80::7]\""));
    for elsewhere in ["[fe80::8%4]:5683", "[2001:db8::1]:5683", "10.0.0.7:1"] {
        desk.address = elsewhere;
        assert_eq!((desk.resources(""), desk.endpoints("")), (String::new(), String::new()), "{elsewhere}");
        let refused = desk.register("ep=b&base=coap://[fe80::7]", "</t>");
        assert_eq!(refused.is_ok(), elsewhere.starts_with("[fe80"), "{elsewhere}");
    }
    desk.address = "[2001:db8::1]:5683";
    assert!(matches!(desk.update(&location, "base=coap://[fe80::7]"), Err(Refusal::Parameter(_))));
}

#[test]
fn realms_know_nothing_of_each_other() {
    let mut desk = Desk::new();
    let location = desk.register("ep=a", "</t>").unwrap();
    desk.realm = "other/";
    assert_eq!((desk.resources(""), desk.endpoints("")), (String::new(), String::new()));
    assert_eq!(
        (desk.update(&location, ""), desk.remove(&location)),
        (Err(Refusal::NotFound), Err(Refusal::NotFound))
    );
    assert_ne!(desk.register("ep=a", "</u>").unwrap(), location);
    assert_eq!(desk.resources("ep=a"), "<coap://[2001:db8:3::127]:61616/u>");
    desk.realm = "";
    assert_eq!(desk.resources("ep=a"), "<coap://[2001:db8:3::127]:61616/t>");
}

#[test]
fn a_client_without_an_address_must_name_a_base() {
    let mut desk = Desk::new();
    let names = Vec::new();
    let from = directory::Requester::new(&names, "", desk.now);
    let mut register = |query: &str| {
        let parameters = directory::Parameters::parse(arguments(query)).unwrap();
        desk.directory.register(parameters, "</t>", &from)
    };
    assert!(matches!(register("ep=a"), Err(Refusal::Parameter(_))));
    assert!(register("ep=a&base=coap://h").is_ok());
}

#[test]
fn everything_is_bounded_and_what_has_ended_makes_room() {
    let bounds = Bounds { endpoints: 3, per_client: 2, registration: 1_500, ..Bounds::default() };
    let mut desk = Desk::with(Bounds { links: LinkBounds { links: 2, attributes: 1 }, ..bounds });
    desk.name("one").register("ep=a&lt=60", "</t>").unwrap();
    desk.register("ep=b", "</t>").unwrap();
    assert_eq!(desk.register("ep=c", "</t>"), Err(Refusal::TooMany));
    assert!(desk.register("ep=b", "</u>").is_ok(), "what there is can be replaced");
    desk.name("two").register("ep=c", "</t>").unwrap();
    assert_eq!(desk.register("ep=d", "</t>"), Err(Refusal::Full));
    desk.now += 61 * SECOND;
    desk.register("ep=d", "</t>").unwrap();
    assert_eq!(desk.directory.len(), 3);
    assert_eq!(desk.register("ep=d", "</1>,</2>,</3>"), Err(Refusal::Links(LinkError::TooMany)));
    assert_eq!(desk.register("ep=d", "</1>;a;b"), Err(Refusal::Links(LinkError::TooMany)));
    assert_eq!(desk.register("ep=d", &format!("</{}>", "x".repeat(1_500))), Err(Refusal::TooLarge));
}

#[test]
fn the_bytes_of_all_registrations_are_bounded() {
    let mut desk = Desk::with(Bounds { bytes: 10_000, ..Bounds::default() });
    let links = format!("</{}>", "x".repeat(4_000));
    desk.register("ep=a", &links).unwrap();
    desk.register("ep=b", &links).unwrap();
    assert_eq!(desk.register("ep=c", &links), Err(Refusal::Full));
    for _ in 0..10 {
        desk.register("ep=b", &links).unwrap();
    }
    let location = desk.register("ep=b", "</t>").unwrap();
    desk.register("ep=c", &links).unwrap();
    for _ in 0..10 {
        desk.update(&location, "et=x").unwrap();
    }
    assert_eq!(desk.register("ep=b", &links), Err(Refusal::Full));
    desk.remove(&location).unwrap();
    assert_eq!(desk.resources("ep=b"), "");
}

#[test]
fn a_result_is_whole_or_refused() {
    let mut desk = Desk::with(Bounds { result: 100, ..Bounds::default() });
    desk.register("ep=a", "</1>,</2>,</3>").unwrap();
    let names = Vec::new();
    let from = directory::Requester::new(&names, "", desk.now);
    let all = desk.directory.resources(&Lookup::default(), &from);
    assert_eq!(all, Err(Refusal::ResultTooLarge));
    let page = Lookup::parse(arguments("count=2&page=1")).unwrap();
    assert_eq!(desk.directory.resources(&page, &from).unwrap(), "<coap://[2001:db8:3::127]:61616/3>");
}
