use serde_json::json;

use super::*;

fn register(queries: &[&str], payload: &str) -> Result<(Registration, Identity), Refusal> {
    let message =
        queries.iter().fold(Message::request(Code::POST), |message, query| message.with_query(query));
    let message = message.with_content_format(ContentFormat::LINK_FORMAT).with_payload(payload);
    Registration::from_request(&message, "l".into(), &Config::default(), start())
}

#[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_registration_tells_the_bus_what_the_device_said_but_not_its_secrets() {
    let (registration, identity) = register(
        &["ep=urn:imei:1", "lt=300", "lwm2m=1.0", "b=UQ", "apn=psm", "imei=1", "password=secret"],
        "</lwm2m>;rt=\"oma.lwm2m\";ct=11543,</lwm2m/1/0>,</lwm2m/3/0>,</lwm2m/3303>,</other>",
    )
    .unwrap();
    let expected = json!({"ep": "urn:imei:1", "lt": 300, "lwm2m": "1.0", "b": "UQ", "apn": "psm",
        "alternatePath": "/lwm2m", "objectList": ["/1/0", "/3/0", "/3303"]});
    assert_eq!(Json::Object(registration.to_json()), expected);
    assert!(registration.queue_mode);
    assert_eq!(registration.alternate_path, ["lwm2m"]);
    assert_eq!(
        (identity.username.as_deref(), identity.password.as_deref()),
        (Some("1"), Some(&b"secret"[..]))
    );
    assert!(registration.has(Lwm2mPath::parse("/3303/0/5700").unwrap()));
    assert!(registration.has(Lwm2mPath::object(1)));
    assert!(!registration.has(Lwm2mPath::object(5)));
}

#[test]
fn a_registration_that_says_little_gets_what_the_standard_presumes() {
    let (registration, identity) = register(&["ep=a", "lwm2m=1.1", "Q"], "</3/0>").unwrap();
    assert_eq!(registration.lifetime, Duration::from_secs(86_400));
    assert!(registration.queue_mode, "by the argument Q of LwM2M 1.1");
    assert_eq!(registration.to_json()["b"], "U");
    assert_eq!(registration.to_json()["alternatePath"], "/");
    assert_eq!((identity.username, identity.password), (None, None), "who shows nothing is anonymous");
    let (_, identity) = register(&["ep=a", "lwm2m=1.1", "p=secret"], "</3/0>").unwrap();
    assert_eq!(identity.username.as_deref(), Some("a"), "a password is that of the endpoint name");
}

#[test]
fn a_lifetime_is_kept_within_its_bounds() {
    let asked =
        |lt: &str| register(&["ep=a", "lwm2m=1.0", lt], "</3/0>").map(|(found, _)| found.lifetime.as_secs());
    assert_eq!(asked("lt=1"), Ok(15));
    assert_eq!(asked("lt=60"), Ok(60));
    assert_eq!(asked("lt=0"), Ok(86_400));
    assert_eq!(asked("lt=18446744073709551615"), Ok(86_400));
    assert_eq!(asked("lt=x").map_err(|(code, _)| code), Err(Code::BAD_REQUEST));
    assert_eq!(asked("lt=-1").map_err(|(code, _)| code), Err(Code::BAD_REQUEST));
}

#[test]
fn a_registration_that_lacks_something_is_refused() {
    let cases: [(&[&str], &str, Code); 9] = [
        (&["lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=", "lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=a/dn", "lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=+", "lwm2m=1.0"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=a"], "</3/0>", Code::BAD_REQUEST),
        (&["ep=a", "lwm2m=2.0"], "</3/0>", Code::PRECONDITION_FAILED),
        (&["ep=a", "lwm2m=x"], "</3/0>", Code::PRECONDITION_FAILED),
        (&["ep=a", "lwm2m=1.0"], "", Code::BAD_REQUEST),
        (&["ep=a", "lwm2m=1.0"], "3/0", Code::BAD_REQUEST),
    ];
    for (queries, payload, code) in cases {
        assert_eq!(
            register(queries, payload).map(|_| ()).map_err(|(code, _)| code),
            Err(code),
            "{queries:?}"
        );
    }
}

#[test]
fn an_update_changes_what_it_names_and_nothing_if_it_is_refused() {
    let config = Config::default();
    let (mut registration, _) = register(&["ep=a", "lwm2m=1.0", "lt=60", "b=U"], "</3/0>").unwrap();
    let later = start() + Duration::from_secs(10);
    let message = Message::request(Code::POST).with_query("b=UQ");
    registration.update(&message, &config, later).unwrap();
    assert!(registration.queue_mode);
    assert_eq!(
        (registration.lifetime.as_secs(), registration.expires),
        (60, later + Duration::from_secs(60))
    );
    let bad = Message::request(Code::POST).with_query("lt=90").with_payload("nonsense");
    assert!(registration.update(&bad, &config, later).is_err());
    assert_eq!(registration.lifetime.as_secs(), 60);
    let objects = Message::request(Code::POST).with_query("lt=90").with_payload("</3/0>,</4/0>");
    registration.update(&objects, &config, later).unwrap();
    assert_eq!((registration.lifetime.as_secs(), registration.objects.len()), (90, 2));
    registration.update(&Message::request(Code::POST), &config, later).unwrap();
    assert!(registration.queue_mode, "an update that names no binding keeps it");
}
