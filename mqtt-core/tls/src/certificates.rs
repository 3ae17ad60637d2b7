use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tracing::{error, info};

use crate::choice::{Choice, Identity};
use crate::files::{Contents, Looks};
use crate::local::Local;
use crate::material::Material;
use crate::provider::{provider, versions};
use crate::secured::seconds;
use crate::{Config, Kept, Problem, Version, trust};

/// The certificates of one TLS profile, and who may use them: in force for every handshake that begins.
pub struct Certificates {
    config: Config,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
    current: ArcSwap<Current>,
}

/// Whether data is taken that comes before the handshake is done. It may be sent again by anybody who saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyData {
    /// It is not taken.
    Refuse,
    /// It is.
    Accept,
}

/// What a look at the files has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing new, or a fault that was told before.
    Unchanged,
    /// New handshakes use what the files hold now.
    Renewed,
    /// The files are good again, and as they were.
    Mended,
    /// The files cannot be used; what was in force stays so.
    Failed(Problem),
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its subject, or its names if it has none.
    pub subject: Arc<str>,
    /// The end of its validity in seconds since 1970.
    pub timestamp: i64,
}

/// What a look at the files is compared with.
struct State {
    looks: Looks,
    digest: [u8; 32],
    local: Option<Local>,
    /// Whether the local certificate was made again and is not in force yet.
    renewed: bool,
    /// The fault that was told last, while it lasts.
    fault: Option<Problem>,
}

/// What new handshakes use.
struct Current {
    choice: Arc<Choice>,
    material: Arc<Material>,
    verifier: Arc<dyn ClientCertVerifier>,
    resumption: Resumption,
    /// What was made of it, by what was asked for: as many as there are kinds of listeners.
    made: Mutex<Vec<(Wanted, Arc<ServerConfig>)>>,
}

#[derive(PartialEq, Eq)]
struct Wanted {
    alpn: Vec<Vec<u8>>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Quic(EarlyData),
}

/// What lets clients come back without showing their certificate again. It is made anew when the CA or a revocation
/// list changes, since nothing else would make a client that is no longer trusted show its certificate.
#[derive(Clone)]
struct Resumption {
    trust: [u8; 32],
    ticketer: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
    /// Those of QUIC. They are used once, so that early data cannot be sent again in its own name.
    quic_sessions: Arc<dyn StoresServerSessions>,
}

/// How many sessions are kept for clients that want no ticket.
const SESSIONS: usize = 1_000;

/// How many sessions of QUIC clients are kept.
const QUIC_SESSIONS: usize = 10_000;

impl Certificates {
    /// Reads the files of a configuration. Without a certificate there, one is kept in the directory, and made if it is
    /// not there yet.
    pub fn load(config: &Config, state_dir: &Path) -> Result<Self, Problem> {
        Self::load_at(config, state_dir, SystemTime::now())
    }

    pub(crate) fn load_at(config: &Config, state_dir: &Path, now: SystemTime) -> Result<Self, Problem> {
        let provider = provider(&config.cipher_suites, config.minimum_version)?;
        let looks = Looks::of(config, now);
        let contents = Contents::read(config)?;
        let digest = contents.digest();
        let local =
            config.certificates.is_empty().then(|| Local::open(state_dir, &provider, now)).transpose()?;
        let current = Current::new(config, contents, local.as_ref(), &provider, None)?;
        current.make(config, &provider, &Wanted { alpn: Vec::new(), kind: Kind::Stream })?;
        let state = State { looks, digest, local, renewed: false, fault: None };
        let certificates = Self {
            config: config.clone(),
            provider,
            state: Mutex::new(state),
            current: ArcSwap::from_pointee(current),
        };
        certificates.tell_expired(now);
        Ok(certificates)
    }

