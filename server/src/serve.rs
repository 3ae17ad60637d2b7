use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use access::AuthChain;
use anyhow::Context;
use broker::{Broker, Hooks, Observer};
use net::{Stop, Workers};
use operators::{History, Presence};
use rewrite::Rewrite;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::certificates::TlsProfiles;
use crate::config::{Config, Loaded, LogFormat};
use crate::http::{self, Operations, Phase};
use crate::listeners::{self, Open};
use crate::log::Logging;
use crate::metrics::{Metrics, Reloads};
use crate::offering::Offering;
use crate::oscore::OscoreContexts;
use crate::registry::Common;
use crate::reload::Parts;
use crate::watch::Watch;
use crate::{Source, banner, cli, files, parked, reload, say};

/// How long connections may take to end when the server does.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether they have.
const GLANCE: Duration = Duration::from_millis(20);

/// Serves until a signal says otherwise.
pub(crate) fn serve(source: &Source, options: &cli::Serve) -> anyhow::Result<()> {
    let loaded = source.read()?;
    let logging = Logging::start(&loaded.config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run(source, options, loaded, logging));
    runtime.shutdown_background();
    served
}

/// How many threads run connections.
fn threads(config: &Config) -> usize {
    match config.threads {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    }
}

/// Takes as many file descriptors as the system grants, since each stream connection needs one; returns how many.
fn allow_many_files() -> u64 {
    rlimit::increase_nofile_limit(rlimit::INFINITY).unwrap_or_else(|error| {
        warn!(%error, "The limit of open files could not be raised.");
        rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(0, |(soft, _)| soft)
    })
}

async fn run(source: &Source, options: &cli::Serve, loaded: Loaded, logging: Logging) -> anyhow::Result<()> {
    let files = allow_many_files();
    let mut signals = Signals::new()?;
    let config = &loaded.config;
    let state_directory = config.state_directory();
    let access = AuthChain::new(&config.access)?;
    let tls = Arc::new(TlsProfiles::load(config)?);
    tokio::spawn(tls.clone().keep_fresh());
    let oscore = Arc::new(OscoreContexts::load(config)?);
    tokio::spawn(oscore.clone().keep_fresh());
    let offering = Arc::new(Offering::new(access.clone()));
    let open = listeners::bind_all(config, &tls, &offering)?;
    let http = http::bind(&config.http).await?;
    let http_address = http::address(http.as_ref())?;
    let banner = banner::banner(config, &open, http_address);
    let addresses = addresses(&open, http_address);

    let rewrite = Arc::new(Rewrite::new(&config.rewrite)?);
    let authority = Arc::new(access.clone());
    let hooks = Hooks {
        authenticator: authority.clone(),
        authorizer: authority,
        rewriter: Some(rewrite.clone()),
        interceptors: Vec::new(),
    };
    let history = Arc::new(History::new(&config.operators));
    let mut observers: Vec<Arc<dyn Observer>> =
        vec![Arc::new(Watch::default()), Arc::new(access.clone()), history.clone()];
    let mut untold = Default::default();
    let announcements = Presence::new(&config.operators).map(|(presence, announcements)| {
        untold = presence.lost();
        observers.push(Arc::new(presence));
        announcements
    });
    let broker = Broker::new(config.broker.clone(), hooks, observers);
    tokio::spawn(net::keep_time(broker.clone()));
    if let Some(announcements) = announcements {
        tokio::spawn(announcements.run(broker.clone()));
    }
    let interval = config.operators.sys_interval;
    tokio::spawn(operators::publish_sys(broker.clone(), env!("CARGO_PKG_VERSION"), interval));
    tokio::spawn(files::watch(access.clone(), broker.clone(), offering.clone()));
    let stop =
        Stop::new().with_workers(Workers::start(threads(config)).context("the threads for connections")?);
    if config.overload.enabled {
        let (overload, config) = (stop.overload().clone(), config.overload.clone());
        tokio::spawn(async move { overload.watch(config).await });
    }
    let common = Common::new(config);
    let served = open.into_iter().map(|open| open.serve(config, &common, &broker, &stop)).collect();
    let (phase, reloads) = (Arc::new(Phase::default()), Arc::new(Reloads::default()));
    let metrics = Metrics::new(
        broker.clone(),
        access.clone(),
        served,
        reloads.clone(),
        tls.clone(),
        rewrite.clone(),
        untold,
    );
    let operations = Arc::new(Operations { phase: phase.clone(), metrics, history, broker: broker.clone() });
    if let Some(listener) = http {
        tokio::spawn(http::serve(listener, operations.clone()));
    }
    phase.begin_serving();
    let ready_file =
        options.ready_file.as_deref().map(|path| ReadyFile::write(path, &addresses)).transpose()?;
    if config.log.format == LogFormat::Text {
        say(&format!("{banner}\n"));
    }
    info!(config = %source.name(), version = env!("CARGO_PKG_VERSION"), open_files = files, "Watersmeet serves.");

    let parts = Parts { access, broker, oscore, rewrite, tls, offering, logging };
    obey(&mut signals, source, loaded, &parts, &reloads).await;

    phase.begin_draining();
    drop(ready_file);
    stop.stop();
    parts.broker.drain();
    tokio::select! {
        () = drained(&operations.metrics) => info!("All connections are closed."),
        () = tokio::time::sleep(PATIENCE) => warn!("Some connections did not close in time."),
        name = signals.next_end() => warn!(signal = name, "Watersmeet stops at once."),
    }
    if tokio::time::timeout(PATIENCE, keep_sessions(&operations.metrics, &state_directory)).await.is_err() {
        warn!("DTLS sessions could not be kept in time; clients shake hands again.");
    }
    Ok(())
}

