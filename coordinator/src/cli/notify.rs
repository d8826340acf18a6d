//! Tells the service manager how it goes, where one asked to be told (`sd_notify(3)`): one datagram to the socket that
//! `NOTIFY_SOCKET` names. Without one it does nothing.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// Who is to be told.
#[derive(Debug)]
pub(super) struct Manager(Option<OsString>);

impl Manager {
    /// The one that started this program, if it asked.
    pub(super) fn of_environment() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET"))
    }

    /// Tells it `state`, such as `READY=1`. A manager that cannot be told is no reason to stop serving.
    pub(super) fn tell(&self, state: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_the_state_on_its_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Manager(Some(path.into())).tell("READY=1");
        let mut heard = [0; 32];
        let length = socket.recv(&mut heard).expect("a datagram");
        assert_eq!(&heard[..length], b"READY=1");
        Manager(None).tell("nobody listens");
        Manager(Some("no/such/socket".into())).tell("nobody listens");
    }
}
