use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{
    ClientId, Credentials, EnhancedAuthentication, Lane, Outbox, ProtocolError, Publish, Reason, Reply,
    Request, SessionExpiry, Topic, UserProperty,
};
use bytes::Bytes;

use super::Shared;
use super::connected::{Agreed, Connected, Manner};
use super::connection::Step;
use super::terms::Terms;
use super::ticket::Asked;
use crate::codec::{
    Auth, ConnAck, Connect, Packet, Properties, Property, PropertyBuffer, ReasonCode, Version, Will, decode,
};
use crate::metadata::{Said, whole_seconds};

/// A connection whose CONNECT was taken and whose CONNACK was not sent.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) since: Instant,
    pub(super) terms: Terms,
    bridge: bool,
    /// Whether the client, not the broker, is to speak.
    challenged: bool,
    method: Option<Arc<str>>,
    session_expiry: SessionExpiry,
    keep_alive: u16,
    /// Whether the keep alive is not what the client asked for.
    keep_alive_changed: bool,
    topic_alias_maximum: u16,
    wants_response_information: bool,
}

/// What follows from a reply.
pub(super) enum Next {
    Stay,
    Connected(Connected),
    Refuse(Reason),
}

/// Takes a CONNECT.
pub(super) fn open(
    packet: &Connect<'_>,
    shared: &Shared,
    since: Instant,
) -> Result<(Opening, bus::Connect), ProtocolError> {
    let client_id = client_id(packet, shared)?;
    let will = packet.will.as_ref().map(|will| take_will(will, shared)).transpose()?;
    let asked = Asks::read(packet, shared)?;
    let (keep_alive, keep_alive_changed) = keep_alive(packet, shared);
    let opening = Opening {
        since,
        terms: asked.terms,
        bridge: packet.bridge,
        challenged: false,
        method: asked.enhanced.as_ref().map(|step| Arc::clone(&step.method)),
        session_expiry: asked.session_expiry,
        keep_alive,
        keep_alive_changed,
        topic_alias_maximum: asked.topic_alias_maximum,
        wants_response_information: asked.response_information,
    };
    let connect = bus::Connect {
        client_id,
        credentials: Credentials {
            username: packet.username.map(Arc::from),
            password: packet.password.map(Bytes::copy_from_slice),
            enhanced: asked.enhanced,
            proved: None,
        },
        clean_start: packet.clean_start,
        session_expiry: at_most(asked.session_expiry, shared.config.session_expiry_maximum),
        will,
        receive_maximum: asked.receive_maximum,
        takes_unasked: true,
        keep_alive: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into())),
        protocol: packet.version.name(),
        user_properties: asked.user_properties,
    };
    Ok((opening, connect))
}

/// What the properties of a CONNECT ask for, or what earlier versions mean.
struct Asks {
    terms: Terms,
    session_expiry: SessionExpiry,
    receive_maximum: u16,
    topic_alias_maximum: u16,
    response_information: bool,
    enhanced: Option<EnhancedAuthentication>,
    user_properties: Vec<UserProperty>,
}

impl Asks {
    fn read(packet: &Connect<'_>, shared: &Shared) -> Result<Self, ProtocolError> {
        let is_v5 = packet.version == Version::V5;
        let ends_at_once = is_v5 || packet.clean_start; // [MQTT-3.1.2-23], [MQTT-3.1.2-6]
        let mut asks = Self {
            terms: Terms::new(packet.version),
            session_expiry: if ends_at_once { SessionExpiry::AtOnce } else { SessionExpiry::Never },
            receive_maximum: shared.limits.send_window.max(1),
            topic_alias_maximum: 0,
            response_information: false,
            enhanced: None,
            user_properties: Vec::new(),
        };
        let mut data = Bytes::new();
        for property in packet.properties.iter() {
            match property {
                Property::SessionExpiryInterval(seconds) => {
                    asks.session_expiry = SessionExpiry::from_seconds(seconds);
                }
                Property::ReceiveMaximum(maximum) => asks.receive_maximum = maximum,
                Property::MaximumPacketSize(size) => asks.terms.packet_maximum = size,
                Property::TopicAliasMaximum(maximum) => asks.topic_alias_maximum = maximum,
                Property::RequestProblemInformation(yes) => asks.terms.problem_information = yes,
                Property::RequestResponseInformation(yes) => asks.response_information = yes,
                Property::AuthenticationMethod(method) => {
                    let method = method.into();
                    asks.enhanced = Some(EnhancedAuthentication { method, data: Bytes::new() });
                }
                Property::AuthenticationData(bytes) => data = Bytes::copy_from_slice(bytes),
                Property::UserProperty(..) if asks.user_properties.len() >= shared.limits.user_properties => {
                    let detail = "the CONNECT has more user properties than are taken";
                    return Err(ProtocolError { reason: Reason::QuotaExceeded, detail });
                }
                Property::UserProperty(name, value) => {
                    asks.user_properties.push((name.into(), value.into()));
                }
                _ => {}
            }
        }
        if let Some(enhanced) = &mut asks.enhanced {
            enhanced.data = data;
        }
        Ok(asks)
    }
}

