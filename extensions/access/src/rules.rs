use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use broker::{Access, Attributes, Client, Permission};
use bus::{Address, Network, Qos};

use crate::acl_file::{AclFile, By, Ruling, Want};
use crate::config::{Action, Config, Permit, Rule};
use crate::identity::{check_known, known_attributes};
use crate::pattern::{Names, Pattern};
use crate::{ConfigError, files};

/// The rules in order, and the access file behind them, ready to be asked.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Compiled>,
    acl: Option<Arc<AclFile>>,
    default: Permit,
}

/// What was decided, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) permission: Permission,
    pub(crate) by: DecidedBy,
}

/// What decided.
#[derive(Clone, Debug)]
pub(crate) enum DecidedBy {
    /// The rule at this place in `access.rules`, from 0.
    Rule(usize),
    /// The access file.
    AclFile(Arc<AclFile>, By),
    /// `access.default`, since no rule matched.
    Default,
    /// The user is a superuser.
    Superuser,
    /// Only the server itself publishes below `$SYS`.
    SystemTopic,
    /// What the server publishes there is for operators, unless a rule says otherwise.
    SystemReader,
}

/// Why a rule is not about an access: the condition that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Action,
    Users,
    ClientIds,
    Addresses,
    Attributes,
    Listeners,
    Protocols,
    Qos,
    Retain,
    Topics,
}

/// One access, taken apart.
#[derive(Clone, Copy)]
struct Question<'a> {
    action: Action,
    on: &'a str,
    is_filter: bool,
    qos: Option<Qos>,
    retain: Option<bool>,
}

#[derive(Debug)]
struct Compiled {
    /// What it says, in short.
    text: String,
    permit: Permit,
    action: Action,
    topics: Vec<Pattern>,
    /// Whether a topic is meant as it is written, wildcards too.
    eq: bool,
    users: Vec<String>,
    client_ids: Vec<String>,
    networks: Vec<Network>,
    attributes: Attributes,
    listeners: Vec<String>,
    protocols: Vec<String>,
    qos: Vec<u8>,
    retain: Option<bool>,
}

impl Rules {
    /// Takes the rules, and reads the access file.
    pub(crate) fn compile(config: &Config) -> Result<Self, ConfigError> {
        let known = known_attributes(config);
        let rules = config.rules.iter().enumerate().map(|(index, rule)| Compiled::new(index, rule, &known));
        let read = |file| AclFile::parse(file, &files::read(file)?).map(Arc::new);
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            acl: config.acl_file().map(read).transpose()?,
            default: config.default,
        })
    }

    pub(crate) fn decide(&self, client: &Client, access: Access<'_>) -> Decision {
        self.walk(client, access, |_, _| {})
    }

    /// Looks at one rule after the other until one decides. `tell` hears of each that is looked at.
    pub(crate) fn walk(
        &self,
        client: &Client,
        access: Access<'_>,
        mut tell: impl FnMut(DecidedBy, Result<(), Mismatch>),
    ) -> Decision {
        let question = Question::of(access);
        let decision = |permit, by| {
            let permission = match permit {
                Permit::Allow => Permission::Allow,
                Permit::Deny => Permission::Deny,
            };
            Decision { permission, by }
        };
        let on = question.on;
        let is_system = on == "$SYS" || on.starts_with("$SYS/");
        if question.action == Action::Publish && is_system {
            return decision(Permit::Deny, DecidedBy::SystemTopic);
        }
        if client.identity.superuser {
            return decision(Permit::Allow, DecidedBy::Superuser);
        }
        let names = Names::of(client);
        for (index, rule) in self.rules.iter().enumerate() {
            let judged = rule.judge(client, names, question);
            tell(DecidedBy::Rule(index), judged);
            if judged.is_ok() {
                return decision(rule.permit, DecidedBy::Rule(index));
            }
        }
        match &self.acl {
            Some(acl) => {
                let Ruling { permission, by } = if question.is_filter {
                    acl.judge_filter(names, on)
                } else {
                    acl.judge_topic(names, on, question.want())
                };
                Decision { permission, by: DecidedBy::AclFile(acl.clone(), by) }
            }
            None if is_system && !client.peer.address.is_local() => {
                decision(Permit::Deny, DecidedBy::SystemReader)
            }
            None => decision(self.default, DecidedBy::Default),
        }
    }

    /// What a rule says, in short.
    pub(crate) fn summary(&self, by: &DecidedBy) -> String {
        match by {
            DecidedBy::Rule(index) => {
                self.rules.get(*index).map_or_else(String::new, |rule| rule.text.clone())
            }
            _ => String::new(),
        }
    }

    /// The lines of the access file that are about the client, with whether each speaks of what it wants.
    pub(crate) fn acl_lines(&self, client: &Client, access: Access<'_>) -> Vec<(String, bool)> {
        let (question, names) = (Question::of(access), Names::of(client));
        let Some(acl) = &self.acl else { return Vec::new() };
        let lines = acl.relevant(names, question.on, question.want());
        lines
            .map(|(line, matches)| {
                (format!("{}:{} {:?}", acl.file.display(), line.number, line.text), matches)
            })
            .collect()
    }
}

