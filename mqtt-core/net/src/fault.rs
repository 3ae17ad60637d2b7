use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use bus::Reason;

/// What the peer did wrong below the protocol, as an error of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is counted.
    pub reason: Reason,
    /// What exactly, for people.
    pub detail: &'static str,
}

impl Fault {
    /// What is at fault if a stream fails so; `None` if the network is.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).copied()
    }
}

/// Why a connection ends whose stream fails so.
pub(crate) fn reason(error: &io::Error) -> Reason {
    match Fault::of(error) {
        Some(fault) => fault.reason,
        None => tls::refusal(error).0,
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(ErrorKind::InvalidData, fault)
    }
}

impl Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}
