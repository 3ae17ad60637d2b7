//! What a device says of itself when it registers [LwM2M 1.1 Core 6.2].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::ContentFormat;
use bytes::Bytes;
use coap::{Code, Message};
use directory::{Link, LinkBounds};
use serde_json::{Map, Value as Json};

use crate::{Config, Lwm2mPath};

/// One device's registration.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// The last segment of `/rd/{location}`, which nobody can foresee.
    pub(crate) location: String,
    /// The endpoint client name.
    pub(crate) endpoint: Arc<str>,
    pub(crate) lifetime: Duration,
    /// When it ends unless it is updated.
    pub(crate) expires: Instant,
    /// Whether commands wait until the device is heard.
    pub(crate) queue_mode: bool,
    version: String,
    binding: String,
    /// The segments that stand before the object's id in the device's paths.
    pub(crate) alternate_path: Vec<String>,
    pub(crate) objects: Vec<Lwm2mPath>,
    /// What else the device said, in the query of its registration.
    others: Vec<(String, String)>,
}

/// What a device shows to prove who it is.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) username: Option<Arc<str>>,
    pub(crate) password: Option<Bytes>,
}

/// Why a registration is refused: the code, and why in words.
pub(crate) type Refusal = (Code, &'static str);

/// Whatever is configured, so that the end of every time is a time: a hundred years.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The names of the query arguments with a meaning here; `imei` is EMQX's name of the user name.
const USERNAME: &[&str] = &["u", "username", "imei"];
const PASSWORD: &[&str] = &["p", "password"];
const OWN: &[&str] = &["ep", "lt", "lwm2m", "b", "Q"];

impl Registration {
    /// Reads `POST /rd`.
    pub(crate) fn from_request(
        message: &Message,
        location: String,
        config: &Config,
        now: Instant,
    ) -> Result<(Self, Identity), Refusal> {
        let endpoint: Arc<str> = check_endpoint(message.query(&["ep"]))?.into();
        check_version(message.query(&["lwm2m"]))?;
        let lifetime = match message.query(&["lt"]) {
            Some(text) => lifetime(text, config)?,
            None => within_bounds(config.lifetime, config),
        };
        let known = |name: &str| [OWN, USERNAME, PASSWORD].concat().contains(&name);
        let others = message.queries().filter(|(name, _)| !known(name));
        let mut registration = Self {
            location,
            endpoint,
            lifetime,
            expires: now + lifetime,
            queue_mode: false,
            version: message.query(&["lwm2m"]).unwrap_or_default().to_owned(),
            binding: "U".to_owned(),
            alternate_path: Vec::new(),
            objects: Vec::new(),
            others: others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        };
        registration.bind(message);
        registration.take_objects(message)?;
        let password = message.query(PASSWORD).map(|text| text.as_bytes().to_vec().into());
        // Who shows nothing is anonymous, even if there is a user of that name.
        let named = password.is_some().then(|| registration.endpoint.clone());
        let identity = Identity { username: message.query(USERNAME).map(Into::into).or(named), password };
        Ok((registration, identity))
    }

    /// Reads `POST /rd/{location}`: what is not named stays as it is. Nothing changes if it is refused.
    pub(crate) fn update(&mut self, message: &Message, config: &Config, now: Instant) -> Result<(), Refusal> {
        let mut updated = self.clone();
        if let Some(text) = message.query(&["lt"]) {
            updated.lifetime = lifetime(text, config)?;
        }
        updated.bind(message);
        if !message.payload().is_empty() {
            updated.take_objects(message)?;
        }
        updated.expires = now + updated.lifetime;
        *self = updated;
        Ok(())
    }

    /// What the bus is told: EMQX's names for the same facts.
    pub(crate) fn to_json(&self) -> Map<String, Json> {
        let mut data: Map<String, Json> =
            self.others.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let objects: Vec<Json> = self.objects.iter().map(|path| path.to_string().into()).collect();
        data.insert("ep".to_owned(), self.endpoint.as_ref().into());
        data.insert("lt".to_owned(), self.lifetime.as_secs().into());
        data.insert("lwm2m".to_owned(), self.version.as_str().into());
        data.insert("b".to_owned(), self.binding.as_str().into());
        data.insert("alternatePath".to_owned(), format!("/{}", self.alternate_path.join("/")).into());
        data.insert("objectList".to_owned(), objects.into());
        data
    }

    /// The protocol as operators see it.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.version.as_str() {
            "1.1" => "LwM2M 1.1",
            "1.2" => "LwM2M 1.2",
            _ => "LwM2M 1.0",
        }
    }

    /// Whether the device said that it has `path` or something below it or above it.
    pub(crate) fn has(&self, path: Lwm2mPath) -> bool {
        self.objects.iter().any(|object| object.is_within(path) || path.is_within(*object))
    }

    /// Takes the binding; queue mode is its letter Q, or since 1.1 an argument of its own.
    fn bind(&mut self, message: &Message) {
        let binding = message.query(&["b"]);
        if let Some(binding) = binding {
            binding.clone_into(&mut self.binding);
        }
        if binding.is_some() || message.query(&["Q"]).is_some() {
            self.queue_mode = self.binding.contains('Q') || message.query(&["Q"]).is_some();
        }
    }

    /// Takes the list of objects and the path they lie under [LwM2M 1.0.2 8.2.2].
    fn take_objects(&mut self, message: &Message) -> Result<(), Refusal> {
        if message.content_format().is_some_and(|format| format != ContentFormat::LINK_FORMAT) {
            return Err((Code::UNSUPPORTED_CONTENT_FORMAT, "The list of objects must be in link format."));
        }
        let bad = (Code::BAD_REQUEST, "The list of objects is missing or not in link format.");
        let text = std::str::from_utf8(message.payload()).map_err(|_| bad)?;
        let links = Link::parse_list(text, LinkBounds::default()).map_err(|_| bad)?;
        if links.is_empty() {
            return Err(bad);
        }
        let root = links.iter().find(|link| link.attribute("rt").is_some_and(is_root));
        let root = root.map_or("", |link| link.target.trim_matches('/'));
        self.alternate_path =
            root.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        let below = |target: &str| {
            let below = target.trim_start_matches('/').strip_prefix(root)?;
            Lwm2mPath::parse(below).filter(|path| path.levels() <= 2)
        };
        self.objects = links.iter().filter_map(|link| below(&link.target)).collect();
        Ok(())
    }
}

