use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bus::{Limits, Transport};
use mqtt::Mqtt;
use net::{ListenerConfig, bind, bind_path};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::server::{CONNACK, CONNECT, PATIENCE, Server, read};

fn serve(bound: net::Bound) -> Server {
    let mqtt = Arc::new(Mqtt::new(mqtt::Config::default(), Limits::default()));
    Server::on(bound, mqtt, ListenerConfig::default(), Limits::default())
}

#[tokio::test]
async fn a_unix_socket_is_served_with_its_mode_and_its_file_goes_with_the_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let server = serve(bind_path(&path, 0o600).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut peer = UnixStream::connect(&path).await.unwrap();
    peer.write_all(CONNECT).await.unwrap();
    assert_eq!(read(&mut peer, 4).await, CONNACK);
    server.stop.stop();
    server.until("the file to go", |_| !path.exists()).await;
}

#[tokio::test]
async fn a_socket_that_a_dead_server_left_gives_way_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bound = bind_path(&path, 0o660).unwrap();
    assert_eq!(bind_path(&path, 0o660).err().unwrap().kind(), ErrorKind::AddrInUse);
    drop(bound);
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(bind_path(&path, 0o660).err().unwrap().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let nowhere = folder.path().join("none/mqtt.sock");
    assert_eq!(bind_path(&nowhere, 0o660).err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_server_that_is_there_and_has_no_time_is_not_waited_for() {
    // The system lets a connect wait that finds no room in the queue, and with it the start of the server.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let busy = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    busy.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    busy.listen(0).unwrap();
    let mut waiting = Vec::new();
    while let Ok(peer) = UnixStream::connect(&path).await {
        waiting.push(peer);
    }
    let (answer, answered) = tokio::sync::oneshot::channel();
    let place = path.clone();
    std::thread::spawn(move || answer.send(bind_path(&place, 0o600).err().map(|error| error.kind())));
    let kind = timeout(PATIENCE, answered).await.expect("no waiting").unwrap();
    assert_eq!(kind, Some(ErrorKind::AddrInUse));
    assert!(path.exists());
}

#[tokio::test]
async fn one_listener_has_several_addresses_and_one_count() {
    let first = bind(([127, 0, 0, 1], 0).into(), Transport::Stream).unwrap();
    let second = bind(([127, 0, 0, 2], 0).into(), Transport::Stream).unwrap();
    let addresses = [first.address, second.address];
    let server = serve(first.and(second));
    let mut peers = Vec::new();
    for (address, id) in addresses.into_iter().zip(*b"ab") {
        let mut peer = TcpStream::connect(address).await.unwrap();
        let mut connect = CONNECT.to_vec();
        *connect.last_mut().unwrap() = id;
        peer.write_all(&connect).await.unwrap();
        assert_eq!(read(&mut peer, 4).await, CONNACK);
        peers.push(peer);
    }
    assert_eq!(server.running.open(), 2);
}
