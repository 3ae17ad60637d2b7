use std::time::Duration;

use bus::units;
use serde::{Deserialize, Serialize};

/// How long a datagram may be on its way [RFC7252 4.8.2].
pub(crate) const MAX_LATENCY: Duration = Duration::from_secs(100);

/// The least `ack_timeout`: nothing else here keeps a lower one from congesting the network [RFC7252 4.8.1].
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// The transmission parameters of RFC 7252 4.8. NSTART is always 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transmission {
    /// The shortest wait for an acknowledgement before the first retransmission; at least 2 s.
    #[serde(with = "units::duration")]
    pub ack_timeout: Duration,
    /// The first wait is a chance value between `ack_timeout` and so many times that; at least 1.
    pub ack_random_factor: f64,
    /// How often a confirmable message is sent again; at most 10.
    pub max_retransmit: u32,
    /// How long an answer may take once the peer has acknowledged the request.
    #[serde(with = "units::duration")]
    pub response_timeout: Duration,
    /// MAX_PAYLOADS of RFC 9177: how many blocks of a Q-Block body go at once; clients must have the same. 1 to 256.
    pub max_payloads: u32,
    /// NON_TIMEOUT of RFC 9177: the shortest wait between two such sets of blocks that nobody asked to go on; at least
    /// 1 s.
    #[serde(with = "units::duration")]
    pub non_timeout: Duration,
    /// NON_RECEIVE_TIMEOUT of RFC 9177: how long blocks may be missing before they are asked for; at least 1 s more than
    /// `non_timeout` can come to.
    #[serde(with = "units::duration")]
    pub non_receive_timeout: Duration,
    /// NON_MAX_RETRANSMIT of RFC 9177: how often in a row missing blocks are asked for; at most 10.
    pub non_max_retransmit: u32,
    /// NON_PARTIAL_TIMEOUT of RFC 9177: how long what has come of a body is kept, and a body of which blocks may be
    /// asked for again; at least 1 s.
    #[serde(with = "units::duration")]
    pub non_partial_timeout: Duration,
    /// PROBING_RATE of RFC 7252: how many bytes a second a peer is sent in Q-Blocks that says nothing to it; at least 1.
    #[serde(with = "units::size")]
    pub probing_rate: usize,
}

impl Default for Transmission {
    fn default() -> Self {
        Self {
            ack_timeout: ACK_TIMEOUT,
            ack_random_factor: 1.5,
            max_retransmit: 4,
            response_timeout: Duration::from_secs(247),
            max_payloads: 10,
            non_timeout: ACK_TIMEOUT,
            non_receive_timeout: 2 * ACK_TIMEOUT,
            non_max_retransmit: 4,
            non_partial_timeout: Duration::from_secs(247),
            probing_rate: 1,
        }
    }
}

impl Transmission {
    /// The span after which a request that could not be answered yet gets an empty acknowledgement: well before
    /// the peer's first retransmission, which is due after its ACK_TIMEOUT [RFC7252 5.2.2].
    pub(crate) fn acknowledge_within(&self) -> Duration {
        self.ack_timeout() / 2
    }

    pub(crate) fn retransmissions(&self) -> u32 {
        self.max_retransmit.min(10)
    }

    /// The first wait for an acknowledgement; `chance` is between 0 and 1.
    pub(crate) fn first_timeout(&self, chance: f64) -> Duration {
        self.ack_timeout().mul_f64(1.0 + chance * (self.random_factor() - 1.0))
    }

    /// The span in which a confirmable message's id means that message [RFC7252 4.8.2]: 247 s by default.
    pub(crate) fn exchange_lifetime(&self) -> Duration {
        let processing_delay = self.ack_timeout();
        self.max_transmit_span() + 2 * MAX_LATENCY + processing_delay
    }

    /// The span in which a non-confirmable message's id means that message [RFC7252 4.8.2]: 145 s by default.
    pub(crate) fn non_lifetime(&self) -> Duration {
        self.max_transmit_span() + MAX_LATENCY
    }

    pub(crate) fn payloads(&self) -> u32 {
        self.max_payloads.clamp(1, 256)
    }

