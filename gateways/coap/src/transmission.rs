use std::time::Duration;

use bus::units;
use serde::{Deserialize, Serialize};

/// How long a datagram may be on its way [RFC7252 4.8.2].
const MAX_LATENCY: Duration = Duration::from_secs(100);

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
}

impl Default for Transmission {
    fn default() -> Self {
        Self {
            ack_timeout: ACK_TIMEOUT,
            ack_random_factor: 1.5,
            max_retransmit: 4,
            response_timeout: Duration::from_secs(247),
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
    fn no_factor_lets_retransmissions_come_early_or_never() {
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let transmission = Transmission { ack_random_factor: factor, ..Transmission::default() };
            let first = transmission.first_timeout(1.0);
            assert!((Duration::from_secs(2)..=Duration::from_secs(3)).contains(&first), "{factor}");
        }
    }
}
