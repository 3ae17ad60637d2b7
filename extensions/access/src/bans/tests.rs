use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn ban(kind: BanKind, value: &str) -> Ban {
    Ban { kind, value: value.into(), reason: String::new(), until: String::new() }
}

fn bans(list: &[Ban]) -> Bans {
    Bans::new(&Config { bans: list.to_vec(), ..Config::default() }).unwrap()
}

fn suspect<'a>(client_id: &'a str, username: &'a str, address: &str) -> Suspect<'a> {
    Suspect { client_id: Some(client_id), username: Some(username), address: Some(address.parse().unwrap()) }
}

#[test]
fn a_client_is_banned_by_any_of_its_names() {
    let bans = bans(&[
        ban(BanKind::ClientId, "c1"),
        ban(BanKind::Username, "eve"),
        ban(BanKind::Address, "192.0.2.1"),
        ban(BanKind::Address, "198.51.100.0/24"),
        ban(BanKind::ClientIdRegex, "bot-[0-9]+"),
        ban(BanKind::UsernameRegex, "guest.*"),
    ]);
    for (client_id, username, address, place) in [
        ("c1", "ann", "10.0.0.1", Some("access.bans[1]")),
        ("c2", "eve", "10.0.0.1", Some("access.bans[2]")),
        ("c2", "ann", "192.0.2.1", Some("access.bans[3]")),
        ("c2", "ann", "::ffff:192.0.2.1", Some("access.bans[3]")),
        ("c2", "ann", "198.51.100.77", Some("access.bans[4]")),
        ("bot-12", "ann", "10.0.0.1", Some("access.bans[5]")),
        ("c2", "guest7", "10.0.0.1", Some("access.bans[6]")),
        ("my-bot-12", "aguest", "192.0.2.2", None),
        ("eve", "c1", "10.0.0.1", None),
    ] {
        let found = bans.find(suspect(client_id, username, address), UNIX_EPOCH);
        assert_eq!(found.map(|entry| entry.place.as_str()), place, "{client_id} {username} {address}");
    }
    assert!(bans.find(Suspect::default(), UNIX_EPOCH).is_none());
}

#[test]
fn a_ban_ends_when_it_says() {
    let mut bans = bans(&[Ban { until: "1970-01-01T00:01:00Z".into(), ..ban(BanKind::ClientId, "c1") }]);
    let (before, after) = (UNIX_EPOCH + Duration::from_secs(59), UNIX_EPOCH + Duration::from_secs(60));
    let c1 = Suspect { client_id: Some("c1"), ..Suspect::default() };
    assert!(bans.find(c1, before).is_some() && bans.find(c1, after).is_none());
    assert_eq!((bans.list(before).count(), bans.list(after).count()), (1, 0));
    bans.sweep(after);
    assert_eq!(bans.len(), 0);
}

#[test]
fn a_ban_is_taken_out_by_what_it_is_for() {
    let all = [
        ban(BanKind::ClientId, "c1"),
        ban(BanKind::Username, "eve"),
        ban(BanKind::Address, "192.0.2.1"),
        ban(BanKind::Address, "198.51.100.0/24"),
        ban(BanKind::ClientIdRegex, "a.*"),
    ];
    let mut bans = bans(&all);
    bans.add(all[3].clone(), "again".to_owned()).unwrap();
    bans.add(all[4].clone(), "again".to_owned()).unwrap();
    assert_eq!(bans.len(), all.len(), "one for the same replaces it");
    assert!(!bans.remove(BanKind::UsernameRegex, "a.*") && !bans.remove(BanKind::Address, "nonsense"));
    for ban in &all {
        assert!(bans.remove(ban.kind, &ban.value), "{ban:?}");
    }
    assert_eq!(bans.len(), 0);
}

fn read(name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let room = tempfile::tempdir().unwrap();
    let ban_file = room.path().join(name);
    std::fs::write(&ban_file, text).unwrap();
    let config = Config { ban_file: ban_file.clone(), ..Config::default() };
    let short = |text: String| text.replace(&*room.path().to_string_lossy(), "");
    let bans = Bans::new(&config).map_err(|error| short(error.to_string()))?;
    let row =
        |entry: &Entry| (short(entry.place.clone()), format!("{} {}", entry.ban.value, entry.ban.reason));
    let mut rows: Vec<_> = bans.list(UNIX_EPOCH).map(row).collect();
    rows.sort();
    Ok(rows)
}

fn row(place: &str, text: &str) -> (String, String) {
    (place.to_owned(), text.to_owned())
}

#[test]
fn a_file_may_be_toml_or_a_table() {
    let toml = "[[bans]]\nkind = \"client-id\"\nvalue = \"c1\"\nreason = \"noise\"\n\n\
                [[bans]]\nkind = \"address\"\nvalue = \"10.0.0.0/8\"\nuntil = \"2027-01-31T12:00:00Z\"\n";
    assert_eq!(
        read("bans.toml", toml),
        Ok(vec![row("/bans.toml:1", "c1 noise"), row("/bans.toml:6", "10.0.0.0/8 ")])
    );
    let csv = "as,who,reason,at,until,by\n# a comment\nclientid,c1,\"too \"\"loud\"\", twice\",,,me\n\
               peerhost_net,10.0.0.0/8,,,infinity,\nusername,eve\n";
    let expected = vec![
        row("/bans.csv:3", "c1 too \"loud\", twice"),
        row("/bans.csv:4", "10.0.0.0/8 "),
        row("/bans.csv:5", "eve "),
    ];
    assert_eq!(read("bans.csv", csv), Ok(expected));
    assert_eq!(read("bans.csv", ""), Ok(vec![]));
    assert_eq!(read("bans.toml", ""), Ok(vec![]));
}

#[test]
fn a_ban_that_cannot_be_used_is_named_with_its_line() {
    let fault = |name: &str, text: &str| read(name, text).unwrap_err();
    let entry = |value: &str| format!("\n[[bans]]\nkind = \"address\"\nvalue = \"{value}\"\n");
    assert!(fault("b.toml", &entry("here")).starts_with("/b.toml:2: value: \"here\" is neither an address"));
    assert!(fault("b.toml", "\n[[bans]]\nkind = \"clown\"\n").starts_with("/b.toml:3: "));
    assert!(fault("b.toml", "bans = 1\n").starts_with("/b.toml:1: "));
    assert!(fault("b.csv", "a,b\n").starts_with("/b.csv:1: the first line names the columns"));
    assert!(
        fault("b.csv", "kind,value\nclown,x\n")
            .starts_with("/b.csv:2: unknown kind \"clown\"; known: client-id")
    );
    assert!(
        fault("b.csv", "kind,value,until\nusername,x,soon\n")
            .starts_with("/b.csv:2: until: \"soon\" is no moment")
    );
    assert!(fault("b.csv", "kind,value\nclientid_re,(\n").contains("is no regular expression"));
    assert!(fault("b.csv", "kind,value\nusername,\n").contains("a ban needs a value"));
}
