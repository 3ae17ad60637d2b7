//! Patterns that one row alone does not show.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use broker::SessionView;
use bus::Reason;
use serde::{Deserialize, Serialize};

use super::{Denial, Ending, ip};
use crate::moment::say;

/// Something that stands out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name: `duplicate_client_id`.
    pub name: String,
    /// What was seen.
    pub text: String,
    /// What can be done about it.
    pub hint: String,
}

/// How many of the newest rows are looked at, and how many alike make a pattern.
const NEWEST: usize = 20;
const PATTERN: usize = 3;

/// What is older is no news.
const RECENT: Duration = Duration::from_secs(3_600);

/// Silences this short happen without anybody's time-out.
const SHORT: Duration = Duration::from_secs(5);

/// What stands out among the rows of one client, newest first.
pub(super) fn find(
    session: Option<&SessionView>,
    closed: &[Ending],
    refused: &[Ending],
    denied: &[Denial],
    now: Instant,
) -> Vec<Finding> {
    let recent = |rows: &[Ending]| -> Vec<Ending> {
        let young = |row: &&Ending| now.saturating_duration_since(row.at) <= RECENT;
        rows.iter().take_while(young).cloned().collect()
    };
    let newest = closed.get(..closed.len().min(NEWEST)).unwrap_or_default();
    let found = [
        duplicate_id(session, &recent(closed)),
        idle_timeout(newest),
        silence(newest),
        same_fault(newest),
        refused_alike(&recent(refused)),
        will_denied(denied, refused),
        rights(denied),
    ];
    found.into_iter().flatten().collect()
}

fn finding(name: &str, text: String, hint: &str) -> Option<Finding> {
    Some(Finding { name: name.to_owned(), text, hint: hint.to_owned() })
}

/// Clients that fight for one id.
fn duplicate_id(session: Option<&SessionView>, closed: &[Ending]) -> Option<Finding> {
    let taken: Vec<_> = closed.iter().filter(|row| row.reason == Reason::TakenOver).collect();
    if taken.len() < PATTERN {
        return None;
    }
    let holder = session.and_then(|session| session.client.as_ref());
    let holder = holder.and_then(|client| ip(client.peer.address));
    let addresses = taken.iter().filter_map(|row| ip(row.address)).chain(holder).collect::<BTreeSet<_>>();
    let (first, last) = (taken.last()?.at, taken.first()?.at);
    let span = last.saturating_duration_since(first);
    let text = format!("the session changed hands {} times within {}", taken.len(), say(span));
    match addresses.len() {
        0 | 1 => finding(
            "duplicate_client_id",
            format!("{text}, always from {}", list(&addresses)),
            "either two programs on that machine, or behind that address, use the same id: give each its own; or one \
             program connects anew without closing its old connection",
        ),
        _ => finding(
            "duplicate_client_id",
            format!(
                "{text}, between {}: several clients use this id and throw each other out",
                list(&addresses)
            ),
            "give every client an id of its own",
        ),
    }
}

/// Something on the way that ends silent connections after the same time.
fn idle_timeout(closed: &[Ending]) -> Option<Finding> {
    let cut = closed.iter().filter(|row| matches!(row.reason, Reason::PeerClosed | Reason::ConnectionReset));
    let silences: Vec<Duration> = cut.filter_map(Ending::silent).collect();
    let (shortest, longest) = (*silences.iter().min()?, *silences.iter().max()?);
    let alike = longest - shortest <= Duration::from_millis(1_500).max(longest / 20);
    if silences.len() < PATTERN || shortest < SHORT || !alike {
        return None;
    }
    let keep_alive = closed.iter().find_map(|row| row.course.as_ref()?.keep_alive);
    let asked = match keep_alive.filter(|span| !span.is_zero()) {
        Some(span) if span < shortest => return None,
        Some(span) => format!("the keep alive of {} is too long for it", say(span)),
        None => "the client has no keep alive".to_owned(),
    };
    finding(
        "idle_timeout_on_the_way",
        format!(
            "{} connections were cut without a good-bye after the same silence of {}: a proxy, load balancer or NAT on \
             the way ends idle connections, and {asked}",
            silences.len(),
            say(shortest),
        ),
        "choose a keep alive shorter than that silence, or raise the time-out there (HAProxy: timeout client and \
         timeout server; nginx: proxy_timeout)",
    )
}