fn is_root(types: &str) -> bool {
    types.split(' ').any(|name| name == "oma.lwm2m")
}

/// A name that is one level of a topic, so that no device's topics lie within another's.
fn check_endpoint(endpoint: Option<&str>) -> Result<&str, Refusal> {
    match endpoint {
        None | Some("") => Err((Code::BAD_REQUEST, "The endpoint name (ep) is missing.")),
        Some(name) if name.contains(['/', '+', '#', '\0']) => {
            Err((Code::BAD_REQUEST, "The endpoint name (ep) must not contain / + # or U+0000."))
        }
        // [MQTT5 4.7.2]: a topic that begins so is the server's, and a filter may be of a share group.
        Some(name) if name.starts_with('$') => {
            Err((Code::BAD_REQUEST, "The endpoint name (ep) must not begin with $."))
        }
        Some(name) => Ok(name),
    }
}

fn check_version(version: Option<&str>) -> Result<(), Refusal> {
    match version {
        None | Some("") => Err((Code::BAD_REQUEST, "The LwM2M version (lwm2m) is missing.")),
        Some("1" | "1.0" | "1.1" | "1.2") => Ok(()),
        // [LwM2M 1.1 Core 6.2.1]
        Some(_) => Err((Code::PRECONDITION_FAILED, "LwM2M 1.0, 1.1 and 1.2 are spoken here.")),
    }
}

/// The lifetime within what is allowed; 0 asks for one without end.
fn lifetime(text: &str, config: &Config) -> Result<Duration, Refusal> {
    let seconds =
        text.parse().map_err(|_| (Code::BAD_REQUEST, "The lifetime (lt) is no number of seconds."))?;
    let asked = if seconds == 0 { Duration::MAX } else { Duration::from_secs(seconds) };
    Ok(within_bounds(asked, config))
}

fn within_bounds(lifetime: Duration, config: &Config) -> Duration {
    lifetime.min(config.lifetime_max).max(config.lifetime_min).min(LONGEST)
}

#[cfg(test)]
mod tests;
