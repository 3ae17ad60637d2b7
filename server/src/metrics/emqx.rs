//! The names that boards for EMQX ask for, in the plain text format.

use std::fmt::Write;
use std::time::Duration;

use broker::Stats;
use bus::Reason;

/// What both count.
pub(super) fn write(stats: &Stats, uptime: Duration) -> String {
    let mut text = String::new();
    let mut row = |kind: &str, name: &str, value: u64| {
        let _ = write!(text, "# TYPE emqx_{name} {kind}\nemqx_{name} {value}\n");
    };
    let gauges = [
        ("connections_count", stats.sessions),
        ("live_connections_count", stats.connections),
        ("sessions_count", stats.sessions),
        ("subscriptions_count", stats.subscriptions),
        ("subscriptions_shared_count", stats.shared_subscriptions),
        ("retained_count", stats.retained),
        ("vm_uptime_seconds", uptime.as_secs()),
    ];
    gauges.into_iter().for_each(|(name, value)| row("gauge", name, value));
    let sum = |counts: [u64; 3]| counts.iter().sum::<u64>();
    let dropped = |reasons: &[Reason]| -> u64 {
        let wanted = stats.dropped.iter().filter(|(reason, _)| reasons.contains(reason));
        wanted.map(|(_, count)| count).sum()
    };
    let counters = [
        ("bytes_received", stats.wire_received.bytes),
        ("bytes_sent", stats.wire_sent.bytes),
        ("packets_received", stats.wire_received.frames),
        ("packets_sent", stats.wire_sent.frames),
        ("messages_received", sum(stats.received)),
        ("messages_sent", sum(stats.delivered)),
        ("messages_qos0_received", stats.received[0]),
        ("messages_qos1_received", stats.received[1]),
        ("messages_qos2_received", stats.received[2]),
        ("messages_qos0_sent", stats.delivered[0]),
        ("messages_qos1_sent", stats.delivered[1]),
        ("messages_qos2_sent", stats.delivered[2]),
        ("messages_dropped", stats.unrouted),
        ("messages_dropped_no_subscribers", stats.unrouted),
        ("delivery_dropped", stats.dropped.iter().map(|(_, count)| count).sum()),
        ("delivery_dropped_queue_full", dropped(&[Reason::QueueFull])),
        ("delivery_dropped_expired", dropped(&[Reason::MessageExpired])),
        ("delivery_dropped_too_large", dropped(&[Reason::PacketTooLarge])),
        ("client_connected", stats.opened),
        ("client_disconnected", stats.closed.iter().map(|(.., count)| count).sum()),
        ("authentication_success", stats.opened),
        ("authentication_failure", super::failed_authentications(stats)),
        ("authorization_allow", stats.allowed),
        ("authorization_deny", stats.denied),
    ];
    counters.into_iter().for_each(|(name, value)| row("counter", name, value));
    let _ = writeln!(text, "# TYPE emqx_client_disconnected_reason counter");
    for reason in Reason::ALL {
        let alike = stats.closed.iter().filter(|(_, closed, _)| *closed == reason);
        let count: u64 = alike.map(|(.., count)| count).sum();
        if count > 0 {
            let _ = writeln!(text, "emqx_client_disconnected_reason{{reason=\"{}\"}} {count}", reason.name());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_boards_ask_for_is_there_under_its_name() {
        let closed = vec![("mqtt", Reason::PeerClosed, 2), ("stomp", Reason::PeerClosed, 1)];
        let stats = Stats { connections: 3, received: [1, 2, 3], closed, ..Stats::default() };
        let text = write(&stats, Duration::from_secs(7));
        for line in [
            "# TYPE emqx_live_connections_count gauge",
            "emqx_live_connections_count 3",
            "emqx_messages_received 6",
            "emqx_client_disconnected_reason{reason=\"peer_closed\"} 3",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
    }
}
