use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use broker::{Attempt, Attributes, Client};
use bus::{Certificate, ClientId, Peer};
use regex::Regex;

use crate::ConfigError;
use crate::config::{Attribute, Config};
use crate::pattern::{Names, Template};

/// What goes with being a client: where its names come from, what else is known of it, what stands before its topics.
pub(crate) struct Identities {
    everywhere: Customs,
    listeners: BTreeMap<String, Customs>,
    attributes: Vec<Finder>,
}

/// What is usual on a listener.
struct Customs {
    username_from: Option<Origin>,
    psk_username: bool,
    client_id_from: Option<Origin>,
    mountpoint: Option<Template>,
}

/// Finds an attribute.
struct Finder {
    name: Box<str>,
    from: Origin,
    regex: Option<Regex>,
}

/// Where a name comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    CommonName,
    Subject,
    AlternativeName,
    Fingerprint,
    PskIdentity,
    ServerName,
    Username,
    ClientId,
    UserProperty(Box<str>),
}

/// What goes with a client's name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Belongings {
    pub(crate) client_id: Option<ClientId>,
    pub(crate) attributes: Option<Arc<Attributes>>,
    pub(crate) mountpoint: Option<Arc<str>>,
}

/// What a client lacks to be let in, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking(pub(crate) &'static str);

/// The longest mountpoint.
const LONGEST_MOUNTPOINT: usize = 1024;

impl Identities {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let known = known_attributes(config);
        let usual = &config.identity;
        let customs = |keys: &[&str], names: [&str; 3], psk_username| {
            Customs::new(keys, names, &known).map(|customs| Customs { psk_username, ..customs })
        };
        let names = [&*usual.username_from, &usual.client_id_from, &usual.mountpoint];
        let everywhere = customs(&["identity"], names, usual.psk_username)?;
        let mut listeners = BTreeMap::new();
        for (name, own) in &config.listeners {
            let [username, client_id, mountpoint] = [
                (&own.username_from, &usual.username_from),
                (&own.client_id_from, &usual.client_id_from),
                (&own.mountpoint, &usual.mountpoint),
            ]
            .map(|(own, usual)| own.as_ref().unwrap_or(usual).as_str());
            let (names, psk) = ([username, client_id, mountpoint], config.psk_username_on(name));
            listeners.insert(name.clone(), customs(&["listeners", name], names, psk)?);
        }
        let attributes =
            config.attributes.iter().enumerate().map(|(index, attribute)| Finder::new(index, attribute));
        Ok(Self { everywhere, listeners, attributes: attributes.collect::<Result<_, _>>()? })
    }

    /// The user name that the client's key or certificate proves, where these do that.
    pub(crate) fn username(&self, peer: &Peer) -> Result<Option<Arc<str>>, Lacking> {
        if let Some(name) = peer.link.secured.as_ref().and_then(|secured| secured.username.as_ref()) {
            return Ok(Some(name.clone()));
        }
        let customs = self.customs(peer);
        if let Some(identity) = psk_identity(peer).filter(|_| customs.psk_username) {
            return Ok(Some(identity.clone()));
        }
        let Some(origin) = &customs.username_from else { return Ok(None) };
        let Some(certificate) = certificate(peer) else { return Ok(None) };
        let name = origin.of_certificate(certificate).filter(|name| !name.is_empty() && !name.contains('\0'));
        let name = name.ok_or(Lacking("the certificate has not what access.identity.username_from names"))?;
        Ok(Some(name.as_ref().into()))
    }

    /// What goes with the client's name. `own` are attributes that its user has.
    pub(crate) fn belongings(
        &self,
        attempt: &Attempt,
        username: Option<&str>,
        own: Option<&Attributes>,
    ) -> Result<Belongings, Lacking> {
        let customs = self.customs(&attempt.peer);
        let client_id = match &customs.client_id_from {
            Some(origin) => {
                let id = origin.find(attempt, username, None).and_then(|id| ClientId::parse(&id));
                Some(id.ok_or(Lacking("the client has not what access.identity.client_id_from names"))?)
            }
            None => None,
        };
        let id = client_id.as_ref().or(attempt.client_id.as_ref()).map_or("", ClientId::as_str);
        let mut attributes = own.cloned().unwrap_or_default();
        for finder in &self.attributes {
            if let Some(value) = finder.find(attempt, username, id) {
                attributes.entry(finder.name.clone()).or_insert(value);
            }
        }
        let names = Names { client_id: id, username, attributes: Some(&attributes) };
        let fill = |template: &Template| {
            let text = template
                .fill(names)
                .filter(|text| text.len() <= LONGEST_MOUNTPOINT && !text.starts_with('$'));
            text.ok_or(Lacking("the client has not what the mountpoint names, or it is no level of a topic"))
        };
        let mountpoint = customs.mountpoint.as_ref().map(fill).transpose()?;
        Ok(Belongings {
            client_id,
            mountpoint: mountpoint.map(Arc::from),
            attributes: (!attributes.is_empty()).then(|| Arc::new(attributes)),
        })
    }

    /// Whether the client would have the same mountpoint now.
    pub(crate) fn still_mounts(&self, client: &Client) -> bool {
        let filled = self.customs(&client.peer).mountpoint.as_ref().map(|own| own.fill(Names::of(client)));
        let whole = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
        let has = client.identity.mountpoint.as_deref().map(whole);
        match filled {
            Some(text) => has.is_some() && has == text.as_deref().map(whole),
            None => has.is_none(),
        }
    }

    fn customs(&self, peer: &Peer) -> &Customs {
        self.listeners.get(&*peer.listener).unwrap_or(&self.everywhere)
    }
}

