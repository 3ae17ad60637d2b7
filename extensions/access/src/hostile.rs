//! Nothing that is read from a file or a client ends in a panic.

use std::path::Path;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::acl_file::{AclFile, Want};
use crate::bans::Bans;
use crate::pattern::{Names, Pattern, Template};
use crate::scram::{Conversation, Credential, Mechanism};
use crate::{Config, moment, password_file, psk_file, scram_credential};

/// What texts are put together from: what the readers look for, and what they may stumble over.
const PIECES: [&str; 48] = [
    "user ",
    "topic ",
    "pattern ",
    "read ",
    "deny ",
    "write",
    "readwrite",
    "a/b",
    "#",
    "+",
    "/",
    "$SYS",
    "%c",
    "%u",
    "%{",
    "}",
    "%",
    "\n",
    "\r\n",
    "\u{FEFF}",
    "\0",
    "\u{e9}",
    "\u{1F600}",
    ":",
    "$6$",
    "$7$",
    "$argon2id$",
    "101",
    "=",
    "==",
    "AAAA",
    ",",
    "n,,",
    "n=",
    "r=",
    "c=biws",
    "p=",
    "m=",
    "=2C",
    "\"",
    "kind,value\n",
    "clientid_re",
    "(",
    "[[bans]]",
    "until",
    "2026-11-22T",
    "99999999999999999999",
    "-",
];

fn text(chance: &mut SmallRng) -> String {
    let count = chance.random_range(0..12);
    (0..count).filter_map(|_| PIECES.choose(chance)).copied().collect()
}

#[test]
fn whatever_a_file_or_a_client_says_is_taken_or_refused() {
    let mut chance = SmallRng::seed_from_u64(7);
    let room = tempfile::tempdir().unwrap();
    let credential = scram_credential(Mechanism::Sha256, "x").unwrap();
    let file = Path::new("file");
    for round in 0..20_000 {
        let (text, other) = (text(&mut chance), text(&mut chance));
        let names = Names { client_id: &other, username: Some(&text), attributes: None };
        let _ = password_file::parse(file, &text);
        let _ = psk_file::parse_psk(file, &text);
        let _ = moment::parse(&text);
        let _ = Credential::parse(&text);
        let _ = Template::parse(&text).fill(names);
        if let Ok(acl) = AclFile::parse(file, &text) {
            acl.judge_topic(names, &other, Want::Read);
            acl.judge_filter(names, &other);
        }
        if let Ok(pattern) = Pattern::parse(&text) {
            let _ = (
                pattern.covers(names, &other),
                pattern.overlaps(names, &other),
                pattern.meets(names, &other),
            );
            let _ = (pattern.is(names, &other), pattern.spelled_out(names));
        }
        let first = format!("n,,n={text},r={other}");
        for message in [text.as_bytes(), first.as_bytes()] {
            let known = Credential::parse(&credential).unwrap();
            if let Ok((conversation, _)) = Conversation::begin(message, known, "nonce") {
                assert!(conversation.finish(other.as_bytes()).is_err());
            }
        }
        if round % 100 == 0 {
            for name in ["bans.csv", "bans.toml"] {
                let ban_file = room.path().join(name);
                std::fs::write(&ban_file, &text).unwrap();
                let _ = Bans::new(&Config { ban_file, ..Config::default() });
            }
        }
    }
}
