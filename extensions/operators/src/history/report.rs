use serde::{Deserialize, Serialize};

use super::{Denied, Ended, Finding, SessionRow};

/// All that is known of a client: what `watersmeet why` prints. Lists have the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its id.
    pub client_id: String,
    /// Its session, if there is one.
    pub session: Option<SessionRow>,
    /// What stands out, and what to do about it.
    pub findings: Vec<Finding>,
    /// Its connections that ended.
    pub closed: Vec<Ended>,
    /// Its attempts that were refused.
    pub refused: Vec<Ended>,
    /// What it was not let do.
    pub denied: Vec<Denied>,
    /// Connections that ended before they said who they are, from the client's addresses; from anywhere if it was
    /// never heard of.
    pub strangers: Vec<Ended>,
}

impl Report {
    /// Whether nothing at all is known of the client.
    pub fn is_unknown(&self) -> bool {
        self.session.is_none() && self.closed.is_empty() && self.refused.is_empty() && self.denied.is_empty()
    }
}
