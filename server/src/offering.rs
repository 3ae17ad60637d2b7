use std::sync::Arc;
use std::time::Duration;

use access::{AuthChain, PreSharedKeys};
use anyhow::anyhow;
use bus::KeyMark;
use dtls::{Certificate, ClientCertificate, EngineFactory, Key, Keys, Retransmission, ServerNames, Settings};
use net::{KeyedOffer, MarkedKeys, Offer, Offers};
use parking_lot::Mutex;
use tls::{Certificates, Material};
use tokio::sync::watch;
use tracing::{error, info};

use crate::config::{Dtls, Listener, MAX_HANDSHAKES};
use crate::engine;

/// What the listeners offer that speak DTLS, or TLS with pre-shared keys: renewed when keys or certificates change.
pub(crate) struct Offering {
    access: AuthChain,
    factory: Option<Arc<dyn EngineFactory>>,
    current: Mutex<Vec<Current>>,
}

/// What one listener offers.
struct Current {
    listener: Arc<str>,
    settings: Settings,
    certificates: Option<Arc<Certificates>>,
    material: Option<Arc<Material>>,
    keys: Arc<PreSharedKeys>,
    told: Told,
}

/// Who is told of it.
enum Told {
    Datagrams(watch::Sender<Arc<Offer>>),
    Streams(watch::Sender<Arc<KeyedOffer>>),
}

/// The keys of one moment, as net wants them.
struct Snapshot(Arc<PreSharedKeys>);

/// How long the last wait of a handshake may be.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Offering {
    pub(crate) fn new(access: AuthChain) -> Self {
        Self { access, factory: engine::factory(), current: Mutex::default() }
    }

    /// What makes sessions; an error if this program was built without it.
    pub(crate) fn factory(&self) -> anyhow::Result<Arc<dyn EngineFactory>> {
        let cause = "this program was built without DTLS; fix: build it with the feature \"dtls\", or disable the listener";
        self.factory.clone().ok_or_else(|| anyhow!(cause))
    }

    /// What a listener's datagram sockets offer, from now on.
    pub(crate) fn datagrams(
        &self,
        name: &Arc<str>,
        listener: &Listener,
        limits: &bus::Limits,
        certificates: &Arc<Certificates>,
    ) -> Offers {
        let dtls = listener.dtls.clone().unwrap_or_default();
        let (material, keys) = (certificates.material(), self.access.pre_shared_keys());
        let settings = settings(&dtls, listener, limits);
        let (told, offers) = watch::channel(Arc::new(offer(&settings, Some(&material), &keys)));
        self.add(Current {
            listener: name.clone(),
            settings,
            certificates: Some(certificates.clone()),
            material: Some(material),
            keys,
            told: Told::Datagrams(told),
        });
        offers
    }

    /// What a listener's streams offer that are secured by pre-shared keys, from now on.
    pub(crate) fn streams(
        &self,
        name: &Arc<str>,
        listener: &Listener,
        limits: &bus::Limits,
    ) -> anyhow::Result<watch::Receiver<Arc<KeyedOffer>>> {
        let settings = settings(&Dtls::default(), listener, limits);
        let keys = self.access.pre_shared_keys();
        let first = KeyedOffer::new(&*self.factory()?, offer(&settings, None, &keys))?;
        let (told, offers) = watch::channel(Arc::new(first));
        let (listener, told) = (name.clone(), Told::Streams(told));
        self.add(Current { listener, settings, certificates: None, material: None, keys, told });
        Ok(offers)
    }

    /// Looks whether keys or certificates have changed, and has them offered. Handshakes that begin from now on use
    /// them.
    pub(crate) fn refresh(&self) {
        let keys = self.access.pre_shared_keys();
        for current in self.current.lock().iter_mut() {
            current.refresh(&keys, self.factory.as_deref());
        }
    }

    fn add(&self, current: Current) {
        self.current.lock().push(current);
    }
}

impl Current {
    fn refresh(&mut self, keys: &Arc<PreSharedKeys>, factory: Option<&dyn EngineFactory>) {
        let material = self.certificates.as_ref().map(|certificates| certificates.material());
        let same_material = match (&material, &self.material) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let same_keys = Arc::ptr_eq(keys, &self.keys) || keys.are_those_of(&self.keys);
        if same_keys {
            self.keys = keys.clone();
        }
        if same_keys && same_material {
            return;
        }
        let offer = offer(&self.settings, material.as_deref(), keys);
        match (&self.told, factory) {
            (Told::Datagrams(told), _) => drop(told.send_replace(Arc::new(offer))),
            (Told::Streams(told), Some(factory)) => match KeyedOffer::new(factory, offer) {
                Ok(offer) => drop(told.send_replace(Arc::new(offer))),
                Err(error) => error!(listener = %self.listener, %error, "New keys cannot be offered."),
            },
            (Told::Streams(_), None) => {}
        }
        info!(listener = %self.listener, keys = keys.len(), "New keys or certificates are offered.");
        (self.material, self.keys) = (material, keys.clone());
    }
}

fn settings(dtls: &Dtls, listener: &Listener, limits: &bus::Limits) -> Settings {
    let unless_zero = |time: Duration| (!time.is_zero()).then_some(time);
    Settings {
        cipher_suites: dtls.cipher_suites.clone(),
        connection_id_length: dtls.connection_id,
        sessions: listener.max_connections,
        half_open: listener.max_handshakes.unwrap_or(MAX_HANDSHAKES),
        handshake_timeout: limits.handshake,
        retransmission: Retransmission { first: dtls.retransmit, longest: LONGEST_WAIT.max(dtls.retransmit) },
        park_after: unless_zero(dtls.park_after),
        idle_timeout: unless_zero(dtls.idle_timeout),
        resumption: dtls.resumption,
        mtu: dtls.datagram,
        ..Settings::default()
    }
}

fn offer(settings: &Settings, material: Option<&Material>, keys: &Arc<PreSharedKeys>) -> Offer {
    let mut settings = settings.clone();
    if let Some(material) = material {
        let shown = material.certificates.iter().map(|own| Certificate {
            chain: own.chain.clone(),
            key: own.key.clone(),
            names: ServerNames(own.names.clone()),
        });
        settings.certificates = shown.collect();
        settings.client_ca = material.client_ca.iter().cloned().collect();
        settings.crl = material.crls.clone();
        settings.client_certificate = match material.client_certificate {
            tls::ClientCertificate::None => ClientCertificate::None,
            tls::ClientCertificate::Optional => ClientCertificate::Optional,
            tls::ClientCertificate::Required => ClientCertificate::Required,
        };
    }
    // A listener that had no keys at first may have some later, so there is always a table of them.
    Offer::new(settings, Some(Arc::new(Snapshot(keys.clone()))))
}

impl Keys for Snapshot {
    fn key(&self, identity: &str) -> Option<Key> {
        self.0.key(identity).cloned()
    }
}

impl MarkedKeys for Snapshot {
    fn mark(&self, identity: &str) -> Option<KeyMark> {
        self.0.mark(identity)
    }
}
