use anyhow::ensure;

use crate::ask;
use crate::config::Http;

/// Asks the server with this HTTP listener whether it is alive.
pub(crate) fn ask(http: &Http) -> anyhow::Result<()> {
    let reply = ask::get(http, "/livez")?;
    ensure!(reply.status == 200, "{} answers {}", reply.url, reply.status);
    Ok(())
}
