use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens an MQTT 3.1.1 session by hand: what is measured must not depend on our own codec.
pub(crate) async fn connect(address: SocketAddr, client_id: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let length = 12 + client_id.len() as u8;
    let head = [0x10, length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, client_id.len() as u8];
    stream.write_all(&[&head, client_id.as_bytes()].concat()).await?;
    expect(&mut stream, &[0x20, 2, 0, 0]).await?;
    Ok(stream)
}

pub(crate) async fn subscribe(stream: &mut TcpStream, filter: &str, qos: u8) -> io::Result<()> {
    let length = filter.len() as u8;
    let head = [0x82, length + 5, 0, 1, 0, length];
    stream.write_all(&[&head, filter.as_bytes(), &[qos]].concat()).await?;
    expect(stream, &[0x90, 3, 0, 1, qos]).await
}

/// A PUBLISH; above QoS 0 with packet id 1, which is free again once it is acknowledged.
pub(crate) fn publish(topic: &str, payload: usize, qos: u8) -> Vec<u8> {
    let id: &[u8] = if qos > 0 { &[0, 1] } else { &[] };
    let mut remaining = 2 + topic.len() + id.len() + payload;
    let mut frame = vec![0x30 | qos << 1];
    while remaining >= 128 {
        frame.push(remaining as u8 | 128);
        remaining >>= 7;
    }
    frame.push(remaining as u8);
    frame.extend([0, topic.len() as u8]);
    frame.extend(topic.as_bytes());
    frame.extend(id);
    frame.resize(frame.len() + payload, b'x');
    frame
}

async fn expect(stream: &mut TcpStream, expected: &[u8]) -> io::Result<()> {
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await?;
    match answer == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!("expected {expected:02x?}, got {answer:02x?}"))),
    }
}
