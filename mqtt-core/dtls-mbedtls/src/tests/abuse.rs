use std::net::SocketAddr;
use std::time::Duration;

use dtls::{Counts, Ending, Engine, Refusal, SessionEvent, Settings};

use super::world::{Peer, SECRET, TestKeys, World, dev1};
use crate::ffi::testing::{Wishes, held_by_c};

/// A client's hello with the cookie that the server gave it.
fn proved(world: &mut World, address: &str) -> (Peer, Vec<u8>) {
    let mut peer = world.peer(address, &dev1());
    let hello = peer.output.concat();
    peer.output.clear();
    for (_, request) in world.deliver(&hello, peer.address) {
        peer.take(&request, world.now);
    }
    let hello = peer.output.concat();
    peer.output.clear();
    (peer, hello)
}

#[test]
fn hellos_from_invented_addresses_leave_nothing() {
    let mut world = World::with_key(Settings::default());
    let hello = world.peer("192.0.2.1:1000", &dev1()).output.concat();
    let before = held_by_c();
    for number in 0..10_000_u32 {
        let from = SocketAddr::from((number.to_be_bytes(), 5_684));
        let answers = world.deliver(&hello, from);
        assert_eq!(answers.len(), 1);
        assert!(answers[0].1.len() <= hello.len(), "no more is sent than came");
    }
    assert_eq!(held_by_c(), before);
    assert_eq!(world.engine.counts(), Counts { cookies: 10_000, ..Counts::default() });
    assert_eq!(world.engine.deadline(), None);
}

#[test]
fn a_client_that_reads_only_what_it_writes_can_read_the_request_for_its_cookie() {
    let mut world = World::with_key(Settings::default());
    let peer = world.peer("192.0.2.1:1000", &dev1());
    let mut hello = peer.output.concat();
    for version in [[254, 255], [254, 253]] {
        hello[1..3].copy_from_slice(&version);
        let request = world.deliver(&hello, peer.address).remove(0).1;
        assert_eq!((request[0], &request[1..3], &request[5..11]), (22, &version[..], &hello[5..11]));
        assert_eq!((request[13], &request[25..27]), (3, &hello[25..27]));
    }
}

#[test]
fn a_cookie_is_good_for_its_address_and_its_time() {
    let mut world = World::with_key(Settings::default());
    let (peer, hello) = proved(&mut world, "192.0.2.1:1000");
    world.deliver(&hello, "192.0.2.1:1001".parse().unwrap());
    world.deliver(&hello, "192.0.2.2:1000".parse().unwrap());
    assert_eq!(world.engine.counts().half_open, 0);
    world.now += Duration::from_secs(59);
    world.deliver(&hello, peer.address);
    assert_eq!(world.engine.counts().half_open, 1);
    let (peer, hello) = proved(&mut world, "192.0.2.1:2000");
    for _ in 0..2 {
        world.wait(Duration::from_secs(61));
        world.deliver(b"\x16", peer.address);
        let other = world.peer("192.0.2.1:3000", &dev1()).output.concat();
        world.deliver(&other, peer.address);
    }
    world.deliver(&hello, peer.address);
    assert_eq!(world.engine.counts().half_open, 0);
}

#[test]
fn there_are_as_many_handshakes_as_there_may_be() {
    let mut world = World::with_key(Settings { half_open: 3, ..Settings::default() });
    for port in 1_000..1_010 {
        let (peer, hello) = proved(&mut world, &format!("192.0.2.1:{port}"));
        world.deliver(&hello, peer.address);
    }
    assert_eq!((world.engine.counts().half_open, world.engine.counts().turned_away), (3, 7));
    world.wait(Duration::from_secs(31));
    world.open("192.0.2.2:1000", &dev1());
}

#[test]
fn the_handshake_whose_peer_is_silent_for_longest_makes_way_for_another() {
    let mut world = World::with_key(Settings { half_open: 3, ..Settings::default() });
    for port in 1_000..1_003 {
        let (peer, hello) = proved(&mut world, &format!("192.0.2.1:{port}"));
        world.deliver(&hello, peer.address);
        world.wait(Duration::from_secs(1));
    }
    let (late, hello) = proved(&mut world, "192.0.2.2:1000");
    world.events.clear();
    assert_eq!(world.deliver(&hello, late.address), [], "each was heard within four seconds");
    assert_eq!(world.events, []);
    world.wait(Duration::from_secs(1));
    world.open("192.0.2.2:1001", &dev1());
    let refused =
        SessionEvent::Refused { address: "192.0.2.1:1000".parse().unwrap(), refusal: Refusal::Timeout };
    assert!(world.events.contains(&refused), "{:?}", world.events);
    assert_eq!((world.engine.counts().half_open, world.engine.counts().turned_away), (2, 1));
}

