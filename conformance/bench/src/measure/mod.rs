//! What is measured of one broker in one run.

mod cores;
mod filters;
mod idle;
mod messages;
mod retained;
mod transports;

use std::time::Duration;

pub(crate) use cores::cores;
pub(crate) use filters::filters;
pub(crate) use idle::idle;
pub(crate) use messages::messages;
pub(crate) use retained::retained;
pub(crate) use transports::transport;

use crate::subject::Broker;

/// What a broker has used up at one time.
struct Mark {
    cpu: Duration,
    resident: f64,
}

impl Mark {
    fn of(broker: &Broker) -> Result<Self, String> {
        let cpu = broker.cpu().ok_or("the broker has ended")?;
        Ok(Self { cpu, resident: broker.resident()? })
    }

    /// The CPU time since then for each of so many, in microseconds.
    fn cpu_each(&self, broker: &Broker, many: u64) -> Result<f64, String> {
        Ok((Self::of(broker)?.cpu - self.cpu).as_secs_f64() * 1e6 / many.max(1) as f64)
    }

    /// The memory since then for each of so many, in bytes.
    fn bytes_each(&self, broker: &Broker, many: u64) -> Result<f64, String> {
        Ok((Self::of(broker)?.resident - self.resident) / many.max(1) as f64)
    }
}
