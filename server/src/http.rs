//! The listener for operators.

mod clients;
pub(crate) mod percent;

use std::fmt::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use broker::Broker;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use operators::History;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::config::Http;
use crate::listeners::explain;
use crate::metrics::Metrics;

/// How far the server is, as load balancers ask.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

/// What the handlers are told of the server.
pub(crate) struct Operations {
    pub(crate) phase: Arc<Phase>,
    pub(crate) metrics: Metrics,
    pub(crate) history: Arc<History>,
    pub(crate) broker: Broker,
}

/// Who asks.
#[derive(Clone, Copy)]
struct Asker(SocketAddr);

/// How many connections there may be at once; the next one waits.
const CONNECTIONS: usize = 256;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection lasts, whatever is asked on it; then it ends after the answer that is under way.
const LIFE: Duration = Duration::from_secs(60);

/// How long that answer may take.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// The largest head of a request.
const BUFFER: usize = 64 * 1024;

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Phase {
    pub(crate) fn begin_serving(&self) {
        self.0.store(SERVING, Ordering::Relaxed);
    }

    pub(crate) fn begin_draining(&self) {
        self.0.store(DRAINING, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    fn name(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            STARTING => "starting",
            SERVING => "serving",
            _ => "draining",
        }
    }
}

/// Binds the listener for operators, if there is to be one.
pub(crate) async fn bind(http: &Http) -> anyhow::Result<Option<TcpListener>> {
    if !http.enabled {
        return Ok(None);
    }
    let listener = TcpListener::bind(http.bind).await;
    let listener =
        listener.map_err(|error| anyhow!(explain("http", http.bind, bus::Transport::Stream, &error)))?;
    Ok(Some(listener))
}

/// The address of the listener.
pub(crate) fn address(listener: Option<&TcpListener>) -> anyhow::Result<Option<SocketAddr>> {
    Ok(listener.map(TcpListener::local_addr).transpose()?)
}

/// Answers operators until the task is ended.
pub(crate) async fn serve(listener: TcpListener, operations: Arc<Operations>) {
    let (router, places) = (routes(operations), Arc::new(Semaphore::new(CONNECTIONS)));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, address)) => {
                let router = router.clone().layer(Extension(Asker(address)));
                tokio::spawn(async move {
                    converse(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "A connection of an operator could not be accepted.");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers on one connection. Whoever dawdles is cut off.
async fn converse(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
    if tokio::time::timeout(LIFE, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
    }
}

fn routes(operations: Arc<Operations>) -> Router {
    const PAGES: &str =
        "There are /livez, /readyz, /metrics, /clients, /clients/ID and /clients/ID/history.\n";
    let client = get(clients::one).delete(clients::kick);
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/clients", get(clients::list))
        .route("/clients/{id}", client)
        .route("/clients/{id}/history", get(clients::history))
        .fallback(async || (StatusCode::NOT_FOUND, PAGES))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered, and DELETE of /clients/ID.\n")
        })
        .with_state(operations)
}

async fn ready(State(operations): State<Arc<Operations>>, uri: Uri) -> Response {
    let ready = operations.phase.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = if ready { "ready\n".to_owned() } else { "not ready\n".to_owned() };
    let verbose = uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    if verbose {
        let _ = writeln!(text, "server: {}", operations.phase.name());
        for listener in operations.metrics.listeners() {
            let (name, protocol, open) = (&listener.name, listener.protocol, listener.running.open());
            let _ = writeln!(text, "listener {name} ({protocol}): open, {open} connections");
        }
    }
    (status, text).into_response()
}

async fn metrics(State(operations): State<Arc<Operations>>, uri: Uri) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
    if uri.query().is_some_and(|query| query.split('&').any(|part| part == "format=emqx")) {
        return ([(header::CONTENT_TYPE, PLAIN)], operations.metrics.write_emqx()).into_response();
    }
    match operations.metrics.write() {
        Ok(text) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
