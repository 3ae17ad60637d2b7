//! DTLS sessions between two runs of the server.
//!
//! A session must not come back twice, since it would encrypt two things alike: a file is gone from its folder before
//! anything in it is used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bus::KeyMark;
use dtls::SavedSession;
use net::Parked;
use tracing::warn;

/// What a file begins with: the form's version.
const FORM: &[u8; 8] = b"WSDTLS\0\x01";

/// How the extension of a file begins that a server has taken; its process follows.
const TAKEN: &str = "taken-";

/// The sessions of a listener, socket by socket, and where they were. They are nowhere else once this returns.
pub(crate) fn take(state_directory: &Path, listener: &str) -> Vec<Vec<Parked>> {
    let file = place(state_directory, listener);
    remove_abandoned(&file);
    match take_file(&file) {
        Ok(Some(bytes)) => decode(&bytes).unwrap_or_else(|| {
            warn!(file = %file.display(), "The file held no DTLS sessions; clients shake hands again.");
            Vec::new()
        }),
        Ok(None) => Vec::new(),
        Err(error) => {
            warn!(file = %file.display(), %error, "DTLS sessions are not taken up again, so that clients shake hands \
                anew: let the user that runs the server read and remove the file.");
            Vec::new()
        }
    }
}

/// Keeps the sessions of a listener for the next run.
pub(crate) fn keep(state_directory: &Path, listener: &str, sockets: &[Vec<Parked>]) -> io::Result<()> {
    let file = place(state_directory, listener);
    if sockets.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let folder = state_directory.join("dtls");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let draft = file.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(&encode(sockets))?;
    out.sync_all()?;
    fs::rename(&draft, &file)?;
    File::open(&folder)?.sync_all()
}

fn place(state_directory: &Path, listener: &str) -> PathBuf {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let plain = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    let name: String = listener.bytes().map(plain).collect();
    state_directory.join("dtls").join(format!("{name}.sessions"))
}

fn take_file(file: &Path) -> io::Result<Option<Vec<u8>>> {
    // Whoever moves it has it: another server that was given the same folder by mistake finds nothing.
    let ours = file.with_extension(format!("{TAKEN}{}", std::process::id()));
    match fs::rename(file, &ours) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let bytes = fs::read(&ours);
    fs::remove_file(&ours)?;
    let bytes = bytes?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())?;
    Ok(Some(bytes))
}

/// Removes what servers have taken that ended before they could: nobody can tell what of it they used.
fn remove_abandoned(file: &Path) {
    let Some(entries) = file.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let process = extension.and_then(|extension| extension.strip_prefix(TAKEN)?.parse().ok());
        if path.file_stem() == file.file_stem() && process.is_some_and(|process| !is_alive(process)) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether another process has this number; it has if that cannot be told.
fn is_alive(process: u32) -> bool {
    let processes = Path::new("/proc");
    process != std::process::id()
        && (!processes.join("self").exists() || processes.join(process.to_string()).exists())
}

fn encode(sockets: &[Vec<Parked>]) -> Vec<u8> {
    let mut bytes = FORM.to_vec();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(number(sockets.len()));
    for socket in sockets {
        bytes.extend(number(socket.len()));
        for Parked { session, mark } in socket {
            bytes.push(u8::from(mark.is_some()));
            bytes.extend(mark.map_or([0; 16], |mark| mark.0));
            let session = session.encode();
            bytes.extend(number(session.len()));
            bytes.extend_from_slice(&session);
        }
    }
    bytes
}

/// Reads what [`encode`] wrote; `None` if it is something else.
fn decode(bytes: &[u8]) -> Option<Vec<Vec<Parked>>> {
    let mut rest = bytes.strip_prefix(FORM)?;
    let mut sockets = Vec::new();
    for _ in 0..number(&mut rest)? {
        let mut socket = Vec::new();
        for _ in 0..number(&mut rest)? {
            let (is_marked, after) = rest.split_first()?;
            let (mark, after) = after.split_first_chunk::<16>()?;
            rest = after;
            let length = number(&mut rest)?;
            let (session, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = after;
            let session = SavedSession::decode(session)?;
            socket.push(Parked { session, mark: (*is_marked == 1).then_some(KeyMark(*mark)) });
        }
        sockets.push(socket);
    }
    rest.is_empty().then_some(sockets)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use dtls::{Identity, Proof, SessionId};

    use super::*;

    fn parked(number: u64, mark: Option<KeyMark>) -> Parked {
        let identity = Identity {
            version: "DTLS 1.2".into(),
            cipher: "TLS_PSK_WITH_AES_128_CCM_8".into(),
            server_name: None,
            proof: Proof::Key("dev1".into()),
        };
        let session = SavedSession {
            session: SessionId(number),
            address: ([192, 0, 2, 1], 5684).into(),
            identity: Arc::new(identity),
            state: vec![1, 2, 3].into(),
        };
        Parked { session, mark }
    }

    #[test]
    fn sessions_are_had_once_and_nobody_else_reads_them() {
        let room = tempfile::tempdir().unwrap();
        let mark = Some(KeyMark([7; 16]));
        let sockets = [vec![parked(1, mark), parked(2, None)], Vec::new(), vec![parked(3, mark)]];
        keep(room.path(), "co/aps", &sockets).unwrap();
        let file = room.path().join("dtls/co%2faps.sessions");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let taken = take(room.path(), "co/aps");
        assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 1]);
        for (was, is) in sockets.iter().flatten().zip(taken.iter().flatten()) {
            assert!(was.session == is.session && was.mark == is.mark);
        }
        assert!(take(room.path(), "co/aps").is_empty() && !file.exists());
    }

    /// What went wrong: a server that was killed at that moment left the keys of its sessions for good.
    #[test]
    fn what_a_server_has_taken_that_is_gone_is_removed() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("dtls");
        fs::create_dir(&folder).unwrap();
        // Linux gives no process a number as high as that; that of the test's parent is another's.
        let parent = std::os::unix::process::parent_id();
        let names = [
            format!("coaps.taken-{}", std::process::id()),
            format!("coaps.taken-{}", u32::MAX),
            format!("coaps.taken-{parent}"),
            format!("other.taken-{}", u32::MAX),
            "coaps.taken-x".to_owned(),
        ];
        for name in &names {
            fs::write(folder.join(name), "keys").unwrap();
        }
        assert!(take(room.path(), "coaps").is_empty());
        let there = names.map(|name| folder.join(name).exists());
        assert_eq!(there, [false, !cfg!(target_os = "linux"), true, true, true]);
    }

    #[test]
    fn a_file_that_is_cut_short_or_none_gives_nothing() {
        let bytes = encode(&[vec![parked(1, None), parked(2, Some(KeyMark([7; 16])))]]);
        assert!(decode(&bytes).is_some());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_none(), "{length}");
        }
        assert!(decode(&[&FORM[..], &[0xFF; 8]].concat()).is_none());
    }
}
