use bus::{ContentFormat, Filter, Topic, units};

use crate::Target;
use crate::target::owned;

pub(crate) const TARGETS: [Target; 2] = [
    Target { name: "bus_topics", run: topics, seeds: topic_seeds },
    Target { name: "bus_units", run: read_units, seeds: unit_seeds },
];

/// Topic, filter and match; the input is `topic NUL filter`.
fn topics(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (name, pattern) = text.split_once('\0').unwrap_or((text, text));
    let topic = Topic::parse(name);
    let filter = Filter::parse(pattern);
    if let Ok(Ok(parts)) = Filter::parse_with_condition(pattern).map(Filter::split_condition) {
        assert!(pattern.contains(parts.pattern()));
        assert!(parts.with_pattern(parts.pattern()).is_ok_and(|same| same == parts));
        assert!(parts.without_condition().condition().is_none());
    }
    if let Ok(topic) = &topic {
        let levels: Vec<_> = topic.levels().collect();
        assert_eq!(levels.join("/"), topic.as_str());
        if !name.starts_with('$') {
            assert!(Filter::exactly(topic).matches(topic.as_str()));
        }
    }
    if let Ok(filter) = &filter {
        assert!(filter.as_str().ends_with(filter.pattern()));
        assert_eq!(
            filter.share().is_some(),
            pattern.starts_with("$share/") || pattern.starts_with("$queue/")
        );
        if let Some(exact) = filter.as_topic() {
            assert!(filter.matches(exact.as_str()));
        }
        if let Ok(topic) = &topic {
            filter.matches(topic.as_str());
        }
    }
}

fn topic_seeds() -> Vec<Vec<u8>> {
    owned(&[
        "sport/tennis/player1\0sport/tennis/+",
        "/finance\0+/+",
        "$SYS/uptime\0$SYS/#",
        "a//b\0a/#",
        "job/7\0$share/workers/job/#",
        "Ätna/21°\0+/21°",
        "job/7\0$queue/job/#?n>5&m=x",
        "job/7\0$exclusive/job/7",
    ])
}

/// Durations, sizes and media types.
fn read_units(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(duration) = units::parse_duration(text) {
        assert_eq!(units::parse_duration(&units::write_duration(duration)), Ok(duration));
    }
    if let Ok(size) = units::parse_size(text) {
        assert_eq!(units::parse_size(&units::write_size(size)), Ok(size));
    }
    if let Some(format) = ContentFormat::from_media_type(text) {
        assert!(format.media_type().is_some());
    }
}

fn unit_seeds() -> Vec<Vec<u8>> {
    owned(&[
        "30s",
        "250ms",
        "7d",
        "5 m",
        "64KB",
        "1MB",
        "2GiB",
        "512",
        "application/json; charset=utf-8",
        "text/plain",
    ])
}
