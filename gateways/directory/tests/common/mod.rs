//! A directory, those who register with it, and a clock.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of it")]

use std::time::{Duration, Instant};

use directory::{Bounds, Directory, Lookup, Parameters, Refusal, Requester};

pub const SECOND: Duration = Duration::from_secs(1);

pub struct Desk {
    pub directory: Directory,
    pub now: Instant,
    /// Who asks.
    pub names: Vec<Box<str>>,
    /// What it may know of.
    pub realm: &'static str,
    /// From where.
    pub address: &'static str,
}

impl Desk {
    #[expect(clippy::disallowed_methods, reason = "a test needs a time to begin with")]
    pub fn with(bounds: Bounds) -> Self {
        let directory = Directory::new(bounds, 0x4521 << 16);
        Self {
            directory,
            now: Instant::now(),
            names: Vec::new(),
            realm: "",
            address: "[2001:db8:3::127]:61616",
        }
    }

    pub fn new() -> Self {
        Self::with(Bounds::default())
    }

    /// The same, asked by a client of this name.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.names = vec![name.into()];
        self
    }

    pub fn register(&mut self, query: &str, links: &str) -> Result<String, Refusal> {
        let parameters = Parameters::parse(arguments(query))?;
        let names = self.names.clone();
        self.directory.register(parameters, links, &self.from(&names)).map(String::from)
    }

    pub fn update(&mut self, location: &str, query: &str) -> Result<(), Refusal> {
        let parameters = Parameters::parse(arguments(query))?;
        let names = self.names.clone();
        let location = location.strip_prefix("/directory/").unwrap();
        self.directory.update(location, parameters, &self.from(&names))
    }

    pub fn remove(&mut self, location: &str) -> Result<(), Refusal> {
        let names = self.names.clone();
        let location = location.strip_prefix("/directory/").unwrap();
        self.directory.remove(location, &self.from(&names))
    }

    pub fn begin_simply(&mut self, query: &str) -> Result<bool, Refusal> {
        let parameters = Parameters::parse(arguments(query))?;
        let names = self.names.clone();
        self.directory.begin_simply(&parameters, &self.from(&names))
    }

    pub fn register_simply(&mut self, query: &str, links: &str, fresh: Duration) -> Result<(), Refusal> {
        let parameters = Parameters::parse(arguments(query))?;
        let names = self.names.clone();
        self.directory.register_simply(parameters, links, fresh, &self.from(&names)).map(drop)
    }

    pub fn endpoints(&mut self, query: &str) -> String {
        let lookup = Lookup::parse(arguments(query)).unwrap();
        let names = self.names.clone();
        self.directory.endpoints(&lookup, &self.from(&names)).unwrap()
    }

    pub fn resources(&mut self, query: &str) -> String {
        let lookup = Lookup::parse(arguments(query)).unwrap();
        let names = self.names.clone();
        self.directory.resources(&lookup, &self.from(&names)).unwrap()
    }

    fn from<'a>(&self, names: &'a [Box<str>]) -> Requester<'a> {
        Requester::new(names, self.realm, self.now).at("coap", 5_683, self.address.parse().unwrap())
    }
}

pub fn arguments(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|one| !one.is_empty()).map(|one| one.split_once('=').unwrap_or((one, "")))
}
