use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use tls::{Certificates, Expiry};

use crate::config::{Config, Profiles};

/// How often the files of certificates are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The TLS profiles that are in use, each with its certificates.
pub(crate) struct TlsProfiles {
    configured: Profiles,
    state_directory: PathBuf,
    loaded: Mutex<BTreeMap<String, Arc<Certificates>>>,
}

impl TlsProfiles {
    /// Reads the files of every profile that names any, so that faults are found at the start.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let profiles = Self {
            configured: config.tls.clone(),
            state_directory: config.state_directory(),
            loaded: Mutex::default(),
        };
        let in_use = |config: &tls::Config| *config != tls::Config::default();
        for (name, _) in config.tls.0.iter().filter(|(_, config)| in_use(config)) {
            profiles.certificates(name)?;
        }
        Ok(profiles)
    }

    /// The certificates of a profile. One that names none gets the local CA's, which is made the first time.
    pub(crate) fn certificates(&self, name: &str) -> anyhow::Result<Arc<Certificates>> {
        let config =
            self.configured.0.get(name).ok_or_else(|| anyhow!("there is no TLS profile [tls.{name}]"))?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificates) = loaded.get(name) {
            return Ok(certificates.clone());
        }
        let certificates = Certificates::load(config, &self.state_directory);
        let certificates = Arc::new(certificates.map_err(|problem| anyhow!("[tls.{name}]: {problem}"))?);
        loaded.insert(name.to_owned(), certificates.clone());
        Ok(certificates)
    }

    /// Looks at all files now.
    pub(crate) fn refresh(&self) {
        for (_, certificates) in self.loaded() {
            certificates.refresh();
        }
    }

    /// Looks at all files now and then, for as long as the server runs.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let profiles = self.clone();
            // A file may be on a network that does not answer.
            let _ = tokio::task::spawn_blocking(move || profiles.refresh()).await;
        }
    }

    /// When each certificate ends, with the name of its profile.
    pub(crate) fn expiries(&self) -> Vec<(String, Expiry)> {
        let expiries = |(name, certificates): (String, Arc<Certificates>)| {
            certificates.expiries().into_iter().map(move |expiry| (name.clone(), expiry))
        };
        self.loaded().into_iter().flat_map(expiries).collect()
    }

    fn loaded(&self) -> Vec<(String, Arc<Certificates>)> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.iter().map(|(name, certificates)| (name.clone(), certificates.clone())).collect()
    }
}
