use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::config::Http;
use crate::listeners::reachable;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the server with this HTTP listener whether it is alive.
pub(crate) fn ask(http: &Http) -> anyhow::Result<()> {
    ensure!(http.enabled, "http.enabled is false, so nobody can be asked");
    let address = reachable(http.bind);
    let answer = request(address).with_context(|| format!("nobody answers on http://{address}/livez"))?;
    match answer.lines().next() {
        Some(line) if line.split(' ').nth(1) == Some("200") => Ok(()),
        Some(line) => bail!("http://{address}/livez answers {line:?}"),
        None => bail!("http://{address}/livez answers nothing"),
    }
}

fn request(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}
