//! The files that the configuration names, while the server runs.

use std::path::Path;

use super::*;
use crate::password::tests::{PBKDF2, SHA512};

fn with_passwords(room: &tempfile::TempDir, text: &str) -> Config {
    let password_file = room.path().join("passwd");
    std::fs::write(&password_file, text).unwrap();
    Config { anonymous: Anonymous::Loopback, password_file, ..Config::default() }
}

/// What the next two looks bring: the first sees that a file changes, the second that it does so no more.
fn refreshed(chain: &AuthChain) -> Refresh {
    assert_eq!(chain.refresh(), Refresh::Unchanged);
    chain.refresh()
}

async fn comes_in(chain: &AuthChain, name: &str, password: &str) -> bool {
    judge(chain, &attempt(Some(name), Some(password), ELSEWHERE)).await.is_ok()
}

#[tokio::test]
async fn the_users_of_a_mosquitto_file_come_in_beside_those_of_the_configuration() {
    let room = tempfile::tempdir().unwrap();
    let mut config = with_passwords(&room, &format!("ann:{PBKDF2}\nbob:{SHA512}\n"));
    config.users = vec![user("cyd", "own")];
    let chain = AuthChain::new(&config).unwrap();
    for (name, password) in [("ann", "secret"), ("bob", "other pass"), ("cyd", "own")] {
        assert!(comes_in(&chain, name, password).await, "{name}");
        assert!(!comes_in(&chain, name, "wrong").await, "{name}");
    }
    config.users = vec![user("bob", "own")];
    let fault = AuthChain::new(&config).err().unwrap().to_string();
    assert!(fault.contains("passwd:2: there are two users with the name \"bob\""), "{fault}");
}

#[tokio::test]
async fn an_empty_password_file_lets_nobody_in_by_a_name() {
    let room = tempfile::tempdir().unwrap();
    let chain = AuthChain::new(&with_passwords(&room, "")).unwrap();
    for address in [HERE, ELSEWHERE] {
        let judgement = judge(&chain, &attempt(Some("ann"), Some(""), address)).await;
        assert_eq!(judgement, Err(Reason::BadCredentials));
    }
    let nowhere = Config { password_file: room.path().join("nowhere"), ..Config::default() };
    let fault = AuthChain::new(&nowhere).err().unwrap().to_string();
    assert!(fault.ends_with("nowhere: cannot be read: there is no such file; name another, or create it"));
}

#[tokio::test]
async fn a_password_file_that_changes_is_in_force_at_the_second_look() {
    let room = tempfile::tempdir().unwrap();
    let config = with_passwords(&room, &format!("ann:{PBKDF2}\n"));
    let chain = AuthChain::new(&config).unwrap();
    assert!(comes_in(&chain, "ann", "secret").await);
    assert_eq!((chain.refresh(), chain.epoch()), (Refresh::Unchanged, 0));

    with_passwords(&room, &format!("ann:{PBKDF2}\nbob:{SHA512}\n"));
    assert_eq!(refreshed(&chain), Refresh::Renewed(vec![config.password_file.clone()]));
    assert_eq!((chain.refresh(), chain.epoch()), (Refresh::Unchanged, 1));
    assert!(comes_in(&chain, "bob", "other pass").await);
    let known = attempt(Some("ann"), Some("secret"), ELSEWHERE);
    assert!(
        matches!(chain.authenticate(&known), Answer::Now(_)),
        "a password that did not change is remembered"
    );

    with_passwords(&room, &format!("bob:{SHA512}\n"));
    assert!(matches!(refreshed(&chain), Refresh::Renewed(_)));
    assert!(!comes_in(&chain, "ann", "secret").await);
}

#[tokio::test]
async fn a_bad_or_missing_file_keeps_the_old_one_and_is_told_once() {
    let room = tempfile::tempdir().unwrap();
    let config = with_passwords(&room, &format!("ann:{PBKDF2}\n"));
    let chain = AuthChain::new(&config).unwrap();
    with_passwords(&room, "ann:secret\n");
    let Refresh::Failed(fault) = refreshed(&chain) else { panic!("a password in plain text was taken") };
    assert_eq!(fault.place, crate::Place::File(config.password_file.clone(), Some(1)));
    assert_eq!(chain.refresh(), Refresh::Unchanged);
    assert!(comes_in(&chain, "ann", "secret").await);

    std::fs::remove_file(&config.password_file).unwrap();
    assert!(matches!(refreshed(&chain), Refresh::Failed(_)));
    assert_eq!((chain.refresh(), chain.epoch()), (Refresh::Unchanged, 0));
    assert!(comes_in(&chain, "ann", "secret").await);

    with_passwords(&room, &format!("bob:{SHA512}\n"));
    assert!(matches!(refreshed(&chain), Refresh::Renewed(_)));
    assert!(comes_in(&chain, "bob", "other pass").await);
}

