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
            &targets::lwm2m::TARGETS,
            &targets::stomp::TARGETS,
        ]
        .concat()
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|target| target.name == name)
    }
}

/// Seeds as a target wants them.
pub(crate) fn owned<T: AsRef<[u8]>>(seeds: &[T]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_ref().to_vec()).collect()
}
