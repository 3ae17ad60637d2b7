use std::time::{Duration, Instant};

use bus::{ClientId, Credentials, Disconnect, Publish, Reason, Request, SessionExpiry, Ticket, Topic, Will};

use crate::session::Session;
use crate::topics::TopicIds;
use crate::turn::{Shared, Turn};
use crate::{Connect, WillTopic};

/// A CONNECT on its way to a session.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) client_id: ClientId,
    pub(crate) clean_session: bool,
    pub(crate) wants_will: bool,
    /// Seconds, 0 for none.
    pub(crate) keep_alive: u16,
    /// The session that the same client has until it has answered: a CONNECT that the network doubled or held
    /// back must not end it.
    pub(crate) former: Option<Box<Session>>,
    /// Whether its topic ids go on.
    pub(crate) keeps_topics: bool,
    pub(crate) topics: Option<TopicIds>,
    pub(crate) will: Option<Will>,
    /// How the session that the connection has is left once the new one is asked for.
    pub(crate) leave: Option<Disconnect>,
    pub(crate) ticket: Ticket,
    /// When the client was last asked for something.
    pub(crate) asked: Instant,
    /// Whether the client said good-bye before the broker answered.
    pub(crate) leaving: bool,
}

impl Opening {
    /// Takes a CONNECT, or says why not.
    pub(crate) fn new(connect: &Connect<'_>, shared: &Shared, now: Instant) -> Result<Self, Reason> {
        if connect.protocol_id != 1 {
            return Err(Reason::UnsupportedVersion); // [5.3.8]
        }
        let length = connect.client_id.chars().count();
        let client_id = ClientId::parse(connect.client_id)
            .filter(|_| length <= shared.config.client_id_length) // [5.3.1]
            .ok_or(Reason::ClientIdInvalid)?;
        Ok(Self {
            client_id,
            clean_session: connect.clean_session,
            wants_will: connect.will,
            keep_alive: connect.duration,
            former: None,
            keeps_topics: false,
            topics: None,
            will: None,
            leave: None,
            ticket: Ticket::NONE,
            asked: now,
            leaving: false,
        })
    }

    /// Asks the broker for the session, in place of the one that the connection has.
    pub(crate) fn request(&mut self, turn: &mut Turn<'_>) {
        let former = self.former.take().filter(|_| self.keeps_topics);
        self.topics = former.map(|session| session.topics);
        if let Some(leave) = self.leave.take() {
            turn.out.request(Ticket::NONE, Request::Disconnect(leave));
        }
        let session_expiry = match self.clean_session {
            true => SessionExpiry::AtOnce,
            false => SessionExpiry::After(turn.shared.config.session_expiry),
        };
        let keep_alive = (self.keep_alive > 0).then(|| Duration::from_secs(self.keep_alive.into()));
        self.ticket = turn.request(Request::Connect(Box::new(bus::Connect {
            client_id: Some(self.client_id.clone()),
            credentials: Credentials::default(),
            clean_start: self.clean_session,
            session_expiry,
            will: self.will.clone(),
            receive_maximum: 1, // one message of QoS 1 or 2 at a time [6.10]
            takes_unasked: true,
            keep_alive,
            protocol: "MQTT-SN 1.2",
            user_properties: Vec::new(),
        })));
    }
}

/// A will of this topic, with an empty message.
pub(crate) fn will(given: &WillTopic<'_>, limits: &bus::Limits) -> Result<Will, Reason> {
    let topic = topic_name(given.topic, limits)?;
    let mut publish = Publish::new(topic, Vec::new(), given.qos);
    publish.retain = given.retain;
    Ok(Will { publish, delay: Duration::ZERO })
}

/// Takes a topic name as a device wrote it.
pub(crate) fn topic_name(name: &str, limits: &bus::Limits) -> Result<Topic, Reason> {
    let topic = Topic::parse(name).map_err(|_| Reason::TopicInvalid)?;
    if topic.levels().count() > limits.topic_levels {
        return Err(Reason::TopicInvalid);
    }
    Ok(topic)
}