fn client_id(packet: &Connect<'_>, shared: &Shared) -> Result<Option<ClientId>, ProtocolError> {
    let invalid = |detail| ProtocolError { reason: Reason::ClientIdInvalid, detail };
    let id = packet.client_id;
    match packet.version {
        Version::V31 if id.is_empty() => Err(invalid("an MQTT 3.1 client id may not be empty")),
        Version::V31 if id.chars().count() > 23 && !shared.config.long_client_ids => {
            Err(invalid("an MQTT 3.1 client id may have at most 23 characters"))
        }
        Version::V311 if id.is_empty() && !packet.clean_start => {
            Err(invalid("an empty client id needs a clean session")) // [MQTT-3.1.3-8]
        }
        _ => Ok(ClientId::parse(id)),
    }
}

/// The keep alive that holds, and whether the client has to be told.
fn keep_alive(packet: &Connect<'_>, shared: &Shared) -> (u16, bool) {
    let asked = packet.keep_alive;
    let maximum = shared.config.keep_alive_maximum.filter(|_| packet.version == Version::V5);
    let Some(maximum) = maximum.map(|span| u16::try_from(whole_seconds(span)).unwrap_or(u16::MAX).max(1))
    else {
        return (asked, false);
    };
    if asked == 0 || asked > maximum { (maximum, true) } else { (asked, false) }
}

fn take_will(will: &Will<'_>, shared: &Shared) -> Result<bus::Will, ProtocolError> {
    let invalid = |reason, detail| ProtocolError { reason, detail };
    let topic = topic(will.topic, shared)?;
    let said = Said::read(will.properties, shared.limits.user_properties);
    if let Some(reason) = said.fault {
        return Err(invalid(reason, "the will has properties that are not taken"));
    }
    if !said.fits(will.payload) {
        return Err(invalid(Reason::PayloadInvalid, "the will's payload is not UTF-8"));
    }
    let delay = said.delay;
    let mut publish = Publish::new(topic, Bytes::copy_from_slice(will.payload), will.qos);
    publish.retain = will.retain;
    Ok(bus::Will { publish: said.apply(publish), delay })
}

/// Takes a topic name within the limits.
pub(super) fn topic(name: &str, shared: &Shared) -> Result<Topic, ProtocolError> {
    let invalid = |detail| ProtocolError { reason: Reason::TopicInvalid, detail };
    if name.bytes().filter(|byte| *byte == b'/').count() >= shared.limits.topic_levels {
        return Err(invalid("the topic has too many levels"));
    }
    Topic::parse(name).map_err(|_| invalid("the topic is empty or has a wildcard")) // [MQTT-3.3.2-2]
}

pub(super) fn at_most(asked: SessionExpiry, maximum: Option<Duration>) -> SessionExpiry {
    match maximum {
        Some(Duration::ZERO) => SessionExpiry::AtOnce,
        Some(maximum) => asked.min(SessionExpiry::After(maximum)),
        None => asked,
    }
}

