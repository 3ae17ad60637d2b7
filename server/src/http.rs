use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::anyhow;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

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
}

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
pub(crate) async fn serve(listener: TcpListener, operations: Arc<Operations>) -> std::io::Result<()> {
    axum::serve(listener, routes(operations)).await
}

fn routes(operations: Arc<Operations>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "There are /livez, /readyz and /metrics.\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered.\n"))
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

async fn metrics(State(operations): State<Arc<Operations>>) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match operations.metrics.write() {
        Ok(text) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
