//! Enhanced authentication by SCRAM-SHA-256 [RFC5802] [RFC7677], and each way to go wrong in it. Alice's password is
//! `secret`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use suite::mqtt::wire::{PINGREQ, packet, properties};

use super::*;

const V: Version = Version::V5;
const METHOD: &str = "SCRAM-SHA-256";

const GOES_ON: u8 = 0x18;
const AGAIN: u8 = 0x19;

const CONNACK: u8 = 2;
const DISCONNECT: u8 = 14;
const AUTH: u8 = 15;

/// The server's messages are in this property, and ours.
const DATA: u8 = 0x16;

fn with_data(method: &str, data: &str) -> Vec<u8> {
    [property::authentication_method(method), property::text_in(DATA, data)].concat()
}

fn auth(code: u8, method: &str, data: &str) -> Vec<u8> {
    packet(0xF0, &[&[code], &properties(V, &with_data(method, data))])
}

fn connect(first: &str) -> Vec<u8> {
    Connect::new(V, &unique("c")).property(with_data(METHOD, first)).bytes()
}

fn said(packet: &Packet) -> String {
    let properties = if packet.kind() == CONNACK { packet.connack().properties } else { packet.properties() };
    String::from_utf8(properties.one(DATA).expect("authentication data").to_vec()).unwrap()
}

/// A connection that was told what to prove, and what it was told.
fn challenged(name: &str) -> (Peer, String) {
    let mut peer = Peer::sending(V, &connect(&format!("n,,n={name},r=mine")));
    let challenge = peer.next();
    assert_eq!((challenge.kind(), challenge.code()), (AUTH, GOES_ON), "{challenge:?}");
    let said = said(&challenge);
    assert!(said.starts_with("r=mine"), "{said}");
    (peer, said)
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The right last message.
fn proof(name: &str, password: &str, challenge: &str) -> String {
    let [nonce, salt, rounds] = challenge.split(',').collect::<Vec<_>>()[..] else { panic!("{challenge}") };
    let salt = STANDARD.decode(&salt[2..]).unwrap();
    let salted =
        pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, rounds[2..].parse().unwrap());
    let key = hmac(&salted, b"Client Key");
    let message = format!("n={name},r=mine,{challenge},c=biws,{nonce}");
    let signature = hmac(&Sha256::digest(&key), message.as_bytes());
    let proof: Vec<_> = key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
    format!("c=biws,{nonce},p={}", STANDARD.encode(proof))
}

/// Checks that the answer refuses the client and ends the connection.
fn refused(what: &str, mut peer: Peer, codes: &[u8]) {
    let answers = peer.end();
    let [answer] = &answers[..] else { panic!("{what}: {answers:?}") };
    assert!(codes.contains(&answer.connack().code), "{what}: {answer:?}");
}

#[test]
fn who_proves_to_know_the_password_comes_in_and_may_do_so_again() {
    let (mut peer, challenge) = challenged("alice");
    let accepted = peer.ask(&auth(GOES_ON, METHOD, &proof("alice", "secret", &challenge)));
    assert_eq!(accepted.connack().code, 0, "{accepted:?}");
    assert!(said(&accepted).starts_with("v="));
    let challenge = said(&peer.ask(&auth(AGAIN, METHOD, "n,,n=alice,r=mine")));
    let accepted = peer.ask(&auth(GOES_ON, METHOD, &proof("alice", "secret", &challenge)));
    assert_eq!((accepted.kind(), accepted.code()), (AUTH, 0), "{accepted:?}");
    assert_eq!(peer.ask(&PINGREQ).kind(), 13);
}

#[test]
fn a_last_message_with_anything_changed_is_refused() {
    for (from, to) in [
        ("p=", "p=AAAA"),
        ("c=biws", "c=eSws"),
        ("c=biws", "c=cD10bHMtdW5pcXVlLCw="),
        ("r=mine", "r=mire"),
        (",p=", "x,p="),
        ("c=biws,r=", "r="),
        ("c=biws", "m=new,c=biws"),
        (",p=", ",q="),
    ] {
        let (mut peer, challenge) = challenged("alice");
        let right = proof("alice", "secret", &challenge);
        let changed = right.replacen(from, to, 1);
        assert_ne!(right, changed);
        peer.send(&auth(GOES_ON, METHOD, &changed));
        refused(&changed, peer, &[0x86, 0x87]);
    }
}

#[test]
fn a_wrong_password_a_strange_name_and_an_old_proof_are_refused_alike() {
    let (_, earlier) = challenged("alice");
    for (name, password, old) in
        [("alice", "secrets", None), ("mallory", "secret", None), ("alice", "secret", Some(&earlier))]
    {
        let (mut peer, challenge) = challenged(name);
        peer.send(&auth(GOES_ON, METHOD, &proof(name, password, old.unwrap_or(&challenge))));
        refused(name, peer, &[0x86, 0x87]);
    }
}

#[test]
fn a_first_message_that_asks_for_channel_binding_or_another_name_is_refused() {
    for first in ["p=tls-unique,,n=alice,r=mine", "n,a=root,n=alice,r=mine", "n,,m=new,n=alice,r=mine", ""] {
        refused(first, Peer::sending(V, &connect(first)), &[0x86, 0x87]);
    }
}

#[test]
fn another_method_in_the_middle_ends_the_connection() {
    let (mut peer, challenge) = challenged("alice");
    peer.send(&auth(GOES_ON, "SCRAM-SHA-512", &proof("alice", "secret", &challenge)));
    refused("another method", peer, &[0x82, 0x8C]);
    let (mut peer, _) = challenged("alice");
    peer.send(&auth(AGAIN, METHOD, "n,,n=alice,r=mine"));
    refused("a second beginning", peer, &[0x82]);
}

#[test]
fn nothing_is_done_before_the_proof() {
    let topic = unique("t");
    let mut watcher = Peer::new(V);
    watcher.subscribe(&topic, 0);
    let (mut peer, _) = challenged("alice");
    peer.send(&Publish::new(V, &topic, "too early").qos(1, 1).bytes());
    refused("a message", peer, &[0x82]);
    watcher.nothing_from(&mut Peer::new(V));
}

#[test]
fn who_comes_in_again_must_be_the_same_by_the_same_method() {
    for (method, name, password) in
        [("SCRAM-SHA-512", "alice", "secret"), (METHOD, "mallory", "secret"), (METHOD, "alice", "secrets")]
    {
        let (mut peer, challenge) = challenged("alice");
        peer.ask(&auth(GOES_ON, METHOD, &proof("alice", "secret", &challenge)));
        let mut answer = peer.ask(&auth(AGAIN, method, &format!("n,,n={name},r=mine")));
        if method == METHOD {
            answer = peer.ask(&auth(GOES_ON, METHOD, &proof(name, password, &said(&answer))));
        }
        assert_eq!(answer.kind(), DISCONNECT, "{answer:?}");
        assert!(matches!(answer.code(), 0x82 | 0x87 | 0x8C), "{answer:?}");
        assert_eq!(peer.end(), []);
    }
}