impl Opening {
    /// Before the CONNACK only the answer to a challenge, or a farewell, is taken; what else the client sends
    /// early waits.
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        shared: &Shared,
        out: &mut Outbox,
    ) -> Result<Step, ProtocolError> {
        if !self.challenged {
            return Ok(Step::Wait);
        }
        let max = shared.limits.packet_before_connect.min(shared.limits.packet);
        let Some((packet, taken)) = decode(input, self.terms.version, max)? else { return Ok(Step::Wait) };
        match packet {
            Packet::Auth(auth) if auth.code == ReasonCode::CONTINUE_AUTHENTICATION => {
                let step = authentication(&auth, self.method.as_ref())?;
                self.challenged = false;
                out.request(Asked::Session.ticket(Lane::MAIN), Request::Authenticate(step));
                Ok(Step::Took(taken))
            }
            Packet::Disconnect(_) => {
                out.close(Reason::Disconnected);
                Ok(Step::Last)
            }
            _ => Err(ProtocolError::violation("only AUTH may answer a challenge")), // [MQTT-3.1.2-30]
        }
    }

    pub(super) fn reply(
        &mut self,
        reply: Result<Reply, Reason>,
        shared: &Shared,
        now: Instant,
        out: &mut Outbox,
    ) -> Next {
        match reply {
            Ok(Reply::Connected(connected)) => {
                self.accept(&connected, shared, out);
                Next::Connected(Connected::new(
                    Agreed {
                        terms: self.terms,
                        manner: Manner {
                            bridge: self.bridge,
                            maximum_qos: connected.maximum_qos,
                            retain_available: connected.retain_available,
                            shared_subscriptions_available: connected.shared_subscriptions_available,
                            tells_not_authorized: shared.config.tell_not_authorized,
                            no_local: self.bridge || (shared.config.v3_no_local && !self.terms.is_v5()),
                        },
                        keep_alive: self.keep_alive,
                        expires_at_once: self.session_expiry == SessionExpiry::AtOnce,
                        topic_aliases: shared.config.topic_aliases_sent.min(clamp(self.topic_alias_maximum)),
                        method: self.method.take(),
                    },
                    shared.config.keep_alive_multiplier,
                    now,
                ))
            }
            Ok(Reply::Challenge(step)) if self.method.as_deref() == Some(&*step.method) => {
                self.challenged = true;
                send_authentication(self.terms, &step, ReasonCode::CONTINUE_AUTHENTICATION, out);
                Next::Stay
            }
            Ok(_) => Next::Refuse(Reason::Internal),
            Err(reason) => Next::Refuse(reason),
        }
    }

    fn accept(&self, connected: &bus::Connected, shared: &Shared, out: &mut Outbox) {
        let mut buffer = PropertyBuffer::default();
        if self.terms.is_v5() {
            self.grant(connected, shared, |property| {
                // Properties that the configuration made too long for MQTT are left out.
                let _ = buffer.push(property);
            });
        }
        let properties = buffer.as_properties();
        let session_present = connected.session_present;
        let code = ReasonCode::SUCCESS;
        self.terms.answer(out, &Packet::ConnAck(ConnAck { session_present, code, properties }));
    }

    /// The properties of the CONNACK; what is not said has the meaning the standard gives it.
    fn grant(&self, connected: &bus::Connected, shared: &Shared, mut say: impl FnMut(Property<'_>)) {
        if connected.session_expiry != self.session_expiry {
            say(Property::SessionExpiryInterval(connected.session_expiry.seconds()));
        }
        if shared.receive_maximum() < u16::MAX {
            say(Property::ReceiveMaximum(shared.receive_maximum()));
        }
        if connected.maximum_qos < bus::Qos::ExactlyOnce {
            say(Property::MaximumQos(connected.maximum_qos)); // [MQTT-3.2.2-9]
        }
        if !connected.retain_available {
            say(Property::RetainAvailable(false));
        }
        if !shared.config.wildcard_subscriptions {
            say(Property::WildcardSubscriptionAvailable(false));
        }
        if !shared.config.subscription_identifiers {
            say(Property::SubscriptionIdentifierAvailable(false));
        }
        if !connected.shared_subscriptions_available {
            say(Property::SharedSubscriptionAvailable(false));
        }
        say(Property::MaximumPacketSize(u32::try_from(shared.limits.packet).unwrap_or(u32::MAX).max(1)));
        if connected.assigned {
            say(Property::AssignedClientIdentifier(connected.client_id.as_str())); // [MQTT-3.2.2-16]
        }
        if shared.limits.topic_aliases > 0 {
            say(Property::TopicAliasMaximum(shared.limits.topic_aliases));
        }
        if self.keep_alive_changed {
            say(Property::ServerKeepAlive(self.keep_alive));
        }
        let answers = &shared.config.response_information;
        if self.wants_response_information && !answers.is_empty() {
            let answers = answers.replace("%c", connected.client_id.as_str());
            say(Property::ResponseInformation(&answers));
        }
        if let Some(method) = &self.method {
            say(Property::AuthenticationMethod(method));
            if let Some(step) = connected.authentication.as_ref().filter(|step| !step.data.is_empty()) {
                say(Property::AuthenticationData(&step.data));
            }
        }
    }
}

fn clamp(maximum: u16) -> u8 {
    u8::try_from(maximum).unwrap_or(u8::MAX)
}

/// The step that an AUTH is, which must have the method of the CONNECT [MQTT-4.12.0-5].
pub(super) fn authentication(
    packet: &Auth<'_>,
    method: Option<&Arc<str>>,
) -> Result<EnhancedAuthentication, ProtocolError> {
    let said = packet.properties.find(|property| match property {
        Property::AuthenticationMethod(method) => Some(method),
        _ => None,
    });
    let method = method.filter(|method| said == Some(&***method));
    let method =
        method.ok_or(ProtocolError::violation("the authentication method is not that of CONNECT"))?;
    let data = packet.properties.find(|property| match property {
        Property::AuthenticationData(data) => Some(Bytes::copy_from_slice(data)),
        _ => None,
    });
    Ok(EnhancedAuthentication { method: Arc::clone(method), data: data.unwrap_or_default() })
}

pub(super) fn send_authentication(
    terms: Terms,
    step: &EnhancedAuthentication,
    code: ReasonCode,
    out: &mut Outbox,
) {
    let mut buffer = PropertyBuffer::default();
    let written = buffer.push(Property::AuthenticationMethod(&step.method)).and_then(|()| {
        if step.data.is_empty() { Ok(()) } else { buffer.push(Property::AuthenticationData(&step.data)) }
    });
    let properties = if written.is_ok() { buffer.as_properties() } else { Properties::NONE };
    terms.answer(out, &Packet::Auth(Auth { code, properties }));
}