impl<'a> Question<'a> {
    fn of(access: Access<'a>) -> Self {
        let topic = |topic: &'a bus::Topic| Self {
            action: Action::Subscribe,
            on: topic.as_str(),
            is_filter: false,
            qos: None,
            retain: None,
        };
        match access {
            Access::Publish { topic: on, qos, retain } => {
                Self { action: Action::Publish, qos: Some(qos), retain: Some(retain), ..topic(on) }
            }
            Access::Subscribe { filter, qos } => Self {
                action: Action::Subscribe,
                on: filter.pattern(),
                is_filter: true,
                qos: Some(qos),
                retain: None,
            },
            Access::Read { topic: on } | Access::Receive { topic: on } => topic(on),
        }
    }

    fn want(&self) -> Want {
        if self.action == Action::Publish { Want::Write } else { Want::Read }
    }
}

impl Compiled {
    fn new(index: usize, rule: &Rule, known: &BTreeSet<&str>) -> Result<Self, ConfigError> {
        let error = |key, message: String| ConfigError::entry("rules", index, key, message);
        if rule.topics.is_empty() {
            return Err(error("topics", "a rule without topics matches nothing".to_owned()));
        }
        let parse = if rule.eq { Pattern::verbatim } else { Pattern::parse };
        let topics = rule.topics.iter().map(|topic| {
            parse(topic).map_err(|fault| error("topics", format!("the topic filter {topic:?} {fault}")))
        });
        let networks = rule.addresses.iter().map(|text| {
            let message = || format!("{text:?} is neither an address nor a network such as \"10.0.0.0/8\"");
            text.parse::<Network>().map_err(|_| error("addresses", message()))
        });
        if let Some(qos) = rule.qos.iter().find(|qos| **qos > 2) {
            return Err(error("qos", format!("there is no QoS {qos}; write 0, 1 or 2")));
        }
        if rule.retain.is_some() && rule.action == Action::Subscribe {
            let message = "only a publish is retained or not; take this out, or write action = \"publish\"";
            return Err(error("retain", message.to_owned()));
        }
        let topics: Vec<_> = topics.collect::<Result<_, _>>()?;
        let used = topics.iter().flat_map(Pattern::attributes);
        check_known(used, known).map_err(|message| error("topics", message))?;
        let named = rule.attributes.keys().map(String::as_str);
        check_known(named, known).map_err(|message| error("attributes", message))?;
        Ok(Self {
            text: format!("{} {} {:?}", rule.permit, rule.action, rule.topics),
            permit: rule.permit,
            action: rule.action,
            topics,
            eq: rule.eq,
            users: rule.users.clone(),
            client_ids: rule.client_ids.clone(),
            networks: networks.collect::<Result<_, _>>()?,
            attributes: rule
                .attributes
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            listeners: rule.listeners.clone(),
            protocols: rule.protocols.clone(),
            qos: rule.qos.clone(),
            retain: rule.retain,
        })
    }