#[test]
fn what_is_not_encrypted_says_nothing_to_an_open_session() {
    let mut world = World::with_key(Settings::default());
    let (mut peer, session) = world.open("192.0.2.1:1000", &dev1());
    world.events.clear();
    // A fatal alert, a good-bye, a ChangeCipherSpec, and data, all of epoch 0.
    for (content, payload) in [(21, &[2, 40][..]), (21, &[1, 0]), (20, &[1]), (23, b"x")] {
        let mut record = vec![content, 254, 253, 0, 0, 0, 0, 0, 0, 1, 0, 0, payload.len() as u8];
        record.extend(payload);
        assert_eq!(world.deliver(&record, peer.address), []);
        record[4] = 1;
        world.deliver(&record, peer.address);
    }
    assert_eq!(world.events, []);
    world.deliver(&peer.encrypt(b"y", world.now), peer.address);
    assert_eq!(world.received(), [(session, b"y".to_vec())]);
}

#[test]
fn whatever_comes_the_engine_serves_on() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut world = World::with_key(Settings { half_open: 50, ..Settings::default() });
    let (mut steady, session) = world.open("192.0.2.9:9", &Wishes { connection_id: true, ..dev1() });
    for round in 0..400 {
        // A handshake in which one message is another than the client wrote.
        let wishes = Wishes { connection_id: round % 2 == 0, ..dev1() };
        let mut peer = world.peer(&format!("192.0.2.1:{}", 1_000 + round), &wishes);
        let broken = chance.below(6);
        for flight in 0..8 {
            for mut datagram in std::mem::take(&mut peer.output) {
                if flight == broken {
                    chance.change(&mut datagram);
                }
                for (_, answer) in world.deliver(&datagram, peer.address) {
                    if !peer.failed {
                        peer.take(&answer, world.now);
                    }
                }
            }
            if peer.is_open && !peer.failed {
                let mut record = peer.encrypt(b"hello", world.now);
                world.deliver(&record, peer.address);
                chance.change(&mut record);
                world.deliver(&record, peer.address);
            }
        }
        let mut noise: Vec<u8> = (0..chance.below(200)).map(|_| chance.next() as u8).collect();
        if let [content, major, ..] = noise.as_mut_slice() {
            (*content, *major) = (20 + *content % 6, 254);
        }
        world.deliver(&noise, peer.address);
        world.deliver(&noise, steady.address);
        if round % 50 == 0 {
            world.wait(Duration::from_secs(70));
        }
    }
    world.wait(Duration::from_secs(70));
    assert_eq!(world.engine.counts().half_open, 0);
    world.events.clear();
    world.deliver(&steady.encrypt(b"still", world.now), steady.address);
    assert_eq!(world.received(), [(session, b"still".to_vec())]);
}

/// The same numbers in every run. [xorshift64*]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Changes, cuts, doubles or lengthens bytes.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let place = usize::try_from(self.below(bytes.len().max(1) as u64)).unwrap();
            match self.below(5) {
                0 => bytes.truncate(place),
                1 => bytes.extend_from_within(place..),
                2 => bytes.extend((0..self.0 % 40).map(|number| number as u8)),
                _ => {
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= 1 << (self.0 % 8);
                    }
                }
            }
        }
    }
}

/// What went wrong: whoever had one key could fill all places for sessions, and kept everybody out for a day.
#[test]
fn whoever_has_most_sessions_gives_one_up_for_others() {
    let named = |names: &[&str]| {
        let park_after = Some(Duration::from_secs(9));
        Settings { psk: Some(TestKeys::with(names)), sessions: 4, park_after, ..Settings::default() }
    };
    let mut world = World::new(&named(&["dev1", "dev2", "dev3", "dev4"]));
    let mut port = 0;
    let mut open = |world: &mut World, name: &'static str| {
        world.wait(Duration::from_secs(10));
        port += 1;
        let wishes = Wishes { key: Some((name, SECRET.to_vec())), ..Wishes::default() };
        let mut peer = world.peer(&format!("192.0.2.1:{port}"), &wishes);
        while !peer.output.is_empty() {
            for datagram in std::mem::take(&mut peer.output) {
                for (to, answer) in world.deliver(&datagram, peer.address) {
                    if to == peer.address {
                        peer.take(&answer, world.now);
                    }
                }
            }
        }
        peer
    };
    let mut many = Vec::new();
    for _ in 0..4 {
        many.push((open(&mut world, "dev1"), world.opened()));
    }
    // The first is not silent any more.
    world.wait(Duration::from_secs(1));
    let (first, _) = &mut many[0];
    world.deliver(&first.encrypt(b"x", world.now), first.address);
    for (name, given) in [("dev2", 1), ("dev1", 2), ("dev3", 3), ("dev4", 0)] {
        world.events.clear();
        assert!(open(&mut world, name).is_open);
        let closed = SessionEvent::Closed { session: many[given].1, ending: Ending::Crowded };
        assert_eq!(world.events.iter().filter(|event| **event == closed).count(), 1, "{name}");
        assert_eq!(world.engine.sessions(), 4);
    }
    // Everybody has one, which nobody else is given.
    world.engine.reconfigure(&named(&["dev5"])).unwrap();
    assert!(!open(&mut world, "dev5").is_open);
    assert_eq!((world.engine.sessions(), world.engine.counts().turned_away), (4, 1));
}
