use std::fmt;

/// A version of STOMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escapes, no heart-beats, subscriptions may go without an id.
    V1_0,
    /// STOMP 1.1: escapes for `\`, newline and colon; NACK; heart-beats.
    V1_1,
    /// STOMP 1.2: an escape for carriage return too; ACK by the message's `ack` header.
    V1_2,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// As headers write it: `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The newest version in an `accept-version` header; 1.0 where there is none [STOMP1.2 CONNECT].
    pub fn negotiate(accept_version: Option<&str>) -> Option<Self> {
        let Some(accepted) = accept_version else { return Some(Self::V1_0) };
        let offered = |version: &Self| accepted.split(',').any(|one| one.trim() == version.as_str());
        Self::ALL.into_iter().rev().find(offered)
    }

    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::V1_0 => "STOMP 1.0",
            Self::V1_1 => "STOMP 1.1",
            Self::V1_2 => "STOMP 1.2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        assert_eq!(Version::negotiate(None), Some(Version::V1_0));
        assert_eq!(Version::negotiate(Some("1.0,1.1,2.0")), Some(Version::V1_1));
        assert_eq!(Version::negotiate(Some("1.2, 1.1")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("2.0")), None);
        assert_eq!(Version::negotiate(Some("")), None);
    }
}
