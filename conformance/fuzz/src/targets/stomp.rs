use bus::Transport;
use stomp::{Config, Decoder, FrameLimits, Stomp, Version};

use crate::Target;
use crate::conversation::{converse, pieces, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "stomp_decode", run: decode, seeds },
    Target { name: "stomp_connection", run: connection, seeds },
    Target { name: "stomp_connected", run: connected, seeds },
];

const LIMITS: FrameLimits = FrameLimits { frame: 8 << 10, head: 1 << 10, headers: 16 };

fn decode(input: &[u8]) {
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let mut decoder = Decoder::default();
        let mut rest = &input[stomp::newlines(input).min(input.len())..];
        while let Ok(Some((_, taken))) = decoder.decode(rest, version, &LIMITS) {
            assert!(taken > 0 && taken <= rest.len());
            rest = &rest[taken..];
        }
    }
}

fn connection(input: &[u8]) {
    converse(&Stomp::new(Config::default(), small_limits()), Transport::Stream, pieces(input));
}

fn connected(input: &[u8]) {
    let version = match input.first() {
        Some(b'0') => "CONNECT\n\n\0",
        Some(b'1') => "CONNECT\naccept-version:1.1\nhost:h\nheart-beat:1000,1000\n\n\0",
        _ => "STOMP\naccept-version:1.2\nhost:h\nheart-beat:0,0\nclient-id:c\n\n\0",
    };
    let frames = [version.as_bytes()].into_iter().chain(pieces(input));
    converse(&Stomp::new(Config::default(), small_limits()), Transport::Stream, frames);
}

fn seeds() -> Vec<Vec<u8>> {
    owned(&[
        "STOMP\naccept-version:1.0,1.1,1.2\nhost:h\nlogin:u\npasscode:p\nheart-beat:500,1000\n\n\0\n",
        "SUBSCRIBE\nid:0\ndestination:a/+\nack:client-individual\nreceipt:1\n\n\0ACK\nid:1\n\n\0NACK\nid:2\n\n\0",
        "SUBSCRIBE\nid:0\ndestination:a/b\nack:client\n\n\0SUBSCRIBE\nid:1\ndestination:a/b\n\n\0UNSUBSCRIBE\nid:0\n\n\0",
        "SEND\ndestination:a/b\ncontent-type:text/plain\ncontent-length:5\nretain:true\nqos:2\n\nhello\0",
        "SEND\r\ndestination:a\\cb\\n\\\\\r\nexpires:10\r\nreply-to:r\r\ncorrelation-id:1\r\n\r\nbody\0\r\n",
        "BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:a\n\nx\0COMMIT\ntransaction:t\nreceipt:2\n\n\0",
        "BEGIN\ntransaction:t\n\n\0ACK\nid:1\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0DISCONNECT\nreceipt:9\n\n\0",
        "\n\n\n",
    ])
}