    /// Whether the rule is about the access, or the first condition that does not hold. What is received has neither
    /// QoS nor flag yet, so a rule that names one is not about it.
    fn judge(&self, client: &Client, names: Names<'_>, question: Question<'_>) -> Result<(), Mismatch> {
        let is = |holds: bool, mismatch| if holds { Ok(()) } else { Err(mismatch) };
        is(self.action == Action::All || self.action == question.action, Mismatch::Action)?;
        is(among(&self.users, names.username), Mismatch::Users)?;
        is(among(&self.client_ids, Some(names.client_id)), Mismatch::ClientIds)?;
        is(among(&self.listeners, Some(&client.peer.listener)), Mismatch::Listeners)?;
        is(self.speaks_of_protocol(client.protocol), Mismatch::Protocols)?;
        is(self.has_attributes(names), Mismatch::Attributes)?;
        is(self.networks.is_empty() || self.is_from_networks(client), Mismatch::Addresses)?;
        let qos = question.qos.is_some_and(|qos| self.qos.contains(&qos.level()));
        is(self.qos.is_empty() || qos, Mismatch::Qos)?;
        is(self.retain.is_none() || self.retain == question.retain, Mismatch::Retain)?;
        let mut topics = self.topics.iter();
        let topics = topics.any(|topic| match (self.eq, self.permit) {
            (true, _) => topic.is(names, question.on),
            (false, Permit::Allow) => topic.covers(names, question.on),
            (false, Permit::Deny) => topic.overlaps(names, question.on),
        });
        is(topics, Mismatch::Topics)
    }

    /// `"MQTT"` stands for all of its versions, `"MQTT 5"` for one.
    fn speaks_of_protocol(&self, protocol: &str) -> bool {
        let family = protocol.split(' ').next().unwrap_or_default();
        let is = |name: &String| name.eq_ignore_ascii_case(protocol) || name.eq_ignore_ascii_case(family);
        self.protocols.is_empty() || self.protocols.iter().any(is)
    }

    fn has_attributes(&self, names: Names<'_>) -> bool {
        let found = |name: &str| names.attributes.and_then(|attributes| attributes.get(name));
        self.attributes.iter().all(|(name, value)| found(name) == Some(value))
    }

    fn is_from_networks(&self, client: &Client) -> bool {
        let address: Option<IpAddr> = match client.peer.address {
            Address::Socket(address) => Some(address.ip()),
            Address::Unix | Address::Internal => None,
        };
        address.is_some_and(|address| self.networks.iter().any(|network| network.contains(address)))
    }
}

/// Whether the list has the name, or is empty and so says nothing of it.
fn among(list: &[String], name: Option<&str>) -> bool {
    list.is_empty() || list.iter().any(|listed| Some(listed.as_str()) == name)
}

impl PartialEq for DecidedBy {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rule(one), Self::Rule(other)) => one == other,
            (Self::AclFile(_, one), Self::AclFile(_, other)) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

impl Eq for DecidedBy {}

impl DecidedBy {
    /// All kinds.
    pub(crate) const KINDS: [&str; 6] =
        ["rules", "acl_file", "default", "superuser", "system_topic", "system_reader"];

    /// The kind, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rules",
            Self::AclFile(..) => "acl_file",
            Self::Default => "default",
            Self::Superuser => "superuser",
            Self::SystemTopic => "system_topic",
            Self::SystemReader => "system_reader",
        }
    }
}

impl std::fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule(index) => write!(f, "access.rules[{}]", index + 1),
            Self::AclFile(acl, By::Line(line)) => write!(f, "{}:{line}", acl.file.display()),
            Self::AclFile(acl, By::NoLine) => write!(f, "{}, since no line matched", acl.file.display()),
            Self::AclFile(acl, By::WildcardName) => {
                write!(f, "{}, whose patterns are not for a name with + or #", acl.file.display())
            }
            Self::Default => f.write_str("access.default, since no rule matched"),
            Self::Superuser => f.write_str("superuser"),
            Self::SystemTopic => f.write_str("$SYS, where only the server publishes"),
            Self::SystemReader => {
                f.write_str("$SYS, which superusers and clients on this machine read where no rule matches")
            }
        }
    }
}

impl Mismatch {
    /// What does not hold, in words.
    pub(crate) fn explain(self) -> &'static str {
        match self {
            Self::Action => "it is about another action",
            Self::Users => "the user is not one of its users",
            Self::ClientIds => "the client id is not one of its client_ids",
            Self::Addresses => "the address is not one of its addresses",
            Self::Attributes => "the client has not its attributes",
            Self::Listeners => "the listener is not one of its listeners",
            Self::Protocols => "the protocol is not one of its protocols",
            Self::Qos => "the QoS is not one of its qos",
            Self::Retain => "retain is not as it says",
            Self::Topics => "its topics do not match",
        }
    }
}

#[cfg(test)]
mod tests;