impl Customs {
    fn new(keys: &[&str], names: [&str; 3], known: &BTreeSet<&str>) -> Result<Self, ConfigError> {
        let error = |key, message: String| ConfigError::key(&[keys, &[key]].concat(), message);
        let [username, client_id, mountpoint] = names;
        let origin = |key, text: &str, more: &[Origin]| {
            if text.is_empty() {
                return Ok(None);
            }
            let origin = Origin::parse(text).map_err(|message| error(key, message))?;
            let proved = origin.is_of_certificate() || more.contains(&origin);
            let unproved = || {
                error(
                    key,
                    format!(
                        "{text:?} is only what the client says of itself; name a part of its certificate"
                    ),
                )
            };
            proved.then_some(Some(origin)).ok_or_else(unproved)
        };
        let template = Template::parse(mountpoint);
        if mountpoint.contains(['+', '#', '\0']) || mountpoint.starts_with('$') {
            let message =
                format!("{mountpoint:?} cannot begin a topic; write it without +, # and a leading $");
            return Err(error("mountpoint", message));
        }
        check_known(template.attributes(), known).map_err(|message| error("mountpoint", message))?;
        Ok(Self {
            username_from: origin("username_from", username, &[])?,
            psk_username: false,
            client_id_from: origin("client_id_from", client_id, &[Origin::Username, Origin::PskIdentity])?,
            mountpoint: (!mountpoint.is_empty()).then_some(template),
        })
    }
}

/// The names of attributes that a client can have.
pub(crate) fn known_attributes(config: &Config) -> BTreeSet<&str> {
    let own = config.users.iter().flat_map(|user| user.attributes.keys());
    own.chain(config.attributes.iter().map(|attribute| &attribute.name)).map(String::as_str).collect()
}

/// What is wrong with a placeholder for which there is never a value.
pub(crate) fn check_known<'a>(
    mut used: impl Iterator<Item = &'a str>,
    known: &BTreeSet<&str>,
) -> Result<(), String> {
    match used.find(|name| !known.contains(name)) {
        Some(name) => {
            Err(format!("there is no attribute {name:?}; add it to access.attributes, or to a user"))
        }
        None => Ok(()),
    }
}

