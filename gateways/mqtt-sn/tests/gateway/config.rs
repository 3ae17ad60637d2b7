use std::time::Duration;

use mqtt_sn::Config;

#[test]
fn the_configuration_is_read_with_its_units_and_predefined_topics() {
    let config: Config = toml::from_str(
        r#"
        retry = "15s"
        datagram = "1KB"

        [[predefined]]
        id = 1
        topic = "sensors/temperature"

        [[predefined]]
        id = 65535
        topic = "only/mine"
        client_id = "c1"
        "#,
    )
    .unwrap();
    assert_eq!((config.retry, config.datagram, config.retries), (Duration::from_secs(15), 1_024, 4));
    assert_eq!(config.predefined[0].topic.as_str(), "sensors/temperature");
    assert_eq!(config.predefined[1].client_id.as_deref(), Some("c1"));
    assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
}

#[test]
fn what_is_no_topic_id_and_no_topic_is_refused() {
    for (bad, told) in [
        (r#"predefined = [{ id = 0, topic = "a" }]"#, "nonzero"),
        (r#"predefined = [{ id = 65536, topic = "a" }]"#, "65536"),
        (r#"predefined = [{ id = 1, topic = "a/#" }]"#, "\"a/#\" has a misplaced wildcard"),
        (r#"predefined = [{ id = 1, topics = "a" }]"#, "topics"),
        (r#"retry = 10"#, "30s"),
        (r#"subs_resume = true"#, "subs_resume"),
    ] {
        let error = toml::from_str::<Config>(bad).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
