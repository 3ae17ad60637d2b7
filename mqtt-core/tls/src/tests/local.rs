use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::authority::{DAY, Folder, Pair};
use crate::{Certificates, ClientConfig, Config, Kept, Refreshed};

fn client(folder: &Folder, ca: &str) -> std::sync::Arc<rustls::ClientConfig> {
    let config = ClientConfig { ca: folder.write("trusted.pem", ca), ..ClientConfig::default() };
    config.load(&[]).unwrap()
}

#[test]
fn without_certificates_a_local_ca_is_made_and_kept() {
    let folder = Folder::new();
    let first = folder.load(&Config::default());
    let (ca, kept) = first.local_ca().unwrap();
    assert_eq!(kept, Kept::File(folder.path("tls/ca.pem")));
    assert_eq!(std::fs::read_to_string(folder.path("tls/ca.pem")).unwrap(), ca);
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls"), mode("tls/ca.key"), mode("tls/server.key")), (0o700, 0o600, 0o600));
    let client = client(&folder, &ca);
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(Pair::named(&first, &client, name).is_alive(), "{name}");
    }

    let second = folder.load(&Config::default());
    assert_eq!(second.local_ca().unwrap().0, ca);
    assert_eq!(second.expiries(), first.expiries());
    assert!(Pair::new(&second, &client).is_alive());
}

#[test]
fn the_local_certificate_is_made_again_before_it_expires_and_the_ca_stays() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let certificates = folder.load(&Config::default());
    let before = certificates.expiries();
    assert_eq!(certificates.refresh_at(now + 300 * DAY), Refreshed::Unchanged);
    assert_eq!(certificates.refresh_at(now + 340 * DAY), Refreshed::Renewed);
    let after = certificates.expiries();
    assert!(after[0].timestamp > before[0].timestamp + 300 * 24 * 60 * 60);
    let kept = Certificates::load_at(&Config::default(), folder.0.path(), now + 341 * DAY).unwrap();
    assert_eq!((kept.expiries(), kept.local_ca()), (after, certificates.local_ca()));
}

#[test]
fn a_certificate_of_another_ca_or_half_a_pair_is_made_again() {
    let (folder, other) = (Folder::new(), Folder::new());
    let ca = folder.load(&Config::default()).local_ca().unwrap().0;
    other.load(&Config::default());
    for name in ["server.pem", "server.key"] {
        std::fs::copy(other.path("tls").join(name), folder.path("tls").join(name)).unwrap();
        let certificates = folder.load(&Config::default());
        assert_eq!(certificates.local_ca().unwrap().0, ca);
        assert!(Pair::new(&certificates, &client(&folder, &ca)).is_alive());
    }
}

#[test]
fn a_directory_that_cannot_be_written_leaves_the_ca_in_memory() {
    let folder = Folder::new();
    let file = folder.write("file", "");
    let certificates = Certificates::load(&Config::default(), &file).unwrap();
    let (ca, kept) = certificates.local_ca().unwrap();
    assert_eq!(kept, Kept::Memory);
    assert!(Pair::new(&certificates, &client(&folder, &ca)).is_alive());
}

#[test]
fn a_key_that_is_not_the_local_cas_is_told() {
    let (folder, other) = (Folder::new(), Folder::new());
    folder.load(&Config::default());
    other.load(&Config::default());
    std::fs::copy(other.path("tls/ca.key"), folder.path("tls/ca.key")).unwrap();
    let problem = Certificates::load(&Config::default(), folder.0.path()).unwrap_err().to_string();
    assert!(problem.contains("ca.key: is not the key of ca.pem; fix: remove"), "{problem}");
}

/// What went wrong: two servers that were started together for the first time left one's CA with the other's key.
#[test]
fn servers_that_are_started_together_share_one_ca() {
    for _ in 0..20 {
        let folder = Folder::new();
        let load = || folder.load(&Config::default()).local_ca();
        let all = std::thread::scope(|scope| {
            let servers: Vec<_> = (0..4).map(|_| scope.spawn(load)).collect();
            servers.into_iter().map(|server| server.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(all.iter().all(|ca| *ca == all[0]));
        assert_eq!(load(), all[0]);
    }
}