    /// NON_TIMEOUT_RANDOM [RFC9177 7.2]; `chance` is between 0 and 1.
    pub(crate) fn pause(&self, chance: f64) -> Duration {
        self.non_timeout().mul_f64(1.0 + chance * (self.random_factor() - 1.0))
    }

    /// NON_RECEIVE_TIMEOUT, which leaves the peer time to begin its next set [RFC9177 7.2].
    pub(crate) fn receive_timeout(&self) -> Duration {
        self.non_receive_timeout.max(self.pause(1.0) + Duration::from_secs(1))
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.non_max_retransmit.min(10)
    }

    /// How long a peer that said nothing is left alone after so many bytes: PROBING_RATE, within NON_PROBING_WAIT
    /// [RFC9177 7.2].
    pub(crate) fn probing_wait(&self, bytes: usize) -> Duration {
        let longest = (self.non_timeout() * ((1 << self.repeats()) - 1)).mul_f64(self.random_factor())
            + 2 * MAX_LATENCY
            + self.pause(1.0);
        let seconds = bytes.div_ceil(self.probing_rate.max(1));
        longest.min(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }

    fn non_timeout(&self) -> Duration {
        self.non_timeout.max(Duration::from_secs(1))
    }

    fn max_transmit_span(&self) -> Duration {
        (self.ack_timeout() * ((1 << self.retransmissions()) - 1)).mul_f64(self.random_factor())
    }

    fn ack_timeout(&self) -> Duration {
        self.ack_timeout.max(ACK_TIMEOUT)
    }

    fn random_factor(&self) -> f64 {
        if self.ack_random_factor.is_finite() { self.ack_random_factor.clamp(1.0, 10.0) } else { 1.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_derived_times_are_those_of_the_standard() {
        let transmission = Transmission::default();
        assert_eq!(transmission.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(transmission.non_lifetime(), Duration::from_secs(145));
        assert_eq!(transmission.first_timeout(1.0), Duration::from_secs(3));
    }

    #[test]
    fn no_configuration_makes_the_first_wait_shorter_than_the_standard_has_it() {
        for ack_timeout in [Duration::ZERO, Duration::from_millis(500), ACK_TIMEOUT] {
            let transmission = Transmission { ack_timeout, ..Transmission::default() };
            assert_eq!(transmission.first_timeout(0.0), ACK_TIMEOUT);
            assert_eq!(transmission.exchange_lifetime(), Duration::from_secs(247));
        }
        let patient = Transmission { ack_timeout: 2 * ACK_TIMEOUT, ..Transmission::default() };
        assert_eq!(patient.first_timeout(0.0), 2 * ACK_TIMEOUT);
    }

    #[test]
    fn the_times_of_q_blocks_are_those_of_the_standard() {
        let transmission = Transmission::default();
        assert_eq!((transmission.payloads(), transmission.repeats()), (10, 4));
        assert_eq!((transmission.pause(0.0), transmission.pause(1.0)), (2 * SECOND, 3 * SECOND));
        assert_eq!(transmission.receive_timeout(), 4 * SECOND);
        assert_eq!(transmission.probing_wait(30), 30 * SECOND);
        assert_eq!(transmission.probing_wait(1 << 20), 248 * SECOND, "NON_PROBING_WAIT");
        assert_eq!(transmission.non_partial_timeout, transmission.exchange_lifetime());
    }

    #[test]
    fn no_configuration_lets_the_receiver_wait_less_than_a_second_longer_than_the_sender() {
        let hasty = Transmission { non_receive_timeout: SECOND, ..Transmission::default() };
        assert_eq!(hasty.receive_timeout(), 4 * SECOND);
        let slow = Transmission { non_timeout: 10 * SECOND, ..Transmission::default() };
        assert_eq!((slow.pause(1.0), slow.receive_timeout()), (15 * SECOND, 16 * SECOND));
        let zero = Transmission { non_timeout: Duration::ZERO, max_payloads: 0, ..Transmission::default() };
        assert_eq!((zero.pause(0.0), zero.payloads()), (SECOND, 1));
    }

    #[test]
    fn no_factor_lets_retransmissions_come_early_or_never() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let transmission = Transmission { ack_random_factor: factor, ..Transmission::default() };
            let first = transmission.first_timeout(1.0);
            assert!((Duration::from_secs(2)..=Duration::from_secs(3)).contains(&first), "{factor}");
        }
    }
}
