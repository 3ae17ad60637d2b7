use anyhow::{Context, ensure};
use operators::Report;

use crate::ask;
use crate::cli::Output;
use crate::config::Http;
use crate::http::percent;

/// What the server with this HTTP listener knows of a client.
pub(crate) fn why(http: &Http, client_id: &str, output: Output) -> anyhow::Result<String> {
    ensure!(!client_id.is_empty(), "a client id is not empty");
    let reply = ask::get(http, &format!("/clients/{}/history", percent::encode(client_id)))?;
    ensure!(reply.status == 200, "{} answers {}: {}", reply.url, reply.status, reply.body.trim());
    let report: Report = serde_json::from_str(&reply.body)
        .with_context(|| format!("{} answers what this program does not understand", reply.url))?;
    match output {
        Output::Text => Ok(report.to_string()),
        Output::Json => Ok(format!("{}\n", serde_json::to_string_pretty(&report)?)),
    }
}
