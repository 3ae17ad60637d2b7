use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use crate::config::Http;
use crate::listeners::reachable;

/// What a running server answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// What was asked, for messages.
    pub(crate) url: String,
}

const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const LARGEST: u64 = 16 << 20;

/// Asks the server with this HTTP listener for a page.
pub(crate) fn get(http: &Http, path: &str) -> anyhow::Result<Reply> {
    ensure!(http.enabled, "http.enabled is false, so nobody can be asked; fix: set it to true");
    let address = reachable(http.bind);
    let url = format!("http://{address}{path}");
    let answer = request(address, path).with_context(|| {
        format!(
            "nobody answers on {url}; fix: start the server, or name its configuration with --config FILE, or set \
             WATERSMEET_HTTP__BIND to the address of its HTTP listener"
        )
    })?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    let (status, body) = status.zip(body).ok_or_else(|| anyhow!("{url} answers no HTTP"))?;
    Ok(Reply { status, body, url })
}

fn request(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer)?;
    Ok(answer)
}
