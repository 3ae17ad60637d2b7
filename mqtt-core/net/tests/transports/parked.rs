//! Which sessions of an earlier run are taken up again.

use std::sync::Arc;

use bus::KeyMark;
use dtls::{Identity, Proof, SavedSession, SessionId};
use net::{ListenerConfig, Parked};

use crate::session::{ANN_AND_BOB, Secured, exchange, receive};

fn parked(number: u64, proof: Proof, mark: Option<KeyMark>) -> Parked {
    let identity = Identity {
        version: "DTLS 1.2".into(),
        cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8".into(),
        server_name: None,
        proof,
    };
    let session = SavedSession {
        session: SessionId(number),
        address: ([127, 0, 0, 1], 9).into(),
        identity: Arc::new(identity),
        state: Vec::new().into(),
    };
    Parked { session, mark }
}

/// Whom to trust may have changed meanwhile, so that only another handshake tells.
#[tokio::test]
async fn a_session_with_a_certificate_is_not_taken_up_again_and_others_are() {
    let certificate = rcgen::generate_simple_self_signed(["device".to_owned()]).unwrap().cert;
    let sessions = vec![
        parked(1, Proof::Certificate(certificate.der().to_vec().into()), None),
        parked(2, Proof::Key("ann".into()), Some(KeyMark([1; 16]))),
        parked(3, Proof::Nothing, None),
    ];
    let secured = Secured::new(ANN_AND_BOB, ListenerConfig::default(), sessions);
    let socket = secured.peer().await;
    // CONNECT of MQTT-SN; an answer of the first would come before that of the others.
    let connect = |number: u8| [&[b'D', number][..], b"\x07\x04\x04\x01\0\x3c", &[b'a' + number]].concat();
    socket.send(&connect(1)).await.unwrap();
    for number in [2, 3] {
        assert_eq!(exchange(&socket, &connect(number)).await, [&[b'D', number][..], b"\x03\x05\0"].concat());
        // It was elsewhere before: does it hear?
        assert_eq!(receive(&socket).await, [b'D', number, 2, 0x16]);
    }
    assert_eq!(secured.server.broker.stats().connections, 2);
}