impl Finder {
    fn new(index: usize, attribute: &Attribute) -> Result<Self, ConfigError> {
        let error = |key, message| ConfigError::entry("attributes", index, key, message);
        if attribute.name.is_empty() || attribute.name.contains(['}', '/']) {
            return Err(error("name", "an attribute needs a name without } and /".to_owned()));
        }
        let regex = |text| {
            let whole = format!("^(?:{text})$");
            let built = regex::RegexBuilder::new(&whole).size_limit(1 << 20).build();
            built.map_err(|fault| error("regex", format!("{text:?} is no regular expression: {fault}")))
        };
        let text = attribute.regex.as_str();
        Ok(Self {
            name: attribute.name.as_str().into(),
            from: Origin::parse(&attribute.from).map_err(|message| error("from", message))?,
            regex: (!text.is_empty()).then(|| regex(text)).transpose()?,
        })
    }

    fn find(&self, attempt: &Attempt, username: Option<&str>, client_id: &str) -> Option<Box<str>> {
        let value = self.from.find(attempt, username, Some(client_id))?;
        let Some(regex) = &self.regex else { return Some(value.as_ref().into()) };
        let captures = regex.captures(&value)?;
        captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_str().into())
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix("user-property:") {
            return Ok(Self::UserProperty(key.into()));
        }
        Ok(match text {
            "common-name" => Self::CommonName,
            "subject" => Self::Subject,
            "alternative-name" => Self::AlternativeName,
            "fingerprint" => Self::Fingerprint,
            "psk-identity" => Self::PskIdentity,
            "server-name" => Self::ServerName,
            "username" => Self::Username,
            "client-id" => Self::ClientId,
            _ => {
                return Err(format!(
                    "unknown origin {text:?}; known: \"common-name\", \"subject\", \"alternative-name\", \
                     \"fingerprint\", \"psk-identity\", \"server-name\", \"username\", \"client-id\", \"user-property:KEY\""
                ));
            }
        })
    }

    fn is_of_certificate(&self) -> bool {
        matches!(self, Self::CommonName | Self::Subject | Self::AlternativeName | Self::Fingerprint)
    }

    fn of_certificate<'a>(&self, certificate: &'a Certificate) -> Option<Cow<'a, str>> {
        match self {
            Self::CommonName => certificate.common_name.as_deref().map(Cow::Borrowed),
            Self::Subject => Some(Cow::Borrowed(&certificate.subject)),
            Self::AlternativeName => certificate.alternative_names.first().map(|name| Cow::Borrowed(&**name)),
            Self::Fingerprint => {
                let hex = certificate.fingerprint.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                Some(Cow::Owned(hex))
            }
            _ => None,
        }
    }

    fn find<'a>(
        &self,
        attempt: &'a Attempt,
        username: Option<&'a str>,
        client_id: Option<&'a str>,
    ) -> Option<Cow<'a, str>> {
        let found = match self {
            Self::Username => username.map(Cow::Borrowed),
            Self::ClientId => client_id.map(Cow::Borrowed),
            Self::PskIdentity => psk_identity(&attempt.peer).map(|identity| Cow::Borrowed(&**identity)),
            Self::ServerName => {
                let secured = attempt.peer.link.secured.as_ref()?;
                secured.server_name.as_deref().map(Cow::Borrowed)
            }
            Self::UserProperty(key) => {
                let property = attempt.user_properties.iter().find(|(name, _)| *name == *key)?;
                Some(Cow::Borrowed(&*property.1))
            }
            _ => self.of_certificate(certificate(&attempt.peer)?),
        };
        found.filter(|value| !value.is_empty())
    }
}

fn certificate(peer: &Peer) -> Option<&Certificate> {
    peer.link.secured.as_ref()?.certificate.as_ref()
}

fn psk_identity(peer: &Peer) -> Option<&Arc<str>> {
    peer.link.secured.as_ref()?.psk_identity.as_ref()
}
