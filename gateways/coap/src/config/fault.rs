use std::time::Duration;

use super::{Config, DAY};
use crate::Token;

const SECOND: Duration = Duration::from_secs(1);

/// A value that cannot be meant.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The keys that lead to it, below the section of CoAP.
    pub keys: &'static [&'static str],
    /// What is wrong, and what to write instead.
    pub message: &'static str,
}

impl Config {
    /// What each key alone cannot tell.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let (transmission, requests) = (&self.transmission, &self.requests);
        let is_block = self.block.is_power_of_two() && (16..=1_024).contains(&self.block);
        let nobody = self.oscore.required && self.oscore.contexts_file.as_os_str().is_empty();
        let random_factor = transmission.ack_random_factor;
        let faults: [(bool, &[&str], &str); 16] = [
            (
                !is_block,
                &["block"],
                "a block has \"16B\", \"32B\", \"64B\", \"128B\", \"256B\", \"512B\" or \"1024B\"",
            ),
            (
                self.largest_message < 128,
                &["largest_message"],
                "a message needs room; write \"128B\" or more",
            ),
            (
                !(Token::SHORT..=Token::LONGEST).contains(&self.longest_token),
                &["longest_token"],
                "a token of 8 to 65804 bytes can be the longest",
            ),
            (self.transfers == 0, &["transfers"], "no body could come in blocks; write 1 or more"),
            (self.confirm_after == 0, &["confirm_after"], "write 1 or more"),
            (
                self.observer_check.is_zero() || self.observer_check > DAY,
                &["observer_check"],
                "an observer is asked at least once in \"1d\"; write more than 0 and no more than that",
            ),
            (
                nobody,
                &["oscore", "required"],
                "nobody could ask for anything, since there are no contexts; name a file with contexts as \
                 coap.oscore.contexts_file",
            ),
            (
                requests.timeout.is_zero() || requests.timeout > requests.timeout_max,
                &["requests", "timeout"],
                "write more than 0, and no more than timeout_max",
            ),
            (
                transmission.ack_timeout < Duration::from_secs(2),
                &["transmission", "ack_timeout"],
                "clients count on at least \"2s\"",
            ),
            (
                !(1.0..=10.0).contains(&random_factor),
                &["transmission", "ack_random_factor"],
                "write 1.0 to 10.0",
            ),
            (transmission.max_retransmit > 10, &["transmission", "max_retransmit"], "write 0 to 10"),
            (
                !(1..=256).contains(&transmission.max_payloads),
                &["transmission", "max_payloads"],
                "write 1 to 256, as clients have it",
            ),
            (
                transmission.non_timeout < SECOND,
                &["transmission", "non_timeout"],
                "sets of blocks need a pause; write \"1s\" or more",
            ),
            (transmission.non_max_retransmit > 10, &["transmission", "non_max_retransmit"], "write 0 to 10"),
            (
                transmission.non_partial_timeout < SECOND,
                &["transmission", "non_partial_timeout"],
                "no body could come in several blocks; write \"1s\" or more",
            ),
            (
                transmission.probing_rate == 0,
                &["transmission", "probing_rate"],
                "a silent peer would never be asked; write \"1B\" or more",
            ),
        ];
        let found = faults.into_iter().filter(|(is_one, ..)| *is_one);
        found.map(|(_, keys, message)| ConfigFault { keys, message }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Oscore, RequestsConfig, Transmission};

    #[test]
    fn the_defaults_have_no_fault_and_what_cannot_be_meant_is_told_by_its_key() {
        let good = Config::default();
        assert_eq!(good.faults(), []);
        let transmission = |transmission| Config { transmission, ..Config::default() };
        let usual = Transmission::default();
        let cases = [
            (Config { block: 1_000, ..good.clone() }, "block"),
            (Config { block: 2_048, ..good.clone() }, "block"),
            (Config { largest_message: 10, ..good.clone() }, "largest_message"),
            (Config { longest_token: 7, ..good.clone() }, "longest_token"),
            (Config { longest_token: 100_000, ..good.clone() }, "longest_token"),
            (Config { transfers: 0, ..good.clone() }, "transfers"),
            (Config { confirm_after: 0, ..good.clone() }, "confirm_after"),
            (Config { observer_check: 2 * DAY, ..good.clone() }, "observer_check"),
            (
                Config { oscore: Oscore { required: true, ..Oscore::default() }, ..good.clone() },
                "oscore.required",
            ),
            (
                Config { requests: RequestsConfig { timeout: DAY, ..RequestsConfig::default() }, ..good },
                "requests.timeout",
            ),
            (
                transmission(Transmission { ack_timeout: Duration::ZERO, ..usual.clone() }),
                "transmission.ack_timeout",
            ),
            (
                transmission(Transmission { ack_random_factor: f64::NAN, ..usual.clone() }),
                "transmission.ack_random_factor",
            ),
            (
                transmission(Transmission { max_retransmit: 11, ..usual.clone() }),
                "transmission.max_retransmit",
            ),
            (transmission(Transmission { max_payloads: 0, ..usual.clone() }), "transmission.max_payloads"),
            (transmission(Transmission { max_payloads: 257, ..usual.clone() }), "transmission.max_payloads"),
            (
                transmission(Transmission { non_timeout: SECOND / 2, ..usual.clone() }),
                "transmission.non_timeout",
            ),
            (
                transmission(Transmission { non_max_retransmit: 11, ..usual.clone() }),
                "transmission.non_max_retransmit",
            ),
            (
                transmission(Transmission { non_partial_timeout: Duration::ZERO, ..usual.clone() }),
                "transmission.non_partial_timeout",
            ),
            (transmission(Transmission { probing_rate: 0, ..usual }), "transmission.probing_rate"),
        ];
        for (config, key) in cases {
            let found: Vec<_> = config.faults().iter().map(|fault| fault.keys.join(".")).collect();
            assert_eq!(found, [key]);
        }
    }
}