/// A client that is lost in silence, time and again.
fn silence(closed: &[Ending]) -> Option<Finding> {
    let lost: Vec<_> = closed.iter().filter(|row| row.reason == Reason::KeepAliveTimeout).collect();
    if lost.len() < PATTERN {
        return None;
    }
    let heard = lost.iter().filter_map(|row| row.course.as_ref());
    let heard: Vec<_> = heard.map(|course| course.heard.saturating_duration_since(course.since)).collect();
    let (shortest, longest) = (*heard.iter().min()?, *heard.iter().max()?);
    let alike = shortest >= SHORT && longest - shortest <= Duration::from_millis(1_500).max(longest / 20);
    let when = match alike {
        true => format!(", each about {} after it had begun", say(shortest)),
        false => String::new(),
    };
    finding(
        "lost_in_silence",
        format!(
            "{} of the last {} connections fell silent without being closed{when}",
            lost.len(),
            closed.len()
        ),
        "the client sleeps, crashes or is out of reach; or a NAT or firewall on the way forgets the connection: choose \
         a keep alive shorter than its limit",
    )
}

/// A client that makes the same mistake every time.
fn same_fault(closed: &[Ending]) -> Option<Finding> {
    let first = closed.first()?;
    let faulty = matches!(
        first.reason,
        Reason::Malformed
            | Reason::ProtocolViolation
            | Reason::PacketTooLarge
            | Reason::ReceiveMaximumExceeded
            | Reason::TopicAliasInvalid
            | Reason::TopicInvalid
            | Reason::FilterInvalid
            | Reason::PayloadInvalid
            | Reason::NotAuthorized
            | Reason::SlowConsumer
            | Reason::QuotaExceeded
    );
    let alike = closed.iter().take_while(|row| row.reason == first.reason).count();
    if !faulty || alike < PATTERN {
        return None;
    }
    let detail = first.course.as_ref().and_then(|course| course.detail.as_deref());
    let detail = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
    let text = format!("the last {alike} connections all ended because {}{detail}", first.reason.explain());
    finding("same_fault", text, first.reason.hint())
}

/// A client that is refused for the same cause every time.
fn refused_alike(refused: &[Ending]) -> Option<Finding> {
    let first = refused.first()?;
    let alike: Vec<_> = refused.iter().filter(|row| row.reason == first.reason).collect();
    if alike.len() < PATTERN {
        return None;
    }
    let addresses = alike.iter().filter_map(|row| ip(row.address)).collect::<BTreeSet<_>>();
    let users: BTreeSet<_> = alike.iter().filter_map(|row| row.username.as_deref()).take(NEWEST).collect();
    let users = match users.len() {
        0 => "without a user name".to_owned(),
        _ => format!("as {}", users.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let name = match first.reason {
        Reason::BadCredentials | Reason::BadAuthenticationMethod => "repeated_bad_credentials",
        _ => "repeatedly_refused",
    };
    let span = first.at.saturating_duration_since(alike.last()?.at);
    finding(
        name,
        format!(
            "{} attempts within {} were refused because {}: from {}, {users}",
            alike.len(),
            say(span),
            first.reason.explain(),
            list(&addresses)
        ),
        first.reason.hint(),
    )
}

/// A client that is not let in because of its will.
fn will_denied(denied: &[Denial], refused: &[Ending]) -> Option<Finding> {
    let will = denied.iter().find(|row| row.action == "will")?;
    if !refused.iter().any(|row| row.reason == Reason::NotAuthorized) {
        return None;
    }
    finding(
        "will_denied",
        format!("the client is not let in because it may not publish its will on {:?}", will.on),
        "allow it to publish there, or take the will out of the client's settings",
    )
}

fn rights(denied: &[Denial]) -> Option<Finding> {
    let rows = denied.iter().filter(|row| row.action != "will");
    let (count, mut topics) = rows.fold((0, Vec::new()), |(count, mut topics), row| {
        topics.push(format!("{} {:?}", row.action, row.on));
        (count + row.count, topics)
    });
    if count == 0 {
        return None;
    }
    let more = topics.len().saturating_sub(PATTERN);
    topics.truncate(PATTERN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    finding(
        "denied",
        format!("the client was denied {count} times: {}{more}", topics.join(", ")),
        "add a rule under [access] that allows it; the log names the rule that decided",
    )
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    let mut shown: Vec<_> = addresses.iter().take(PATTERN).map(IpAddr::to_string).collect();
    if addresses.len() > PATTERN {
        shown.push(format!("{} more", addresses.len() - PATTERN));
    }
    if shown.is_empty() {
        return "this machine".to_owned();
    }
    shown.join(" and ")
}
