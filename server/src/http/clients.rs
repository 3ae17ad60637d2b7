//! Who is there, and why who is not: for operators on this machine.
//!
//! The listener asks for no password, so these pages answer this machine alone; and no browser either that a page
//! of somebody else's sent here under a name that was made to lead here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bus::{ClientId, Reason};
use operators::{Moment, session_page, session_row};
use serde_json::{Value, json};
use tracing::info;

use super::{Asker, Operations, percent};

/// How many clients a page has, unless it is told, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// How many subscriptions of a client are listed.
const SUBSCRIPTIONS: usize = 1_000;

type Shared = State<Arc<Operations>>;

/// Somebody on this machine who may ask for these pages, and where from; others get no further.
pub(super) struct Operator(SocketAddr);

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asker = Extension::<Asker>::from_request_parts(parts, state).await;
        let Extension(asker) = asker.map_err(IntoResponse::into_response)?;
        refuse(asker, &parts.headers).map_or(Ok(Self(asker.0)), Err)
    }
}

/// `GET /clients?limit=100&after=ID`: the sessions in order of their ids.
pub(super) async fn list(State(operations): Shared, _: Operator, uri: Uri) -> Response {
    let Some(limit) = parameter(&uri, "limit").map_or(Some(PAGE), |limit| limit.parse().ok()) else {
        return (StatusCode::BAD_REQUEST, "limit is no number\n").into_response();
    };
    let after = parameter(&uri, "after").and_then(|after| ClientId::parse(&after));
    let broker = operations.broker.clone();
    let page = move || session_page(&broker, after.as_ref(), limit.clamp(1, LARGEST_PAGE), &Moment::now());
    match tokio::task::spawn_blocking(page).await {
        Ok((clients, next)) => answer(&json!({ "clients": clients, "next": next })),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `GET /clients/ID`: one session, and its subscriptions.
pub(super) async fn one(State(operations): Shared, _: Operator, Path(id): Path<String>) -> Response {
    let broker = &operations.broker;
    let found = ClientId::parse(&id).and_then(|id| Some((broker.session(&id)?, id)));
    let Some((session, id)) = found else { return nobody() };
    let subscription = |subscription: bus::Subscription| {
        let options = subscription.options;
        json!({ "filter": subscription.filter.as_str(), "qos": options.qos.level(), "no_local": options.no_local })
    };
    let subscriptions = broker.subscriptions(&id, SUBSCRIPTIONS).into_iter().map(subscription);
    let subscriptions: Vec<_> = subscriptions.collect();
    answer(&json!({ "session": session_row(&session, &Moment::now()), "subscriptions": subscriptions }))
}

/// `GET /clients/ID/history`: all that is known of a client, there or not.
pub(super) async fn history(State(operations): Shared, _: Operator, Path(id): Path<String>) -> Response {
    let report = operations.history.report(&id, &operations.broker, Moment::now());
    match serde_json::to_value(report) {
        Ok(report) => answer(&report),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `DELETE /clients/ID`: closes the client's connection.
pub(super) async fn kick(
    State(operations): Shared,
    Operator(asker): Operator,
    Path(id): Path<String>,
) -> Response {
    let Some(id) = ClientId::parse(&id).filter(|id| operations.broker.kick(id, Reason::Kicked)) else {
        return nobody();
    };
    info!(client_id = %id, operator = %asker, "An operator closed a connection.");
    StatusCode::NO_CONTENT.into_response()
}

/// Why these pages are not for whoever asks, if they are not.
fn refuse(asker: Asker, headers: &HeaderMap) -> Option<Response> {
    let refusal = |text: &'static str| Some((StatusCode::FORBIDDEN, text).into_response());
    if !asker.0.ip().to_canonical().is_loopback() {
        return refusal(
            "Only this machine is told of clients, since nobody is asked for a password here: ask there, for instance \
             with `watersmeet why ID`.\n",
        );
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match is_this_machine(host) {
        true => None,
        false => refusal("Ask by address or as localhost: another name may be somebody else's.\n"),
    }
}

/// Whether a browser cannot have been led here by a name of somebody else's.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).find_map(|(_, value)| percent::decode(value))
}

fn nobody() -> Response {
    (StatusCode::NOT_FOUND, "There is no such client.\n").into_response()
}

fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_this_machine() {
        for host in ["localhost", "LOCALHOST:18083", "127.0.0.1", "127.0.0.1:18083", "[::1]:18083", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:18083", "127.0.0.1.evil.example", "localhost.evil.example:1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
