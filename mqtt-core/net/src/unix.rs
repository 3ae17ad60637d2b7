use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

/// A Unix socket that is listened on; its file goes when it does.
pub(crate) struct Path {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    /// The file that is ours: another server may have put its own in its place.
    file: (u64, u64),
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

impl Path {
    /// Makes the socket. What a server that is gone has left there is taken away first.
    pub(crate) fn bind(path: &std::path::Path, mode: u32) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(ErrorKind::NotFound.into());
        }
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody is let in before the mode is right.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        let file = identity(path)?;
        Ok(Self { listener: UnixListener::from_std(socket.into())?, path: path.to_owned(), file })
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove_stale(path: &std::path::Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let asked = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server that takes nobody in at the moment is there all the same.
    asked.set_nonblocking(true)?;
    match asked.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

fn identity(path: &std::path::Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}