    /// What a handshake uses that begins now on a byte stream. Clients that name an application protocol at all must
    /// name one of these.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let made = self.made(alpn, Kind::Stream);
        made.expect("what differs from what was made at the start is the names of protocols")
    }

    /// The same for QUIC, which speaks TLS 1.3 only.
    pub fn quic_config(&self, alpn: &[&[u8]], early_data: EarlyData) -> Result<Arc<ServerConfig>, Problem> {
        self.made(alpn, Kind::Quic(early_data))
    }

    /// What the files hold, as it is in force now.
    pub fn material(&self) -> Arc<Material> {
        self.current.load().material.clone()
    }

    /// Looks at the files, and takes over what has changed. Call it every few seconds, and when an operator asks.
    pub fn refresh(&self) -> Refreshed {
        self.refresh_at(SystemTime::now())
    }

    /// When each certificate ends.
    pub fn expiries(&self) -> Vec<Expiry> {
        let current = self.current.load();
        let expiry = |own: &Identity| Expiry { subject: own.subject.clone(), timestamp: own.not_after };
        current.choice.0.iter().map(expiry).collect()
    }

    /// The local CA's certificate in PEM and where it is kept; `None` if certificates are configured.
    pub fn local_ca(&self) -> Option<(String, Kept)> {
        let state = self.state.lock();
        state.local.as_ref().map(|local| (local.ca_pem.clone(), local.kept.clone()))
    }

    pub(crate) fn refresh_at(&self, now: SystemTime) -> Refreshed {
        let mut state = self.state.lock();
        let looks = Looks::of(&self.config, now);
        let due = state.local.as_ref().is_some_and(|local| local.is_due(now));
        if !due && looks.are_those_of(&state.looks) {
            return Refreshed::Unchanged;
        }
        state.looks = looks;
        let refreshed = match self.take_over(&mut state, now) {
            Ok(false) if state.fault.take().is_some() => Refreshed::Mended,
            Ok(false) => Refreshed::Unchanged,
            Ok(true) => {
                state.fault = None;
                Refreshed::Renewed
            }
            Err(problem) if state.fault.as_ref() == Some(&problem) => Refreshed::Unchanged,
            Err(problem) => {
                state.fault = Some(problem.clone());
                Refreshed::Failed(problem)
            }
        };
        drop(state);
        match &refreshed {
            Refreshed::Unchanged => {}
            Refreshed::Renewed => {
                let subjects: Vec<_> = self.expiries().into_iter().map(|expiry| expiry.subject).collect();
                info!(certificates = subjects.join("; "), "New TLS certificates and CAs are in force.");
                self.tell_expired(now);
            }
            Refreshed::Mended => info!("The files with TLS certificates are good again, and as they were."),
            Refreshed::Failed(problem) => {
                error!(%problem, "The files with TLS certificates cannot be used; the old ones stay in force.");
            }
        }
        refreshed
    }

    /// Takes over what the files hold; returns whether it differs from what is in force.
    fn take_over(&self, state: &mut State, now: SystemTime) -> Result<bool, Problem> {
        let contents = Contents::read(&self.config)?;
        let digest = contents.digest();
        if let Some(local) = &mut state.local {
            state.renewed |= local.renew(&self.provider, now)?;
        }
        if digest == state.digest && !state.renewed {
            return Ok(false);
        }
        let before = self.current.load();
        let local = state.local.as_ref();
        let current = Current::new(&self.config, contents, local, &self.provider, Some(&before.resumption))?;
        for (wanted, _) in before.made.lock().iter() {
            current.make(&self.config, &self.provider, wanted)?;
        }
        self.current.store(Arc::new(current));
        (state.digest, state.renewed) = (digest, false);
        Ok(true)
    }

    fn made(&self, alpn: &[&[u8]], kind: Kind) -> Result<Arc<ServerConfig>, Problem> {
        let current = self.current.load();
        let is_it = |wanted: &Wanted| wanted.kind == kind && wanted.alpn.iter().eq(alpn.iter());
        if let Some((_, made)) = current.made.lock().iter().find(|(wanted, _)| is_it(wanted)) {
            return Ok(made.clone());
        }
        let wanted = Wanted { alpn: alpn.iter().map(|name| name.to_vec()).collect(), kind };
        current.make(&self.config, &self.provider, &wanted)
    }

    fn tell_expired(&self, now: SystemTime) {
        for expiry in self.expiries().iter().filter(|expiry| expiry.timestamp < seconds(now)) {
            error!(certificate = %expiry.subject, "The TLS certificate has expired, so that clients refuse it: renew it.");
        }
    }
}