#[tokio::test]
async fn a_file_that_is_written_again_while_it_is_read_waits_until_that_is_over() {
    let room = tempfile::tempdir().unwrap();
    let config = with_passwords(&room, &format!("ann:{PBKDF2}\n"));
    let chain = AuthChain::new(&config).unwrap();
    with_passwords(&room, &format!("ann:{PBKDF2}\nbob:{SHA512}\n"));
    assert_eq!(chain.refresh(), Refresh::Unchanged);
    let half = |config: &Config| {
        with_passwords(&room, "");
        let policy = Policy::new(config, None);
        with_passwords(&room, &format!("ann:{PBKDF2}\nbob:{SHA512}\ncyd:{SHA512}\n"));
        policy
    };
    assert_eq!(chain.refresh_by(half), Refresh::Unchanged);
    assert!(comes_in(&chain, "ann", "secret").await, "an empty file was caught, and is not in force");
    assert!(matches!(chain.refresh(), Refresh::Renewed(_)));
    assert!(comes_in(&chain, "cyd", "other pass").await);
}

#[tokio::test]
async fn a_link_that_is_turned_to_another_file_counts_as_a_change() {
    let room = tempfile::tempdir().unwrap();
    let link = |to: &Path| {
        let draft = room.path().join("draft");
        std::os::unix::fs::symlink(to, &draft).unwrap();
        std::fs::rename(draft, room.path().join("link")).unwrap();
    };
    for (name, line) in [("one", format!("ann:{PBKDF2}")), ("two", format!("bob:{SHA512}"))] {
        std::fs::write(room.path().join(name), line).unwrap();
    }
    link(&room.path().join("one"));
    let config = Config { password_file: room.path().join("link"), ..Config::default() };
    let chain = AuthChain::new(&config).unwrap();
    assert!(comes_in(&chain, "ann", "secret").await);
    link(&room.path().join("two"));
    assert!(matches!(refreshed(&chain), Refresh::Renewed(_)));
    assert!(!comes_in(&chain, "ann", "secret").await);
    assert!(comes_in(&chain, "bob", "other pass").await);
}

#[tokio::test]
async fn who_came_in_with_a_password_that_changed_does_not_stay() {
    let room = tempfile::tempdir().unwrap();
    let mut config = with_passwords(&room, &format!("ann:{PBKDF2}\nbob:{SHA512}\n"));
    config.users = vec![User { attributes: [("tenant".into(), "acme".into())].into(), ..user("cyd", "own") }];
    let chain = AuthChain::new(&config).unwrap();
    let mut clients = Vec::new();
    for (name, password) in [("ann", "secret"), ("bob", "other pass"), ("cyd", "own")] {
        let identity = judge(&chain, &attempt(Some(name), Some(password), ELSEWHERE)).await.unwrap();
        let again = judge(&chain, &attempt(Some(name), Some(password), ELSEWHERE)).await;
        assert_eq!(Ok(&identity), again.as_ref(), "a remembered password is as good");
        clients.push(bans::client(name, identity, ELSEWHERE));
    }
    let stays = || clients.iter().map(|client| (chain.still_valid(client), chain.still_proved(client)));
    assert!(stays().all(|stays| stays == (true, true)));

    with_passwords(&room, &format!("ann:{SHA512}\nbob:{SHA512}\n"));
    assert!(matches!(refreshed(&chain), Refresh::Renewed(_)));
    let (gone, stayed) = ((true, false), (true, true));
    assert_eq!(stays().collect::<Vec<_>>(), [gone, stayed, stayed]);

    config.users[0].attributes.clear();
    chain.reload(&config).unwrap();
    assert_eq!(
        stays().collect::<Vec<_>>(),
        [gone, stayed, gone],
        "a right that came with the user is gone too"
    );
}