/// Reads the configuration again whenever a signal asks for it, until one asks for the end.
async fn obey(signals: &mut Signals, source: &Source, began_with: Loaded, parts: &Parts, reloads: &Reloads) {
    let mut last = began_with.clone();
    loop {
        match signals.next().await {
            Wish::End(name) => return info!(signal = name, "Watersmeet stops."),
            Wish::Reload => match reload::reload(source, &began_with, &last, parts) {
                Ok(loaded) => {
                    last = loaded;
                    parts.tls.refresh();
                    parts.offering.refresh();
                    reloads.good.count();
                }
                Err(error) => {
                    reloads.failed.count();
                    error!(%error, "The configuration could not be read again; the old one stays in force.");
                }
            },
        }
    }
}

/// Waits until no listener has a connection left.
async fn drained(metrics: &Metrics) {
    while metrics.listeners().iter().any(|served| served.running.open() > 0) {
        tokio::time::sleep(GLANCE).await;
    }
}

/// Keeps the DTLS sessions of the listeners that are to have them again.
async fn keep_sessions(metrics: &Metrics, state_directory: &Path) {
    for served in metrics.listeners() {
        let parked = served.running.parked().await;
        if let Err(error) = parked::keep(state_directory, &served.name, &parked) {
            warn!(listener = %served.name, %error, "DTLS sessions could not be kept; clients shake hands again.");
        }
    }
}

/// What an operator wants.
enum Wish {
    Reload,
    /// The name of the signal that says so.
    End(&'static str),
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.terminate.recv() => Wish::End("SIGTERM"),
            _ = self.interrupt.recv() => Wish::End("SIGINT"),
        }
    }

    async fn next_end(&mut self) -> &'static str {
        loop {
            if let Wish::End(name) = self.next().await {
                return name;
            }
        }
    }
}

/// Every listener's address by its name; the one for operators is `http`.
fn addresses(open: &[Open], http: Option<SocketAddr>) -> BTreeMap<String, String> {
    let clients = open.iter().map(|open| (open.name.to_string(), open.place().to_string()));
    clients.chain(http.map(|address| ("http".to_owned(), address.to_string()))).collect()
}

/// A file that tells others where the listeners are, for as long as they are there.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Writes the file beside its place and moves it there, so that nobody reads half of it.
    fn write(path: &Path, addresses: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let text = serde_json::json!({ "listeners": addresses }).to_string();
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let write = || std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path));
        write().with_context(|| format!("the ready file {} cannot be written", path.display()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            warn!(file = %self.0.display(), %error, "The ready file could not be removed.");
        }
    }
}
