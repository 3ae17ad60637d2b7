use std::sync::Arc;
use std::time::Duration;

use directory::{Bounds, Directory, LinkBounds};
use parking_lot::Mutex;

use crate::{Config, DirectoryConfig, Topics};

/// What all peers share, whichever listener of the server took them.
#[derive(Debug)]
pub struct Shared {
    /// The topics that have a configuration.
    pub(crate) topics: Arc<Topics>,
    /// Made when it is first needed, since that takes a number that nobody can foresee.
    directory: Mutex<Option<Directory>>,
}

impl Shared {
    /// Without topics and endpoints yet, within the bounds that are configured.
    pub fn new(config: &Config) -> Self {
        Self { topics: Topics::new(&config.topics), directory: Mutex::default() }
    }

    /// Does something with the resource directory.
    pub(crate) fn with_directory<T>(
        &self,
        config: &DirectoryConfig,
        chance: u64,
        act: impl FnOnce(&mut Directory) -> T,
    ) -> T {
        let mut directory = self.directory.lock();
        act(directory.get_or_insert_with(|| Directory::new(bounds(config), chance)))
    }

    /// The name of the endpoint that the directory has at a location.
    pub(crate) fn endpoint_at(&self, location: &str) -> Option<Box<str>> {
        self.directory.lock().as_ref()?.endpoint_at(location).map(Into::into)
    }
}

fn bounds(config: &DirectoryConfig) -> Bounds {
    let standard = Bounds::default();
    Bounds {
        endpoints: config.endpoints,
        per_client: config.endpoints_per_client,
        bytes: config.memory,
        registration: config.registration,
        links: LinkBounds { links: config.links, ..standard.links },
        keep: config.keep.min(LONGEST),
        ..standard
    }
}

/// Whatever is configured, so that the end of every time is a time: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
