use std::path::Path;

use crate::targets;

/// Something that takes foreign bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Feeds it.
    pub run: fn(&[u8]),
    /// Inputs that it understands.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Every target there is.
    pub fn all() -> Vec<Self> {
        [
            &targets::bus::TARGETS[..],
            &targets::mqtt::TARGETS,
            &targets::mqtt_sn::TARGETS,
            &targets::coap::TARGETS,
            &targets::coap_stream::TARGETS,
            &targets::directory::TARGETS,
            &targets::dtls::TARGETS,
            &targets::lwm2m::TARGETS,
            &targets::stomp::TARGETS,
            &targets::net::TARGETS,
            &targets::oscore::TARGETS,
        ]
        .concat()
    }

    /// What to begin with: the seeds, and the inputs that coverage found, which are kept in `corpus/NAME`, each a line
    /// of hexadecimal digits.
    pub fn inputs(&self) -> Vec<Vec<u8>> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        let found = std::fs::read_to_string(file).unwrap_or_default();
        (self.seeds)().into_iter().chain(found.lines().map(from_hexadecimal)).collect()
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|target| target.name == name)
    }
}

fn from_hexadecimal(line: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        line.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Seeds as a target wants them.
pub(crate) fn owned<T: AsRef<[u8]>>(seeds: &[T]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_ref().to_vec()).collect()
}