impl Current {
    fn new(
        config: &Config,
        contents: Contents,
        local: Option<&Local>,
        provider: &Arc<CryptoProvider>,
        before: Option<&Resumption>,
    ) -> Result<Self, Problem> {
        let verifier = trust::verifier(config, &contents, provider)?;
        let trust = contents.trust_digest();
        let resumption = match before.filter(|before| before.trust == trust) {
            Some(same) => same.clone(),
            None => Resumption::new(trust)?,
        };
        let read = config.certificates.iter().zip(contents.identities);
        let mut identities: Vec<_> = read
            .map(|(files, contents)| Identity::read(files, contents, provider))
            .collect::<Result<_, _>>()?;
        identities.extend(local.map(|local| local.identity.clone()));
        if identities.is_empty() {
            return Err(Problem::general("there is no certificate", "name one, or none for a local CA"));
        }
        let material = Arc::new(Material {
            certificates: identities.iter().map(|identity| identity.pair.clone()).collect(),
            client_ca: contents.client_ca,
            client_certificate: config.client_certificate,
            crls: contents.crls,
        });
        Ok(Self {
            choice: Arc::new(Choice(identities)),
            material,
            verifier,
            resumption,
            made: Mutex::default(),
        })
    }

    fn make(
        &self,
        config: &Config,
        provider: &Arc<CryptoProvider>,
        wanted: &Wanted,
    ) -> Result<Arc<ServerConfig>, Problem> {
        let versions: &[&SupportedProtocolVersion] = match wanted.kind {
            Kind::Stream => versions(config.minimum_version),
            Kind::Quic(_) => versions(Version::Tls13),
        };
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
        let builder = builder.map_err(|error| {
            let fix = "add TLS_AES_128_GCM_SHA256 to cipher_suites, or leave that empty";
            Problem::general(format!("no TLS can be offered with these cipher suites: {error}"), fix)
        })?;
        let mut made =
            builder.with_client_cert_verifier(self.verifier.clone()).with_cert_resolver(self.choice.clone());
        made.alpn_protocols = wanted.alpn.clone();
        match wanted.kind {
            Kind::Stream => {
                made.ticketer = self.resumption.ticketer.clone();
                made.session_storage = self.resumption.sessions.clone();
            }
            Kind::Quic(early_data) => {
                made.session_storage = self.resumption.quic_sessions.clone();
                // [RFC9001 4.6.1] QUIC bounds early data itself.
                made.max_early_data_size = if early_data == EarlyData::Accept { u32::MAX } else { 0 };
            }
        }
        let made = Arc::new(made);
        let wanted = Wanted { alpn: wanted.alpn.clone(), kind: wanted.kind };
        self.made.lock().push((wanted, made.clone()));
        Ok(made)
    }
}

impl Resumption {
    fn new(trust: [u8; 32]) -> Result<Self, Problem> {
        let ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| {
            Problem::general(
                format!("there is no chance to be had: {error}"),
                "see to it that /dev/urandom works",
            )
        })?;
        Ok(Self {
            trust,
            ticketer,
            sessions: ServerSessionMemoryCache::new(SESSIONS),
            quic_sessions: ServerSessionMemoryCache::new(QUIC_SESSIONS),
        })
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("expiries", &self.expiries()).finish_non_exhaustive()
    }
}
