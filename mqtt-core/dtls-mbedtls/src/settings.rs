use std::time::Duration;

use dtls::{EngineError, Settings};

use crate::suites::{self, SUITES, Suite, SuiteProof};

/// The longest time that may be set.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// Looks at the numbers of settings; the files are looked at where they are used.
pub(crate) fn check(settings: &Settings) -> Result<(), EngineError> {
    let range = |good, key, range| if good { Ok(()) } else { Err(EngineError::Range(key, range)) };
    let first = settings.retransmission.first;
    let length = settings.connection_id_length;
    range(length == 0 || (4..=32).contains(&length), "the length of connection ids", "0, or 4 to 32")?;
    range((256..=65_535).contains(&settings.mtu), "the MTU", "256 to 65535")?;
    range(first >= Duration::from_millis(1), "the first retransmission time", "1 ms at least")?;
    range(settings.retransmission.longest >= first, "the longest retransmission time", "the first at least")?;
    range(!settings.handshake_timeout.is_zero(), "the handshake timeout", "above 0")?;
    let times = [settings.handshake_timeout, settings.resumption, settings.retransmission.longest];
    let mut times = times.into_iter().chain(settings.park_after).chain(settings.idle_timeout);
    range(times.all(|time| time <= LONGEST), "each time", "10 years at most")?;
    range(settings.park_after.is_none_or(|time| !time.is_zero()), "the time to parking", "above 0")
}

/// The suites that can be used: those that are wanted, and have what they need.
pub(crate) fn suites(settings: &Settings, own: &[SuiteProof]) -> Result<Vec<&'static Suite>, EngineError> {
    if own.is_empty() && settings.psk.is_none() {
        return Err(EngineError::NothingToShow);
    }
    let wanted: Vec<&Suite> = match settings.cipher_suites.as_slice() {
        [] => SUITES.iter().collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<_, _>>()?,
    };
    let usable = |suite: &&Suite| match suite.proof {
        SuiteProof::Key => settings.psk.is_some(),
        proof => own.contains(&proof),
    };
    let suites: Vec<_> = wanted.into_iter().filter(usable).collect();
    if suites.is_empty() {
        return Err(EngineError::NoSuite("pre-shared keys, or a certificate of the kind in their names"));
    }
    Ok(suites)
}

fn named(name: &str) -> Result<&'static Suite, EngineError> {
    suites::by_name(name).ok_or_else(|| {
        let offered: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        EngineError::UnknownSuite(name.to_owned(), offered.join(", "))
    })
}
