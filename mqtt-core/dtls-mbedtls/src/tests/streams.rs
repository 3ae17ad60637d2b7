use std::time::Instant;

use dtls::{EngineFactory, Proof, Refusal, Settings, StreamError, StreamSession};

use super::world::{SECRET, TestKeys, dev1};
use crate::MbedTls;
use crate::ffi::testing::{Wishes, client};
use crate::ffi::{Context, Read, Step};

fn accept() -> Box<dyn StreamSession> {
    let settings = Settings { psk: Some(TestKeys::with(&["dev1"])), ..Settings::default() };
    MbedTls.stream(&settings).unwrap().accept().unwrap()
}

/// Shakes hands, a few bytes at a time; returns what the server said last.
fn shake(client: &mut Context, server: &mut dyn StreamSession) -> Result<(), StreamError> {
    let now = Instant::now();
    let mut output = Vec::new();
    let mut step = client.handshake(&[], now, &mut output);
    loop {
        for piece in output.concat().chunks(7) {
            server.receive(piece)?;
        }
        output.clear();
        let answer = server.take_output();
        if step == Step::Done && answer.is_empty() {
            return Ok(());
        }
        step = client.handshake(&answer, now, &mut output);
    }
}

#[test]
fn a_stream_carries_data_both_ways() {
    let mut server = accept();
    let mut client = client(&Wishes { stream: true, ..dev1() }, None, Instant::now());
    assert!(server.is_handshaking());
    shake(&mut client, server.as_mut()).unwrap();
    let identity = server.identity().unwrap();
    assert_eq!((&*identity.version, &identity.proof), ("TLS 1.2", &Proof::Key("dev1".into())));

    let (now, mut output) = (Instant::now(), Vec::new());
    for part in [&[1_u8; 4_000][..], &[2; 4_000], &[3; 10]] {
        client.write(part, now, &mut output).unwrap();
    }
    let mut plaintext = Vec::new();
    for piece in output.concat().chunks(1_000) {
        server.receive(piece).unwrap();
        server.read(&mut plaintext);
    }
    assert_eq!(plaintext.len(), 8_010);

    server.write(&[7; 10_000]).unwrap();
    let (records, mut buffer, mut got) = (server.take_output(), vec![0; 16_384], 0);
    let mut rest = records.as_slice();
    while !rest.is_empty() {
        let (read, taken) = client.read_on_stream(rest, now, &mut output, &mut buffer);
        let Read::Plaintext(length) = read else { panic!("{read:?}") };
        got += length;
        rest = &rest[taken..];
    }
    assert_eq!(got, 10_000);

    output.clear();
    client.close(now, &mut output);
    server.receive(&output.concat()).unwrap();
    assert!(server.is_closed());
    server.close();
    assert!(!server.take_output().is_empty());
}

#[test]
fn a_wrong_key_is_refused_and_told() {
    for (identity, key, refusal) in [
        ("dev1", &b"another"[..], Refusal::WrongKey("dev1".to_owned())),
        ("dev2", SECRET, Refusal::UnknownIdentity("dev2".to_owned())),
    ] {
        let mut server = accept();
        let wishes = Wishes { stream: true, key: Some((identity, key.to_vec())), ..Wishes::default() };
        let mut client = client(&wishes, None, Instant::now());
        assert_eq!(shake(&mut client, server.as_mut()), Err(StreamError::Refused(refusal)));
        assert_eq!(server.take_output()[0], 21, "an alert");
        assert!(server.receive(b"more").is_err());
        assert_eq!(server.identity(), None);
    }
}

#[test]
fn what_is_no_tls_is_refused() {
    let mut server = accept();
    assert!(server.receive(b"\x10\x0e\x00\x04MQTT").is_err());
    assert!(server.receive(b"").is_err());
}
